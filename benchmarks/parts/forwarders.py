"""The servers that are measured as forwarders, each with a cache and one thread for questions, and their upstream.

Upstream    Knot DNS, in which every name below one zone exists
Dnsbridge   this project, one worker
Unbound     not validating
Dnsdist     a packet cache
Recursor    PowerDNS Recursor, not validating
CoreDns     the plugins cache and forward; it is no Debian package: on PATH, or where $COREDNS says

None of them asks anybody but the upstream: what they would look up by themselves (root hints, news) is switched off.
"""

import os
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.parts import peers
from benchmarks.parts.names import Name, names, write_manifests
from benchmarks.parts.peers import ADDRESS, Peer, which
from benchmarks.parts.run import Failed

ZONE = "office.example."
WILDCARD = IPv4Address("192.0.2.80")
CACHED = 100_000
"""Answers that each may keep."""
FORWARDING = ("do-not-query-localhost: no", "msg-cache-size: 64m", "rrset-cache-size: 128m")
"""What an unbound that forwards has in its server clause."""


class Outside(Name):
    """A name of the corporate DNS."""

    @property
    def owner(self) -> str:
        """The DNS name, with its final dot."""
        return f"{self.service}.{ZONE}"


def outside(prefix: str, count: int, address: IPv4Address = WILDCARD) -> list[Name]:
    """So many names, which an upstream with that address in it has."""
    return [Outside(f"{prefix}-{number:06d}", "", address) for number in range(count)]


def write_owners(wanted: list[Name], path: Path) -> None:
    """The names as dnsperf's input: a question for the address of each."""
    path.write_text("".join(f"{name.owner} A\n" for name in wanted), encoding="utf-8")


class Upstream(Peer):
    """Knot DNS with one wildcard."""

    name = "knot"

    def __init__(self, folder: Path, address: IPv4Address = WILDCARD) -> None:
        """`address` is what every name has."""
        super().__init__(folder)
        self._address = address

    def configure(self, names: list[Name]) -> list[str]:
        """See Peer."""
        soa = f"@ 3600 SOA ns admin 1 7200 1800 86400 60\n@ 3600 NS ns\nns 3600 A {ADDRESS}\n"
        (self.folder / "zone").write_text(f"$ORIGIN {ZONE}\n{soa}* 3600 A {self._address}\n", encoding="utf-8")
        config = self.folder / "knot.conf"
        config.write_text(
            f"server:\n  listen: {ADDRESS}@{self.port}\n  rundir: {self.folder}\n  udp-workers: 1\n  tcp-workers: 1\n"
            f"  background-workers: 1\ndatabase:\n  storage: {self.folder}/database\n"
            f"log:\n  - target: stderr\n    any: warning\n"
            f"zone:\n  - domain: {ZONE}\n    file: {self.folder}/zone\n    zonefile-sync: -1\n",
            encoding="utf-8",
        )
        return [which("knotd"), "-c", str(config)]


class Forwarder(Peer):
    """A server that sends everything to its upstreams."""

    program: str

    def __init__(self, folder: Path, upstreams: Sequence[int]) -> None:
        """`upstreams` are ports of loopback."""
        super().__init__(folder)
        self.upstreams = upstreams


class Dnsbridge(Forwarder):
    """`python -m dnsbridge serve`, one cluster with one name, no HTTP."""

    name = "dnsbridge"
    program = sys.executable

    def __init__(self, folder: Path, upstreams: Sequence[int], policy: str = "sequential") -> None:
        """`policy` as in the settings."""
        super().__init__(folder, upstreams)
        self._policy = policy

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        write_manifests(names(1), self.folder)
        settings = self.folder / "dnsbridge.yaml"
        upstreams = ", ".join(f'"{ADDRESS}:{port}"' for port in self.upstreams)
        settings.write_text(
            f"clusters: [{{name: bench, source: {{manifests: {self.folder}/cluster.json}}, fallback: never}}]\n"
            f'forward: [{{zone: ".", upstreams: [{upstreams}], policy: {self._policy}}}]\ncache: {{size: {CACHED}}}\n',
            encoding="utf-8",
        )
        command = [self.program, "-m", "dnsbridge", "serve", "--listen", f"{ADDRESS}:{self.port}", "--workers", "1"]
        return [*command, "--config", str(settings), "--http", ""]


class Unbound(Forwarder):
    """unbound with the module that forwards alone."""

    name = peers.Unbound.name
    program = peers.Unbound.name

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        forwards = "".join(f"    forward-addr: {ADDRESS}@{port}\n" for port in self.upstreams)
        return peers.unbound(self, FORWARDING, f'forward-zone:\n    name: "."\n{forwards}')


class Dnsdist(Forwarder):
    """dnsdist 1.7: one thread receives, one sends back."""

    name = "dnsdist"
    program = "dnsdist"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        config = self.folder / "dnsdist.conf"
        servers = "".join(f'newServer({{address="{ADDRESS}:{port}"}})\n' for port in self.upstreams)
        # Without a suffix it does not ask the system's DNS for news about itself.
        config.write_text(
            f'setSecurityPollSuffix("")\nsetLocal("{ADDRESS}:{self.port}")\n{servers}'
            f'getPool(""):setCache(newPacketCache({CACHED}))\n',
            encoding="utf-8",
        )
        return [which(self.program), "--supervised", "--disable-syslog", "-C", str(config)]


class Recursor(Forwarder):
    """PowerDNS Recursor 4.8: one thread that receives and asks."""

    name = "recursor"
    program = "pdns_recursor"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        settings = {
            "local-address": ADDRESS,
            "local-port": self.port,
            "forward-zones-recurse": ".=" + ";".join(f"{ADDRESS}:{port}" for port in self.upstreams),
            "threads": 1,
            "pdns-distributes-queries": "no",
            "dont-query": "",
            "hint-file": "no",
            "security-poll-suffix": "",
            "dnssec": "off",
            "max-cache-entries": CACHED,
            "max-packetcache-entries": CACHED,
            "daemon": "no",
            "disable-syslog": "yes",
            "loglevel": 3,
            "quiet": "yes",
            "socket-dir": self.folder,
            "write-pid": "no",
        }
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        (self.folder / "recursor.conf").write_text("".join(lines), encoding="utf-8")
        return [which(self.program), f"--config-dir={self.folder}"]


class CoreDns(Forwarder):
    """CoreDNS with one operating system thread that runs Go code at a time."""

    name = "coredns"
    program = os.environ.get("COREDNS", "coredns")

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        config = self.folder / "Corefile"
        upstreams = " ".join(f"{ADDRESS}:{port}" for port in self.upstreams)
        config.write_text(
            f".:{self.port} {{\n    bind {ADDRESS}\n    cache {{\n        success {CACHED}\n    }}\n"
            f"    forward . {upstreams}\n}}\n",
            encoding="utf-8",
        )
        return ["env", "GOMAXPROCS=1", which(self.program), "-conf", str(config)]


def installed(kinds: Sequence[type[Forwarder]]) -> tuple[list[type[Forwarder]], list[str]]:
    """Those that this machine has, and why the others are left out."""
    found, lacking = [], []
    for kind in kinds:
        try:
            which(kind.program)
            found.append(kind)
        except Failed as failure:
            lacking.append(f"without {kind.name}: {failure}")
    return found, lacking

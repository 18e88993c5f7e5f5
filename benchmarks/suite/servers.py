"""The servers of the suite; each holds the same records, or forwards to the same upstream, or both.

dnsbridge   manifests in a folder, one worker
unbound     local-data in static local-zones, one thread, not validating
dnsmasq     its hosts file
bind9       master files, one thread, `forward only`
knot, nsd   master files; authoritative only
dnsdist, recursor, coredns    as benchmarks.parts.forwarders has them: forwarding only

None of them asks anybody but the upstream: root hints, trust anchors and news are switched off.
"""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from benchmarks.parts import forwarders
from benchmarks.parts.forwarders import CACHED, FORWARDING
from benchmarks.parts.names import TTL, ZONE, Name
from benchmarks.parts.peers import ADDRESS, Peer, free_port, unbound, which
from benchmarks.parts.run import Failed
from benchmarks.suite.data import (
    REVERSE_ZONES,
    Data,
    cluster_records,
    reverse_records,
    write_objects,
    write_zones,
)

CLUSTER, FORWARD = "cluster", "forward"


class Server(Peer):
    """A server with the cluster's records; it may forward the rest."""

    def __init__(self, folder: Path, held: Data, upstream: int) -> None:
        """`upstream` is a port of loopback."""
        super().__init__(folder)
        self.held = held
        self.upstream = upstream


class Dnsbridge(Server):
    """`python -m dnsbridge serve`, as it comes."""

    name = "dnsbridge"

    def longest_pause(self) -> float:
        """Milliseconds of the garbage collector's longest pause since the start; raises Failed."""
        place = f"http://{ADDRESS}:{self.http}/metrics"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(place, timeout=10) as response:
                found = re.search(rb"^dnsbridge_gc_longest_pause_seconds (\S+)$", response.read(), re.MULTILINE)
        except OSError as error:
            raise Failed(f"{place}: {error}") from None
        if found is None:
            raise Failed(f"{place} has no pauses of the garbage collector")
        return float(found[1]) * 1000

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        manifests = self.folder / "manifests"
        manifests.mkdir()
        write_objects(self.held, manifests)
        settings = self.folder / "dnsbridge.yaml"
        settings.write_text(
            f"clusters: [{{name: bench, source: {{manifests: {manifests}}}, fallback: never}}]\n"
            f'forward: [{{zone: ".", upstreams: ["{ADDRESS}:{self.upstream}"]}}]\ncache: {{size: {CACHED}}}\n',
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "dnsbridge", "serve", "--listen", f"{ADDRESS}:{self.port}", "--workers", "1"]
        self.http = free_port()
        return [*command, "--config", str(settings), "--http", f"{ADDRESS}:{self.http}"]


class Unbound(Server):
    """Its own defaults turn the records of a set round."""

    name = "unbound"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        records = self.folder / "local-data.conf"
        records.write_text(
            "server:\n"
            + "".join(f'    local-zone: "{zone}" static\n' for zone in (ZONE, *REVERSE_ZONES))
            + "".join(
                f'    local-data: "{record.owner} {TTL} IN {record.kind} {record.data}"\n'
                for found in (cluster_records, reverse_records)
                for record in found(self.held)
            ),
            encoding="utf-8",
        )
        forward = f'forward-zone:\n    name: "."\n    forward-addr: {ADDRESS}@{self.upstream}\n'
        return unbound(self, [*FORWARDING, "incoming-num-tcp: 100"], f'include: "{records}"\n{forward}')


class Dnsmasq(Server):
    """A hosts file gives A and PTR; without SRV records, which it would walk through for every question."""

    name = "dnsmasq"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        hosts = self.folder / "hosts"
        lines = [f"{name.address} {name.owner.removesuffix('.')}\n" for name in self.held.services]
        lines += [f"{each} {pool.owner.removesuffix('.')}\n" for pool in self.held.headless for each in pool.addresses]
        hosts.write_text("".join(lines), encoding="utf-8")
        zones = "".join(f"local=/{zone.removesuffix('.')}/\n" for zone in (ZONE, *REVERSE_ZONES))
        config = self.folder / "dnsmasq.conf"
        config.write_text(
            f"port={self.port}\nlisten-address={ADDRESS}\nbind-interfaces\nno-resolv\nno-hosts\nno-poll\n"
            f"addn-hosts={hosts}\nlocal-ttl={TTL}\n{zones}server={ADDRESS}#{self.upstream}\ncache-size=10000\n"
            f"dns-forward-max=10000\nuser=root\npid-file={self.folder}/pid\n",
            encoding="utf-8",
        )
        return [which("dnsmasq"), "--keep-in-foreground", "--log-facility=-", f"--conf-file={config}"]


class Bind(Server):
    """named, with its defaults for cookies and the order of records."""

    name = "bind9"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        zones = "".join(
            f'zone "{zone}" {{ type primary; file "{path}"; }};\n'
            for zone, path in write_zones(self.held, self.folder).items()
        )
        config = self.folder / "named.conf"
        config.write_text(
            f"""options {{
    directory "{self.folder}";
    listen-on port {self.port} {{ {ADDRESS}; }};
    listen-on-v6 {{ none; }};
    pid-file none;
    session-keyfile none;
    lock-file none;
    recursion yes;
    forward only;
    forwarders {{ {ADDRESS} port {self.upstream}; }};
    dnssec-validation no;
    empty-zones-enable no;
    notify no;
    allow-transfer {{ none; }};
    tcp-clients 200;
    recursive-clients 10000;
    max-cache-size 128m;
}};
controls {{ }};
{zones}""",
            encoding="utf-8",
        )
        return [which("named"), "-g", "-n", "1", "-c", str(config)]


class Knot(Server):
    """One thread for UDP and one for TCP."""

    name = "knot"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        zones = "".join(
            f"  - domain: {zone}\n    file: {path}\n    zonefile-sync: -1\n"
            for zone, path in write_zones(self.held, self.folder).items()
        )
        config = self.folder / "knot.conf"
        config.write_text(
            f"server:\n  listen: {ADDRESS}@{self.port}\n  rundir: {self.folder}\n  udp-workers: 1\n  tcp-workers: 1\n"
            f"  background-workers: 1\n  answer-rotation: on\ndatabase:\n  storage: {self.folder}/database\n"
            f"log:\n  - target: stderr\n    any: warning\nzone:\n{zones}",
            encoding="utf-8",
        )
        return [which("knotd"), "-c", str(config)]


class Nsd(Server):
    """One server process; response rate limiting, on by default in Debian, is off."""

    name = "nsd"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        zones = "".join(
            f'zone:\n    name: "{zone}"\n    zonefile: "{path}"\n'
            for zone, path in write_zones(self.held, self.folder).items()
        )
        config = self.folder / "nsd.conf"
        config.write_text(
            f"""server:
    ip-address: {ADDRESS}@{self.port}
    server-count: 1
    tcp-count: 200
    round-robin: yes
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    database: ""
    zonesdir: "{self.folder}"
    xfrdir: "{self.folder}"
    xfrdfile: "{self.folder}/xfrd.state"
    zonelistfile: "{self.folder}/zone.list"
    pidfile: "{self.folder}/pid"
    username: ""
    chroot: ""
remote-control:
    control-enable: no
{zones}""",
            encoding="utf-8",
        )
        return [which("nsd"), "-d", "-c", str(config)]


class Kind(Struct, frozen=True, eq=False):
    """A server that may take part."""

    name: str
    program: str
    version: str
    """The option that prints it."""
    make: Callable[[Path, Data, int], Peer]
    """From a folder, the cluster and the upstream's port."""
    does: frozenset[str]
    lacks: dict[str, str] = {}
    """Why it is left out of a workload, by its name."""

    def installed_version(self) -> str:
        """Digits and dots; raises Failed when the program is not there."""
        command = [which(self.program), *self.version.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        if found is None:
            raise Failed(f"{self.program} {self.version} prints no version")
        return found[0]


def _forwarder(kind: type[forwarders.Forwarder]) -> Callable[[Path, Data, int], Peer]:
    return lambda folder, _, upstream: kind(folder, [upstream])


_BOTH, _RECORDS, _FORWARDS = frozenset({CLUSTER, FORWARD}), frozenset({CLUSTER}), frozenset({FORWARD})
_NO_SRV = "it walks through all its SRV records for every question"
OURS = Kind(Dnsbridge.name, sys.executable, "-m dnsbridge --version", Dnsbridge, _BOTH)
PEERS: tuple[Kind, ...] = (
    Kind(Unbound.name, "unbound", "-V", Unbound, _BOTH),
    Kind(Knot.name, "knotd", "--version", Knot, _RECORDS),
    Kind(Nsd.name, "nsd", "-v", Nsd, _RECORDS),
    Kind(Bind.name, "named", "-v", Bind, _BOTH),
    Kind(Dnsmasq.name, "dnsmasq", "--version", Dnsmasq, _BOTH, {"srv": _NO_SRV, "office": _NO_SRV}),
    Kind("dnsdist", "dnsdist", "--version", _forwarder(forwarders.Dnsdist), _FORWARDS),
    Kind("recursor", "pdns_recursor", "--version", _forwarder(forwarders.Recursor), _FORWARDS),
    Kind("coredns", forwarders.CoreDns.program, "-version", _forwarder(forwarders.CoreDns), _FORWARDS),
)

"""What a forwarded answer costs, next to unbound and dnsdist: the same upstream, the same load, the same run.

new      every name is asked for the first time: nothing is cached
cached   one set of names that is asked over and over

Each server has one core to itself; dnsperf and the upstream (Knot DNS, one wildcard) share another. The servers take
turns. The figures are medians; the exit status says whether the measurement worked, never how it came out.

    python -m benchmarks.forwarding [--rounds N] [--seconds S] [--names N]
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.cluster_names import summary
from benchmarks.load import Round, run_round
from benchmarks.names import Name, names, write_manifests
from benchmarks.peers import ADDRESS, Failed, Peer, Unbound, which

ZONE = "office.example."
WILDCARD = IPv4Address("192.0.2.80")
MOST_PER_SECOND = 90_000
"""More names than any server answers in a second, so that none comes twice in a round."""
BARS = {
    ("new", Unbound.name): "rate at least 1.20",
    ("cached", "dnsdist"): "us/answer at most 1.15",
}


class Outside(Name):
    """A name of the corporate DNS."""

    @property
    def owner(self) -> str:
        """The DNS name, with its final dot."""
        return f"{self.service}.{ZONE}"


def outside(prefix: str, count: int) -> list[Name]:
    """So many names."""
    return [Outside(f"{prefix}-{number:06d}", "", WILDCARD) for number in range(count)]


class Upstream(Peer):
    """Knot DNS, in which every name exists."""

    name = "knot"

    def configure(self, names: list[Name]) -> list[str]:
        """See Peer."""
        soa = f"@ 3600 SOA ns admin 1 7200 1800 86400 60\n@ 3600 NS ns\nns 3600 A {ADDRESS}\n"
        (self.folder / "zone").write_text(f"$ORIGIN {ZONE}\n{soa}* 3600 A {WILDCARD}\n", encoding="utf-8")
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
    """A server that sends everything to the upstream."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        super().__init__(folder)
        self.upstream = upstream.port


class Dnsbridge(Forwarder):
    """`python -m dnsbridge serve`, one cluster with one name, one worker, no HTTP."""

    name = "dnsbridge"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        write_manifests(names(1), self.folder)
        command = [sys.executable, "-m", "dnsbridge", "serve", "--listen", f"{ADDRESS}:{self.port}", "--http", ""]
        command += ["--manifests", str(self.folder / "cluster.json"), "--workers", "1"]
        return [*command, "--upstream", f"{ADDRESS}:{self.upstream}"]


class ForwardingUnbound(Forwarder):
    """unbound, one thread, not validating."""

    name = Unbound.name

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        config = self.folder / "unbound.conf"
        config.write_text(
            f"""server:
    interface: {ADDRESS}@{self.port}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    num-threads: 1
    do-daemonize: no
    chroot: ""
    username: ""
    directory: "{self.folder}"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
forward-zone:
    name: "."
    forward-addr: {ADDRESS}@{self.upstream}
remote-control:
    control-enable: no
""",
            encoding="utf-8",
        )
        return [which("unbound"), "-d", "-c", str(config)]


class Dnsdist(Forwarder):
    """dnsdist with a packet cache."""

    name = "dnsdist"

    def configure(self, _: list[Name]) -> list[str]:
        """See Peer."""
        config = self.folder / "dnsdist.conf"
        config.write_text(
            f'setLocal("{ADDRESS}:{self.port}")\nnewServer({{address="{ADDRESS}:{self.upstream}"}})\n'
            'getPool(""):setCache(newPacketCache(100000))\n',
            encoding="utf-8",
        )
        return [which("dnsdist"), "--supervised", "--disable-syslog", "-C", str(config)]


def measure(rounds: int, seconds: float, count: int, folder: Path) -> dict[tuple[str, str], list[Round]]:
    """The rounds by kind of load and peer; raises Failed."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("two cores are needed: one for the server and one for dnsperf and the upstream")
    results: dict[tuple[str, str], list[Round]] = {}
    with ExitStack() as running:
        upstream = Upstream(folder)
        running.callback(upstream.stop)
        upstream.start(outside("first", 1), cores[0])
        kinds: list[type[Forwarder]] = [Dnsbridge, ForwardingUnbound]
        try:
            which(Dnsdist.name)
            kinds.append(Dnsdist)
        except Failed as failure:
            print(f"without dnsdist: {failure}", file=sys.stderr)
        peers = [kind(folder, upstream) for kind in kinds]
        for peer in peers:
            running.callback(peer.stop)
            peer.start(outside("first", 1), cores[-1])
        questions = folder / "questions"
        _write(outside("set", count), questions)
        for peer in peers:
            run_round(peer, questions, min(seconds, 3), cores[0])
        for number in range(rounds):
            for kind in ("cached", "new"):
                if kind == "new":
                    _write(outside(f"round-{number}", int(seconds * MOST_PER_SECOND)), questions)
                else:
                    _write(outside("set", count), questions)
                for peer in peers if number % 2 == 0 else reversed(peers):
                    result = run_round(peer, questions, seconds, cores[0])
                    results.setdefault((kind, peer.name), []).append(result)
    return results


def _write(wanted: list[Name], path: Path) -> None:
    path.write_text("".join(f"{name.owner} A\n" for name in wanted), encoding="utf-8")


def table(results: dict[tuple[str, str], list[Round]]) -> str:
    """The medians for people, and dnsbridge's relation to the other peers."""
    medians = {key: summary(rounds) for key, rounds in results.items()}
    lines = [f"{'':<28}{'us/answer':>11}{'answers/s':>12}{'core busy':>11}"]
    for (kind, name), row in medians.items():
        lines.append(f"{kind + ' ' + name:<28}{row['cpu']:>11.2f}{row['rate']:>12,.0f}{row['busy']:>11.0%}")
    for (kind, name), row in medians.items():
        ours = medians[kind, Dnsbridge.name]
        if name != Dnsbridge.name:
            cpu, rate = ours["cpu"] / row["cpu"], ours["rate"] / row["rate"]
            bar = BARS.get((kind, name), "")
            lines.append(
                f"{kind + ' dnsbridge/' + name:<28}{cpu:>11.2f}{rate:>12.2f}  {bar and 'bar: ' + bar}".rstrip()
            )
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="CPU time per forwarded answer, next to unbound and dnsdist")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each server")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of a round")
    parser.add_argument("--names", type=int, default=10_000, help="names of the cached set")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1 or options.names < 1:
        parser.error("at least 1 round of 1 second over 1 name")
    try:
        with tempfile.TemporaryDirectory(prefix="dnsbridge-bench-") as folder:
            print(table(measure(options.rounds, options.seconds, options.names, Path(folder))))
    except Failed as failure:
        print(f"no result: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

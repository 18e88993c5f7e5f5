"""What a forwarded answer costs, next to unbound, dnsdist, PowerDNS Recursor and CoreDNS, as far as they are installed.

cached   one set of names that is asked over and over
new      every name is asked for the first time: nothing is cached

Same upstream, same load, same run: each server has one core to itself; dnsperf and the upstream (Knot DNS, one
wildcard) share another. The servers take turns, every other round in reverse. The figures are medians; the exit status
says whether the measurement worked, never how it came out.

    python -m benchmarks.forwarding [--rounds N] [--seconds S] [--names N] [--json FILE]
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cluster_names import summary, two_cores
from benchmarks.figures import Figure, plain, table, write_json
from benchmarks.forwarders import (
    PEERS,
    CoreDns,
    Dnsbridge,
    Dnsdist,
    Forwarder,
    Recursor,
    Unbound,
    Upstream,
    installed,
    outside,
    write_owners,
)
from benchmarks.load import Round, run_round
from benchmarks.peers import Failed

CACHED, NEW = "cached", "new"
NAMES_PER_SECOND = 120_000
"""Of a round of new names: about as many as the fastest server answers. A round that runs out of them ends early."""
Rounds = dict[tuple[str, str], list[Round]]
"""By kind of load and server."""


def measure(rounds: int, seconds: float, count: int, folder: Path) -> Rounds:
    """All rounds; raises Failed."""
    server_core, load_core = two_cores()
    results: Rounds = {}
    kinds: list[type[Forwarder]] = [Dnsbridge, *installed(PEERS)[0]]
    with ExitStack() as running:
        upstream = Upstream(folder)
        running.callback(upstream.stop)
        upstream.start(outside("first", 1), load_core)
        servers = [kind(folder, [upstream.port]) for kind in kinds]
        for server in servers:
            running.callback(server.stop)
            server.start(outside("first", 1), server_core)
        questions = folder / "questions"
        # First all that is cached: new names would push the set out of some caches and not of others.
        for load in (CACHED, NEW):
            write_owners(outside("set" if load == CACHED else "warm", count), questions)
            for server in servers:
                run_round(server, questions, 2 if load == CACHED else 1, load_core)
            for number in range(rounds):
                if load == NEW:
                    write_owners(outside(f"round-{number}", int(seconds * NAMES_PER_SECOND)), questions)
                for server in servers if number % 2 == 0 else reversed(servers):
                    result = run_round(server, questions, seconds, load_core, once=load == NEW)
                    results.setdefault((load, server.name), []).append(result)
                    print(
                        f"round {number + 1}/{rounds} {load:<7} {server.name:<10}"
                        f"{result.cpu:6.2f} us {result.rate:9,.0f}/s",
                        file=sys.stderr,
                    )
    return results


def medians(results: Rounds) -> str:
    """What each server did, for people."""
    lines = [f"{'':<20}{'user':>9}{'system':>9}{'us/answer':>11}{'answers/s':>12}{'core busy':>11}"]
    for (load, name), rounds in results.items():
        row = summary(rounds)
        lines.append(
            f"{load + ' ' + name:<20}{row['user']:>9.2f}{row['system']:>9.2f}{row['cpu']:>11.2f}"
            f"{row['rate']:>12,.0f}{row['busy']:>11.0%}"
        )
    return "\n".join(lines)


def ratios(results: Rounds) -> list[Figure]:
    """dnsbridge's relation to every other server; less CPU is better, more answers a second are."""
    cpu_bars = {(NEW, CoreDns.name): 1.0, (NEW, Recursor.name): 1.0, (CACHED, Dnsdist.name): 1.15}
    rate_bars = {(NEW, Unbound.name): 1.2}
    found = []
    for (load, name), rounds in results.items():
        ours, theirs = summary(results[load, Dnsbridge.name]), summary(rounds)
        if name == Dnsbridge.name:
            continue
        what = f"{load}: dnsbridge/{name}"
        found.append(Figure(f"{what}, us/answer", ours["cpu"] / theirs["cpu"], "", cpu_bars.get((load, name))))
        found.append(Figure(f"{what}, answers/s", ours["rate"] / theirs["rate"], "", rate_bars.get((load, name)), True))
    return found


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="CPU time per forwarded answer, next to other forwarders")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds of each server")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of a round")
    parser.add_argument("--names", type=int, default=10_000, help="names of the cached set")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round, the medians and ratios there")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1 or options.names < 1:
        parser.error("at least 1 round of 1 second over 1 name")
    try:
        with tempfile.TemporaryDirectory(prefix="dnsbridge-bench-") as folder:
            results = measure(options.rounds, options.seconds, options.names, Path(folder))
    except Failed as failure:
        print(f"no result: {failure}", file=sys.stderr)
        return 1
    print(medians(results))
    print("\n".join([table(ratios(results)), *installed(PEERS)[1]]))
    if options.json:
        report: dict[str, object] = {
            f"{load} {name}": {"median": summary(rounds), "rounds": rounds} for (load, name), rounds in results.items()
        }
        write_json(options.json, {**report, "ratios": plain(ratios(results))})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What an answer for a cluster name costs, next to unbound: the same names, the same load, the same run.

Each server has one core to itself and dnsperf another. The servers take turns, round by round, so that whatever else
the machine does meets them alike. One round before the counted ones makes both warm. The figures are medians; the exit
status says whether the measurement worked, never how it came out.

    python -m benchmarks.cluster_names [--rounds N] [--seconds S] [--names N] [--json FILE]
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.figures import write_json
from benchmarks.load import Round, run_round
from benchmarks.names import Name, names, write_questions
from benchmarks.peers import Dnsbridge, Failed, Peer, Unbound

SAMPLES = 200
"""Names whose answers are checked before the load, evenly spread over all of them."""


def measure(wanted: list[Name], rounds: int, seconds: float, folder: Path) -> dict[str, list[Round]]:
    """The rounds of each peer, by its name; raises Failed."""
    server_core, load_core = two_cores()
    questions = folder / "questions"
    write_questions(wanted, questions)
    peers: list[Peer] = [Dnsbridge(folder), Unbound(folder)]
    results: dict[str, list[Round]] = {peer.name: [] for peer in peers}
    with ExitStack() as running:
        for peer in peers:
            running.callback(peer.stop)
            peer.start(wanted, server_core)
            _check(peer, wanted)
            run_round(peer, questions, min(seconds, 2), load_core)
            print(f"{peer.name} is ready and warm", file=sys.stderr)
        for number in range(rounds):
            # Every other round in reverse, so that neither always comes first.
            for peer in peers if number % 2 == 0 else reversed(peers):
                result = run_round(peer, questions, seconds, load_core)
                results[peer.name].append(result)
                print(
                    f"round {number + 1}/{rounds} {peer.name:<10}{result.cpu:6.2f} us {result.rate:9,.0f}/s",
                    file=sys.stderr,
                )
    return results


def _check(peer: Peer, wanted: list[Name]) -> None:
    for name in wanted[:: max(1, len(wanted) // SAMPLES)]:
        if wrong := peer.wrong_answer(name):
            raise Failed(f"{peer.name} answers wrongly: {wrong}")


def two_cores() -> tuple[int, int]:
    """The cores of the server and of the load; raises Failed."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("two cores are needed: one for the server and one for dnsperf")
    return cores[-1], cores[0]


def summary(rounds: list[Round]) -> dict[str, float]:
    """The medians of a peer's rounds."""
    fields = ("user", "system", "cpu", "rate", "busy")
    return {field: median(getattr(result, field) for result in rounds) for field in fields}


def table(results: dict[str, list[Round]]) -> str:
    """The medians for people, and dnsbridge's relation to the other peers."""
    medians = {name: summary(rounds) for name, rounds in results.items()}
    lines = [f"{'':<20}{'user':>9}{'system':>9}{'us/answer':>11}{'answers/s':>12}{'core busy':>11}"]
    lines += [
        f"{name:<20}{row['user']:>9.2f}{row['system']:>9.2f}{row['cpu']:>11.2f}{row['rate']:>12,.0f}{row['busy']:>11.0%}"
        for name, row in medians.items()
    ]
    ours = medians.pop(Dnsbridge.name)
    for name, row in medians.items():
        cpu, rate = ours["cpu"] / row["cpu"], ours["rate"] / row["rate"]
        lines.append(f"{'dnsbridge/' + name:<20}{'':>18}{cpu:>11.2f}{rate:>12.2f}")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="CPU time per answer for cluster names, next to unbound")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each server (at least 5)")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of a round")
    parser.add_argument("--names", type=int, default=10_000, help="number of services")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round and the medians there")
    options = parser.parse_args()
    if options.rounds < 5 or options.seconds < 1 or options.names < 1:
        parser.error("at least 5 rounds of 1 second over 1 name")
    try:
        with tempfile.TemporaryDirectory(prefix="dnsbridge-bench-") as folder:
            results = measure(names(options.names), options.rounds, options.seconds, Path(folder))
    except Failed as failure:
        print(f"no result: {failure}", file=sys.stderr)
        return 1
    print(table(results))
    if options.json:
        report = {name: {"median": summary(rounds), "rounds": rounds} for name, rounds in results.items()}
        write_json(options.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

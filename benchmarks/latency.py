"""How much later an answer comes through a forwarder than from its upstream itself, next to unbound: new names alone.

The upstream (Knot DNS) is at the end of a line on which replies take 20 ms. A prober asks it directly, then through
each forwarder, and again; the kernel says when each answer came. The forwarders have a core to themselves, where only
one works at a time; all else shares another.

    python -m benchmarks.latency [--rounds N] [--seconds S] [--rtt MS] [--rate N] [--json FILE]
"""

import argparse
import math
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.parts.figures import Figure, percentile
from benchmarks.parts.forwarders import Dnsbridge, Dnsdist, Forwarder, Unbound, Upstream, installed, outside
from benchmarks.parts.line import Line
from benchmarks.parts.prober import Probe, paced
from benchmarks.parts.run import Failed, report, two_cores

DIRECT = "the upstream itself"
PERCENTS = (50, 99)


Taken = dict[str, list[float]]
"""Milliseconds of all answers, by who was asked."""


def measure(rounds: int, seconds: float, rtt: float, rate: int, folder: Path) -> tuple[Taken, float]:
    """What was taken, and the seconds that dnsbridge's core was taken by others; raises Failed."""
    server_core, load_core = two_cores()
    taken: Taken = {}
    with ExitStack() as running:
        upstream = Upstream(folder)
        running.callback(upstream.stop)
        upstream.start(outside("first", 1), load_core)
        far = Line(load_core, upstream.port, rtt)
        running.callback(far.stop)
        kinds: list[type[Forwarder]] = [Dnsbridge, *installed((Unbound, Dnsdist))[0]]
        servers = [kind(folder, [far.port]) for kind in kinds]
        for server in servers:
            running.callback(server.stop)
            server.start(outside("first", 1), server_core)
        ports = {DIRECT: far.port, **{server.name: server.port for server in servers}}
        for number in range(rounds + 1):
            for who, port in ports.items():
                owners = [name.owner for name in outside(f"{number}-{who.split()[-1]}", int(rate * (seconds + 5)))]
                probe = Probe(load_core, paced, port, owners, rate)
                time.sleep(seconds)
                samples = probe.stop()
                lost = sum(math.isinf(sample.seconds) or sample.rcode != 0 for sample in samples)
                if lost:
                    raise Failed(f"{who} left {lost} of {len(samples)} questions without an answer")
                if number:  # the first makes everybody warm
                    taken.setdefault(who, []).extend(sample.seconds * 1000 for sample in samples)
        return taken, servers[0].kept_waiting()


def figures(taken: Taken, waited: float, rtt: float) -> list[Figure]:
    """What each adds, and what it is added to."""
    base = {percent: percentile(taken[DIRECT], percent) for percent in PERCENTS}
    over = f"over {rtt * 1000:g} ms"
    found = [Figure(f"{DIRECT}, p{percent}", base[percent], "ms") for percent in PERCENTS]
    for who, values in taken.items():
        if who != DIRECT:
            for percent in PERCENTS:
                bar = 0.5 if (who, percent) == (Dnsbridge.name, 50) else None
                more = percentile(values, percent) - base[percent]
                found.append(Figure(f"added by {who} {over}, p{percent}", more, "ms", bar))
    return [*found, Figure("dnsbridge's core taken by others", waited, "s")]


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="latency that a forwarder adds, next to unbound and dnsdist")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds of each server")
    parser.add_argument("--seconds", type=float, default=3, help="seconds of a round")
    parser.add_argument("--rtt", type=float, default=20, metavar="MS", help="milliseconds that the upstream takes")
    parser.add_argument("--rate", type=int, default=500, help="questions a second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1 or options.rtt < 0 or not 1 <= options.rate <= 5000:
        parser.error("at least 1 round of 1 second, no negative time, 1 to 5000 questions a second")
    rtt = options.rtt / 1000

    def measured(folder: Path) -> list[Figure]:
        taken, waited = measure(options.rounds, options.seconds, rtt, options.rate, folder)
        return figures(taken, waited, rtt)

    return report(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())

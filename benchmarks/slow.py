"""What slow names cost the others: one name in twenty takes 3 seconds at the upstream, and 2,000 are in flight.

The upstream (Knot DNS) is at the end of a line on which a reply takes 3 seconds if its name starts with `slow`. A
prober asks new names by the clock, first without slow ones, then one in twenty of them slow; a second prober asks slow
names alone, so many that 2,000 are in flight. The same for unbound.

    python -m benchmarks.slow [--seconds S] [--rate N] [--in-flight N] [--json FILE]
"""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.parts.figures import Figure, percentile
from benchmarks.parts.forwarders import Dnsbridge, Forwarder, Unbound, Upstream, installed, outside
from benchmarks.parts.line import Line
from benchmarks.parts.memory import resident
from benchmarks.parts.prober import Probe, Sample, paced
from benchmarks.parts.run import report, two_cores

RTT = 0.02
SLOW_SECONDS = 3.0
SHARE = 20
"""One name in so many is slow."""
PATIENCE = 5.5
"""Seconds in which an answer may come."""
OTHER_SOURCE = "127.0.0.2"


def ask(
    server: Forwarder, seconds: float, rate: int, in_flight: int, core: int, what: str
) -> tuple[list[Sample], list[Sample]]:
    """What became of the names of the mix, and of the second prober's (none for `in_flight` 0); raises Failed."""
    count = int(rate * (seconds + 10))
    fast = [name.owner for name in outside(f"fast-{what}", count)]
    slow = [name.owner for name in outside(f"slow-{what}", count)]
    owners = [slow[number] if in_flight and not number % SHARE else fast[number] for number in range(count)]
    filling = max(1.0, in_flight / SLOW_SECONDS - rate / SHARE)
    more = [name.owner for name in outside(f"slow-more-{what}", int(filling * (seconds + 10)))]
    filler = Probe(core, paced, server.port, more, filling, OTHER_SOURCE, PATIENCE) if in_flight else None
    time.sleep(SLOW_SECONDS if in_flight else 0)  # until the questions in flight are as many as they will be
    probe = Probe(core, paced, server.port, owners, rate, late=PATIENCE)
    time.sleep(seconds)
    samples = probe.stop()
    return samples, filler.stop() if filler else []


def measure(server: Forwarder, options: argparse.Namespace, core: int) -> list[Figure]:
    """The figures of one forwarder; raises Failed."""
    plain, _ = ask(server, options.seconds, options.rate, 0, core, "alone")
    before = resident(server.check_alive())
    mixed, filling = ask(server, options.seconds, options.rate, options.in_flight, core, "mixed")
    memory = resident(server.check_alive()) - before
    # The probers ask by turns, so a name's place says whether it is slow.
    quick = [sample for number, sample in enumerate(mixed) if number % SHARE]
    alone = percentile([sample.seconds * 1000 for sample in plain], 99)
    beside = percentile([sample.seconds * 1000 for sample in quick], 99)
    asked = [*plain, *mixed, *filling]
    failures = sum(sample.rcode != 0 for sample in asked)
    ours = server.name == Dnsbridge.name
    return [
        Figure(f"{server.name}: questions", len(asked), ""),
        Figure(f"{server.name}: slow ones", len(filling) + len(mixed) - len(quick), ""),
        Figure(f"{server.name}: without an answer", failures, "", 0 if ours else None),
        Figure(f"{server.name}: p99 without slow names", alone, "ms"),
        Figure(f"{server.name}: p99 of fast names beside slow ones", beside, "ms", alone * 1.5 + 5 if ours else None),
        Figure(f"{server.name}: more memory", memory, "MB", 50 if ours else None),
    ]


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="fast names beside slow ones, next to unbound")
    parser.add_argument("--seconds", type=float, default=10, help="seconds of each part")
    parser.add_argument("--rate", type=int, default=1000, help="questions a second of the mix")
    parser.add_argument("--in-flight", type=int, default=2000, metavar="N", help="questions in flight")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if options.seconds < 1 or not 100 <= options.rate <= 5000 or not 100 <= options.in_flight <= 5000:
        parser.error("at least 1 second, 100 to 5000 questions a second, 100 to 5000 in flight")

    def measured(folder: Path) -> list[Figure]:
        found: list[Figure] = []
        server_core, load_core = two_cores()
        with ExitStack() as running:
            upstream = Upstream(folder)
            running.callback(upstream.stop)
            upstream.start(outside("first", 1), load_core)
            kinds: list[type[Forwarder]] = [Dnsbridge, *installed((Unbound,))[0]]
            for kind in kinds:
                far = Line(load_core, upstream.port, RTT, slow=("slow", SLOW_SECONDS))
                running.callback(far.stop)
                server = kind(folder, [far.port])
                running.callback(server.stop)
                server.start(outside("first", 1), server_core)
                found += measure(server, options, load_core)
                server.stop()
        return found

    return report(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())

"""What a line that loses datagrams costs the clients of a forwarder, next to unbound: new names alone.

One upstream (Knot DNS) at the end of a line on which replies take 20 ms and a share of the exchanges gets lost, 20% and
50%. Each forwarder has a line of its own, which loses by the same draw. The questions come by the clock; the kernel
says when each answer came.

    python -m benchmarks.lossy [--questions N] [--rate N] [--loss PERCENT]... [--rtt MS] [--json FILE]
"""

import argparse
import math
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.parts.figures import Figure
from benchmarks.parts.forwarders import Dnsbridge, Forwarder, Unbound, Upstream, installed, outside
from benchmarks.parts.line import Line
from benchmarks.parts.prober import Probe, Sample, paced
from benchmarks.parts.run import report, two_cores

PATIENCE = 5.5
"""Seconds in which an answer may come: a stub resolver gives up after 5."""


def ask(server: Forwarder, questions: int, rate: int, core: int) -> list[Sample]:
    """What became of so many questions; raises Failed."""
    owners = [name.owner for name in outside("lossy", questions * 2)]
    probe = Probe(core, paced, server.port, owners, rate, late=PATIENCE)
    time.sleep(questions / rate)
    return probe.stop()


def measure(loss: float, options: argparse.Namespace, folder: Path) -> list[Figure]:
    """The figures of all forwarders at one loss; raises Failed."""
    server_core, load_core = two_cores()
    found: list[Figure] = []
    with ExitStack() as running:
        upstream = Upstream(folder)
        running.callback(upstream.stop)
        upstream.start(outside("first", 1), load_core)
        kinds: list[type[Forwarder]] = [*installed((Unbound,))[0], Dnsbridge]
        mean = math.inf
        for kind in kinds:
            far = Line(load_core, upstream.port, options.rtt / 1000, loss=loss)
            running.callback(far.stop)
            server = kind(folder, [far.port])
            running.callback(server.stop)
            server.start(outside("first", 1), server_core)
            samples = ask(server, options.questions, options.rate, load_core)
            server.stop()
            answered = [sample.seconds * 1000 for sample in samples if sample.rcode == 0]
            failures = len(samples) - len(answered)
            ours = kind is Dnsbridge
            what = f"{server.name}, {loss:.0%} lost:"
            bar = 0 if ours and loss <= 0.2 else None
            found += [
                Figure(f"{what} questions", len(samples), ""),
                Figure(f"{what} without an answer", failures, "", bar),
                Figure(f"{what} mean", statistics.mean(answered), "ms", mean if ours and mean < math.inf else None),
                Figure(f"{what} longest", max(answered), "ms"),
            ]
            mean = statistics.mean(answered)
    return found


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="failures and latency over a lossy line, next to unbound")
    parser.add_argument("--questions", type=int, default=6000, metavar="N")
    parser.add_argument("--rate", type=int, default=300, help="questions a second")
    parser.add_argument("--loss", action="append", type=float, metavar="PERCENT", help="default 20 and 50")
    parser.add_argument("--rtt", type=float, default=20, metavar="MS", help="milliseconds that the upstream takes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    losses = [percent / 100 for percent in options.loss or (20, 50)]
    if options.questions < 100 or not 1 <= options.rate <= 5000 or options.rtt < 0 or not 0 <= min(losses) <= 0.9:
        parser.error("at least 100 questions, 1 to 5000 a second, no negative time, a loss of 0 to 90 percent")

    def measured(folder: Path) -> list[Figure]:
        found: list[Figure] = []
        for number, loss in enumerate(losses):
            own = folder / str(number)
            own.mkdir()
            found += measure(loss, options, own)
        return found

    return report(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())

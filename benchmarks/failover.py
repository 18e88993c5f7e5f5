"""One of two upstreams becomes a black hole under load, and comes back: who notices, for how long, with each policy.

Two upstreams (Knot DNS), each at the end of a line on which replies take the time of the RTT. New names alone are
asked, 2,000 a second, by the clock; the kernel says when each answer came, and its address says from which upstream.
For each policy, and each RTT, a new dnsbridge: both healthy for 2 seconds, the first dark, then both healthy again.

    SERVFAIL, unanswered     questions, of all
    p50, p99                 of the answers to questions of that part
    in use again             from the recovery to the first answer of the upstream that was dark

    python -m benchmarks.failover [--policy POLICY]... [--rtt MS]... [--dark S] [--rate N] [--json FILE]
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from benchmarks.parts.figures import Figure, percentile
from benchmarks.parts.forwarders import Dnsbridge, Outside, Upstream, outside
from benchmarks.parts.line import Line
from benchmarks.parts.peers import ADDRESS
from benchmarks.parts.prober import Probe, Sample, paced
from benchmarks.parts.run import report, two_cores

POLICIES = ("sequential", "round_robin", "random", "fastest")
ADDRESSES = (IPv4Address("192.0.2.81"), IPv4Address("192.0.2.82"))
"""What each upstream answers."""
HEALTHY = 2.0
"""Seconds before."""
AFTER = 6.0
"""Seconds after the recovery: more than the bar of 5."""
SERVFAIL = 2


class Course(NamedTuple):
    """What became of the questions, and when the upstream went and came (monotonic seconds)."""

    samples: list[Sample]
    dark: float
    light: float
    waited: float
    """Seconds that dnsbridge's core was taken by others."""


def run(policy: str, lines: Sequence[Line], dark: float, rate: int, folder: Path, cores: tuple[int, int]) -> Course:
    """One policy; raises Failed."""
    server_core, load_core = cores
    server = Dnsbridge(folder, [line.port for line in lines], policy)
    try:
        # Either upstream may answer: what is waited for is the one name that has the same address at both.
        server.start([Outside("ns", "", IPv4Address(ADDRESS))], server_core)
        owners = [name.owner for name in outside(folder.name, int(rate * (HEALTHY + dark + AFTER + 5)))]
        probe = Probe(load_core, paced, server.port, owners, rate)
        time.sleep(HEALTHY)
        lines[0].dark(True)
        went = time.monotonic()
        time.sleep(dark)
        lines[0].dark(False)
        came = time.monotonic()
        time.sleep(AFTER)
        return Course(probe.stop(), went, came, server.kept_waiting())
    finally:
        server.stop()


def figures(policy: str, rtt: float, course: Course) -> list[Figure]:
    """What one course gave, `rtt` in seconds."""
    samples, dark, light, waited = course
    later = [sample for sample in samples if dark + 1 <= sample.sent < light]
    first = [sample for sample in samples if dark <= sample.sent < dark + 1]
    before = [sample for sample in samples if sample.sent < dark]
    again = [
        sample.sent + sample.seconds
        for sample in samples
        if sample.sent >= light and sample.last == ADDRESSES[0].packed[-1] and sample.rcode == 0
    ]
    what = f"{policy}, {rtt * 1000:g} ms:"
    return [
        Figure(f"{what} questions", len(samples), ""),
        Figure(f"{what} SERVFAIL", sum(sample.rcode == SERVFAIL for sample in samples), "", 0),
        Figure(f"{what} unanswered", sum(math.isinf(sample.seconds) for sample in samples), "", 0),
        Figure(f"{what} p99 while both are healthy", _percentile(before, 99), "ms"),
        Figure(f"{what} p99 in the first second", _percentile(first, 99), "ms"),
        Figure(f"{what} p50 after it", _percentile(later, 50), "ms"),
        Figure(f"{what} p99 after it", _percentile(later, 99), "ms", 2 * rtt * 1000 + 100),
        Figure(f"{what} in use again", min(again, default=math.inf) - light, "s", 5),
        Figure(f"{what} dnsbridge's core taken by others", waited, "s"),
    ]


def by_second(course: Course) -> str:
    """p50 and p99 of each second, for people; second 0 is the first without the upstream."""
    seconds: dict[int, list[Sample]] = {}
    for sample in course.samples:
        seconds.setdefault(math.floor(sample.sent - course.dark), []).append(sample)
    rows = [
        f"  second {second:>3}: p50 {_percentile(held, 50):7.2f} ms, p99 {_percentile(held, 99):7.2f} ms,"
        f" {sum(sample.last == ADDRESSES[0].packed[-1] for sample in held):>5} of {len(held)} from the first upstream"
        for second, held in sorted(seconds.items())
    ]
    return "\n".join(rows)


def _percentile(samples: Sequence[Sample], percent: float) -> float:
    return percentile([sample.seconds * 1000 for sample in samples], percent)


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="failover: errors, latency and recovery by policy")
    parser.add_argument("--policy", action="append", choices=POLICIES, help="only this one; may be repeated")
    parser.add_argument("--rtt", action="append", type=float, metavar="MS", help="of the upstreams; default 0 and 20")
    parser.add_argument("--dark", type=float, default=6, metavar="S", help="seconds without the first upstream")
    parser.add_argument("--rate", type=int, default=2000, help="questions a second")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    rtts = [rtt / 1000 for rtt in options.rtt or (0, 20)]
    if min(rtts) < 0 or options.dark < 2 or not 100 <= options.rate <= 5000:
        parser.error("no negative RTT, at least 2 dark seconds, 100 to 5000 questions a second")

    def measured(folder: Path) -> list[Figure]:
        found: list[Figure] = []
        cores = two_cores()
        with ExitStack() as running:
            ports = []
            for address in ADDRESSES:
                own = folder / str(address)
                own.mkdir()
                upstream = Upstream(own, address)
                running.callback(upstream.stop)
                upstream.start(outside("first", 1, address), cores[1])
                ports.append(upstream.port)
            for rtt in rtts:
                lines = [Line(cores[1], port, rtt) for port in ports]
                for line in lines:
                    running.callback(line.stop)
                for policy in options.policy or POLICIES:
                    own = folder / f"{policy}-{rtt * 1000:g}"
                    own.mkdir()
                    course = run(policy, lines, options.dark, options.rate, own, cores)
                    found += figures(policy, rtt, course)
                    print(f"{policy}, {rtt * 1000:g} ms\n{by_second(course)}", file=sys.stderr)
        return found

    return report(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())

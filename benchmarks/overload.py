"""What becomes of the answers when three times as much is asked as one core can do.

new      every question is for a name that was never asked before, forwarded to Knot DNS
mix      half of the questions are for cluster names

First dnsperf finds the maximum, then a flood of `--times` as much comes from one client, for `--seconds`. Meanwhile
others ask at a low rate: for cluster names and for cached ones from the flood's own address, and for new names from
another address. The server has one core to itself; all others share another.

    python -m benchmarks.overload [--seconds S] [--times N] [--rounds N]
"""

import argparse
import itertools
import math
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

from msgspec import Struct

from benchmarks.parts import memory
from benchmarks.parts.flood import Flooded, flood
from benchmarks.parts.forwarders import ZONE, Forwarder, Upstream, outside
from benchmarks.parts.load import NAMES_PER_SECOND, run_round
from benchmarks.parts.names import Name, names, write_manifests
from benchmarks.parts.peers import ADDRESS
from benchmarks.parts.prober import Probe, paced
from benchmarks.parts.run import Failed, two_cores

SERVICES = 1000
CACHED = 25
PROBES = 50
"""Questions a second for cluster names, and for cached ones; of these each is asked several times before the flood."""
QUIET_CLIENT = "127.0.0.2"
QUIET = 10
"""Questions a second of the other client."""
CALM = 3.0
"""Seconds before and after the flood."""
NORMAL = 0.01
"""Seconds; an answer that takes longer is not normal."""
SHARES = {"new": 0.0, "mix": 0.5}
"""Of cluster names."""
BARS = {
    "answered, of the maximum": "at least 80%",
    "memory grew by, MB": "at most 50",
    "normal again after, s": "at most 1",
}

Answers = list[tuple[float, float]]
"""When each question was sent (monotonic seconds), and the seconds until its answer; infinity if there was none."""


class Server(Forwarder):
    """`python -m dnsbridge serve`, a cluster of some services, one worker."""

    name = "dnsbridge"

    def configure(self, wanted: list[Name]) -> list[str]:
        """See Peer."""
        write_manifests(wanted, self.folder)
        command = [sys.executable, "-m", "dnsbridge", "serve", "--listen", f"{ADDRESS}:{self.port}", "--http", ""]
        command += ["--manifests", str(self.folder / "cluster.json"), "--workers", "1"]
        return [*command, "--upstream", f"{ADDRESS}:{self.upstreams[0]}"]


class Measured(Struct, frozen=True):
    """One flood and what surrounds it."""

    maximum: float
    """Answers per second."""
    flooded: Flooded
    cluster: Answers
    cached: Answers
    quiet: Answers
    grown: float
    """MB."""
    normal_after: float
    """Seconds."""
    kept_waiting: float
    """Share of the flood's time in which others took the server's core: more than little, and the rest means little."""


def measure(kind: str, seconds: float, times: float, rounds: int, folder: Path) -> Measured:
    """Find the maximum, then flood; raises Failed."""
    server_core, load_core = two_cores()
    services = names(SERVICES)
    with ExitStack() as running:
        upstream = Upstream(folder)
        running.callback(upstream.stop)
        upstream.start(outside("first", 1), load_core)
        server = Server(folder, [upstream.port])
        running.callback(server.stop)
        server.start(services, server_core)
        maximum = median(_maximum(server, kind, services, rounds, folder, load_core))
        cached = [name.owner for name in outside("cached", CACHED)]
        owners = [name.owner for name in services]
        quiet = [name.owner for name in outside("quiet", int((seconds + 2 * CALM) * 2 * QUIET))]
        probes = [
            Probe(load_core, paced, server.port, owners, PROBES),
            Probe(load_core, paced, server.port, cached, PROBES),
            Probe(load_core, paced, server.port, quiet, QUIET, QUIET_CLIENT),
        ]
        time.sleep(CALM)
        pid = server.check_alive()
        before = memory.resident(pid)
        memory.forget_peak(pid)
        waited = server.kept_waiting()
        begun = time.monotonic()
        flooding = Probe(
            load_core, flood, server.port, ZONE, owners if SHARES[kind] else [], SHARES[kind], maximum * times, seconds
        )
        flooded = flooding.result(seconds + 30)
        ended = begun + flooded.seconds
        waited = server.kept_waiting() - waited
        time.sleep(CALM)
        grown = memory.peak(pid) - before
        of_cluster, of_cached, of_quiet = (
            [(sample.sent, sample.seconds) for sample in probe.stop()] for probe in probes
        )
        server.check_alive()
    after = [(sent, took) for answers in (of_cluster, of_cached, of_quiet) for sent, took in answers if sent > ended]
    slow = [sent - ended for sent, took in after if took > NORMAL]
    return Measured(
        maximum,
        flooded,
        _between(of_cluster, begun, ended),
        _between(of_cached, begun, ended),
        _between(of_quiet, begun, ended),
        grown,
        max(slow, default=0.0),
        waited / flooded.seconds,
    )


def _maximum(
    server: Server, kind: str, services: list[Name], rounds: int, folder: Path, core: int, seconds: float = 4
) -> list[float]:
    """The rate of each round."""
    questions = folder / "questions"
    found = []
    for number in range(rounds):
        new = outside(f"round-{number}", int(seconds * NAMES_PER_SECOND))
        lines = [f"{name.owner} A\n" for name in new]
        if SHARES[kind]:
            fixed = itertools.cycle([f"{name.owner} A\n" for name in services])
            lines = [line for pair in zip(lines, fixed, strict=False) for line in pair]
        questions.write_text("".join(lines), encoding="utf-8")
        found.append(run_round(server, questions, seconds, core).rate)
    return found


def _between(answers: Answers, begin: float, end: float) -> Answers:
    return [(sent, took) for sent, took in answers if begin <= sent < end]


def rows(measured: Measured, times: float) -> dict[str, str]:
    """What was measured, for people."""
    flooded = measured.flooded
    answered = (flooded.answered + flooded.others_answered) / flooded.seconds
    offered = flooded.sent / flooded.seconds
    found = {
        "maximum, answers/s": f"{measured.maximum:,.0f}",
        f"offered, questions/s (asked: {times:g} times)": f"{offered:,.0f} ({offered / measured.maximum:.2f} times)",
        "answered, of the maximum": f"{answered / measured.maximum:.0%}",
    }
    if flooded.others:
        found["answered, of the cluster names"] = f"{flooded.others_answered / flooded.others:.1%}"
    found["flood, new names"] = _latencies(flooded.latencies)
    for what, answers in (
        ("same client, cluster names", measured.cluster),
        ("same client, cached names", measured.cached),
        ("other client, new names", measured.quiet),
    ):
        came = [took for _, took in answers if took < math.inf]
        found[what] = f"{len(came) / len(answers):.1%} answered, {_latencies(came)}"
    found["memory grew by, MB"] = f"{measured.grown:.1f}"
    found["normal again after, s"] = f"{measured.normal_after:.2f}"
    found["its core was taken by others"] = f"{measured.kept_waiting:.1%} of the time"
    return found


def _latencies(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "too few to tell"
    return f"{median(seconds) * 1000:.1f} ms median, {quantiles(seconds, n=100)[98] * 1000:.1f} ms 99%"


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="What an overloaded server still answers, and how fast")
    parser.add_argument("--seconds", type=float, default=60, help="seconds of a flood")
    parser.add_argument("--times", type=float, default=3, help="the flood, as a multiple of the maximum")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of dnsperf that find the maximum")
    parser.add_argument("--kind", choices=list(SHARES), action="append", help="new or mix; both unless one is named")
    options = parser.parse_args()
    if options.seconds < 1 or options.times <= 0 or options.rounds < 1:
        parser.error("at least 1 second, and 1 round")
    try:
        for kind in options.kind or SHARES:
            with tempfile.TemporaryDirectory(prefix="dnsbridge-bench-") as folder:
                found = rows(measure(kind, options.seconds, options.times, options.rounds, Path(folder)), options.times)
            print(kind)
            for what, value in found.items():
                bar = f"   bar: {BARS[what]}" if what in BARS else ""
                print(f"  {what:<46}{value}{bar}")
    except Failed as failure:
        print(f"no result: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What following an API server costs, and how fast a change is answered: each figure next to its bar.

dnsbridge has one core to itself; the test API server, dnsperf and the probers share another, over TLS on loopback. So
the figures hold what those wait for each other. 10,000 services of which 1,000 are headless, 10,000 slices, 100,000
endpoints. The exit status says whether the measurement worked, never how it came out.

    start     less the lists: what a bare client needs for the same streaming lists on the same core
    change    from the moment when the API server has made the event to that when a prober has the new answer: sending
              it, TLS, scheduling of both processes, decoding, indexing, and the prober's own round trip, given below
    back      from the moment when the server, which was away, listens again to the answer from what it has changed
    relist    from sending a question to its answer's arrival in this host's socket, as the kernel stamped it
    others    what else ran on dnsbridge's core; with more than a few hundredths of a second the latencies are not ours

    python -m benchmarks.watching [--quick] [--json FILE]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.parts import api, memory, prober
from benchmarks.parts.api import Api
from benchmarks.parts.download import download
from benchmarks.parts.figures import Figure, line, percentile
from benchmarks.parts.load import run_round, steady
from benchmarks.parts.names import write_questions
from benchmarks.parts.peers import Watching
from benchmarks.parts.run import Failed, report, two_cores
from tests.apiserver.seed import Shape

CHANGES = 20
"""A second, in all that is measured under changes."""
IMPORTS = """
import time
begin = time.perf_counter()
import dnsbridge.cli, dnsbridge.cli.commands, dnsbridge.app.server.crew.alone, dnsbridge.app.server.life
own = time.perf_counter()
import kubernetes.aio.config, kubernetes.aio.client.rest
print(own - begin, time.perf_counter() - own)
"""


class Size(msgspec.Struct, frozen=True):
    """How much is measured."""

    shape: Shape = Shape(services=10_000, headless=1_000, endpoints_per_slice=10, namespaces=100, nodes=100)
    pods: int = 150_000
    starts: int = 3
    changes: int = 600
    relists: int = 4
    outages: int = 3
    away: float = 20
    """Seconds of an outage; each resource then waits for up to half of that."""
    rounds: int = 5
    seconds: float = 3
    """Of a round."""


QUICK = Size(
    Shape(services=1_000, headless=100, endpoints_per_slice=10, namespaces=10, nodes=10), 15_000, 1, 40, 2, 1, 2, 1, 1
)


class Bench:
    """One run: its servers, its cores, and the figures so far."""

    def __init__(self, size: Size, folder: Path) -> None:
        self.size = size
        self.folder = folder
        self.server_core, self.load_core = two_cores()
        self.figures: list[Figure] = []
        self._cuts = 0
        self._changes = 0
        self._peers = 0

    def add(self, what: str, value: float, unit: str, bar: float | None = None) -> None:
        """Note a figure, and show it at once."""
        figure = Figure(what, value, unit, bar)
        self.figures.append(figure)
        print(line(figure), file=sys.stderr)

    def run(self) -> None:
        """Measure everything; raises Failed."""
        self._imports()
        with Api(self.size.shape, self.folder, self.load_core) as server:
            self._start(server)
            questions = self.folder / "questions"
            write_questions(server.holds.names, questions)
            with self._launched(server) as peer:
                self._wait(peer)
                self._check(server, peer)
                synced = self._memory(server, peer)
                self._change(server, peer, questions)
                self._relist(server, peer)
                self._outages(server, peer)
                self._throughput(server, peer, questions)
            self._pods(server, synced)

    @contextmanager
    def _launched(self, server: Api, pods: str = "insecure") -> Iterator[Watching]:
        self._peers += 1
        folder = self.folder / str(self._peers)
        folder.mkdir()
        peer = Watching(folder, server.kubeconfig, pods)
        try:
            peer.launch([], self.server_core)
            yield peer
        finally:
            peer.stop()

    def _wait(self, peer: Watching) -> list[float]:
        """Wait for the end of both lists; when each was there (monotonic seconds)."""
        wanted = [(mark.owner, mark.address) for mark in api.marks(self._cuts)]
        return prober.first_answers(peer.port, wanted, peer.check_alive, 0.002)

    def _check(self, server: Api, peer: Watching) -> None:
        for name in server.holds.names[:: max(1, len(server.holds.names) // 200)]:
            if wrong := peer.wrong_answer(name):
                raise Failed(f"wrong answer: {wrong}")

    def _imports(self) -> None:
        command = ["taskset", "--cpu-list", str(self.server_core), sys.executable, "-c", IMPORTS]
        done = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(3)]
        self.add("importing dnsbridge", min(float(own) for own, _ in done), "s")
        self.add("importing kubernetes.aio", min(float(more) for _, more in done), "s")

    def _start(self, server: Api) -> None:
        whole, requests, downloads = [], [], []
        for _ in range(self.size.starts):
            downloads.append(self._download(server))
            begin = time.monotonic()
            with self._launched(server) as peer:
                end = max(self._wait(peer))
            first = min(server.lists(begin).values())
            whole.append(end - begin)
            requests.append(end - first)
        lists = median(downloads)
        self.add("the lists alone, downloaded and thrown away", lists, "s")
        self.add("start: process start to the last name", median(whole), "s")
        self.add("start: first request to the last name", median(requests), "s")
        self.add("start: process start to the last name, less the lists", median(whole) - lists, "s", 2)
        self.add("start: first request to the last name, less the lists", median(requests) - lists, "s")

    def _download(self, server: Api) -> float:
        affinity = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.server_core})
        try:
            return download(server.kubeconfig)
        finally:
            os.sched_setaffinity(0, affinity)

    def _cut(self, server: Api, peer: Watching) -> list[tuple[float, float]]:
        """Have everything listed again; when each list was under way (monotonic seconds)."""
        self._cuts += 1
        begin = time.monotonic()
        server.cut(self._cuts)
        ends = self._wait(peer)
        asked = server.lists(begin)
        return [(asked[mark.resource], end) for mark, end in zip(api.marks(0), ends, strict=True)]

    def _memory(self, server: Api, peer: Watching) -> float:
        pid = peer.check_alive()
        synced = memory.resident(pid)
        self.add("memory after sync", synced, "MB", 200)
        memory.forget_peak(pid)
        self._cut(server, peer)
        most = memory.peak(pid)
        self.add("memory during a relist, at most", most, "MB")
        self.add("memory during a relist / after sync", most / synced, "", 1.3)
        return synced

    def _pods(self, server: Api, synced: float) -> None:
        server.add_pods(self.size.pods)
        with self._launched(server, "verified") as peer:
            self._wait(peer)
            more = memory.resident(peer.check_alive()) - synced
        self.add(f"pods: verified, {self.size.pods:,} pods: more memory", more, "MB", 250)

    def _change(self, server: Api, peer: Watching, questions: Path) -> None:
        count = self.size.changes
        first, owners = self._changes, server.holds.headless
        self._changes += count
        wanted = [(owners[number % len(owners)], api.changed_address(number)) for number in range(first, first + count)]
        waited = peer.kept_waiting()
        with steady(peer, questions, 10_000, count / CHANGES + 5, self.load_core):
            probe = prober.Probe(self.load_core, prober.round_trips, peer.port, owners[0])
            time.sleep(1)
            trips = probe.stop()
            following = prober.Probe(self.load_core, prober.follow, peer.port, wanted)
            server.begin_changes(first, count, CHANGES)
            made = server.changed()
            seen = following.result()
        if len(seen) != count:
            raise Failed(f"change {len(seen)} of {count} was never answered")
        late = [(end - begin) * 1000 for begin, end in zip(made, seen, strict=True)]
        self.add("change made to new answer, p50", percentile(late, 50), "ms", 1)
        self.add("change made to new answer, p99", percentile(late, 99), "ms", 5)
        self.add("one round trip of the same prober, p50", percentile(trips, 50) * 1000, "ms")
        self.add("one round trip of the same prober, p99", percentile(trips, 99) * 1000, "ms")
        self.add("dnsbridge's core taken by others meanwhile", peer.kept_waiting() - waited, "s")

    def _relist(self, server: Api, peer: Watching) -> None:
        owners = [name.owner for name in server.holds.names]
        waited = peer.kept_waiting()
        probe = prober.Probe(self.load_core, prober.paced, peer.port, owners, 5_000)
        windows = [window for _ in range(self.size.relists) for window in self._cut(server, peer)]
        samples = probe.stop()
        inside = [
            sample.seconds * 1000 for sample in samples if any(begin <= sample.sent <= end for begin, end in windows)
        ]
        if not inside:
            raise Failed("no question was asked while a relist ran")
        self.add("seconds of a list, at most", max(end - begin for begin, end in windows), "s")
        self.add("questions while a relist ran", len(inside), "")
        for percent, bar in ((50.0, None), (99.0, None), (99.9, 10.0)):
            self.add(f"answers while a relist ran, p{percent:g}", percentile(inside, percent), "ms", bar)
        outside = [
            sample.seconds * 1000
            for sample in samples
            if not any(begin <= sample.sent <= end for begin, end in windows)
        ]
        self.add("answers at other times, p99.9", percentile(outside, 99.9), "ms")
        self.add("dnsbridge's core taken by others meanwhile", peer.kept_waiting() - waited, "s")

    def _outages(self, server: Api, peer: Watching) -> None:
        for forget, what in ((False, "watches resumed"), (True, "everything listed again")):
            late = []
            for _ in range(self.size.outages):
                self._cuts += 1
                back = server.away(self._cuts, self.size.away, forget)
                late.append(max(self._wait(peer)) - back)
            self.add(f"server back after {self.size.away:g} s to the last name, {what}", max(late), "s", 1)

    def _throughput(self, server: Api, peer: Watching, questions: Path) -> None:
        seconds = self.size.seconds
        run_round(peer, questions, seconds, self.load_core)
        quiet, busy = [], []
        for _ in range(self.size.rounds):
            quiet.append(run_round(peer, questions, seconds, self.load_core))
            count = int(seconds * CHANGES)
            server.begin_changes(self._changes, count, CHANGES)
            self._changes += count
            busy.append(run_round(peer, questions, seconds, self.load_core))
            server.changed()
        rates = [median(each.rate for each in rounds) for rounds in (quiet, busy)]
        cpus = [median(each.cpu for each in rounds) for rounds in (quiet, busy)]
        self.add("answers a second, no change", rates[0], "/s")
        self.add(f"answers a second, {CHANGES} changes a second", rates[1], "/s")
        self.add("throughput that the changes cost", (1 - rates[1] / rates[0]) * 100, "%", 10)
        self.add("the same by the CPU time of an answer", (1 - cpus[0] / cpus[1]) * 100, "%", 10)
        self.add("CPU time of an answer, no change", cpus[0], "us")
        self.add(f"CPU time of an answer, {CHANGES} changes a second", cpus[1], "us")


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="following an API server: start, memory, latency, throughput")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()

    def measured(folder: Path) -> list[Figure]:
        bench = Bench(QUICK if options.quick else Size(), folder)
        bench.run()
        return bench.figures

    return report(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())

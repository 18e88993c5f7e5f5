"""What workers cost and bring: memory, how fast a change is at every worker, throughput; each figure next to its bar.

The cluster is that of `watching`: 100,000 endpoints, 20 changes a second. Memory is private (smaps_rollup, what no
other process has a part in) and proportional (Pss), after every worker was asked for every name. For the changes all
processes of dnsbridge share one core, as the one process of `watching` does, and the rest shares another; a client's
port decides which worker it asks. For the throughput dnsbridge and dnsperf share both cores, first with one process,
then with the workers. The exit status says whether the measurement worked, never how it came out.

    python -m benchmarks.workers [--workers N] [--quick] [--json FILE]
"""

import argparse
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.parts import api, memory, prober
from benchmarks.parts.api import Api
from benchmarks.parts.figures import Figure, line, percentile
from benchmarks.parts.load import run_round, steady
from benchmarks.parts.names import write_questions
from benchmarks.parts.peers import ADDRESS, Watching
from benchmarks.parts.run import Failed, report, two_cores
from benchmarks.watching import CHANGES, QUICK, Size

FULL = Size(changes=200, rounds=3)
SETTLE = 10.0
"""Seconds that the workers may take to be those that share what has been read."""
EACH_NAME = ("-c", "7")
"""Clients of dnsperf, a number in which the names do not divide, so that each asks for all."""
_QUERIES = re.compile(r'^dnsbridge_worker_queries_total\{transport="udp",worker="(\d+)"\} (\S+)$', re.MULTILINE)


class Bench:
    """One run, and the figures so far."""

    def __init__(self, size: Size, workers: int, folder: Path) -> None:
        self.size = size
        self.workers = workers
        self.folder = folder
        self.figures: list[Figure] = []
        self.server_core, self.load_core = two_cores()
        self._changes = 0
        self._peers = 0

    def add(self, what: str, value: float, unit: str, bar: float | None = None, floor: bool = False) -> None:
        """Note a figure, and show it at once."""
        self.figures.append(Figure(what, value, unit, bar, floor))
        print(line(self.figures[-1]), file=sys.stderr)

    def run(self) -> None:
        """Measure everything; raises Failed."""
        with Api(self.size.shape, self.folder, self.load_core) as server:
            questions = self.folder / "questions"
            write_questions(server.holds.names, questions)
            both = f"{self.load_core},{self.server_core}"
            with self._launched(server, 1, both) as one:
                rate = self._rate(one, questions)
                alone = memory.proportional(one.check_alive())
            self.add("one process: memory (Pss)", alone, "MB")
            self.add("one process: answers a second, on both cores", rate, "/s")
            with self._launched(server, self.workers, both) as several:
                more = self._rate(several, questions)
                self._memory(several, alone)
            self.add(f"{self.workers} workers: answers a second, on both cores", more, "/s")
            self.add("throughput, as a multiple", more / rate, "")
            with self._launched(server, 1, str(self.server_core)) as one:
                self._change(server, one, questions, "one process", 0)
            with self._launched(server, self.workers, str(self.server_core)) as several:
                for number, source in sorted(_sources(several, self.workers).items()):
                    self._change(server, several, questions, f"worker {number}", source)

    @contextmanager
    def _launched(self, server: Api, workers: int, core: str) -> Iterator[Watching]:
        self._peers += 1
        folder = self.folder / str(self._peers)
        folder.mkdir()
        peer = Watching(folder, server.kubeconfig, workers=workers)
        try:
            peer.launch([], core)
            wanted = [(mark.owner, mark.address) for mark in api.marks(0)]
            prober.first_answers(peer.port, wanted, peer.check_alive, 0.002)
            if workers > 1:
                _wait_until_ready(peer)
            for name in server.holds.names[:: max(1, len(server.holds.names) // 50)]:
                if wrong := peer.wrong_answer(name):
                    raise Failed(f"wrong answer: {wrong}")
            yield peer
        finally:
            peer.stop()

    def _rate(self, peer: Watching, questions: Path) -> float:
        """Answers a second, the median of rounds; before them every worker has been asked for every name."""
        cores = f"{self.load_core},{self.server_core}"
        run_round(peer, questions, max(self.size.seconds, 2), cores, options=EACH_NAME)
        return median(run_round(peer, questions, self.size.seconds, cores).rate for _ in range(self.size.rounds))

    def _memory(self, peer: Watching, alone: float) -> None:
        holder, *workers = peer.processes()
        if len(workers) != self.workers:
            raise Failed(f"{len(workers)} workers run, not {self.workers}")
        total = sum(map(memory.proportional, (holder, *workers)))
        self.add("private memory of the process that holds the cluster", memory.private(holder), "MB")
        self.add("private memory of a worker, the largest", max(map(memory.private, workers)), "MB", 80)
        self.add(f"all processes of {self.workers} workers: memory (Pss)", total, "MB")
        self.add("more memory than one process, for each extra worker", (total - alone) / (self.workers - 1), "MB")

    def _change(self, server: Api, peer: Watching, questions: Path, who: str, source: int) -> None:
        """How fast changes are answered to a client with this port (0: any)."""
        owners = server.holds.headless
        first, count = self._changes, self.size.changes
        self._changes += count
        wanted = [(owners[each % len(owners)], api.changed_address(each)) for each in range(first, first + count)]
        with steady(peer, questions, 10_000, count / CHANGES + 5, self.load_core):
            probe = prober.Probe(self.load_core, prober.round_trips, peer.port, owners[0], source)
            time.sleep(1)
            trips = probe.stop()
            following = prober.Probe(self.load_core, prober.follow, peer.port, wanted, source)
            server.begin_changes(first, count, CHANGES)
            made = server.changed()
            seen = following.result()
        if len(seen) != count:
            raise Failed(f"{who}: change {len(seen)} of {count} was never answered")
        late = [(end - begin) * 1000 for begin, end in zip(made, seen, strict=True)]
        self.add(f"{who}: change made to new answer, p50", percentile(late, 50), "ms", 1)
        self.add(f"{who}: change made to new answer, p99", percentile(late, 99), "ms", 5)
        self.add(f"{who}: one round trip of the prober, p50", percentile(trips, 50) * 1000, "ms")


def _page(peer: Watching, path: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{ADDRESS}:{peer.http_port}{path}", timeout=SETTLE) as response:
        return str(response.read().decode())


def _wait_until_ready(peer: Watching) -> None:
    deadline = time.monotonic() + SETTLE
    while True:
        try:
            _page(peer, "/readyz")
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failed(f"the workers are not ready: {error}") from None
            time.sleep(0.05)


def _asked(peer: Watching) -> dict[int, float]:
    return {int(number): float(value) for number, value in _QUERIES.findall(_page(peer, "/metrics"))}


def _sources(peer: Watching, workers: int) -> dict[int, int]:
    """For each worker a client's port whose questions go to it; raises Failed."""
    found: dict[int, int] = {}
    message = prober.query(api.marks(0)[0].owner)
    for _ in range(50 * workers):
        before = _asked(peer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((ADDRESS, 0))
            sock.connect((ADDRESS, peer.port))
            sock.settimeout(1)
            for _ in range(3):
                sock.send(message)
                sock.recv(4096)
            source = int(sock.getsockname()[1])
        after = _asked(peer)
        found |= {number: source for number, count in after.items() if count == before[number] + 3}
        if len(found) == workers:
            return found
    raise Failed(f"only {len(found)} of {workers} workers are ever asked")


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="several workers: memory, changes, throughput")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="how many, at least 2")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if options.workers < 2:
        parser.error("--workers: at least 2")

    def measured(folder: Path) -> list[Figure]:
        bench = Bench(QUICK if options.quick else FULL, options.workers, folder)
        bench.run()
        return bench.figures

    return report(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())

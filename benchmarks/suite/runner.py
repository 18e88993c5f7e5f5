"""The rounds of every workload: servers side by side, in turn, every other round in reverse, one core for the server.

A server that fails a workload is left out of it with the reason; dnsbridge's own failure ends the run.
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from msgspec import Struct

from benchmarks.parts import memory
from benchmarks.parts.figures import percentile
from benchmarks.parts.forwarders import Upstream, outside
from benchmarks.parts.load import Round, run_round, steady
from benchmarks.parts.peers import Peer
from benchmarks.parts.prober import Probe, paced_messages
from benchmarks.parts.run import Failed, two_cores
from benchmarks.suite.changing import measure_changes
from benchmarks.suite.connecting import run_connections
from benchmarks.suite.data import Data, data
from benchmarks.suite.questions import Question, write, wrong_answer
from benchmarks.suite.servers import CLUSTER, OURS, PEERS, Dnsbridge, Kind
from benchmarks.suite.workloads import CHANGES, COLD_NAMES, SET, WORKLOADS, Workload

RATE = 150_000
"""Questions a second that are made for a round in which each is asked once; it ends early when they run out."""
SAMPLES = 50
"""Questions of each workload whose answers are checked before the load."""
POOLS = 100
PROBES = 1_000
"""Questions a second whose latency is measured, beside the half load."""
PASSES = 4
"""How often a set is asked before the counted rounds: servers prepare for what they are asked again."""
WARM = 2.0
"""Seconds that this may take at most,"""
WARM_ROUNDS = 4
"""and how many rounds: in the quick mode, where rounds are short, it need not be long either."""
_CHECK, _WARM, _HALF, _PROBE, _COUNTED = range(5)
"""Numbers of what is asked outside counted rounds; those have the numbers from _COUNTED on."""
HALF_MORE = 1.5
"""Seconds that the half load is there longer than it is measured: a prober needs some to start and to end."""


class Latency(Struct, frozen=True):
    """Milliseconds from a question to its answer's arrival, at a load of `rate` questions a second."""

    rate: int
    p50: float
    p99: float
    p999: float
    lost: int
    waited: float
    """Seconds that the server could have run, but another process had its core."""


class Result(Struct, frozen=True):
    """A server under a workload."""

    workload: str
    peer: str
    rounds: list[Round]
    latency: Latency | None = None

    def middle(self, field: str) -> float:
        """The median of a field of the rounds."""
        values: list[float] = [getattr(one, field) for one in self.rounds]
        return median(values)


class Outcome(Struct):
    """All of a run."""

    results: list[Result] = []
    left_out: list[str] = []
    """A server, a workload, and why."""
    memory: dict[str, float] = {}
    """The most that was resident, in MB, by server: of its largest process, over all workloads but the cold one."""
    longest_pause: float = 0.0
    """Of dnsbridge's garbage collector, in ms, likewise."""


class Plan(Struct, frozen=True):
    """How much is measured."""

    workloads: tuple[str, ...]
    peers: tuple[str, ...]
    rounds: int
    seconds: float
    """Of a round, and of the measurement of latency."""
    latency: tuple[str, ...]
    """The workloads for which it is measured."""


def run(plan: Plan, folder: Path) -> Outcome:
    """Measure everything; raises Failed."""
    outcome = Outcome()
    kinds = [OURS, *_installed(plan, outcome)]
    for cold in (False, True):
        wanted = [one for one in WORKLOADS if one.name in plan.workloads and one.cold is cold]
        if wanted:
            held = data(COLD_NAMES * (_COUNTED + plan.rounds), 1) if cold else data(SET, POOLS)
            place = folder / ("cold" if cold else "hot")
            place.mkdir()
            _Stage(plan, held, place, outcome).run(kinds, wanted)
    if CHANGES in plan.workloads:
        rounds = measure_changes(plan.rounds, plan.seconds, folder, *two_cores())
        outcome.results.append(Result(CHANGES, OURS.name, rounds))
        say(outcome.results[-1])
    return outcome


def _installed(plan: Plan, outcome: Outcome) -> list[Kind]:
    found = []
    for kind in PEERS:
        if kind.name in plan.peers:
            try:
                kind.installed_version()
                found.append(kind)
            except Failed as failure:
                outcome.left_out.append(f"{kind.name}: {failure}")
    return found


class _Stage:
    """Servers that hold the same data, and the workloads that are asked of them."""

    def __init__(self, plan: Plan, held: Data, folder: Path, outcome: Outcome) -> None:
        self.plan = plan
        self.held = held
        self.folder = folder
        self.outcome = outcome
        self.server_core, self.load_core = two_cores()

    def run(self, kinds: list[Kind], workloads: list[Workload]) -> None:
        """Start the servers, and measure one workload after the other."""
        needed = frozenset[str]().union(*(one.needs for one in workloads))
        with ExitStack() as running:
            place = self.folder / "upstream"
            place.mkdir()
            upstream = Upstream(place)
            running.callback(upstream.stop)
            upstream.start(outside("first", 1), self.load_core)
            servers = {}
            for kind in kinds:
                if kind.does & needed:
                    server = kind.make(self.folder, self.held, upstream.port)
                    running.callback(server.stop)
                    first = [self.held.services[-1]] if CLUSTER in kind.does else outside("first", 1)
                    with self._leaving_out(kind, "all"):
                        server.start(first, self.server_core)
                        servers[kind] = server
            for workload in workloads:
                self._workload(workload, servers)
            if not workloads[0].cold:
                for kind, server in servers.items():
                    with self._leaving_out(kind, "memory"):
                        self.outcome.memory[kind.name] = max(memory.peak(pid) for pid in server.processes())
                        if isinstance(server, Dnsbridge):
                            self.outcome.longest_pause = server.longest_pause()

    @contextmanager
    def _leaving_out(self, kind: Kind, workload: str) -> Iterator[None]:
        """A peer that fails is left out."""
        try:
            yield
        except Failed as failure:
            if kind is OURS:
                raise
            self._leave_out(kind, workload, str(failure))

    def _leave_out(self, kind: Kind, workload: str, why: str) -> None:
        self.outcome.left_out.append(f"{kind.name}, {workload}: {why}")
        print(self.outcome.left_out[-1], file=sys.stderr)

    def _workload(self, workload: Workload, servers: dict[Kind, Peer]) -> None:
        rounds: dict[Kind, list[Round]] = {}
        asked = self._questions(workload, _CHECK)
        self._write(workload, _WARM)
        for kind, server in servers.items():
            if workload.name in kind.lacks:
                self._leave_out(kind, workload.name, kind.lacks[workload.name])
            elif workload.needs <= kind.does:
                with self._leaving_out(kind, workload.name):
                    self._ready(workload, server, asked)
                    rounds[kind] = []
        for number in range(self.plan.rounds):
            if workload.once:
                self._write(workload, _COUNTED + number)
            taking = [kind for kind in servers if kind in rounds]
            for kind in taking if number % 2 == 0 else reversed(taking):
                found = rounds.pop(kind)
                with self._leaving_out(kind, workload.name):
                    rounds[kind] = [*found, self._round(workload, servers[kind])]
        late: dict[Kind, Latency] = {}
        if workload.latency and workload.name in self.plan.latency:
            rate = int(median(one.rate for one in rounds[OURS]) / 2)
            seconds = self.plan.seconds + HALF_MORE
            write(self._questions(workload, _HALF, int(seconds * rate)), self._file)
            probes = [one.message for one in self._questions(workload, _PROBE, int(seconds * PROBES))]
            for kind in rounds:
                with self._leaving_out(kind, f"{workload.name} at half load"):
                    late[kind] = self._latency(workload, servers[kind], rate, probes)
        for kind in servers:
            if kind in rounds:
                self.outcome.results.append(Result(workload.name, kind.name, rounds[kind], late.get(kind)))
                say(self.outcome.results[-1])

    def _ready(self, workload: Workload, server: Peer, asked: Sequence[Question]) -> None:
        """Check answers, and make it warm; raises Failed."""
        for question in asked[:: max(1, len(asked) // SAMPLES)]:
            if wrong := wrong_answer(server, question, workload.tcp):
                raise Failed(f"wrong answer: {wrong}")
        if workload.connecting:
            return
        options = ("-B", *workload.options, "-n", "1" if workload.once else str(PASSES))
        seconds = min(WARM, WARM_ROUNDS * self.plan.seconds)
        run_round(server, self._file, seconds, self.load_core, options=options, codes=workload.codes)

    def _round(self, workload: Workload, server: Peer) -> Round:
        seconds = self.plan.seconds
        if workload.connecting:
            messages = [one.message for one in self._questions(workload, _COUNTED)]
            return run_connections(server, messages, seconds, self.load_core)
        options = ("-B", *workload.options)
        return run_round(server, self._file, seconds, self.load_core, workload.once, options, workload.codes)

    def _latency(self, workload: Workload, server: Peer, rate: int, probes: Sequence[bytes]) -> Latency:
        """That of the probes, beside the load in the file; raises Failed."""
        options = ("-B", *workload.options)
        seconds = self.plan.seconds
        with steady(server, self._file, rate, seconds + HALF_MORE, self.load_core, options, workload.codes):
            probe = Probe(self.load_core, paced_messages, server.port, probes, PROBES)
            waited = server.kept_waiting()
            time.sleep(seconds)
            samples = probe.stop()
            waited = server.kept_waiting() - waited
        came = [one.seconds * 1000 for one in samples if not math.isinf(one.seconds)]
        if not came:
            raise Failed("no answer at half load")
        p50, p99, p999 = (percentile(came, percent) for percent in (50, 99, 99.9))
        return Latency(rate, p50, p99, p999, len(samples) - len(came), waited)

    @property
    def _file(self) -> Path:
        return self.folder / "questions"

    def _questions(self, workload: Workload, number: int, count: int = SET) -> Sequence[Question]:
        return workload.ask(self.held, number, count)

    def _write(self, workload: Workload, number: int) -> None:
        write(self._questions(workload, number, int(RATE * self.plan.seconds)), self._file)


def say(result: Result) -> None:
    """What was just measured, for whoever waits."""
    late = f"  p99.9 {result.latency.p999:6.2f} ms" if result.latency else ""
    print(
        f"{result.workload:<9}{result.peer:<10}{result.middle('cpu'):7.2f} us {result.middle('rate'):9,.0f}/s{late}",
        file=sys.stderr,
    )

"""All workers: starts a process for each number, replaces it when it dies, is stuck or does not read, and ends it.

    due      the places that need a fork, which happens between two turns of the event loop (see fork)
    tell     sends every change to every worker, in the call that made it
    renew    new processes for all numbers, from the current memory; the old ones answer until the new ones do

This process owns the sockets, a pair for each number and address. They stay open when a worker dies, and the questions
that wait in them go to its successor.
"""

import asyncio
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator

from msgspec import Raw, Struct

from dnsbridge.app.facts.families import Family, counter, gauge, lasting, summed
from dnsbridge.app.server.answering import GRACE
from dnsbridge.app.server.crew.messages import What
from dnsbridge.app.server.crew.worker_process import WorkerProcess
from dnsbridge.app.server.sockets import Listening
from dnsbridge.backoff import Backoff
from dnsbridge.listeners.http.not_now import NotNow

log = logging.getLogger(__name__)

HEARTBEAT = 1.0
"""Seconds between two requests for the counts of each worker: a killed worker may lose the counts of that time."""
STUCK = 5.0
"""Seconds of silence after which a worker is killed."""
LATE = 1.0
"""Seconds by which this process may itself be late; beyond that it cannot say which worker was silent."""
FIRST_DELAY, LONGEST_DELAY = 0.1, 5.0
"""Seconds before a worker that ends soon after its start is started again; the bound doubles each time."""
STEADY = 10.0
"""Seconds after its start from which a worker's end no longer counts as soon."""
PATIENCE = 2.0
"""Seconds for an answer of a worker."""


class Place(Struct, eq=False):
    """The sockets and processes of one number."""

    number: int
    opened: list[Listening]
    backoff: Backoff
    members: list[WorkerProcess] = []
    """The last is the process in charge, or will be; the others are about to end."""
    retired: list[Family] = []
    """The counts of the processes that have ended."""
    restarts: int = 0

    renewing: bool = True
    """The wanted process is not there yet; an earlier one may answer."""

    @property
    def answers(self) -> bool:
        """Whether any process answers here."""
        return any(member.ready and member.told_to_end_at is None for member in self.members)

    @property
    def settled(self) -> bool:
        """Whether the wanted process answers here, and no other."""
        if self.renewing or not self.members:
            return False
        *others, last = self.members
        return last.ready and not last.leaving and all(other.leaving for other in others)


class Workers:
    """All workers of a server."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.places: list[Place] = []
        self.stuck = 0
        self.behind = 0
        self.wanted = asyncio.Event()
        """Set while a process must be forked."""
        self._loop = loop
        self._due: dict[int, None] = {}
        self._ending = False
        self._waiting: list[asyncio.Future[None]] = []
        """Callers that wait for a worker to begin or end."""

    def start(self, opened: list[list[Listening]]) -> None:
        """Start a worker for each of these lists of sockets."""
        for number, pairs in enumerate(opened, 1):
            self.places.append(Place(number, pairs, Backoff(random.random, FIRST_DELAY, LONGEST_DELAY)))
        self.renew()

    def renew(self) -> None:
        """Start a new process in every place."""
        for place in self.places:
            place.renewing = True
            self._fork_soon(place.number)

    def due(self) -> Iterator[Place]:
        """The places where a process must be forked now."""
        self.wanted.clear()
        while self._due:
            number, _ = self._due.popitem()
            yield self.places[number - 1]

    def forked(self, place: Place, pid: int, sock: socket.socket) -> None:
        """A place has a new process, at the other end of this socket."""
        place.renewing = False
        place.members.append(WorkerProcess(place.number, pid, sock, self._loop, self))

    def not_forked(self, place: Place, problem: str) -> None:
        """A process could not be forked."""
        delay = place.backoff.delay()
        log.error("worker %d: cannot be started: %s; trying again in %.1f s", place.number, problem, delay)
        self._loop.call_later(delay, self._fork_soon, place.number)

    def tell(self, octets: bytes) -> None:
        """Send a frame to all workers."""
        for place in self.places:
            for member in place.members:
                member.tell(octets)
        # On a shared core questions wait for the workers, and nobody waits for this process.
        os.sched_yield()

    async def ask(self, what: What, name: bytes | None = None) -> list[Raw]:
        """Each worker's answer, in order of number; a worker that is not there has none. Raises NotNow."""
        asked = {member.number: member.ask(what, name) for member in self._answering()}
        if asked:
            await asyncio.wait(asked.values(), timeout=PATIENCE)
        for number, answer in asked.items():
            if not answer.done():
                raise NotNow(
                    f"worker {number} has not answered within {PATIENCE:g} s; try again, if it is stuck it ends"
                )
        return [answer.result() for answer in asked.values() if not answer.cancelled()]

    async def gather(self) -> None:
        """Collect the counts of all workers; a worker that does not answer keeps its last ones."""
        asked = [member.count() for member in self._answering()]
        if asked:
            await asyncio.wait(asked, timeout=PATIENCE)

    def reports(self) -> Iterator[list[Family]]:
        """The counts of all workers, ended ones too."""
        for place in self.places:
            yield place.retired
            for member in place.members:
                yield member.counts

    def families(self) -> Iterator[Family]:
        """Metrics of the workers themselves."""
        yield gauge("workers", "Worker processes that answer.", [], [([], sum(place.answers for place in self.places))])
        restarts = sum(place.restarts for place in self.places)
        yield counter("worker_restarts", "Workers that ended unasked and were replaced.", [], [([], restarts)])
        yield counter("worker_stuck", "Workers killed because they gave no sign of life.", [], [([], self.stuck)])
        yield counter("worker_behind", "Workers killed because they did not read changes.", [], [([], self.behind)])
        queries = []
        for place in self.places:
            received = dict.fromkeys(("udp", "tcp"), 0.0)
            for family in summed([place.retired, *(member.counts for member in place.members)]):
                if family.name == "queries":
                    for (transport, *_), value in family.values:
                        received[transport] += value
            queries += [([str(place.number), transport], value) for transport, value in received.items()]
        yield counter("worker_queries", "Messages received, by worker.", ["worker", "transport"], queries)

    def not_ready(self) -> list[str]:
        """The places that are not settled yet, one line each."""
        return [f"worker {place.number}: does not answer yet" for place in self.places if not place.settled]

    async def until_settled(self, seconds: float | None) -> None:
        """Wait until the wanted processes answer, and no others, for so many seconds at most."""
        await self._until(lambda: not self.not_ready(), seconds)

    async def supervise(self) -> None:
        """Ask all workers for their counts every HEARTBEAT; a worker that is silent for STUCK seconds is killed."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(HEARTBEAT)
            now = time.monotonic()
            late = now - before > HEARTBEAT + LATE
            before = now
            for member in [member for place in self.places for member in place.members]:
                since = member.silent_since
                if late:
                    member.forgive()
                elif since is not None and now - since > STUCK:
                    self.stuck += 1
                    log.error("worker %d (pid %d): no sign of life for %g s; killed", member.number, member.pid, STUCK)
                    member.kill()
                elif since is None:
                    member.count()

    async def leave(self) -> None:
        """Let no worker take a new question."""
        self._ending = True
        self._due.clear()
        for place in self.places:
            for listening in place.opened:
                listening.close()  # the workers have theirs
            for member in place.members:
                member.end()
        await self._until(lambda: all(each.leaving for place in self.places for each in place.members), LATE)

    async def end(self) -> None:
        """Have all workers answer the questions in flight and end, and wait for that."""
        if not self._ending:
            await self.leave()
        if not await self._until(self._empty, GRACE + LATE):
            for place in self.places:
                for member in place.members:
                    log.warning("worker %d (pid %d): has not ended; killed", member.number, member.pid)
                    member.kill()
            await self._until(self._empty, LATE)

    def answers(self, member: WorkerProcess) -> None:
        """See Supervisor: all processes before the last one that answers are told to end."""
        place = self.places[member.number - 1]
        log.info("worker %d: answers (pid %d)", member.number, member.pid, extra={"event": "worker_answers"})
        last = max((number for number, each in enumerate(place.members) if each.ready), default=0)
        for number, each in enumerate(place.members):
            if number < last or self._ending:
                each.end()
        self._wake()

    def leaves(self, member: WorkerProcess) -> None:
        """See Supervisor."""
        self._wake()

    def is_behind(self, member: WorkerProcess) -> None:
        """See Supervisor."""
        self.behind += 1
        log.error("worker %d (pid %d): does not take what has changed; killed", member.number, member.pid)

    def has_ended(self, member: WorkerProcess, status: int) -> None:
        """See Supervisor: another takes its place."""
        place = self.places[member.number - 1]
        superseded = member is not place.members[-1]
        place.members.remove(member)
        place.retired = summed([place.retired, lasting(member.counts)])
        self._wake()
        if self._ending or member.told_to_end_at is not None:
            return
        place.restarts += 1
        delay = 0.0
        if member.ready and time.monotonic() - member.started_at > STEADY:
            place.backoff.succeeded()
        elif place.restarts > 1 and not superseded:
            delay = place.backoff.delay()
        when = f"in {delay:.1f} s" if delay else "now"
        about = place.number, member.pid, _how(status), when
        log.error("worker %d (pid %d): %s; another takes its place %s", *about, extra={"event": "worker_ended"})
        if not superseded:  # else its successor is there already
            place.renewing = True
            self._loop.call_later(delay, self._fork_soon, place.number)

    def _fork_soon(self, number: int) -> None:
        if not self._ending:
            self._due[number] = None
            self.wanted.set()

    def _answering(self) -> list[WorkerProcess]:
        return [member for place in self.places for member in place.members if member.ready]

    def _empty(self) -> bool:
        return not any(place.members for place in self.places)

    async def _until(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Wait for a condition that a worker's first or last words bring; returns whether it came in time."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    changed: asyncio.Future[None] = self._loop.create_future()
                    self._waiting.append(changed)
                    await changed
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        """Wake the callers: a worker has begun to answer, takes no new question, or has ended."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def _how(status: int) -> str:
    """How a process has ended, by its wait status."""
    code = os.waitstatus_to_exitcode(status)
    return f"ended with exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

"""The crew of workers: who is replaced and when, with processes that only sleep, and say what a test has them say."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from dnsbridge.app.server.crew import workers as workers_module
from dnsbridge.app.server.crew.messages import Ask, End, Frames, Leaving, Ready, ToMain, frame, to_worker
from dnsbridge.app.server.crew.workers import Place, Workers
from tests.support.waiting import DEADLINE, until


class Sleeper:
    """A process in a place, and the worker's end of its channel."""

    def __init__(self, workers: Workers, place: Place, running: ExitStack) -> None:
        self.process = running.enter_context(subprocess.Popen(["sleep", "60"]))
        running.callback(self.process.kill)
        ours, self.socket = socket.socketpair()
        running.callback(self.socket.close)
        self.socket.setblocking(False)
        self._frames = Frames()
        workers.forked(place, self.process.pid, ours)

    def say(self, message: ToMain) -> None:
        """Send a message to the main process."""
        self.socket.send(frame(message))

    def heard(self) -> list[object]:
        """What the main process has sent."""
        try:
            return [to_worker.decode(octets) for octets in self._frames.feed(self.socket.recv(1 << 20))]
        except BlockingIOError:
            return []

    def die(self) -> None:
        """End as a worker that crashes: its end of the channel ends with it."""
        self.socket.close()
        os.kill(self.process.pid, signal.SIGKILL)


@contextmanager
def places(workers: Workers, count: int = 1) -> Iterator[Callable[[], list[Sleeper]]]:
    """Gives what forks all that is due."""
    with ExitStack() as running:
        workers.start([[] for _ in range(count)])
        yield lambda: [Sleeper(workers, place, running) for place in workers.due()]


def run(work: Callable[[Workers], Awaitable[None]]) -> None:
    """Run a test with a crew."""

    async def inside() -> None:
        await work(Workers(asyncio.get_running_loop()))

    asyncio.run(inside())


def test_a_renewal() -> None:
    """The old one answers until the new one does; then it ends, and is not replaced."""

    async def work(workers: Workers) -> None:
        with places(workers) as fork:
            (old,) = fork()
            assert workers.not_ready()
            old.say(Ready())
            await until(lambda: not workers.not_ready())
            workers.renew()
            assert workers.not_ready()
            (new,) = fork()
            assert old.heard() == []
            new.say(Ready())
            await until(lambda: old.heard() == [End()])
            assert workers.not_ready(), "the old one still takes questions"
            old.say(Leaving())
            await until(lambda: not workers.not_ready())
            old.die()
            await until(lambda: len(workers.places[0].members) == 1)
            assert (workers.places[0].restarts, fork()) == (0, [])

    run(work)


def test_an_old_one_that_is_late() -> None:
    """One that begins to answer after its successor ends at once, and not its successor."""

    async def work(workers: Workers) -> None:
        with places(workers) as fork:
            (old,) = fork()
            workers.renew()
            (new,) = fork()
            new.say(Ready())
            await until(lambda: old.heard() == [End()])
            old.say(Ready())
            old.say(Leaving())
            await until(lambda: not workers.not_ready())
            assert new.heard() == []

    run(work)


def test_a_new_one_that_dies_before_it_answers() -> None:
    """Another is started, though the old one still answers; an old one that dies then is not replaced."""

    async def work(workers: Workers) -> None:
        with places(workers) as fork:
            (old,) = fork()
            old.say(Ready())
            await until(lambda: not workers.not_ready())
            workers.renew()
            (new,) = fork()
            new.die()
            await asyncio.wait_for(workers.wanted.wait(), DEADLINE)
            assert workers.not_ready()
            (again,) = fork()
            old.die()
            await until(lambda: workers.places[0].restarts == 2)
            again.say(Ready())
            await until(lambda: not workers.not_ready())
            assert fork() == []

    run(work)


def test_one_that_does_not_read() -> None:
    """When more waits for it than the bound it is killed, counted and replaced; the other gets everything."""

    async def work(workers: Workers) -> None:
        with places(workers, 2) as fork:
            one, other = fork()
            for each in (one, other):
                each.say(Ready())
            await until(lambda: not workers.not_ready())
            message = Ask(1, "show", bytes(1 << 20))
            while not workers.behind:
                workers.tell(frame(message))
                await until(lambda: other.heard() == [message])
            one.socket.close()  # as its end does
            await asyncio.wait_for(workers.wanted.wait(), DEADLINE)
            assert [place.restarts for place in workers.places].count(1) == 1
            assert workers.behind == 1
            assert one.process.wait(DEADLINE) in (-signal.SIGKILL, 0)
            assert other.process.poll() is None

    run(work)


def test_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that owes an answer for too long is killed."""
    monkeypatch.setattr(workers_module, "HEARTBEAT", 0.01)
    monkeypatch.setattr(workers_module, "STUCK", 0.1)

    async def work(workers: Workers) -> None:
        with places(workers, 2) as fork:
            one, other = fork()
            for each in (one, other):
                each.say(Ready())
            await until(lambda: not workers.not_ready())
            supervising = asyncio.create_task(workers.supervise())
            await until(lambda: workers.stuck == 2)
            assert {each.process.wait(DEADLINE) for each in (one, other)} <= {-signal.SIGKILL, 0}
            supervising.cancel()

    run(work)

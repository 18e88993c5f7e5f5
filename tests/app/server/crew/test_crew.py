"""The crew of workers: who is replaced and when, with processes that only sleep, and say what a test has them say."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from dnsbridge.app.server.crew import crew as crew_module
from dnsbridge.app.server.crew.crew import Crew, Place
from dnsbridge.app.server.crew.messages import Ask, End, Frames, Leaving, Ready, ToHolder, frame, to_worker
from tests.support.waiting import DEADLINE, until


class Sleeper:
    """A process in a place, and the worker's end of its channel."""

    def __init__(self, crew: Crew, place: Place, running: ExitStack) -> None:
        self.process = running.enter_context(subprocess.Popen(["sleep", "60"]))
        running.callback(self.process.kill)
        ours, self.socket = socket.socketpair()
        running.callback(self.socket.close)
        self.socket.setblocking(False)
        self._frames = Frames()
        crew.forked(place, self.process.pid, ours)

    def say(self, message: ToHolder) -> None:
        """Send a message to the holder."""
        self.socket.send(frame(message))

    def heard(self) -> list[object]:
        """What the holder has sent."""
        try:
            return [to_worker.decode(octets) for octets in self._frames.feed(self.socket.recv(1 << 20))]
        except BlockingIOError:
            return []

    def die(self) -> None:
        """End as a worker that crashes: its end of the channel ends with it."""
        self.socket.close()
        os.kill(self.process.pid, signal.SIGKILL)


@contextmanager
def places(crew: Crew, count: int = 1) -> Iterator[Callable[[], list[Sleeper]]]:
    """Gives what forks all that is due."""
    with ExitStack() as running:
        crew.start([[] for _ in range(count)])
        yield lambda: [Sleeper(crew, place, running) for place in crew.due()]


def run(work: Callable[[Crew], Awaitable[None]]) -> None:
    """Run a test with a crew."""

    async def inside() -> None:
        await work(Crew(asyncio.get_running_loop()))

    asyncio.run(inside())


def test_a_renewal() -> None:
    """The old one answers until the new one does; then it ends, and is not replaced."""

    async def work(crew: Crew) -> None:
        with places(crew) as fork:
            (old,) = fork()
            assert crew.not_ready()
            old.say(Ready())
            await until(lambda: not crew.not_ready())
            crew.renew()
            assert crew.not_ready()
            (new,) = fork()
            assert old.heard() == []
            new.say(Ready())
            await until(lambda: old.heard() == [End()])
            assert crew.not_ready(), "the old one still takes questions"
            old.say(Leaving())
            await until(lambda: not crew.not_ready())
            old.die()
            await until(lambda: len(crew.places[0].members) == 1)
            assert (crew.places[0].restarts, fork()) == (0, [])

    run(work)


def test_an_old_one_that_is_late() -> None:
    """One that begins to answer after its successor ends at once, and not its successor."""

    async def work(crew: Crew) -> None:
        with places(crew) as fork:
            (old,) = fork()
            crew.renew()
            (new,) = fork()
            new.say(Ready())
            await until(lambda: old.heard() == [End()])
            old.say(Ready())
            old.say(Leaving())
            await until(lambda: not crew.not_ready())
            assert new.heard() == []

    run(work)


def test_a_new_one_that_dies_before_it_answers() -> None:
    """Another is started, though the old one still answers; an old one that dies then is not replaced."""

    async def work(crew: Crew) -> None:
        with places(crew) as fork:
            (old,) = fork()
            old.say(Ready())
            await until(lambda: not crew.not_ready())
            crew.renew()
            (new,) = fork()
            new.die()
            await asyncio.wait_for(crew.wanted.wait(), DEADLINE)
            assert crew.not_ready()
            (again,) = fork()
            old.die()
            await until(lambda: crew.places[0].restarts == 2)
            again.say(Ready())
            await until(lambda: not crew.not_ready())
            assert fork() == []

    run(work)


def test_one_that_does_not_read() -> None:
    """When more waits for it than the bound it is killed, counted and replaced; the other gets everything."""

    async def work(crew: Crew) -> None:
        with places(crew, 2) as fork:
            one, other = fork()
            for each in (one, other):
                each.say(Ready())
            await until(lambda: not crew.not_ready())
            message = Ask(1, "show", bytes(1 << 20))
            while not crew.behind:
                crew.tell(frame(message))
                await until(lambda: other.heard() == [message])
            one.socket.close()  # as its end does
            await asyncio.wait_for(crew.wanted.wait(), DEADLINE)
            assert [place.restarts for place in crew.places].count(1) == 1
            assert crew.behind == 1
            assert one.process.wait(DEADLINE) in (-signal.SIGKILL, 0)
            assert other.process.poll() is None

    run(work)


def test_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that owes an answer for too long is killed."""
    monkeypatch.setattr(crew_module, "HEARTBEAT", 0.01)
    monkeypatch.setattr(crew_module, "STUCK", 0.1)

    async def work(crew: Crew) -> None:
        with places(crew, 2) as fork:
            one, other = fork()
            for each in (one, other):
                each.say(Ready())
            await until(lambda: not crew.not_ready())
            supervising = asyncio.create_task(crew.supervise())
            await until(lambda: crew.stuck == 2)
            assert {each.process.wait(DEADLINE) for each in (one, other)} <= {-signal.SIGKILL, 0}
            supervising.cancel()

    run(work)

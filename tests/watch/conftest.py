"""What the tests of watching share: how the time of a change is shown, and a loop whose time is its own."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from dnsbridge.watch.api import intake, reader, reflector, server
from dnsbridge.watch.api.resources import SERVICES, Resource
from tests.support.scripted_api import Followed, Reply, Script


class _Instant(selectors.DefaultSelector):
    """Waits for nothing: its loop's clock is put forward instead."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self._pass_time(timeout)
        assert ready or timeout is not None, "all wait for something that never happens"
        return ready


class TimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which time passes only by sleeping, and then at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Instant(self._pass_time))

    def time(self) -> float:
        """Seconds of its clock."""
        return self.now

    def _pass_time(self, seconds: float) -> None:
        self.now += seconds


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a coroutine in a TimeLoop, whose clock is that of all that follows a resource."""
    loop = TimeLoop()
    for module in (intake, reader, reflector, server):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=loop.time))

    def run(work: Coroutine[Any, Any, None]) -> None:
        loop.run_until_complete(work)

    yield run
    loop.close()


@pytest.fixture
def play(in_no_time: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Followed]:
    """Plays a script to its end; nothing is random. `versions` are what is said at /version, in turn."""
    for module in (reader, reflector, server):
        monkeypatch.setattr(module, "random", SimpleNamespace(random=lambda: 0.0))

    def play(replies: list[Reply], resource: Resource = SERVICES, versions: Sequence[str] = ("v1.33.1",)) -> Followed:
        made: list[Followed] = []

        async def work() -> None:
            made.append(Followed(Script(replies, asyncio.get_running_loop().time, versions), resource))
            await made[0].run()

        in_no_time(work())
        return made[0]

    return play

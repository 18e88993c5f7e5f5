"""An event loop whose clock the loop itself drives: time passes only while nothing can be read, and then at once.

    DrivenLoop      the loop; timers fire in their order, however slow the machine is
    clock           its time, by which a test may measure
    pass_time       lets time pass in a coroutine on it, an hour as soon as a second
    run_driven      runs a coroutine on one, with `time.monotonic` showing the loop's clock

Sockets on loopback work: what one end has sent is read before the clock moves. So do the loop's executors, for which
it waits in real time. Child processes do not: the clock would run away while the loop waits for them.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from unittest import mock

from tests.support.waiting import DEADLINE

T = TypeVar("T")
TURN = 0.00001
"""Seconds that a turn of the loop takes by its clock: code that reads the clock twice must see that time has passed."""
GRACE = 0.002
"""Real seconds in which the kernel may deliver what has been sent, before the clock moves on to the next timer."""


class _Selector(selectors.DefaultSelector):
    """Finds what can be read; waits for a timer by putting the clock forward."""

    def __init__(self, pass_time: Callable[[float], None], must_wait: Callable[[], bool]) -> None:
        super().__init__()
        self._pass_time = pass_time
        self._must_wait = must_wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._pass_time(TURN)
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._must_wait():
            ready = super().select(DEADLINE)
            assert ready, "all wait for something that never happens"
            return ready
        ready = super().select(min(GRACE, timeout))
        if not ready:
            self._pass_time(timeout)
        return ready


class DrivenLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._in_threads = 0
        super().__init__(_Selector(self.stall, lambda: self._in_threads > 0))

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]  # plainer
        """See asyncio; the clock stands still until the work is done."""
        self._in_threads += 1
        work = super().run_in_executor(executor, func, *args)
        work.add_done_callback(self._leave_thread)
        return work

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as in asyncio
        """See asyncio; its threads are waited for in real time."""
        self._in_threads += 1
        await super().shutdown_default_executor()
        self._in_threads -= 1

    def _leave_thread(self, _: object) -> None:
        self._in_threads -= 1

    def time(self) -> float:
        """Seconds of its clock."""
        return self.now

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing of this process runs."""
        self.now += seconds


async def pass_time(seconds: float) -> None:
    """Let time pass in which all others of the loop may do what they have to do."""
    clock()  # which fails where it would be real time
    await asyncio.sleep(seconds)


def clock() -> float:
    """Seconds by the clock of the driven loop that runs this."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, DrivenLoop)
    return loop.now


def run_driven(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that runs on a driven loop; the whole process sees the clock of the loop meanwhile."""
    with (
        asyncio.Runner(loop_factory=DrivenLoop) as runner,
        mock.patch.object(time, "monotonic", runner.get_loop().time),
    ):
        return runner.run(work)

"""An event loop whose clock the loop itself drives: time passes only while nothing can be read, and then at once.

    DrivenLoop      the loop; timers fire in their order, however slow the machine is
    run_driven      runs a coroutine on one, with `time.monotonic` showing the loop's clock

Sockets on loopback work: what one end has sent is read before the clock moves. Threads and child processes do not:
the clock would run away while the loop waits for them.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from unittest import mock

from tests.support.waiting import DEADLINE

T = TypeVar("T")
TURN = 0.0001
"""Seconds that a turn of the loop takes by its clock: code that reads the clock twice must see that time has passed."""
GRACE = 0.002
"""Real seconds in which the kernel may deliver what has been sent, before the clock moves on to the next timer."""


class _Selector(selectors.DefaultSelector):
    """Finds what can be read; waits for a timer by putting the clock forward."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._pass_time(TURN)
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
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
        super().__init__(_Selector(self.stall))

    def time(self) -> float:
        """Seconds of its clock."""
        return self.now

    def stall(self, seconds: float) -> None:
        """Let time pass in which nothing of this process runs."""
        self.now += seconds


def run_driven(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that runs on a driven loop; the whole process sees the clock of the loop meanwhile."""
    with (
        asyncio.Runner(loop_factory=DrivenLoop) as runner,
        mock.patch.object(time, "monotonic", runner.get_loop().time),
    ):
        return runner.run(work)

"""The lag of an event loop that is kept busy."""

import asyncio

from dnsbridge.observe.lag import INTERVAL, Lag
from tests.support.driven_loop import DrivenLoop, run_driven


async def _busy_once() -> Lag:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, DrivenLoop)
    lag = Lag()
    watching = asyncio.ensure_future(lag.watch())
    await asyncio.sleep(4.5 * INTERVAL)  # delay: by the clock of the driven loop
    assert sum(lag.seconds.counts) == sum(lag.seconds.counts[:2]) == 4
    loop.stall(0.75)
    await asyncio.sleep(0.01)  # delay: likewise
    watching.cancel()
    return lag


def test_a_busy_loop() -> None:
    """A timer that is due while the loop is busy is late by the rest of that time; others are on time."""
    lag = run_driven(_busy_once())
    assert sum(lag.seconds.counts) == 5
    assert 0.5 <= lag.seconds.total < 0.51

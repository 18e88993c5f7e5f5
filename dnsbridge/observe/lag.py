"""How late the event loop is: a timer that comes late shows how long a question may wait to be read."""

import asyncio

from dnsbridge.observe.histogram import Histogram

INTERVAL = 0.5
"""Seconds between two timers."""


class Lag:
    """The lateness of timers, in seconds."""

    def __init__(self) -> None:
        self.seconds = Histogram()

    async def watch(self) -> None:
        """Set one timer after the other, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.seconds.add(max(0.0, loop.time() - due))

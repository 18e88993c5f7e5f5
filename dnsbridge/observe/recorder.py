"""Writes exchanges in a thread of its own, so that no answer waits for a disk or a reader.

Exchanges wait in a bounded queue. What the queue has no room for, and what cannot be written, is lost and counted. The
thread looks into the queue every BATCH seconds: waking it for an exchange would cost the event loop more than all else.
One thread puts and one writes, and each has counts of its own, so there is no lock.
"""

import logging
import threading
from collections import deque
from typing import Protocol

from msgspec import Struct

from dnsbridge.observe.exchange import Exchange

log = logging.getLogger(__name__)

BATCH = 0.2
"""Seconds."""
MAX_WAITING = 20_000
"""Exchanges that wait at most."""
MAX_OCTETS = 16 << 20
"""Octets of their messages at most."""
END = 1.0
"""Seconds that the thread has for what waits when the server ends."""


class Wrote(Struct, frozen=True):
    """What became of some exchanges."""

    lost: int = 0
    problem: str = ""
    """Why some are lost, in a few words."""


class Destination(Protocol):
    """Where exchanges go; used by one thread only, and may block it."""

    def write(self, exchanges: list[Exchange]) -> Wrote:
        """Write what can be written."""

    def close(self) -> None:
        """Write the end, and let go."""


class Recorder:
    """One destination, and the exchanges that wait for it."""

    def __init__(self, name: str, shown: str, destination: Destination) -> None:
        """`name` and `shown` say in log lines what is written and where."""
        self.name = name
        self.taken = 0
        """Exchanges that were to be written."""
        self._shown = shown
        self._destination = destination
        self._waiting: deque[Exchange] = deque()
        self._octets_put = self._octets_got = 0
        self._no_room = self._not_written = 0
        self._ended = threading.Event()
        self._problem = ""
        self._lost_before = 0
        """What was lost when the present problem began."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def lost(self) -> int:
        """Exchanges that were not written."""
        return self._no_room + self._not_written

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, exchange: Exchange) -> None:
        """Have an exchange written, if there is room for it; never blocks."""
        size = _octets(exchange)
        self.taken += 1
        if len(self._waiting) >= MAX_WAITING or self._octets_put - self._octets_got + size > MAX_OCTETS:
            self._no_room += 1
            return
        self._octets_put += size
        self._waiting.append(exchange)

    def stop(self) -> None:
        """Write what waits, for at most END seconds."""
        self._ended.set()
        self._thread.join(END)

    def _run(self) -> None:
        while not self._ended.wait(BATCH):
            self._write()
        self._write()
        self._destination.close()

    def _write(self) -> None:
        exchanges = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not exchanges:
            return
        self._octets_got += sum(map(_octets, exchanges))
        lost = self.lost
        try:
            wrote = self._destination.write(exchanges)
        except Exception as error:
            wrote = Wrote(len(exchanges), f"internal error: {type(error).__name__}: {error}")
        if wrote.problem and not self._problem:
            self._lost_before = lost
        self._not_written += wrote.lost
        if wrote.problem and wrote.problem != self._problem:
            text = "%s: %s: %s; records are lost and counted, questions are answered"
            log.error(text, self.name, self._shown, wrote.problem, extra={"event": "recorder_trouble"})
        elif self._problem and not wrote.problem:
            text = "%s: %s: written again, %d records were lost"
            about = self.name, self._shown, self.lost - self._lost_before
            log.info(text, *about, extra={"event": "recorder_well"})
        self._problem = wrote.problem


def _octets(exchange: Exchange) -> int:
    return len(exchange.query) + len(exchange.response)

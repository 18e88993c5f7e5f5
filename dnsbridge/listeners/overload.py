"""When a socket is behind: questions come faster than they are answered, and not just for a moment.

    keeps up    the socket is found empty now and then, or its queue is short and the kernel drops nothing
    behind      for PATIENCE it was never empty, and its queue is long or has overflowed
    keeps up    again, when for PATIENCE no question had to be shed

So a burst, however large, is answered to the end, and nothing is shed that could have been answered. Nothing here costs
anything while the socket is found empty. Time is an argument, in monotonic seconds.
"""

from collections.abc import Callable

from msgspec import Struct

PATIENCE = 0.1
LONG = 1 << 20
"""Octets of the kernel's memory: about 1300 questions, which take 30 to 80 ms if all must be forwarded."""


class Queue(Struct, frozen=True):
    """What waits in a socket."""

    octets: int
    """Of the kernel's memory, which is several times what the datagrams hold."""
    lost: int
    """Datagrams dropped so far because there was no room (modulo 2**32)."""


class Overload:
    """Whether one socket is behind."""

    def __init__(self, patience: float = PATIENCE, long: int = LONG) -> None:
        self.full_since: float | None = None
        """Since when the socket has not been found empty; whoever finds it empty sets None."""
        self._patience = patience
        self._long = long
        self._lost = 0
        self._shed_at = 0.0

    def falls_behind(self, now: float, queue: Callable[[], Queue]) -> bool:
        """Whether the socket is behind from now on; asked when it was not found empty."""
        since = self.full_since
        if since is not None and now - since < self._patience:
            return False
        found = queue()
        behind = since is not None and (found.octets > self._long or found.lost != self._lost)
        self.full_since = now
        self._lost = found.lost
        self._shed_at = now
        return behind

    def catches_up(self, now: float, shed: bool) -> bool:
        """Whether it keeps up again; asked after each turn of a socket that was behind, `shed`: not all were taken."""
        if shed:
            self._shed_at = now
        if now - self._shed_at < self._patience:
            return False
        self.full_since = None
        return True

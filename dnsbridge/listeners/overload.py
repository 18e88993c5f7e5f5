"""Overload detection: a socket is behind when questions keep coming faster than they are answered.

    keeps up    the socket is found empty now and then, or its queue is short and the kernel drops nothing
    behind      the socket was never empty for PATIENCE, and its queue is long or has overflowed
    keeps up    again when no question had to be shed for PATIENCE

So a burst of any size is answered to the end, and no question is shed that could have been answered. The detection
costs nothing while the socket is found empty. Time is an argument, in monotonic seconds.
"""

from collections.abc import Callable

from msgspec import Struct

PATIENCE = 0.1
LONG = 1 << 20
"""Octets of kernel memory: about 1300 questions, which take 30 to 80 ms if all must be forwarded."""


class Queue(Struct, frozen=True):
    """The queue of a socket."""

    octets: int
    """Kernel memory in use, several times the size of the datagrams."""
    lost: int
    """Datagrams dropped so far because there was no room (modulo 2**32)."""


class Overload:
    """Whether one socket is behind."""

    def __init__(self, patience: float = PATIENCE, long: int = LONG) -> None:
        self.full_since: float | None = None
        """Start of the period in which the socket was never found empty; the reader sets None when the socket is."""
        self._patience = patience
        self._long = long
        self._lost = 0
        self._shed_at = 0.0

    def falls_behind(self, now: float, queue: Callable[[], Queue]) -> bool:
        """Whether the socket is behind from now on; called when the socket was not found empty."""
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
        """Whether the socket keeps up again; called after each turn while it is behind. `shed`: not all were taken."""
        if shed:
            self._shed_at = now
        if now - self._shed_at < self._patience:
            return False
        self.full_since = None
        return True

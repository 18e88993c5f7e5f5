"""A line to an upstream: replies come so much later, some get lost, or nothing passes at all. It needs no rights.

A relay of UDP on loopback, in a process of its own. Its jitter, some hundredths of a millisecond, meets everybody who
asks over it alike; so what it adds cancels out of a comparison.
"""

import heapq
import random
import select
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from benchmarks.parts.peers import ADDRESS, free_port
from benchmarks.parts.prober import Probe

_T = TypeVar("_T")
_IDS = 1 << 16
_BATCH = 64
_SEED = 13
_NAME = 13
"""Where the first label of a message starts, behind its length."""
_REST = 0.05
"""Seconds that it sleeps at most."""


class Line:
    """The line; `port` is its near end."""

    def __init__(
        self, core: int, upstream: int, seconds: float, *, loss: float = 0.0, slow: tuple[str, float] = ("", 0.0)
    ) -> None:
        """To a port of loopback, on which replies come `seconds` later.

        `loss` is the share of the exchanges that get lost, the same ones in each run; `slow` is how the names start
        that take longer, and how many seconds more.
        """
        self.port = free_port()
        self._probe = Probe(core, _relay, self.port, upstream, seconds, loss, slow)

    def dark(self, dark: bool) -> None:
        """Whether it is a black hole, from now on: what is on its way gets lost too."""
        self._probe.tell(not dark)

    def stop(self) -> None:
        """End it."""
        self._probe.stop()


def _relay(control: Connection, port: int, upstream: int, seconds: float, loss: float, slow: tuple[str, float]) -> None:
    """Pass questions on under IDs of its own, until it is told to end; a message says whether anything passes."""
    passes = True
    asked = 0
    clients: dict[int, tuple[bytes, tuple[str, int]]] = {}
    """The client's ID and address, by our ID."""
    late: list[tuple[float, bytes, tuple[str, int]]] = []
    """A heap of replies, by when they are due."""
    draw = random.Random(_SEED).random
    prefix, more = slow[0].encode(), slow[1]
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) for _ in range(2))
    with near, far:
        for each in (near, far):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        near.bind((ADDRESS, port))
        far.connect((ADDRESS, upstream))
        while True:
            wait = min(late[0][0] - time.monotonic(), _REST) if late else _REST
            watched: list[Connection | socket.socket] = [control, near, far]
            ready = select.select(watched, [], [], max(wait, 0))[0]
            if control in ready:
                told: bool | None = control.recv()
                if told is None:
                    return
                passes = told
                if not passes:
                    late.clear()
            if near in ready:
                for message, client in _drain(near.recvfrom):
                    if passes and draw() >= loss:
                        clients[asked] = message[:2], client
                        far.send(asked.to_bytes(2, "big") + message[2:])
                        asked = (asked + 1) % _IDS
            if far in ready:
                for reply in _drain(far.recv):
                    found = clients.pop(int.from_bytes(reply[:2], "big"), None)
                    if found and passes:
                        delay = seconds + more if prefix and reply.startswith(prefix, _NAME) else seconds
                        heapq.heappush(late, (time.monotonic() + delay, found[0] + reply[2:], found[1]))
            while late and late[0][0] <= time.monotonic():
                _, reply, client = heapq.heappop(late)
                near.sendto(reply, client)


def _drain(receive: Callable[[int], _T]) -> list[_T]:
    """What can be received at once, not without end."""
    found: list[_T] = []
    try:
        while len(found) < _BATCH:
            found.append(receive(65535))
    except OSError:  # nothing more; or the upstream is not there
        pass
    return found

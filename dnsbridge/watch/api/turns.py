"""The turns of lists: after trouble with an API server lists are read one at a time, required resources first.

A server that has just come back reads every list of every client from its storage. Before any trouble all lists may run
at once. A turn whose list stands still is passed on, so that a hanging list keeps no other list waiting.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

STANDSTILL = 0.5
"""Seconds without progress after which the next list begins all the same."""


class Turn:
    """The right to read a list; it ends by itself when the list stands still."""

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self.progress()

    def progress(self) -> None:
        """Note that a part of the list was read."""
        if self._timer:
            self._timer.cancel()
        if not self._ended:
            self._timer = asyncio.get_running_loop().call_later(STANDSTILL, self.end)

    def end(self) -> None:
        """Let the next turn begin. Idempotent."""
        if self._timer:
            self._timer.cancel()
        if not self._ended:
            self._ended = True
            self._turns.ended(self)


class Turns:
    """The turns of one server's lists."""

    def __init__(self) -> None:
        self.one_at_a_time = False
        """Set for good by the server's first trouble."""
        self._under_way: set[Turn] = set()
        self._waiting: list[tuple[bool, int, asyncio.Future[Turn]]] = []
        self._number = 0

    @asynccontextmanager
    async def take(self, required: bool) -> AsyncIterator[Turn]:
        """Wait for a turn, and hold it until it ends or the block is left."""
        turn = self._begun() if not self._under_way or not self.one_at_a_time else await self._wait(required)
        try:
            yield turn
        finally:
            turn.end()

    def ended(self, turn: Turn) -> None:
        """Begin the next turn; called by the turn that has ended."""
        self._under_way.discard(turn)
        while self._waiting and (not self._under_way or not self.one_at_a_time):
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():
                waiter.set_result(self._begun())

    def _begun(self) -> Turn:
        turn = Turn(self)
        self._under_way.add(turn)
        return turn

    async def _wait(self, required: bool) -> Turn:
        self._number += 1
        waiter: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not required, self._number, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                waiter.result().end()
            raise

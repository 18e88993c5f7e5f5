"""How a list or a watch reaches the client, and where its fault strikes.

A response is a sequence of units: the objects of a list, the lines of a watch.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence

from aiohttp import web

from tests.apiserver.counters import Counters
from tests.apiserver.faults import Cut, EmptyList, End, Fault, Hang, Reset, Rewrite, Say, Slow, Stall

AT_ONCE = 500
"""Units that are joined and written together."""


class Ended(Exception):
    """The response is over, by a fault."""


async def strike(request: web.Request, fault: Stall | Hang | Reset) -> None:
    """Leave the client alone; returns never, or raises Ended."""
    transport = request.transport
    if transport is None:
        raise Ended
    if isinstance(fault, Reset):
        with socket.socket(fileno=socket.dup(transport.get_extra_info("socket").fileno())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        raise Ended
    if isinstance(fault, Hang):
        transport.pause_reading()
    await asyncio.Event().wait()  # until the client leaves or the server stops


class Output:
    """One response. The caller starts it, sends units and finishes it; Ended may come from each."""

    def __init__(
        self,
        request: web.Request,
        counters: Counters,
        resource: str,
        fault: Fault | None,
        opening: bytes = b"",
        separator: bytes = b"",
    ) -> None:
        self.resource = resource
        self.counters = counters
        self.wake = asyncio.Event()
        """Set when there may be something to do: a change, or a fault that is to strike now."""
        self.response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache"})
        self._request = request
        self._pending = opening
        self._separator = separator
        self._sent = 0
        self.struck(fault)

    def struck(self, fault: Fault | None) -> None:
        """Give it a fault, which counts from now."""
        self.fault = fault
        self._strike_at = self._sent
        if isinstance(fault, Stall | Hang | Reset | Cut | End | Say):
            self._strike_at += fault.after
        self.wake.set()

    @property
    def empty(self) -> bool:
        """Whether objects are to be withheld."""
        return isinstance(self.fault, EmptyList)

    async def start(self) -> None:
        """Send the headers."""
        if isinstance(self.fault, Stall) and not self.fault.headers:
            await strike(self._request, self.fault)
        await self.response.prepare(self._request)
        await self._write(b"")

    async def send(self, units: Sequence[bytes]) -> None:
        """Send units; none at all only lets a fault strike that is due."""
        for first in range(0, len(units) or 1, AT_ONCE):
            await self._send(units[first : first + AT_ONCE])

    async def finish(self, closing: bytes = b"") -> None:
        """Send the end."""
        if isinstance(self.fault, Stall | Hang | Reset | Cut):
            await self._strike(self.fault, b"")
        await self._write(self._pending + closing)
        self._pending = b""

    async def _send(self, units: Sequence[bytes]) -> None:
        fault = self.fault
        if isinstance(fault, Rewrite):
            units = [fault.edit(unit) for unit in units]
        if isinstance(fault, Stall | Hang | Reset | Cut | End | Say):
            before = max(0, self._strike_at - self._sent)
            due = before < len(units) if isinstance(fault, Cut) else before <= len(units)
            if due:
                await self._join(units[:before])
                units = units[before:]
                self.fault = None
                await self._strike(fault, units[0] if units else b"")
        await self._join(units)

    async def _join(self, units: Sequence[bytes]) -> None:
        if not units:
            return
        opening = self._pending or (self._separator if self._sent else b"")
        self._pending = b""
        self._sent += len(units)
        await self._write(opening + self._separator.join(units))

    async def _strike(self, fault: Stall | Hang | Reset | Cut | End | Say, unit: bytes) -> None:
        match fault:
            case End():
                raise Ended
            case Say():
                await self._write(fault.octets)
            case Cut():
                await self._write((self._pending or self._separator) + unit[: len(unit) // 2])
                if not fault.clean and self._request.transport is not None:
                    self._request.transport.close()
                raise Ended
            case Stall() | Hang() | Reset():
                await strike(self._request, fault)

    async def _write(self, octets: bytes) -> None:
        self.counters.octets += len(octets)
        if not isinstance(self.fault, Slow):
            await self.response.write(octets)
            return
        step = max(1, self.fault.octets_per_second // 20)
        for first in range(0, len(octets), step):
            await self.response.write(octets[first : first + step])
            await asyncio.sleep(0.05)  # delay: the fault is to be slow

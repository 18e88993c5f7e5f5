"""GET /api/events: the status as it changes, as server-sent events, for all open pages at once.

    event: status    the whole document, first
    event: change    the fields that are another now; `sample` is to be put at the end of `history`

The status is made once a second for all pages together, and not at all while none is open. A page that does not read is
closed as soon as some events wait for it, so it holds a bounded number of octets; its browser opens it again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

log = logging.getLogger(__name__)

MAX_PAGES = 100
INTERVAL = 1.0
"""Seconds between two events."""
WAITING = 8
"""Events that may wait for a page to read them."""
ONCE = "history"
"""The field that only grows by the sample of each event; it is sent once."""
_CLOSED = b""


class Events:
    """The pages that are open."""

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        """`make` gives the status, a value of msgspec; one that cannot be made now is left out."""
        self._make = make
        self._pages: set[asyncio.Queue[bytes]] = set()
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, bytes] = {}

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    @property
    def works(self) -> bool:
        """Whether the status is made."""
        return self._task is not None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One page, until it is closed."""
        if len(self._pages) >= MAX_PAGES:
            text = f"{MAX_PAGES} pages are open already; close one\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "10"})
        events: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        if self._last:
            events.put_nowait(_frame("status", self._last))
        self._pages.add(events)
        try:
            if self._task is None:
                self._task = asyncio.create_task(self._run())
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            while octets := await events.get():
                if events not in self._pages:
                    break
                await response.write(octets)
            return response
        finally:
            self._pages.discard(events)

    async def close(self) -> None:
        """Close all pages."""
        for events in list(self._pages):
            self._drop(events)
        if self._task:
            self._task.cancel()

    def _drop(self, events: asyncio.Queue[bytes]) -> None:
        self._pages.discard(events)
        while not events.empty():
            events.get_nowait()
        events.put_nowait(_CLOSED)

    async def _run(self) -> None:
        """Make the status and send it, as long as a page is open."""
        try:
            while self._pages:
                began = time.monotonic()
                try:
                    await self._send()
                except Exception as error:
                    log.warning("the status cannot be shown now: %s: %s", type(error).__name__, error)
                await asyncio.sleep(max(0.0, began + INTERVAL - time.monotonic()))
        finally:
            self._task = None
            self._last = {}

    async def _send(self) -> None:
        status = await self._make()
        fields = {name: msgspec.json.encode(getattr(status, name)) for name in status.__struct_fields__}
        before, self._last = self._last, fields
        if before:
            changed = {name: octets for name, octets in fields.items() if octets != before[name] and name != ONCE}
            frame = _frame("change", changed)
        else:
            frame = _frame("status", fields)
        for events in list(self._pages):
            try:
                events.put_nowait(frame)
            except asyncio.QueueFull:
                self._drop(events)


def _frame(event: str, fields: dict[str, bytes]) -> bytes:
    """An event with a JSON object; JSON of msgspec is on one line."""
    return b"event: %s\ndata: {%s}\n\n" % (
        event.encode(),
        b",".join(b'"%s":%s' % (name.encode(), octets) for name, octets in fields.items()),
    )

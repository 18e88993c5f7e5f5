"""The requests for one resource. Each hands over the objects that it brings until it ends or fails.

pages     a list in pages of at most 500 objects
stream    a streaming list (KEP-3157), which goes on as a watch
watch     events from a version on

All of them raise Refused, and what the connection raises.
"""

import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from dnsbridge.cluster.objects import Key
from dnsbridge.watch.api import frames
from dnsbridge.watch.api.connection import Connection, bear
from dnsbridge.watch.api.decoding import Incoming
from dnsbridge.watch.api.intake import Counts, Intake
from dnsbridge.watch.api.refusal import Refused, refusal_of
from dnsbridge.watch.api.resources import Resource
from dnsbridge.watch.api.streaming import STREAM_SILENCE
from dnsbridge.watch.api.turns import Turn

if TYPE_CHECKING:
    from aiohttp import ClientResponse

PAGE = 500
"""Objects of one page (`limit`)."""
READ = 1 << 15
"""Octets of a watch that are taken at once: megabytes may be waiting, and cutting them all into lines takes long."""
WATCH_SHARE = 0.75
"""The length of a watch (`timeoutSeconds`), as a share of the tolerated silence. The server sends a bookmark shortly
before it ends a watch, so a live watch is never silent for too long, however quiet the cluster."""


class Progress(msgspec.Struct):
    """How far the list under way has been read."""

    read: int = 0
    """Objects."""
    left: int | None = None
    """Objects that are still to come; None where the server does not say."""


_OF_OBJECTS = frozenset({"ADDED", "MODIFIED", "DELETED"})


class Reader:
    """Makes the requests for one resource, and hands the objects to the intake."""

    def __init__(
        self,
        resource: Resource,
        connection: Connection,
        intake: Intake,
        counts: Counts,
        silence: float,
        alive: Callable[[], None],
        read: Callable[[], None],
    ) -> None:
        """`alive` is called at every sign of life; `read` whenever objects, a page or a bookmark have come."""
        self.progress = Progress()
        self._resource = resource
        self._connection = connection
        self._intake = intake
        self._counts = counts
        self._silence = silence
        self._alive = alive
        self._read = read

    async def pages(self, turn: Turn, page_read: Callable[[], None], listed: Callable[[int], None]) -> None:
        """Read the whole list in pages; at its end `listed` is called with the number of its objects."""
        self._counts.lists += 1
        self.progress = progress = Progress()
        seen: set[Key] = set()
        more = ""
        while True:
            parameters: dict[str, str | int] = {"limit": PAGE}
            if more:
                parameters["continue"] = more
            async with self._connection.get(self._resource.query(**parameters), self._silence) as response:
                await _check(response)
                octets = await response.read()
            page = frames.page_decoder.decode(octets)
            del octets
            turn.progress()
            self._alive()
            self._read()
            page_read()
            await self._intake.take([Incoming("ADDED", item) for item in page.items or ()], seen)
            more = page.metadata.more
            progress.read, progress.left = len(seen), page.metadata.remaining if more else 0
            if not more:
                break
        await self._intake.finish_list(seen, page.metadata.resource_version)
        listed(len(seen))

    async def stream(self, turn: Turn, listed: Callable[[int], None]) -> None:
        """Read a streaming list, then follow it as a watch; `listed` is called once the list is complete."""
        self._counts.lists += 1
        self.progress = Progress()
        async with self._request(
            STREAM_SILENCE, sendInitialEvents="true", resourceVersionMatch="NotOlderThan"
        ) as response:
            await _check(response)
            await self._follow(response, _Listing(self._intake, turn, listed))

    async def watch(self, proven: bool) -> None:
        """Follow a watch to its end. Response headers are a sign of life only if the server is `proven` alive."""
        async with self._request(self._silence, resourceVersion=self._intake.position) as response:
            await _check(response)
            if proven:
                self._alive()
            await self._follow(response, None)

    def _request(self, silence: float, **more: str) -> "AbstractAsyncContextManager[ClientResponse]":
        self._counts.watches += 1
        seconds = max(1, int(self._silence * WATCH_SHARE * (0.8 + random.random() / 5)))
        parameters: dict[str, str | int] = {"watch": 1, "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        return self._connection.get(self._resource.query(**parameters, **more), silence)

    async def _follow(self, response: "ClientResponse", listing: "_Listing | None") -> None:
        """Take a watch's events until the server ends it; `listing` is set while the initial events come."""
        lines = frames.Lines()
        async for octets in response.content.iter_chunked(READ):
            self._alive()
            incoming: list[Incoming] = []
            whole = lines.feed(octets)
            for line in whole:
                event = frames.event_decoder.decode(line)
                if event.type == "ERROR":
                    await self._intake.take(incoming, listing.seen if listing else None)
                    raise refusal_of(frames.status_decoder.decode(event.object).code, {}, event.object)
                self._read()
                if event.type == "BOOKMARK":
                    await self._intake.take(incoming, listing.seen if listing else None)
                    incoming = []
                    metadata = frames.identified_decoder.decode(event.object).metadata
                    if listing is None:
                        self._intake.position = metadata.resource_version or self._intake.position
                    elif (metadata.annotations or {}).get("k8s.io/initial-events-end") == "true":
                        await listing.finish(metadata.resource_version)
                        listing = None
                        bear(response, self._silence)
                elif event.type in _OF_OBJECTS:
                    incoming.append(Incoming(event.type, event.object))
            await self._intake.take(incoming, listing.seen if listing else None)
            if listing:
                self.progress.read = len(listing.seen)
                listing.check(bool(whole))
        if listing:
            raise Refused("the stream ended before its list was complete")


class _Listing:
    """The initial events of a streaming list, while they come.

    New objects are progress, and so are octets of an object that is not yet whole. Events of objects that have already
    come, and bookmarks, are no progress: a server that ignores `sendInitialEvents` sends them for ever.
    """

    def __init__(self, intake: Intake, turn: Turn, listed: Callable[[int], None]) -> None:
        self.seen: set[Key] = set()
        self._intake = intake
        self._turn = turn
        self._listed = listed
        self._known = 0
        self._progress_at = time.monotonic()

    def check(self, lines: bool) -> None:
        """Check for progress after octets were taken (`lines`: they completed lines). Raises Refused."""
        now = time.monotonic()
        if len(self.seen) > self._known or not lines:
            self._known = len(self.seen)
            self._progress_at = now
            self._turn.progress()
        elif now - self._progress_at > STREAM_SILENCE:
            raise Refused("the stream does not say that its list is complete")

    async def finish(self, version: str) -> None:
        """End the list: all initial events have come. Raises Refused."""
        await self._intake.finish_list(self.seen, version)
        self._turn.end()
        self._listed(len(self.seen))


async def _check(response: "ClientResponse") -> None:
    if response.status != HTTPStatus.OK:
        raise refusal_of(response.status, response.headers, await response.read())

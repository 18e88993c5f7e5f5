"""Keeps one resource of one cluster in step with the API server, for ever.

    list      a streaming list (KEP-3157); once that fails, pages of at most 500 objects (see streaming.py)
    watch     from the list's version on; resumed where it broke
    410       the version is too old: list again

A connection that is silent for too long is given up, and the watch is resumed.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping

from dnsbridge.backoff import Backoff
from dnsbridge.cluster.changes import Change
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch.api.intake import Counts, Intake
from dnsbridge.watch.api.reader import Progress, Reader
from dnsbridge.watch.api.refusal import Refused, unreachable
from dnsbridge.watch.api.resources import Resource
from dnsbridge.watch.api.server import Server
from dnsbridge.watch.api.streaming import Streaming

log = logging.getLogger(__name__)

SHORTEST_WATCH = 1.0
"""Seconds; a server that ends a watch sooner is not asked again at once."""
GARBLED_WATCHES = 3
"""Connections in a row that sent something that is no event, after which the list is read anew."""
NOT_OFFERED_SECONDS = 300.0
"""Seconds until a resource that the server lacks, or forbids us to read, is tried again."""


class Reflector:
    """One resource, its position, and the time of its last sign of life."""

    def __init__(
        self,
        resource: Resource,
        cluster: str,
        server: Server,
        held: Mapping[Key, Object],
        deliver: Callable[[list[Change]], None],
        silence: float,
        backoff: Backoff,
    ) -> None:
        """`held` is the result of all delivered changes; `silence` in seconds."""
        self.resource = resource
        self.counts = Counts()
        self.listed = False
        """Whether any list has ever been completed."""
        self.absent = False
        """The server said last that it lacks the resource, or forbids us to read it."""
        self.alive_at = 0.0
        """Monotonic time of the last octets from the server."""
        self.problem = ""
        """The last problem, while nothing has been read since."""
        self._cluster = cluster
        self._server = server
        self._intake = Intake(resource, cluster, held, deliver, self.counts)
        self._reader = Reader(
            resource, server.connection, self._intake, self.counts, silence, self._alive, self._something_read
        )
        self._streaming = Streaming()
        self._backoff = backoff
        self._silenced = False
        """The last connection was given up for silence; after that a status line alone proves nothing."""
        self._garbled = 0
        """Connections in a row that sent something that is no event."""
        self._listed_at = 0.0
        """Monotonic time of the end of the last list."""
        self._expires_at_once = False
        """The last list's version was too old as soon as the list was read; listing at once again would be no use."""
        self._shared_trouble = False
        """A failure since the last read was one that other resources are likely to meet as well."""
        self._woken = False
        """The server seemed to be back, but nothing has been read since."""

    @property
    def waits_for(self) -> str:
        """Why the resource has not been read: its last problem, while nothing has been read since."""
        return self.problem or ("its list is not complete" if self.alive_at else "no answer yet")

    @property
    def progress(self) -> Progress:
        """How far its list has been read."""
        return self._reader.progress

    async def run(self) -> None:
        """Follow the resource until cancelled; nothing that the server does ends it."""
        while True:
            streaming, refused = False, None
            started = time.monotonic()
            watching = bool(self._intake.position)
            try:
                if watching:
                    await self._watch()
                else:
                    await self._streaming.recall(self._server)
                    streaming = self._streaming.wanted
                    await (self._stream() if streaming else self._pages())
            except Refused as error:
                refused = error
            except Exception as error:
                refused = unreachable(error)
            paged = not watching and not streaming
            if paged:
                await self._streaming.pages_ended(self._server)
            if streaming and refused and not self._intake.position and self._streaming.failed(refused):
                self.counts.errors += not refused.invalid
                self.problem = refused.problem
                continue
            if refused is None:
                if (paged and not self._expires_at_once) or time.monotonic() - started > SHORTEST_WATCH:
                    self._backoff.succeeded()
                if paged or time.monotonic() - started > SHORTEST_WATCH:
                    continue
                refused = Refused("the watch ends as soon as it has begun")
            await self._pause(refused)

    async def _watch(self) -> None:
        began = time.monotonic()
        try:
            await self._reader.watch(proven=not self._silenced)
            self._alive()
            if time.monotonic() - began > SHORTEST_WATCH:
                self._expires_at_once = False
                self._something_read()
        finally:
            # Even after a failure: something between us and the server may cut every connection after some time.
            if self._intake.position and time.monotonic() - began > SHORTEST_WATCH:
                self._backoff.succeeded()

    async def _stream(self) -> None:
        began = time.monotonic()
        try:
            async with self._server.turns.take(self.resource.required) as turn:
                await self._reader.stream(turn, self._list_read)
        finally:
            if self._intake.position and time.monotonic() - began > SHORTEST_WATCH:
                self._backoff.succeeded()

    async def _pages(self) -> None:
        problem = self.problem

        def page_read() -> None:
            if self._streaming.page_read():
                self._server.say_pages(problem, self.resource.label)

        async with self._server.turns.take(self.resource.required) as turn:
            await self._reader.pages(turn, page_read, self._list_read)

    async def _pause(self, refused: Refused) -> None:
        """Wait after a failure: for its delay, or until the server is back."""
        delay = self._after(refused)
        if refused.retry_after or not refused.shared:
            await asyncio.sleep(delay)
            return
        may_probe = self.resource.required and refused.away and (refused.unconnected or not self._woken)
        if await self._server.wait(delay, self.resource if may_probe else None):
            self._woken = True
            self._silenced = False
            self._backoff.succeeded()

    def _after(self, refused: Refused) -> float:
        """Apply a failure to the state. Returns the seconds until the next attempt."""
        if refused.expired:
            watched, self._intake.position = bool(self._intake.position), ""
            again = self._expires_at_once
            self._expires_at_once = watched and time.monotonic() - self._listed_at < SHORTEST_WATCH
            if again and self._expires_at_once:
                # Once may be chance: the server compacted its history just then.
                self._server.complain(f"{refused.problem}, just after a list", self.resource.label)
            return self._backoff.delay()
        self._garbled = self._garbled + 1 if refused.garbled else 0
        if (refused.invalid or self._garbled >= GARBLED_WATCHES) and self._intake.position:
            self._intake.position = ""  # whatever the cause, a watch from this version brings nothing sensible
        self.counts.errors += 1
        if refused.silent:
            self.counts.silences += 1
            self._silenced = True
        self.problem = refused.problem
        self._shared_trouble = self._shared_trouble or refused.shared
        self.absent = refused.not_offered
        delay = self._backoff.delay(refused.retry_after)
        unneeded = refused.not_found or (refused.forbidden and self.resource.quiet)
        if refused.of_server:
            self._server.complain(refused.problem)
        elif not refused.silent and (self.resource.required or not unneeded):
            # A resume after silence is not worth a log line, nor is a kind that this cluster lacks.
            rule = f"; a ClusterRole must grant {self.resource.rule()}" if refused.forbidden else ""
            self._server.complain(refused.problem + rule, self.resource.label)
        if refused.not_offered and not self.resource.required:
            return NOT_OFFERED_SECONDS * (1 + random.random() / 4)
        return delay

    def _alive(self) -> None:
        self.alive_at = time.monotonic()
        self._silenced = False

    def _something_read(self) -> None:
        if self.problem:
            recovered, self._shared_trouble = self._shared_trouble, False
            self.problem = ""
            self._woken = False
            self._server.read(self.resource.label, recovered)

    def _list_read(self, objects: int) -> None:
        self._listed_at = time.monotonic()
        self.absent = False
        if not self.listed:
            self.listed = True
            log.info("cluster %s: %s: %d read", self._cluster, self.resource.plural, objects)

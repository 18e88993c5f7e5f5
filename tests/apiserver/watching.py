"""The stream of one watch: initial events, changes, bookmarks, its end."""

import asyncio
import time

import msgspec
from msgspec import Struct

from tests.apiserver.discovery import GIT_VERSION
from tests.apiserver.faults import NoEnd, Replay
from tests.apiserver.listing import Options
from tests.apiserver.output import Output
from tests.apiserver.resources import Resource
from tests.apiserver.status import Failure, too_large
from tests.apiserver.store import Change, Collection, Entry, Store


class WatchSettings(Struct):
    """How the server watches; tests may change it at any time."""

    bookmark_interval: float = 60.0
    """Seconds."""
    timeout: float = 1800.0
    """Seconds until a watch ends whose client gave no timeoutSeconds."""
    streaming_lists: bool = True
    """The feature gate WatchList."""
    git_version: str = GIT_VERSION
    """What the server says at /version."""
    gone_as_status: bool = False
    """A watch from a compacted version gets HTTP 410 instead of an ERROR event."""


class Watch:
    """One watch; made before the response starts, so that it can still be refused. Raises Failure (410, 504)."""

    def __init__(self, store: Store, resource: Resource, options: Options, settings: WatchSettings) -> None:
        self._store = store
        self._resource = resource
        self._collection: Collection = store[resource]
        self._options = options
        self._settings = settings
        self._position = options.version
        """Everything up to this version was sent."""
        initial = options.initial_events
        self._initial = options.resource_version in ("", "0") if initial is None else initial
        if options.version > store.resource_version:
            raise too_large(options.version, store.resource_version)
        if not self._initial and options.resource_version in ("", "0"):
            self._position = store.resource_version
        if not self._initial and settings.gone_as_status and self._position < self._collection.compacted:
            raise Failure(410, "Expired", "The resourceVersion for the provided watch is too old.")

    async def run(self, output: Output) -> None:
        """Send until the watch's time is over."""
        self._collection.watchers.add(output.wake)
        try:
            await self._run(output)
        finally:
            self._collection.watchers.discard(output.wake)

    async def _run(self, output: Output) -> None:
        timeout = self._settings.timeout if self._options.timeout is None else self._options.timeout
        deadline = time.monotonic() + timeout
        next_bookmark = time.monotonic() + self._settings.bookmark_interval
        await self._begin(output)
        while True:
            output.wake.clear()
            try:
                changes = self._collection.since(self._position)
            except Failure as failure:
                await output.send([failure.event()])
                return
            self._position = self._store.resource_version
            await self._send(output, self._lines(changes))
            now = time.monotonic()
            if now >= next_bookmark and self._options.bookmarks:
                await self._bookmark(output)
            if now >= next_bookmark:
                next_bookmark = now + self._settings.bookmark_interval
            if now >= deadline:
                return
            try:
                await asyncio.wait_for(output.wake.wait(), min(next_bookmark, deadline) - now)
            except TimeoutError:
                continue

    async def _begin(self, output: Output) -> None:
        """Initial events and their closing bookmark; or the past again, where a fault wants it."""
        if not self._initial:
            if isinstance(output.fault, Replay):
                changes = self._collection.latest(output.fault.count, self._position)
                lines = self._lines(changes)
                await self._send(output, lines[::-1] if output.fault.backwards else lines)
            return
        self._position = self._store.resource_version
        entries = [self._collection.entries[key] for key in self._collection.keys]
        if not output.empty:
            await self._send(output, [self._line("ADDED", entry) for entry in entries if self._selects(entry)])
        if self._options.initial_events and self._options.bookmarks and not isinstance(output.fault, NoEnd):
            await self._bookmark(output, {"k8s.io/initial-events-end": "true"})

    async def _send(self, output: Output, lines: list[bytes]) -> None:
        output.counters.events[self._resource.plural] += len(lines)
        await output.send(lines)

    async def _bookmark(self, output: Output, annotations: dict[str, str] | None = None) -> None:
        output.counters.bookmarks[self._resource.plural] += 1
        if annotations:
            output.counters.streamed.append((self._resource.plural, time.monotonic()))
        metadata = {"resourceVersion": str(self._position), "creationTimestamp": None}
        bookmark = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": {**metadata, "annotations": annotations} if annotations else metadata,
        }
        await output.send([msgspec.json.encode({"type": "BOOKMARK", "object": bookmark}) + b"\n"])

    def _selects(self, entry: Entry) -> bool:
        return self._options.selector.matches(entry.namespace, entry.name, entry.labels)

    def _line(self, kind: str, entry: Entry) -> bytes:
        return b'{"type":"%b","object":%b}\n' % (kind.encode(), entry.full(self._resource))

    def _lines(self, changes: list[Change]) -> list[bytes]:
        """The events of changes; an object that a selector no longer selects is deleted, to this watch."""
        lines = []
        for change in changes:
            after = change.kind != "DELETED" and self._selects(change.entry)
            before = change.before is not None and self._selects(change.before)
            if after:
                lines.append(self._line("MODIFIED" if before else "ADDED", change.entry))
            elif before and change.before is not None:
                lines.append(self._line("DELETED", _last(change, change.before)))
        return lines


def _last(change: Change, before: Entry) -> Entry:
    """The state that was last selected, under the version of the change."""
    if change.kind == "DELETED":
        return change.entry
    value = before.object()
    value["metadata"]["resourceVersion"] = str(change.resource_version)
    octets = msgspec.json.encode(value)
    return Entry(before.namespace, before.name, change.resource_version, before.labels, octets)

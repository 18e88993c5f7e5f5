"""All objects of all resources as encoded JSON, in the order of their keys, and the history of their changes.

One counter gives every change of any resource its resourceVersion. The history answers three things: what a watch
sends from a version on, what a list looked like at a version (a page that continues), and how far back that goes.
It pays for nothing else: an object is encoded once, when it is put.
"""

import asyncio
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tests.apiserver.resources import RESOURCES, Object, Resource
from tests.apiserver.status import too_old

HISTORY = 200_000
"""Changes of one resource that are kept; beyond, the older half is compacted."""


class Entry(Struct, frozen=True, eq=False):
    """One version of one object."""

    namespace: str
    """Empty for resources that have none."""
    name: str
    resource_version: int
    labels: dict[str, str]
    octets: bytes
    """The object's JSON without kind and apiVersion, which lists of built-in resources leave out."""

    @property
    def key(self) -> str:
        """What the order of lists goes by."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def object(self) -> Object:
        """The object, freshly decoded, without kind and apiVersion."""
        decoded: Object = msgspec.json.decode(self.octets)
        return decoded

    def full(self, resource: Resource) -> bytes:
        """Its JSON with kind and apiVersion."""
        return resource.head + self.octets[1:]


class Change(Struct, frozen=True, eq=False):
    """One change of one object."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    entry: Entry
    """The object after the change; for DELETED the last state, with the resourceVersion of its deletion."""
    before: Entry | None
    at: float
    """When it was made: seconds of time.monotonic(), which processes of one host share."""

    @property
    def resource_version(self) -> int:
        """The version that this change made."""
        return self.entry.resource_version


class Collection:
    """The objects of one resource."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.entries: dict[str, Entry] = {}
        self.keys: list[str] = []
        """Of `entries`, in order."""
        self.compacted = 0
        """Changes up to this version are gone from the history."""
        self.watchers: set[asyncio.Event] = set()
        """Set after each change."""
        self._changes: list[Change] = []
        self._past: dict[int, dict[str, Entry]] = {}

    def commit(self, change: Change) -> None:
        """Apply a change."""
        key = change.entry.key
        if change.kind == "ADDED":
            insort(self.keys, key)
        if change.kind == "DELETED":
            del self.keys[bisect_left(self.keys, key)]
            del self.entries[key]
        else:
            self.entries[key] = change.entry
        self._changes.append(change)
        if len(self._changes) > HISTORY:
            self.compact(self._changes[HISTORY // 2].resource_version)
        for watcher in self.watchers:
            watcher.set()

    def compact(self, version: int) -> None:
        """Forget the history up to and including a version."""
        self.compacted = max(self.compacted, version)
        self._changes = self._changes[bisect_right(self._changes, version, key=attrgetter("resource_version")) :]
        self._past = {}

    def since(self, version: int) -> list[Change]:
        """The changes after a version, oldest first; raises Failure (410) when some of them are gone."""
        if version < self.compacted:
            raise too_old(version, self.compacted)
        return self._changes[bisect_right(self._changes, version, key=attrgetter("resource_version")) :]

    def latest(self, count: int, version: int) -> list[Change]:
        """The last changes up to and including a version, oldest first."""
        end = bisect_right(self._changes, version, key=attrgetter("resource_version"))
        return self._changes[max(0, end - count) : end]

    def at(self, version: int) -> tuple[list[str], dict[str, Entry]]:
        """The keys in order, and the objects, as they were at a version; raises Failure (410)."""
        changes = self.since(version)
        if not changes:
            return self.keys, self.entries
        if version not in self._past:
            entries = dict(self.entries)
            for change in reversed(changes):
                if change.before is None:
                    entries.pop(change.entry.key, None)
                else:
                    entries[change.entry.key] = change.before
            self._past = {version: {key: entries[key] for key in sorted(entries)}}  # only the latest is kept
        past = self._past[version]
        return list(past), past


class Store:
    """The objects of all resources."""

    def __init__(self) -> None:
        self.collections = {resource: Collection(resource) for resource in RESOURCES}
        self.resource_version = 1
        """Of the last change."""
        self._encode = msgspec.json.Encoder().encode

    def __getitem__(self, resource: Resource) -> Collection:
        return self.collections[resource.stored_as or resource]

    def get(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        """An object, if it is there."""
        return self[resource].entries.get(f"{namespace}/{name}" if namespace else name)

    def put(self, resource: Resource, value: Object) -> Change:
        """Store an object as it is, under a new resourceVersion, which is also written into `value`."""
        self.resource_version += 1
        metadata: dict[str, Any] = value["metadata"]
        metadata["resourceVersion"] = str(self.resource_version)
        body = {key: field for key, field in value.items() if key not in ("kind", "apiVersion")}
        namespace = metadata["namespace"] if resource.namespaced else ""
        labels = metadata.get("labels") or {}
        entry = Entry(namespace, metadata["name"], self.resource_version, labels, self._encode(body))
        collection = self[resource]
        before = collection.entries.get(entry.key)
        change = Change("ADDED" if before is None else "MODIFIED", entry, before, time.monotonic())
        collection.commit(change)
        return change

    def delete(self, resource: Resource, entry: Entry) -> Change:
        """Remove an object that is there."""
        self.resource_version += 1
        value = entry.object()
        value["metadata"]["resourceVersion"] = str(self.resource_version)
        last = Entry(entry.namespace, entry.name, self.resource_version, entry.labels, self._encode(value))
        change = Change("DELETED", last, entry, time.monotonic())
        self[resource].commit(change)
        return change

    def compact(self, resources: Iterable[Resource] = RESOURCES) -> int:
        """Forget all history of these resources; returns the version up to which it is gone."""
        for resource in resources:
            self.collections[resource].compact(self.resource_version)
        return self.resource_version

    def everything_in(self, namespace: str) -> Iterator[tuple[Resource, Entry]]:
        """All objects in a namespace."""
        for resource, collection in self.collections.items():
            if resource.namespaced:
                for entry in list(collection.entries.values()):
                    if entry.namespace == namespace:
                        yield resource, entry

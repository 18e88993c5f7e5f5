"""Turns one resource's lists and events into changes of the held objects.

A list never empties the held objects first: it puts each object that it brings, and at its end removes the objects that
it did not bring. An event's object is taken only if it is newer than the held object (or than its deletion), so events
that are repeated or out of order across a reconnect do no harm.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping

import msgspec
from cachetools import LRUCache

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.flaws import Flaw
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.observe.histogram import Histogram
from dnsbridge.watch.api.decoding import Incoming, Skipped, decode_object
from dnsbridge.watch.api.refusal import Refused
from dnsbridge.watch.api.resources import Resource

log = logging.getLogger(__name__)

TURN = 0.0005
"""Seconds of decoding before the event loop sees to questions; applying the decoded objects takes as long again."""
CHECKED_AT_ONCE = 1000
"""Held keys that are checked against a finished list before the event loop sees to questions."""
DELIVERED_AT_ONCE = 500
"""Objects missing from a list that are removed together."""
MAX_INVALID = 1000
"""Objects that are logged because they, or parts of them, are left out; all are counted."""
MAX_GONE = 10_000
"""Deletions that are remembered, so that an older event does not bring the object back."""
DISTRUST_FROM = 10
"""Number of held objects from which on a single empty list is not believed."""
EMPTY_LISTS = 3
"""Empty lists in a row after which an empty list is believed."""
EMPTY_LIST_SECONDS = 2.0
"""Minimum seconds between two such lists."""
_INDEX = re.compile(r"\[[0-9]+\]")


class Counts(msgspec.Struct):
    """Counters of one resource; integers that only grow."""

    lists: int = 0
    watches: int = 0
    events: int = 0
    invalid_objects: int = 0
    """Objects left out."""
    invalid_parts: int = 0
    """Parts left out of objects that are used."""
    stale_events: int = 0
    """Events older than the held object."""
    errors: int = 0
    """Requests and watches that failed."""
    silences: int = 0
    """Connections given up because nothing came."""
    delay: Histogram = msgspec.field(default_factory=Histogram)
    """Seconds from an event's octets to the moment from which answers follow it; lists are not counted."""


class Intake:
    """Takes the objects of one resource."""

    def __init__(
        self,
        resource: Resource,
        cluster: str,
        held: Mapping[Key, Object],
        deliver: Callable[[list[Change]], None],
        counts: Counts,
    ) -> None:
        """`held` is the result of all delivered changes."""
        self.position = ""
        """The resourceVersion up to which everything has been taken; empty: a new list is needed."""
        self._resource = resource
        self._cluster = cluster
        self._held = held
        self._deliver = deliver
        self._counts = counts
        self._gone: LRUCache[Key, int] = LRUCache(MAX_GONE)
        self._empty_lists = 0
        self._said_invalid: dict[Key, str] = {}

    async def take(self, incoming: list[Incoming], seen: set[Key] | None) -> None:
        """Turn events into changes, some at a time, so that questions are answered in between.

        `seen` holds the keys of the list under way; None: there is no list.
        """
        changes: list[Change] = []
        began = time.monotonic()
        until = began + TURN
        for one in incoming:
            # The effect of an event depends on the held objects; only in a list does each object come just once.
            if changes and (seen is None or one.type != "ADDED"):
                self._deliver(changes)
                changes = []
            self._take_one(one, seen, changes)
            if time.monotonic() > until:
                self._deliver(changes)
                changes = []
                await asyncio.sleep(0)
                until = time.monotonic() + TURN
        if changes:
            self._deliver(changes)
        if seen is None and incoming:
            self._counts.delay.add(time.monotonic() - began, len(incoming))
        # More octets may be waiting already, and reading them does not yield to the event loop.
        await asyncio.sleep(0)

    async def finish_list(self, seen: set[Key], version: str) -> None:
        """End a list: remove the objects that it did not bring. Raises Refused if the list is not believed."""
        # Only this resource's changes touch the objects of its kind, so these objects stay as they are meanwhile.
        held = list(self._held)
        missing: list[Key] = []
        for start in range(0, len(held), CHECKED_AT_ONCE):
            checked = held[start : start + CHECKED_AT_ONCE]
            missing += [key for key in checked if self._resource.holds(key) and key not in seen]
            await asyncio.sleep(0)
        if not seen and len(missing) >= DISTRUST_FROM:
            self._empty_lists += 1
            if self._empty_lists < EMPTY_LISTS:
                problem = f"an empty list, while {len(missing)} objects are held; not believed yet"
                raise Refused(problem, retry_after=EMPTY_LIST_SECONDS, doubted=True)
        self._empty_lists = 0
        for start in range(0, len(missing), DELIVERED_AT_ONCE):
            self._deliver([Gone(key) for key in missing[start : start + DELIVERED_AT_ONCE]])
        self._gone.clear()
        self.position = version

    def _take_one(self, one: Incoming, seen: set[Key] | None, changes: list[Change]) -> None:
        self._counts.events += 1
        decoded = decode_object(self._resource, one)
        key, version = decoded.key, decoded.version
        if seen is None and version:
            self.position = version
        if one.type == "DELETED":
            if self._is_newer(key, version):
                self._remember_gone(key, version)
                if key in self._held:
                    changes.append(Gone(key))
            return
        if seen is not None:
            seen.add(key)
        if isinstance(decoded, Skipped):
            if decoded.problem:
                self._say_invalid(key, decoded.problem)
            elif key in self._held:
                changes.append(Gone(key))
            return
        # A list is the state itself, even if its versions are lower: the cluster was restored or made anew.
        if seen is None and not self._is_newer(key, version):
            self._counts.stale_events += 1
            return
        if decoded.flaws:
            self._say_flaws(key, decoded.flaws)
        self._gone.pop(key, None)
        changes.append(Put(decoded.object))

    def _say_invalid(self, key: Key, problem: str) -> None:
        """Count an object that is left out, and log it unless it was logged before."""
        self._counts.invalid_objects += 1
        if self._is_news(key, problem):
            log.warning("cluster %s: %s: %s; left out", self._cluster, key, problem)

    def _say_flaws(self, key: Key, flaws: tuple[Flaw, ...]) -> None:
        """Count the parts that are left out of an object, and log them unless they were logged before."""
        self._counts.invalid_parts += len(flaws)
        # List indices move with every change of a slice, while the flaws stay the same.
        news = " ".join(sorted({_INDEX.sub("[]", str(flaw)) for flaw in flaws}))
        if self._is_news(key, news):
            more = f" (and {len(flaws) - 1} more parts)" if len(flaws) > 1 else ""
            log.warning("cluster %s: %s: %s%s; only this is left out", self._cluster, key, flaws[0], more)

    def _is_news(self, key: Key, problem: str) -> bool:
        said = self._said_invalid
        if said.get(key) == problem or (key not in said and len(said) >= MAX_INVALID):
            return False
        said[key] = problem
        return True

    def _is_newer(self, key: Key, version: str) -> bool:
        """Whether an event is at least as new as the held object or its deletion; a non-numeric version always is."""
        if not version.isdecimal():
            return True
        if int(version) < self._gone.get(key, 0):
            return False
        held = self._held.get(key)
        return held is None or not held.resource_version.isdecimal() or int(version) >= int(held.resource_version)

    def _remember_gone(self, key: Key, version: str) -> None:
        if version.isdecimal():
            self._gone[key] = int(version)

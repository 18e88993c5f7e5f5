"""What one resource's lists and events make of the objects that are held.

What is held is never emptied meanwhile: a list puts what it brings, and at its end what it did not bring goes. An
object is taken only if it is newer than the one held (or than its deletion), so that events repeated or out of order
across a reconnect do no harm.
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
from dnsbridge.watch.api.decoding import Incoming, Skipped, decode_object
from dnsbridge.watch.api.refusal import Refused
from dnsbridge.watch.api.resources import Resource

log = logging.getLogger(__name__)

TURN = 0.0005
"""Seconds of decoding before the event loop sees to questions; to apply what was decoded takes as long again."""
CHECKED_AT_ONCE = 1000
"""Keys that are looked for in a list that has ended before the event loop sees to questions."""
DELIVERED_AT_ONCE = 500
"""Objects that a list did not bring and that go together."""
MAX_INVALID = 1000
"""Objects that are spoken of because they, or parts of them, are left out; all are counted."""
MAX_GONE = 10_000
"""Deletions that are remembered, so that an older event does not bring the object back."""
DISTRUST_FROM = 10
"""Objects held from which on an empty list is not believed at once."""
EMPTY_LISTS = 3
"""Empty lists in a row that are believed."""
EMPTY_LIST_SECONDS = 2.0
"""At least that far apart."""
_INDEX = re.compile(r"\[[0-9]+\]")


class Counts(msgspec.Struct):
    """What happened so far; integers that only grow."""

    lists: int = 0
    watches: int = 0
    events: int = 0
    invalid_objects: int = 0
    """Objects left out."""
    invalid_parts: int = 0
    """Parts left out of objects that are used."""
    stale_events: int = 0
    """Events older than what is held."""
    errors: int = 0
    """Requests and watches that failed."""
    silences: int = 0
    """Connections given up because nothing came."""


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
        """`held` is what all delivered changes have made."""
        self.position = ""
        """The resourceVersion up to which everything has been taken; empty: only a list helps."""
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

        `seen` are the keys of a list that is under way; None: there is no list.
        """
        changes: list[Change] = []
        until = time.monotonic() + TURN
        for one in incoming:
            # What an event does depends on what is held; only the objects of a list each come once.
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
        # More octets may wait already, and reading those does not let anyone else have a turn.
        await asyncio.sleep(0)

    async def finish_list(self, seen: set[Key], version: str) -> None:
        """A list has come to its end: what it did not bring goes. Raises Refused when the list is not believed."""
        # Only this resource's changes touch the objects of its kind, so they stay as they are meanwhile.
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
        # A list is the state itself, also when its versions are lower: of a cluster restored or made anew.
        if seen is None and not self._is_newer(key, version):
            self._counts.stale_events += 1
            return
        if decoded.flaws:
            self._say_flaws(key, decoded.flaws)
        self._gone.pop(key, None)
        changes.append(Put(decoded.object))

    def _say_invalid(self, key: Key, problem: str) -> None:
        """Count an object that is left out, and say so unless that was said before."""
        self._counts.invalid_objects += 1
        if self._is_news(key, problem):
            log.warning("cluster %s: %s: %s; left out", self._cluster, key, problem)

    def _say_flaws(self, key: Key, flaws: tuple[Flaw, ...]) -> None:
        """Count the parts that are left out of an object, and say so unless that was said before."""
        self._counts.invalid_parts += len(flaws)
        # The places in a list move with every change of a slice; what is wrong there stays.
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
        """Whether an event is newer than what is known of its object; versions that are no numbers always are."""
        if not version.isdecimal():
            return True
        if int(version) < self._gone.get(key, 0):
            return False
        held = self._held.get(key)
        return held is None or not held.resource_version.isdecimal() or int(version) >= int(held.resource_version)

    def _remember_gone(self, key: Key, version: str) -> None:
        if version.isdecimal():
            self._gone[key] = int(version)

"""Keeps one resource of one cluster in step with the API server, for ever.

    list      a streaming list where the server offers it (KEP-3157), else pages of at most 500
    watch     from the list's version on; resumed where it broke
    410       the version is too old: list again

What is held is never emptied meanwhile: a list puts what it brings, and at its end what it did not bring goes. An
object is taken only if it is newer than the one held (or than its deletion), so that events repeated or out of order
across a reconnect do no harm. A connection that is silent for too long is given up and the watch resumed.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.flaws import Flaw
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch import frames
from dnsbridge.watch.backoff import Backoff
from dnsbridge.watch.connection import Connection
from dnsbridge.watch.decoding import Incoming, Skipped, decode_object
from dnsbridge.watch.refusal import Refused, refusal_of, unreachable
from dnsbridge.watch.resources import Resource

if TYPE_CHECKING:
    from aiohttp import ClientResponse

log = logging.getLogger(__name__)

PAGE = 500
"""Objects of one page (`limit`)."""
TURN = 0.0005
"""Seconds of decoding before the event loop sees to questions; to apply what was decoded takes as long again."""
READ = 1 << 15
"""Octets of a watch that are taken at once; megabytes may have come by then, and to cut all that takes long."""
CHECKED_AT_ONCE = 1000
"""Keys that are looked for in a list that has ended before the event loop sees to questions."""
WATCH_SHARE = 0.75
"""Of the silence that is borne: for so long a watch goes on (`timeoutSeconds`). Shortly before it ends one the server
sends a bookmark, so a watch that is alive is never silent for too long, however quiet the cluster."""
MAX_TROUBLES = 10
"""Different problems of one server that are said before it has answered again."""
SHORTEST_WATCH = 1.0
"""Seconds; a server that ends watches sooner than that is not asked again at once."""
GARBLED_WATCHES = 3
"""Connections in a row with something that is no event, after which the list is read anew."""
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
NOT_OFFERED_SECONDS = 300.0
"""Until a resource that the server does not have, or does not let us see, is tried again."""


_INDEX = re.compile(r"\[[0-9]+\]")
_OF_OBJECTS = frozenset({"ADDED", "MODIFIED", "DELETED"})


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


class Reflector:
    """One resource, its position, and when it last gave a sign of life."""

    def __init__(
        self,
        resource: Resource,
        cluster: str,
        connection: Connection,
        held: Mapping[Key, Object],
        deliver: Callable[[list[Change]], None],
        silence: float,
        backoff: Backoff,
    ) -> None:
        """`held` is what all delivered changes have made; `silence` in seconds."""
        self.resource = resource
        self.counts = Counts()
        self.listed = False
        """Whether a list has come to its end, ever."""
        self.absent = False
        """The server said last that it does not have the resource, or does not let us see it."""
        self.alive_at = 0.0
        """Monotonic time of the last octets from the server."""
        self._cluster = cluster
        self._connection = connection
        self._held = held
        self._deliver = deliver
        self._silence = silence
        self._silenced = False
        """The last connection was given up; a status line alone proves nothing after that."""
        self._backoff = backoff
        self._position = ""
        self._streaming = True
        self._gone: dict[Key, int] = {}
        self._empty_lists = 0
        self._garbled = 0
        """Connections in a row on which something came that is no event."""
        self._complaint = ""
        self._said_invalid: dict[Key, str] = {}

    async def run(self) -> None:
        """Follow the resource until cancelled; nothing that the server does ends it."""
        while True:
            refused: Refused | None = None
            started = time.monotonic()
            listing = not self._position and not self._streaming
            try:
                if self._position:
                    await self._watch(initial=False)
                elif self._streaming:
                    await self._watch(initial=True)
                else:
                    await self._list()
            except Refused as error:
                refused = error
            except Exception as error:
                refused = unreachable(error)
            if refused is None:
                if listing or time.monotonic() - started > SHORTEST_WATCH:
                    self._backoff.succeeded()
                    continue
                refused = Refused("the watch ends as soon as it has begun")
            await asyncio.sleep(self._after(refused))

    def _after(self, refused: Refused) -> float:
        """What a failure changes; returns the seconds until the next attempt."""
        if refused.expired:
            self._position = ""
            return self._backoff.delay()
        self._garbled = self._garbled + 1 if refused.garbled else 0
        if (refused.invalid or self._garbled >= GARBLED_WATCHES) and self._position:
            self._position = ""  # whatever brought us there: from this version on nothing sensible comes
        if refused.no_streaming and self._streaming and not self._position:
            self._streaming = False
            return 0.0
        self.counts.errors += 1
        if refused.silent:
            self.counts.silences += 1
            self._silenced = True
        delay = self._backoff.delay(refused.retry_after)
        self.absent = refused.not_offered
        if refused.not_offered and not self.resource.required:
            delay = NOT_OFFERED_SECONDS * (1 + random.random() / 4)
        if refused.of_server:
            self._say_trouble(refused.problem)
            return delay
        unneeded = refused.not_found or (refused.forbidden and self.resource.quiet)
        if refused.silent or (unneeded and not self.resource.required):
            return delay  # a resume is nothing to speak of, nor is a kind that this cluster does not have
        complaint = refused.problem
        if refused.forbidden:
            complaint += f"; a ClusterRole must grant {self.resource.rule()}"
        if complaint != self._complaint:
            self._complaint = complaint
            log.warning("cluster %s: %s: %s; trying again", self._cluster, self.resource.plural, complaint)
        return delay

    def _say_trouble(self, problem: str) -> None:
        """Say what all resources of this server meet, but only once."""
        troubles = self._connection.troubles
        if problem not in troubles and len(troubles) < MAX_TROUBLES:
            troubles.add(problem)
            log.warning("cluster %s: %s; trying again", self._cluster, problem)

    def _answered(self) -> None:
        """The server has taken a request."""
        if self._connection.troubles:
            self._connection.troubles.clear()
            log.info("cluster %s: connected again", self._cluster)

    def _alive(self) -> None:
        self.alive_at = time.monotonic()
        self._silenced = False
        if self._complaint:
            self._complaint = ""
            log.info("cluster %s: %s: connected again", self._cluster, self.resource.plural)

    async def _list(self) -> None:
        """Read the whole list in pages. Raises Refused."""
        self.counts.lists += 1
        seen: set[Key] = set()
        more = ""
        while True:
            parameters: dict[str, str | int] = {"limit": PAGE}
            if more:
                parameters["continue"] = more
            async with self._connection.get(self.resource.query(**parameters), self._silence) as response:
                if response.status != 200:
                    raise refusal_of(response.status, response.headers, await response.read())
                self._answered()
                octets = await response.read()
            self._alive()
            page = frames.page_decoder.decode(octets)
            del octets
            await self._take([Incoming("ADDED", item) for item in page.items or ()], seen)
            more = page.metadata.more
            if not more:
                break
        await self._finish_list(seen, page.metadata.resource_version)

    async def _watch(self, initial: bool) -> None:
        """Follow one watch to its end; an `initial` one begins with a streaming list. Raises Refused."""
        self.counts.watches += 1
        seconds = max(1, int(self._silence * WATCH_SHARE * (0.8 + random.random() / 5)))
        parameters: dict[str, str | int] = {"watch": 1, "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        seen: set[Key] | None = None
        if initial:
            self.counts.lists += 1
            seen = set()
            parameters |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        else:
            parameters["resourceVersion"] = self._position
        async with self._connection.get(self.resource.query(**parameters), self._silence) as response:
            if response.status != 200:
                raise refusal_of(response.status, response.headers, await response.read(), streaming=initial)
            self._answered()
            if not self._silenced:
                self._alive()
            began = time.monotonic()
            try:
                await self._follow(response, seen)
            finally:
                # However it ended: something between us and the server may cut each connection after some time.
                if self._position and time.monotonic() - began > SHORTEST_WATCH:
                    self._backoff.succeeded()
            self._alive()

    async def _follow(self, response: "ClientResponse", seen: set[Key] | None) -> None:
        """Take a watch's events until the server ends it; `seen` while the initial ones are under way."""
        lines = frames.Lines()
        async for octets in response.content.iter_chunked(READ):
            self._alive()
            incoming: list[Incoming] = []
            for line in lines.feed(octets):
                event = frames.event_decoder.decode(line)
                if event.type == "ERROR":
                    await self._take(incoming, seen)
                    raise refusal_of(frames.status_decoder.decode(event.object).code, {}, event.object)
                if event.type == "BOOKMARK":
                    await self._take(incoming, seen)
                    incoming = []
                    metadata = frames.identified_decoder.decode(event.object).metadata
                    if seen is not None and (metadata.annotations or {}).get("k8s.io/initial-events-end") == "true":
                        await self._finish_list(seen, metadata.resource_version)
                        seen = None
                    elif seen is None and metadata.resource_version:
                        self._position = metadata.resource_version
                elif event.type in _OF_OBJECTS:
                    incoming.append(Incoming(event.type, event.object))
            await self._take(incoming, seen)

    async def _take(self, incoming: list[Incoming], seen: set[Key] | None) -> None:
        """Turn events into changes, some at a time, so that questions are answered in between."""
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

    def _take_one(self, one: Incoming, seen: set[Key] | None, changes: list[Change]) -> None:
        self.counts.events += 1
        decoded = decode_object(self.resource, one)
        key, version = decoded.key, decoded.version
        if seen is None and version:
            self._position = version
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
            self.counts.stale_events += 1
            return
        if decoded.flaws:
            self._say_flaws(key, decoded.flaws)
        self._gone.pop(key, None)
        changes.append(Put(decoded.object))

    def _say_invalid(self, key: Key, problem: str) -> None:
        """Count an object that is left out, and say so unless that was said before."""
        self.counts.invalid_objects += 1
        if self._is_news(key, problem):
            log.warning("cluster %s: %s: %s; left out", self._cluster, key, problem)

    def _say_flaws(self, key: Key, flaws: tuple[Flaw, ...]) -> None:
        """Count the parts that are left out of an object, and say so unless that was said before."""
        self.counts.invalid_parts += len(flaws)
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
            if len(self._gone) >= MAX_GONE:
                del self._gone[next(iter(self._gone))]
            self._gone[key] = int(version)

    async def _finish_list(self, seen: set[Key], version: str) -> None:
        """A list has come to its end: what it did not bring goes."""
        # Only this reflector changes the objects of its kind, so they stay as they are meanwhile.
        held = list(self._held)
        missing: list[Key] = []
        for start in range(0, len(held), CHECKED_AT_ONCE):
            checked = held[start : start + CHECKED_AT_ONCE]
            missing += [key for key in checked if self.resource.holds(key) and key not in seen]
            await asyncio.sleep(0)
        if not seen and len(missing) >= DISTRUST_FROM:
            self._empty_lists += 1
            if self._empty_lists < EMPTY_LISTS:
                problem = f"an empty list, while {len(missing)} objects are held; not believed yet"
                raise Refused(problem, retry_after=EMPTY_LIST_SECONDS)
        self._empty_lists = 0
        for start in range(0, len(missing), PAGE):
            self._deliver([Gone(key) for key in missing[start : start + PAGE]])
        self._gone.clear()
        self._position = version
        self.absent = False
        if not self.listed:
            self.listed = True
            log.info("cluster %s: %s: %d read", self._cluster, self.resource.plural, len(seen))

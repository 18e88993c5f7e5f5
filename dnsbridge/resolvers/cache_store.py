"""The table of forwarded answers: bounded in number and octets, and proof against a scan of random names.

An answer starts on probation and is protected once it was asked for again; room is made on probation first. So names
that are asked once push out each other and nothing else. Time is an argument, in whole seconds.
"""

from collections import OrderedDict

import msgspec

from dnsbridge.wire.stored import Stored

PROTECTED_SHARE = 0.8
OVERHEAD = 500
"""Octets that an answer takes beside its key and records: objects and table slots."""
LARGEST_SHARE = 8
"""An answer that would take more than one part in so many of all octets is not kept: it would push out all others."""
OCTETS_EACH = 1000
"""Octets that an answer may take on average before the table is full: 100,000 answers are at most 100 MB."""

Key = bytes
"""Folded name, type, class, and an octet for DO and CD."""


class Held(msgspec.Struct, gc=False):
    """An answer in the table; a newer one takes its place in it."""

    stored: Stored
    since: int
    """When it was stored."""
    hits: int = 0

    @property
    def expires(self) -> int:
        """The first second in which it is stale."""
        return self.since + self.stored.ttl


class CacheStore:
    """Answers by key."""

    def __init__(self, size: int) -> None:
        """`size` is the number of answers; 0 keeps none."""
        self.size = size
        self.octets = 0
        self.evicted = 0
        # Unlike a dict, this finds its first entry at once however many were taken from its front.
        self._probation: OrderedDict[Key, Held] = OrderedDict()
        self._protected: OrderedDict[Key, Held] = OrderedDict()
        self._most = size * OCTETS_EACH

    def __len__(self) -> int:
        return len(self._probation) + len(self._protected)

    def get(self, key: Key) -> Held | None:
        """The answer, fresh or stale; it is asked for again, so it is protected from now on."""
        held = self._protected.get(key)
        if held is not None:
            self._protected.move_to_end(key)
        else:
            held = self._probation.pop(key, None)
            if held is None:
                return None
            self._protected[key] = held
            if len(self._protected) > self.size * PROTECTED_SHARE:
                demoted, other = self._protected.popitem(last=False)
                self._probation[demoted] = other
        held.hits += 1
        return held

    def put(self, key: Key, stored: Stored, now: int) -> None:
        """Keep an answer in the place of an older one."""
        table = self._protected if key in self._protected else self._probation
        old = table.get(key)
        size = _octets(key, stored)
        if old is not None:
            self.octets -= _octets(key, old.stored)
        if size * LARGEST_SHARE > self._most:
            if old is not None:
                del table[key]
            return
        self.octets += size
        if old is not None:
            old.stored, old.since, old.hits = stored, now, 0
        else:
            table[key] = Held(stored, now)
        while len(self) > self.size or self.octets > self._most:
            self._evict()

    def remove(self, name: bytes | None) -> int:
        """Forget all answers of a folded name (None: of all names); how many there were."""
        gone = 0
        for table in (self._probation, self._protected):
            for key in [key for key in table if name is None or key[:-5] == name]:
                self.octets -= _octets(key, table.pop(key).stored)
                gone += 1
        return gone

    def of_name(self, name: bytes) -> list[tuple[Key, Held]]:
        """The answers of a folded name."""
        tables = (self._probation, self._protected)
        return [(key, held) for table in tables for key, held in table.items() if key[:-5] == name]

    def _evict(self) -> None:
        key, held = (self._probation or self._protected).popitem(last=False)
        self.octets -= _octets(key, held.stored)
        self.evicted += 1


def _octets(key: Key, stored: Stored) -> int:
    # Each record has its TTL kept beside it.
    return len(key) + len(stored.records) + len(stored.said) + 24 * len(stored.ttls) + OVERHEAD

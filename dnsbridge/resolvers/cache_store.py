"""The table of forwarded answers: bounded in number and octets, and proof against a scan of random names.

An answer starts on probation and is protected once it was asked for again; room is made on probation first. So names
that are asked once push out each other and nothing else. Time is an argument, in whole seconds.
"""

import msgspec

from dnsbridge.wire.stored import Stored

PROTECTED_SHARE = 0.8
OVERHEAD = 400
"""Octets that an answer takes beside its key and records: objects and table slots."""
OCTETS_EACH = 1000
"""Octets that an answer may take on average before the table is full: 100,000 answers are at most 100 MB."""

Key = bytes
"""Folded name, type, class, and an octet for DO and CD."""


class Held(msgspec.Struct):
    """An answer in the table."""

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
        self._probation: dict[Key, Held] = {}
        self._protected: dict[Key, Held] = {}

    def __len__(self) -> int:
        return len(self._probation) + len(self._protected)

    def get(self, key: Key) -> Held | None:
        """The answer, fresh or stale; it is asked for again, so it is protected from now on."""
        held = self._protected.pop(key, None)
        if held is None:
            held = self._probation.pop(key, None)
            if held is None:
                return None
        held.hits += 1
        self._protected[key] = held
        if len(self._protected) > self.size * PROTECTED_SHARE:
            demoted = next(iter(self._protected))
            self._probation[demoted] = self._protected.pop(demoted)
        return held

    def put(self, key: Key, stored: Stored, now: int) -> None:
        """Keep an answer in the place of an older one."""
        old = self._protected.get(key) or self._probation.get(key)
        if old is not None:
            self.octets += len(stored.records) - len(old.stored.records)
            old.stored, old.since, old.hits = stored, now, 0
        elif self.size:
            self.octets += _octets(key, stored)
            self._probation[key] = Held(stored, now)
        while len(self) > self.size or self.octets > self.size * OCTETS_EACH:
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
        table = self._probation or self._protected
        key = next(iter(table))
        self.octets -= _octets(key, table.pop(key).stored)
        self.evicted += 1


def _octets(key: Key, stored: Stored) -> int:
    return len(key) + len(stored.records) + OVERHEAD

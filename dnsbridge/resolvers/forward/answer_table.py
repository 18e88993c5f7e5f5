"""The table of forwarded answers: bounded in number and octets, and proof against a scan of random names.

An answer starts on probation, in the order of arrival. To make room, the oldest answer on probation is evicted, or
becomes protected if it was asked for again. So names that are asked once push out only each other. When too many are
protected, the oldest one not asked for since its last turn is evicted. Time is an argument, in whole seconds.

cachetools' LRUCache is not proof against a scan, and costs about five times as much as the dict here.
"""

from collections import deque

import msgspec

from dnsbridge.wire.constants import CD
from dnsbridge.wire.stored import Stored

PROTECTED_SHARE = 0.8
CHANCES = 100
"""Protected answers that are spared because they were asked for, while room is made for one: a bound on the time."""
OVERHEAD = 500
"""Octets that an answer takes beside its key and records: objects and table slots."""
OCTETS_OF_OFFSET = 40
"""Octets that the offset of a TTL takes."""
LARGEST_SHARE = 8
"""An answer that would take more than one part in so many of all octets is not kept: it would push out the others."""
OCTETS_EACH = 1000
"""Octets that an answer may take on average before the table is full: 100,000 answers are at most 100 MB."""

Key = bytes
"""Folded name, type, class, and an octet for DO and CD."""
KINDS = {kind: bytes((kind,)) for kind in (0, 1, CD, CD | 1)}
"""The last octet of a key, by the DO bit as 1 and the CD flag."""


class Held(msgspec.Struct, gc=False):
    """An answer in the table. A newer answer replaces it in place."""

    stored: Stored
    since: int
    """When it was stored."""
    octets: int
    """Octets that it takes in the table."""
    hits: int = 0
    again: bool = False
    """Whether it was asked for since its last turn for eviction."""

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
        self._held: dict[Key, Held] = {}
        self._probation: deque[Key] = deque()
        self._protected: deque[Key] = deque()
        """Each key that is held is in one of the two."""
        self._most = size * OCTETS_EACH
        self._most_protected = int(size * PROTECTED_SHARE)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Key) -> Held | None:
        """The answer, fresh or stale; this counts as asking for it."""
        held = self._held.get(key)
        if held is not None:
            held.hits += 1
            held.again = True
        return held

    def put(self, key: Key, stored: Stored, now: int) -> None:
        """Keep an answer, in place of an older one."""
        octets = len(key) + len(stored.records) + len(stored.said) + OVERHEAD
        if stored.ttls_at:
            octets += OCTETS_OF_OFFSET * len(stored.ttls_at)
        old = self._held.get(key)
        if octets * LARGEST_SHARE > self._most:
            if old is not None:
                self._remove({key})
            return
        self.octets += octets
        if old is None:
            self._held[key] = Held(stored, now, octets)
            self._probation.append(key)
        elif old.stored.leads_on or stored.leads_on:
            # Bodies made from the old answer must not turn into the new one, whose chain ends elsewhere.
            self.octets -= old.octets
            self._held[key] = Held(stored, now, octets, again=old.again)
        else:
            self.octets -= old.octets
            old.stored, old.since, old.octets, old.hits = stored, now, octets, 0
        while self.octets > self._most or len(self._held) > self.size:
            self._make_room()

    def remove(self, name: bytes | None) -> int:
        """Forget all answers for a folded name (None: for all names); returns how many there were."""
        return self._remove({key for key in self._held if name is None or key[:-5] == name})

    def of_name(self, name: bytes) -> list[tuple[Key, Held]]:
        """The answers for a folded name."""
        return [(key, held) for key, held in self._held.items() if key[:-5] == name]

    def _make_room(self) -> None:
        """Evict one answer."""
        held = self._held
        probation, protected = self._probation, self._protected
        chances = CHANCES
        while True:
            if probation and len(protected) <= self._most_protected:
                key = probation.popleft()
            else:
                key = protected.popleft()
                chances -= 1
            oldest = held[key]
            if not oldest.again or chances < 0:
                break
            oldest.again = False
            protected.append(key)
        del held[key]
        self.octets -= oldest.octets
        self.evicted += 1

    def _remove(self, keys: set[Key]) -> int:
        for key in keys:
            self.octets -= self._held.pop(key).octets
        if keys:
            self._probation = deque([key for key in self._probation if key not in keys])
            self._protected = deque([key for key in self._protected if key not in keys])
        return len(keys)

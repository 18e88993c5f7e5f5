"""The cache of forwarded answers, shown and flushed for people."""

from msgspec import Struct

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.facts.lookup import ShownRecord, shown_records
from dnsbridge.resolvers.forward.answer_table import Held, Key
from dnsbridge.resolvers.resolver import second
from dnsbridge.wire import edns, whole_message
from dnsbridge.wire import name as names
from dnsbridge.wire.constants import CD, Class, Rcode
from dnsbridge.wire.presentation import type_to_text
from dnsbridge.wire.query import Query, compose, parse


class ShownHeld(Struct, frozen=True, omit_defaults=True):
    """An answer in the cache; times in seconds."""

    name: str
    type: str
    dnssec_ok: bool
    checking_disabled: bool
    rcode: str
    age: int
    ttl: int
    """The rest of its life; 0 when it has expired."""
    stale_since: int
    """How long ago it expired; 0 while it is fresh."""
    octets: int
    records: list[ShownRecord]
    worker: int | None = None
    """The worker that holds it, from 1; left out without workers."""


class Cache:
    """The cache as the HTTP side and the command line use it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def show(self, name: str) -> list[ShownHeld]:
        """All answers held for a name. Raises BadNameError."""
        return held_of(self._parts, names.from_text(name).lower())

    async def flush(self, name: str | None) -> int:
        """Forget the answers for a name (None: for all names); returns their number. Raises BadNameError."""
        return self._parts.flush(None if name is None else names.from_text(name).lower())


def held_of(parts: Parts, name: bytes) -> list[ShownHeld]:
    """All answers held for a folded name."""
    now = second()
    return [_shown(name, key, held, now) for key, held in parts.zones.store.of_name(name)]


def _shown(name: bytes, key: Key, held: Held, now: int) -> ShownHeld:
    rtype = int.from_bytes(key[-5:-3], "big")
    dnssec_ok, checking_disabled = bool(key[-1] & 1), bool(key[-1] & CD)
    stored = held.stored
    query = parse(compose(name, rtype, Class.IN, 0, opt=edns.record(dnssec_ok)), stream=True)
    message = whole_message.read(b"\0\0" + stored.render(query, now - held.since)) if isinstance(query, Query) else None
    records = []
    if isinstance(message, whole_message.Message):
        for section, rrsets in (("answer", message.answer), ("authority", message.authority)):
            for rrset in rrsets:
                records += shown_records(section, rrset)
    return ShownHeld(
        names.to_text(name),
        type_to_text(rtype),
        dnssec_ok,
        checking_disabled,
        Rcode(stored.rcode).name,
        now - held.since,
        max(held.expires - now, 0),
        max(now - held.expires, 0),
        len(stored.records),
        records,
    )

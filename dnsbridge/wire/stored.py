"""A forwarded answer as it is kept: the octets after its question, and where in them the TTLs stand.

Compression pointers lead back into the question or to earlier records, and the question of a client that asks the same
has the same length; so the octets fit behind the question of any such client, in any case, and only TTLs are patched.

    keep(query, reply)                  a reply -> Stored, or that it is broken
    stored.render(query, age, ...)      Stored -> the body for a client
"""

from struct import Struct as Layout

import msgspec

from dnsbridge.wire import edns, walk
from dnsbridge.wire.compose import Sections, compose, octets
from dnsbridge.wire.constants import AD, HEADER_SIZE, QR, RA, TC, Rcode, Type
from dnsbridge.wire.query import Query
from dnsbridge.wire.scrub import scrub

MAX_TTL = 86400
"""Seconds; no answer is kept for longer (RFC 8767 section 4 speaks of days)."""
MAX_NEGATIVE_TTL = 3600
"""Seconds; RFC 2308 section 5 has one to three hours as sensible."""
FAILURE_TTL = 5
"""Seconds that a failure is remembered (RFC 9520 section 3.2 allows 1 to 300)."""
STALE_TTL = 30
"""Seconds, in an answer that has expired (RFC 8767 section 4)."""

_HEADER = Layout("!HHHHHH")
_AFTER_ID = Layout("!HHHHH")
_TTL = Layout("!I")
_POINTER_TO_QUESTION = b"\xc0\x0c"


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An answer."""

    flags: int
    """AD, TC and RCODE."""
    answers: int
    authorities: int
    records: bytes
    """The answer and authority sections."""
    ttls: tuple[int, ...]
    """Offset and value of each TTL, in turn."""
    ttl: int
    """Seconds that it is good for; 0 for what is not to be kept, only passed on."""

    @property
    def rcode(self) -> int:
        """The RCODE."""
        return self.flags & 15

    def render(self, query: Query, age: int, options: bytes = b"", stale: bool = False) -> bytes:
        """The body for a client, `age` seconds later, at most `query.limit` octets."""
        records = bytearray(self.records)
        ttls = self.ttls
        for at in range(0, len(ttls), 2):
            left = STALE_TTL if stale else max(ttls[at + 1] - age, 0)
            _TTL.pack_into(records, ttls[at], left)
        flags = QR | RA | query.flags | self.flags
        if flags & AD and not (query.edns and query.edns.dnssec_ok) and not query.message[3] & AD:
            flags &= ~AD  # who did not ask for it would not know what it means (RFC 6840 section 5.8)
        opt = edns.record(query.edns.dnssec_ok, options) if query.edns else b""
        counts = (1, self.answers, self.authorities, 1 if opt else 0)
        body = _AFTER_ID.pack(flags, *counts) + query.question + records + opt
        if len(body) + 2 <= query.limit:
            return body
        cut = walk.truncate(b"\0\0" + body, query.limit)
        if isinstance(cut, walk.Broken) or len(cut) > query.limit:
            return _AFTER_ID.pack(flags | TC, 1, 0, 0, counts[3]) + query.question + opt
        return cut[2:]


def keep(query: Query, reply: bytes) -> Stored | walk.Broken:
    """What is kept of a reply (ID included) whose question is the query's."""
    _, flags, _, answers, authorities, _ = _HEADER.unpack_from(reply)
    rcode = flags & 15
    if flags & TC or rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
        return Stored(flags & (TC | 15), 0, 0, b"", (), 0)
    found = walk.records(reply)
    if isinstance(found, walk.Broken):
        return found
    own = [record for record in found if record.section < 2]
    if not _is_clean(query, reply, own, rcode):
        scrubbed = _scrubbed(query, reply)
        if isinstance(scrubbed, walk.Broken):
            return scrubbed
        reply = scrubbed
        answers, authorities = _HEADER.unpack_from(reply)[3:5]
        again = walk.records(reply)
        if isinstance(again, walk.Broken):
            return again
        own = [record for record in again if record.section < 2]
    start = HEADER_SIZE + len(query.name) + 4
    end = own[-1].end if own else start
    ttls: list[int] = []
    for record in own:
        ttls += (record.ttl_at - start, min(record.ttl if record.ttl < 1 << 31 else 0, MAX_TTL))
    ttl = _lifetime(query, reply, own, rcode)
    return Stored(flags & (AD | 15), answers, authorities, reply[start:end], tuple(ttls), ttl)


def _is_clean(query: Query, reply: bytes, own: list[walk.Record], rcode: int) -> bool:
    """Whether nothing can need scrubbing: the records asked for, directly at the question's name, and no others."""
    if rcode or not own:
        return False
    qtype = query.qtype
    return all(
        record.section == 0
        and record.rtype == qtype
        and record.rclass == query.qclass
        and reply[record.start : record.start + 2] == _POINTER_TO_QUESTION
        for record in own
    )


def _scrubbed(query: Query, reply: bytes) -> bytes | walk.Broken:
    message = walk.read(reply)
    if isinstance(message, walk.Broken):
        return message
    dnssec_ok = bool(query.edns and query.edns.dnssec_ok)
    cleaned = scrub(message, query.folded, query.qtype, dnssec_ok)
    if cleaned is None:
        return walk.Broken("a CNAME chain that does not end")
    said = Sections(Rcode.NOERROR, cleaned.answer, cleaned.authority, authoritative=False)
    body = octets(compose(query, said))
    flags = int.from_bytes(reply[2:4], "big")
    return b"\0\0" + flags.to_bytes(2, "big") + body[2:]


def _lifetime(query: Query, reply: bytes, own: list[walk.Record], rcode: int) -> int:
    """Seconds that an answer is good for; 0: not to be kept."""
    ttls = [record.ttl if record.ttl < 1 << 31 else 0 for record in own if record.section == 0]
    positive = rcode == Rcode.NOERROR and any(
        record.rtype == query.qtype or query.qtype == Type.ANY for record in own if record.section == 0
    )
    if positive:
        return min(*ttls, MAX_TTL)
    for record in own:
        if record.section == 1 and record.rtype == Type.SOA:
            minimum = int.from_bytes(reply[record.end - 4 : record.end], "big")
            return min(*ttls, record.ttl, minimum, MAX_NEGATIVE_TTL)
    return 0

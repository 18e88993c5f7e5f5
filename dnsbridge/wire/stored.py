"""A forwarded answer as it is kept: the octets after its question, and where in them the TTLs stand.

Compression pointers lead back into the question or to earlier records, and the question of a client that asks the same
has the same length; so the octets fit behind the question of any such client, in any case, and only TTLs are patched.

    keep(query, reply)                  a reply -> Stored, or that it is broken
    stored.render(query, age, ...)      Stored -> the body for a client
"""

from struct import Struct as Layout

import msgspec

from dnsbridge.wire import edns, rdata, walk
from dnsbridge.wire.compose import Sections, compose, octets
from dnsbridge.wire.constants import AD, HEADER_SIZE, QR, RA, TC, ExtendedError, Option, Rcode, Type
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
_COUNTS = Layout("!HHHH")
_TTL = Layout("!I")
_TTL_AND_LENGTH = Layout("!IH")
_POINTER_TO_QUESTION = b"\xc0\x0c"
_GOOD = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})
_STALE = edns.extended_error(ExtendedError.STALE_ANSWER)


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An answer."""

    flags: int
    """AD and RCODE."""
    answers: int
    authorities: int
    records: bytes
    """The answer and authority sections."""
    ttls: tuple[int, ...]
    """Offset and value of each TTL, in turn."""
    ttl: int
    """Seconds that it is good for; 0 for what is not to be kept, only passed on."""
    said: bytes = b""
    """The extended error options that came with it (RFC 8914)."""

    @property
    def rcode(self) -> int:
        """The RCODE."""
        return self.flags & 15

    @property
    def failed(self) -> bool:
        """Whether it says only that something is wrong, not what the data is."""
        return self.flags & 15 not in _GOOD

    def render(self, query: Query, age: int) -> bytes:
        """The body for a client, `age` seconds later, at most `query.limit` octets."""
        records = bytearray(self.records)
        ttls = self.ttls
        for at in range(0, len(ttls), 2):
            left = ttls[at + 1] - age
            _TTL.pack_into(records, ttls[at], left if left > 0 else 0)
        return self._body(query, records, self.said)

    def render_stale(self, query: Query) -> bytes:
        """The body for a client that gets it after its end, for lack of anything better (RFC 8767 section 4)."""
        records = bytearray(self.records)
        for at in self.ttls[::2]:
            _TTL.pack_into(records, at, STALE_TTL)
        return self._body(query, records, _STALE)

    def _body(self, query: Query, records: bytearray, options: bytes) -> bytes:
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
            opt = edns.record(query.edns.dnssec_ok) if query.edns else b""
            return _AFTER_ID.pack(flags | TC, 1, 0, 0, counts[3]) + query.question + opt
        return cut[2:]


def keep(query: Query, reply: bytes) -> Stored | walk.Broken:
    """What is kept of a reply (ID included) whose question is the query's; `query.name` is folded."""
    flags = int.from_bytes(reply[2:4], "big")
    if flags & TC:
        return walk.Broken("truncated")
    plain = _plain(query, reply, flags)
    if plain is not None:
        return plain
    found = walk.records(reply)
    if isinstance(found, walk.Broken):
        return found
    said = b""
    for record in found:
        if record.rtype == Type.OPT:
            if record.ttl >> 24:
                return walk.Broken("an extended RCODE")
            opt = edns.read(reply, record.start, record.end)
            if opt is None:
                return walk.Broken("an EDNS option is broken")
            if opt.options:
                said = _extended_errors(opt.options)
    rcode = flags & 15
    if rcode not in _GOOD:
        return Stored(rcode, 0, 0, b"", (), 0, said)
    answers = [record for record in found if record.section == 0]
    dnssec_ok = bool(query.edns and query.edns.dnssec_ok)
    if not _is_clean(query, reply, answers, rcode, dnssec_ok and any(record.section == 1 for record in found)):
        scrubbed = _scrubbed(query, reply, dnssec_ok)
        if isinstance(scrubbed, walk.Broken):
            return scrubbed
        reply = scrubbed
        again = walk.records(reply)
        if isinstance(again, walk.Broken):
            return again
        answers = [record for record in again if record.section < 2]
    return _stored(query, reply, answers, flags & (AD | 15), said)


def _plain(query: Query, reply: bytes, flags: int) -> Stored | None:
    """What is kept of the most common reply, which needs no walk: only what was asked for, directly at the question's
    name, without names in the data, and an OPT without options. None if it is another.
    """
    _, answers, authorities, additionals = _COUNTS.unpack_from(reply, 4)
    if flags & 15 or not answers or authorities or additionals > 1 or query.qtype in rdata.NAMES_AT:
        return None
    start = position = query.question_end
    size = len(reply)
    head = _POINTER_TO_QUESTION + query.message[start - 4 : start]
    ttls: list[int] = []
    least = MAX_TTL
    for _ in range(answers):
        if reply[position : position + 6] != head or position + 12 > size:
            return None
        ttl, length = _TTL_AND_LENGTH.unpack_from(reply, position + 6)
        if ttl >= 1 << 31:
            return None
        least = min(least, ttl)
        ttls += (position + 6 - start, min(ttl, MAX_TTL))
        position += 12 + length
    if additionals:
        opt = reply[position:]
        if len(opt) != edns.OPT_SIZE or opt[:3] != b"\0\0\x29" or opt[5] or opt[9] or opt[10]:
            return None
    elif position != size:
        return None
    return Stored(flags & AD, answers, 0, reply[start:position], tuple(ttls), least)


def _extended_errors(options: bytes) -> bytes:
    return b"".join(
        edns.option(code, data) for code, data in edns.split_options(options) if code == Option.EXTENDED_ERROR
    )


def _is_clean(query: Query, reply: bytes, answers: list[walk.Record], rcode: int, proofs: bool) -> bool:
    """Whether the answer section can be kept as it is: the records asked for, directly at the question's name, without
    names in their data, which might point anywhere.
    """
    qtype = query.qtype
    if rcode or not answers or proofs or qtype in rdata.NAMES_AT:
        return False
    return all(
        record.rtype == qtype
        and record.rclass == query.qclass
        and reply[record.start : record.start + 2] == _POINTER_TO_QUESTION
        for record in answers
    )


def _scrubbed(query: Query, reply: bytes, dnssec_ok: bool) -> bytes | walk.Broken:
    message = walk.read(reply)
    if isinstance(message, walk.Broken):
        return message
    cleaned = scrub(message, query.folded, query.qtype, dnssec_ok)
    if cleaned is None:
        return walk.Broken("a CNAME chain that does not end")
    said = Sections(Rcode.NOERROR, cleaned.answer, cleaned.authority, authoritative=False)
    body = octets(compose(query, said))
    return walk.Broken("too long without its compression") if body[0] & TC >> 8 else b"\0\0" + body


def _stored(query: Query, reply: bytes, own: list[walk.Record], flags: int, said: bytes) -> Stored:
    """The answer that is made of some records, which follow the question without a gap."""
    start = HEADER_SIZE + len(query.name) + 4
    end = own[-1].end if own else start
    values = [record.ttl if record.ttl < 1 << 31 else 0 for record in own]  # RFC 2181 section 8
    answers = sum(record.section == 0 for record in own)
    positive = not flags & 15 and any(
        record.rtype == query.qtype or query.qtype == Type.ANY for record in own[:answers]
    )
    ttl = 0
    if positive:
        ttl = min(*values[:answers], MAX_TTL)
    else:
        for at, record in enumerate(own):
            if record.section == 1 and record.rtype == Type.SOA:
                minimum = int.from_bytes(reply[record.end - 4 : record.end], "big")
                ttl = min(*values[:answers], values[at], minimum, MAX_NEGATIVE_TTL)
                # The client takes how long it may keep the answer from here (RFC 2308 section 5).
                values[at] = ttl
                break
    ttls: list[int] = []
    for record, value in zip(own, values, strict=True):
        ttls += (record.ttl_at - start, min(value, MAX_TTL))
    return Stored(flags, answers, len(own) - answers, reply[start:end], tuple(ttls), ttl, said)

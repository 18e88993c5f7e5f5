"""A forwarded answer in stored form: the octets after its question, and the offsets of the TTLs in them.

Compression pointers lead back into the question or to earlier records, and a question has the same length in any case
of its name. So the octets fit behind the question of every client that asks it, and only the TTLs are patched.

    keep(question, dnssec_ok, reply, whose)    a reply -> Stored, or Broken
    stored.render(query, age)                  Stored -> the body for a client
    stored.links(query, age)                   Stored -> the record sets of a chain that leads on
"""

from collections.abc import Callable, Iterable
from struct import Struct as Layout

import msgspec

from dnsbridge.wire import edns, rdata, whole_message
from dnsbridge.wire.compose import RRset, Sections, compose, octets
from dnsbridge.wire.constants import AD, HEADER_SIZE, QR, RA, RD, TC, Class, ExtendedError, Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.wire.scrub import Scrubbed, Whose, scrub

MAX_TTL = 86400
"""Seconds; no answer is kept for longer (RFC 8767 section 4 speaks of days)."""
MAX_NEGATIVE_TTL = 3600
"""Seconds; RFC 2308 section 5 calls one to three hours sensible."""
FAILURE_TTL = 5
"""Seconds that a failure is remembered (RFC 9520 section 3.2 allows 1 to 300)."""
STALE_TTL = 30
"""Seconds: the TTL in an expired answer (RFC 8767 section 4)."""

ADDITIONAL = 2
"""`section` of whole_message.Record."""
_HEADER = Layout("!HHHHHH")
_AFTER_ID = Layout("!HHHHH")
_TTL = Layout("!I")
_TTL_AND_LENGTH = Layout("!IH")
_TTL_AFTER_POINTER = 6
"""Octets of a pointer, type and class."""
_POINTER_TO_QUESTION = b"\xc0\x0c"
_TC_OR_RCODE = TC | 15
_GOOD = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})
STALE = edns.extended_error(ExtendedError.STALE_ANSWER)
"""The option that marks an answer as expired (RFC 8914 section 4.4)."""
_NAMES_IN_DATA = frozenset([rtype.to_bytes(2, "big") for rtype in rdata.NAMES_AT])
_DATA_SIZES = {
    **{rtype.to_bytes(2, "big"): 0 for rtype in (*rdata.NAMES_AT, Type.TXT)},
    **{rtype.to_bytes(2, "big"): size for rtype, size in rdata.SIZES.items()},
}
"""Octets of a type's data; 0 if the data must be looked into."""
_ANY_SIZE = -1
_OPT_START = b"\0" + Type.OPT.to_bytes(2, "big")
_OPT_ENDS = frozenset([edns.record(dnssec_ok)[5:] for dnssec_ok in (False, True)])
"""The rest of an OPT record after its UDP size: no extended RCODE, version 0, and no options."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A stored answer."""

    flags: int
    """AD and RCODE."""
    answers: int
    authorities: int
    records: bytes
    """The answer and authority sections, with the TTLs of the beginning."""
    ttls_at: tuple[int, ...] | None
    """Offset of each TTL; None if the owner of every record is a pointer to the question's name."""
    ttl: int
    """Seconds for which the answer may be used; 0: it is only passed on, not kept."""
    said: bytes = b""
    """The extended error options that came with the answer (RFC 8914)."""
    leads_on: bool = False
    """The answer ends at an alias whose target must still be asked for elsewhere (see scrub)."""

    @property
    def rcode(self) -> int:
        """The RCODE."""
        return self.flags & 15

    @property
    def failed(self) -> bool:
        """Whether the answer only reports an error and says nothing about the data."""
        return self.flags & 15 not in _GOOD

    def render(self, query: Query, age: int) -> bytes:
        """The body for a client, `age` seconds later, at most `query.limit` octets."""
        return self._body(query, self._aged(age) if age else self.records, self.said)

    def render_stale(self, query: Query) -> bytes:
        """The body for a client that gets the expired answer, for lack of a better one (RFC 8767 section 4)."""
        return self._body(query, self._stale(), STALE)

    def links(self, query: Query, age: int | None) -> tuple[RRset, ...]:
        """The record sets of an answer that leads on, `age` seconds later; None: expired, as in render_stale."""
        records = self._stale() if age is None else self._aged(age)
        header = _HEADER.pack(0, QR, 1, self.answers, 0, 0)
        message = whole_message.read(header + query.question + records)
        return () if isinstance(message, whole_message.Broken) else tuple(message.answer)

    def _aged(self, age: int) -> bytearray:
        records = bytearray(self.records)
        for at in self._ttls_at():
            (ttl,) = _TTL.unpack_from(records, at)
            _TTL.pack_into(records, at, ttl - age if ttl > age else 0)
        return records

    def _stale(self) -> bytearray:
        records = bytearray(self.records)
        for at in self._ttls_at():
            _TTL.pack_into(records, at, STALE_TTL)
        return records

    def _ttls_at(self) -> Iterable[int]:
        if self.ttls_at is not None:
            return self.ttls_at
        records = self.records
        found = []
        at = _TTL_AFTER_POINTER
        while at < len(records):
            found.append(at)
            at += _TTL_AFTER_POINTER + _TTL_AND_LENGTH.size + _TTL_AND_LENGTH.unpack_from(records, at)[1]
        return found

    def _body(self, query: Query, records: bytes | bytearray, options: bytes) -> bytes:
        flags = QR | RA | query.flags | self.flags
        if flags & AD and not (query.edns and query.edns.dnssec_ok) and not query.message[3] & AD:
            flags &= ~AD  # a client that did not ask for AD would not know its meaning (RFC 6840 section 5.8)
        opt = edns.record(query.edns.dnssec_ok, options) if query.edns else b""
        additionals = 1 if opt else 0
        body = _AFTER_ID.pack(flags, 1, self.answers, self.authorities, additionals) + query.question + records + opt
        if len(body) + 2 <= query.limit:
            return body
        cut = whole_message.truncate(b"\0\0" + body, query.limit)
        if isinstance(cut, whole_message.Broken) or len(cut) > query.limit:
            opt = edns.record(query.edns.dnssec_ok) if query.edns else b""
            return _AFTER_ID.pack(flags | TC, 1, 0, 0, additionals) + query.question + opt
        return cut[2:]


def keep(
    question: bytes, dnssec_ok: bool, reply: bytes, whose: Callable[[bytes], Whose] | None = None
) -> Stored | whole_message.Broken:
    """The stored form of a reply (ID included) to a question (its section, in any case), asked with or without DO.

    `whose` says who answers for a folded name, and so where a chain leads on (see scrub).
    """
    return _plain(question, reply) or _walked(question, dnssec_ok, reply, whose)


def _plain(question: bytes, reply: bytes) -> Stored | None:
    """The stored form of the most common reply, which needs no walk; None for any other reply.

    It has only the requested records, at the question's name, without names in their data, and no options in OPT.
    """
    _, flags, _, answers, authorities, additionals = _HEADER.unpack_from(reply)
    head = question[-4:]
    octets = _DATA_SIZES.get(head[:2], _ANY_SIZE)
    if flags & _TC_OR_RCODE or not answers or authorities or additionals > 1 or not octets:
        return None
    start = position = HEADER_SIZE + len(question)
    size = len(reply)
    head = _POINTER_TO_QUESTION + head
    least = MAX_TTL
    for _ in range(answers):
        if position + 12 > size or not reply.startswith(head, position):
            return None
        ttl, length = _TTL_AND_LENGTH.unpack_from(reply, position + 6)
        if ttl > MAX_TTL or (length != octets and octets != _ANY_SIZE):
            return None
        if ttl < least:
            least = ttl
        position += 12 + length
    if additionals:
        if not reply.startswith(_OPT_START, position) or reply[position + 5 :] not in _OPT_ENDS:
            return None
    elif position != size:
        return None
    return Stored(flags & AD, answers, 0, reply[start:position], None, least)


def _walked(
    question: bytes, dnssec_ok: bool, reply: bytes, whose: Callable[[bytes], Whose] | None
) -> Stored | whole_message.Broken:
    """The stored form of any other reply."""
    flags = int.from_bytes(reply[2:4], "big")
    if flags & TC:
        return whole_message.Broken("truncated")
    found = whole_message.records(reply)
    if isinstance(found, whole_message.Broken):
        return found
    said = b""
    options = [record for record in found if record.rtype == Type.OPT]
    if options:
        (record, *others) = options
        if others or record.section != ADDITIONAL or reply[record.start]:
            return whole_message.Broken("OPT is not where it belongs (RFC 6891 section 6.1.1)")
        if record.ttl >> 24:
            return whole_message.Broken("an extended RCODE")
        opt = edns.read(reply, record.start, record.end)
        if opt is None:
            return whole_message.Broken("an EDNS option is broken")
        if opt.options:
            said = b"".join(edns.extended_errors(opt.options))
    if not all(_has_its_size(reply, record) for record in found):
        return whole_message.Broken("data of the wrong size")
    rcode = flags & 15
    answers = [record for record in found if record.section == 0]
    if rcode not in _GOOD:
        # The RCODE is about the last name of a chain (RFC 6604), which others may have to be asked for.
        kept = _scrubbed(question, dnssec_ok, reply, whose, said) if answers and whose else None
        return kept if isinstance(kept, Stored) and kept.leads_on else Stored(rcode, 0, 0, b"", (), 0, said)
    if not _is_clean(question, reply, answers, rcode, dnssec_ok and any(record.section == 1 for record in found)):
        return _scrubbed(question, dnssec_ok, reply, whose, said)
    return _stored(question, reply, answers, flags & (AD | 15), said)


def _scrubbed(
    question: bytes, dnssec_ok: bool, reply: bytes, whose: Callable[[bytes], Whose] | None, said: bytes
) -> Stored | whole_message.Broken:
    """The stored form of a reply that has more than the requested records."""
    message = whole_message.read(reply)
    if isinstance(message, whole_message.Broken):
        return message
    asked = parse(bytes((0, 0, RD >> 8, 0, 0, 1, 0, 0, 0, 0, 0, 0)) + question, stream=True)
    assert isinstance(asked, Query)
    scrubbed = scrub(message, asked.name, asked.qtype, dnssec_ok, whose)
    if isinstance(scrubbed, Failure):
        return _failed(scrubbed)
    again = _recomposed(asked, scrubbed)
    if isinstance(again, whole_message.Broken):
        return again
    found = whole_message.records(again)
    if isinstance(found, whole_message.Broken):
        return found
    if scrubbed.leads_on:
        # An extended error is about the last name, which this upstream does not answer for.
        return _stored(question, again, found, 0, b"", leads_on=True)
    own = [record for record in found if record.section < ADDITIONAL]
    return _stored(question, again, own, message.flags & (AD | 15), said)


def _failed(why: Failure) -> Stored:
    """The stored form of a well-formed reply that holds nothing a client could use."""
    said = b"" if why.extended_error is None else edns.extended_error(why.extended_error, why.text)
    return Stored(int(why.rcode), 0, 0, b"", (), 0, said)


def _has_its_size(reply: bytes, record: whole_message.Record) -> bool:
    if record.rclass != Class.IN:
        return True
    if record.rtype == Type.TXT:
        return rdata.are_character_strings(reply[record.data : record.end])
    return record.end - record.data == rdata.SIZES.get(record.rtype, record.end - record.data)


def _is_clean(question: bytes, reply: bytes, answers: list[whole_message.Record], rcode: int, proofs: bool) -> bool:
    """Whether the answer section can be kept unchanged.

    It must hold only the requested records, at the question's name, without names in their data (pointers could lead
    anywhere).
    """
    if rcode or not answers or proofs or question[-4:-2] in _NAMES_IN_DATA:
        return False
    head = _POINTER_TO_QUESTION + question[-4:]
    return all(reply[record.start : record.start + 6] == head for record in answers)


def _recomposed(asked: Query, scrubbed: Scrubbed) -> bytes | whole_message.Broken:
    """A reply with the kept record sets and nothing else."""
    said = Sections(Rcode.NOERROR, scrubbed.answer, scrubbed.authority, authoritative=False)
    body = octets(compose(asked, said))
    return whole_message.Broken("too long without its compression") if body[0] & TC >> 8 else b"\0\0" + body


def _stored(
    question: bytes, reply: bytes, own: list[whole_message.Record], flags: int, said: bytes, leads_on: bool = False
) -> Stored:
    """The stored form of the records `own`, which follow the question without a gap."""
    start = HEADER_SIZE + len(question)
    end = own[-1].end if own else start
    qtype = int.from_bytes(question[-4:-2], "big")
    # RFC 2181 section 8: a TTL over 31 bits counts as 0.
    values = [min(record.ttl, MAX_TTL) if record.ttl < 1 << 31 else 0 for record in own]
    answers = sum(record.section == 0 for record in own)
    positive = leads_on or (
        not flags & 15 and any(record.rtype == qtype or qtype == Type.ANY for record in own[:answers])
    )
    ttl = 0
    if positive:
        ttl = min(values[:answers])
    else:
        for at, record in enumerate(own):
            if record.section == 1 and record.rtype == Type.SOA:
                minimum = int.from_bytes(reply[record.end - 4 : record.end], "big")
                ttl = min(*values[:answers], values[at], minimum, MAX_NEGATIVE_TTL)
                # This TTL tells the client how long it may keep the answer (RFC 2308 section 5).
                values[at] = ttl
                break
    records = bytearray(reply[start:end])
    ttls_at = tuple([record.ttl_at - start for record in own])
    for at, value in zip(ttls_at, values, strict=True):
        _TTL.pack_into(records, at, value)
    return Stored(flags, answers, len(own) - answers, bytes(records), ttls_at, ttl, said, leads_on)

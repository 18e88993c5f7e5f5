"""Composing answers: record sets in, a message with compressed names out.

A `Body` is a message without its two ID octets. A response is the query's ID and a body:

    bytes       always the same
    Rotating    addresses in rotating order: head | n records of one size | tail
    Stamped     holds an SOA record: head | the zone's current serial | tail

So a prepared answer rotates without being composed again, and stays valid when only the serial changes. Bodies are
many and never part of a cycle, so the garbage collector need not walk them (`gc=False`).
"""

from collections.abc import Sequence
from struct import Struct as Layout
from typing import Protocol

import msgspec

from dnsbridge.wire import edns, rdata
from dnsbridge.wire.constants import AA, HEADER_SIZE, QR, RA, RD, TC, Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, name_end

_HEADER = Layout("!HHHHHH")
_RECORD = Layout("!HHIH")
_POINTER_TO_QUESTION = b"\xc0\x0c"
_POINTER_LIMIT = 0x4000
_SMALLEST_RECORD = 13
"""Octets of a record with a compressed owner and one octet of data."""


class RRset(msgspec.Struct, frozen=True):
    """All records of one owner and type (RFC 2181 section 5); their class is the question's."""

    owner: bytes
    rtype: int
    ttl: int
    """Seconds."""
    data: tuple[bytes, ...]
    """Record data, names uncompressed (see rdata)."""


class Serial:
    """A zone's serial, shared by all answers that contain it."""

    __slots__ = ("octets",)

    def __init__(self, value: int = 0) -> None:
        self.octets = value.to_bytes(4, "big")

    @property
    def value(self) -> int:
        """The serial as a number (RFC 1982)."""
        return int.from_bytes(self.octets, "big")

    def advance(self, now: int) -> None:
        """Advance to `now`, in Unix seconds; never go back."""
        self.octets = max(self.value, now & 0xFFFFFFFF).to_bytes(4, "big")


class Rotating(msgspec.Struct, gc=False):
    """An answer whose last record set starts with the next of its records each time."""

    head: bytes
    records: bytes
    """All records, twice: `length` octets from the start of any record are one round."""
    tail: bytes
    size: int
    """Octets of one record."""
    length: int
    """Octets of one round."""
    start: int
    """Offset in `records` of the next answer's first record."""

    @property
    def weight(self) -> int:
        """Octets in memory; the records count twice."""
        return len(self.head) + len(self.records) + len(self.tail)

    def octets(self) -> bytes:
        """The body, rotated by one more record than last time."""
        start = self.start
        following = start + self.size
        self.start = following if following < self.length else 0
        return self.head + self.records[start : start + self.length] + self.tail


class Stamped(msgspec.Struct, gc=False):
    """An answer that contains the zone's serial."""

    head: bytes
    serial: Serial
    tail: bytes

    @property
    def weight(self) -> int:
        """Octets in memory."""
        return len(self.head) + len(self.tail)

    def octets(self) -> bytes:
        """The body with the current serial."""
        return self.head + self.serial.octets + self.tail


class Varying(Protocol):
    """A body that is not always the same."""

    @property
    def weight(self) -> int:
        """Octets in memory."""
        ...

    def octets(self) -> bytes:
        """The body as it is sent now."""
        ...


Body = bytes | Varying


def weight(body: Body) -> int:
    """Octets of a body in memory."""
    return len(body) if isinstance(body, bytes) else body.weight


def octets(body: Body) -> bytes:
    """A body as it is sent now."""
    return body if isinstance(body, bytes) else body.octets()


class Sections(msgspec.Struct, frozen=True):
    """The RCODE and the sections of an answer."""

    rcode: Rcode = Rcode.NOERROR
    answer: Sequence[RRset] = ()
    authority: Sequence[RRset] = ()
    additional: Sequence[RRset] = ()
    authoritative: bool = True


class _Writer:
    """The message so far, and the offset of each name in it."""

    __slots__ = ("buffer", "offsets", "question", "rclass", "serial_at")

    def __init__(self, query: Query) -> None:
        self.buffer = bytearray(HEADER_SIZE)
        self.buffer += query.question
        self.question = query.name
        self.rclass = query.qclass
        self.serial_at = 0
        self.offsets: dict[bytes, int] = {}
        name = query.name
        position = 0
        while name[position]:
            self.offsets[name[position:]] = HEADER_SIZE + position
            position += name[position] + 1

    def name(self, name: bytes) -> None:
        """Append a name, its longest known suffix as a pointer (RFC 1035 section 4.1.4)."""
        buffer = self.buffer
        offsets = self.offsets
        start = len(buffer)
        position = 0
        while name[position]:
            suffix = name[position:]
            known = offsets.get(suffix)
            if known is not None:
                buffer += name[:position]
                buffer += (0xC000 | known).to_bytes(2, "big")
                return
            if start + position < _POINTER_LIMIT:
                offsets[suffix] = start + position
            position += name[position] + 1
        buffer += name

    def fill(self, rrset: RRset, room: int, first: int) -> int:
        """Append records of a set while there is room, beginning with number `first`; return how many were appended."""
        data = rrset.data[first:] + rrset.data[:first]
        for count, one in enumerate(data):
            start = len(self.buffer)
            self.rrset(RRset(rrset.owner, rrset.rtype, rrset.ttl, (one,)))
            if len(self.buffer) > room:
                del self.buffer[start:]
                return count
        return len(data)

    def rrset(self, rrset: RRset) -> None:
        """Append all records of a set."""
        buffer = self.buffer
        rtype = rrset.rtype
        rclass = self.rclass
        own = rrset.owner == self.question
        for data in rrset.data:
            if own:
                buffer += _POINTER_TO_QUESTION
            else:
                self.name(rrset.owner)
            buffer += _RECORD.pack(rtype, rclass, rrset.ttl, len(data))
            if rtype in rdata.COMPRESSIBLE:
                self._names(rtype, data)
            else:
                buffer += data

    def _names(self, rtype: int, data: bytes) -> None:
        buffer = self.buffer
        start = len(buffer)
        if rtype == Type.SOA:
            numbers = len(data) - rdata.SOA_NUMBERS_SIZE
            primary_end = name_end(data, 0)
            self.name(data[:primary_end])
            self.name(data[primary_end:numbers])
            self.serial_at = len(buffer)
            buffer += data[numbers:]
        else:
            self.name(data)
        buffer[start - 2 : start] = (len(buffer) - start).to_bytes(2, "big")


def compose(query: Query, said: Sections, options: bytes = b"", serial: Serial | None = None) -> Body:
    """The answer to a question, at most `query.limit` octets.

    A record set that does not fit ends the message; in the answer or authority section it also sets TC (RFC 2181
    section 9). A client over TCP has no larger transport to turn to, so an answer set that does not fit gives as many
    records as do, with TC. If the query has an OPT record, so has the answer, as its last record.
    """
    # The ID serves as a random number: an answer that is composed only once need not start with the first record.
    draw = int.from_bytes(query.message[:2], "big")
    writer = _Writer(query)
    buffer = writer.buffer
    rcode = int(said.rcode)
    opt = edns.record(query.edns.dnssec_ok, options, rcode >> 4) if query.edns else b""
    room = query.limit - len(opt)
    flags = QR | RA | query.flags | (AA if said.authoritative else 0) | (rcode & 15)
    counts = [0, 0, 0]
    last_start = last_end = 0
    for section, rrsets in enumerate((said.answer, said.authority, said.additional)):
        for rrset in rrsets:
            start = len(buffer)
            # A set of thousands is not even written if its record count shows that it cannot fit.
            fits = start + len(rrset.data) * _SMALLEST_RECORD <= room
            if fits:
                writer.rrset(rrset)
            if not fits or len(buffer) > room:
                del buffer[start:]
                if section < 2:
                    flags |= TC
                if section == 0 and query.stream:
                    counts[0] += writer.fill(rrset, room, draw % len(rrset.data))
                break
            counts[section] += len(rrset.data)
            if section == 0:
                last_start, last_end = start, len(buffer)
        else:
            continue
        break
    _HEADER.pack_into(buffer, 0, 0, flags, 1, counts[0], counts[1], counts[2] + (1 if opt else 0))
    if serial and writer.serial_at and writer.serial_at < len(buffer):
        at = writer.serial_at
        return Stamped(bytes(buffer[2:at]), serial, bytes(buffer[at + 4 :]) + opt)
    if last_end and not flags & TC:
        rrset = said.answer[-1]
        count = len(rrset.data)
        size = 12 + len(rrset.data[0])
        if count > 1 and rrset.rtype in (Type.A, Type.AAAA) and last_end - last_start == count * size:
            head, tail = bytes(buffer[2:last_start]), bytes(buffer[last_end:]) + opt
            records = bytes(buffer[last_start:last_end])
            return Rotating(head, records + records, tail, size, len(records), draw % count * size)
    return bytes(buffer[2:]) + opt


def failure(query: Query, why: Failure) -> bytes:
    """The body of an error: the question, the RCODE and, for a client with EDNS, the reason (RFC 8914)."""
    options = b"" if why.extended_error is None else edns.extended_error(why.extended_error, why.text)
    body = compose(query, Sections(rcode=why.rcode, authoritative=False), options)
    return octets(body)


def rejection(message: bytes, why: Failure, said: edns.Edns | None = None) -> bytes:
    """The body of an error for a message whose question is not known: a header with the message's opcode and RD.

    If the message has an OPT record, so has the error.
    """
    flags = int.from_bytes(message[2:4], "big") & (0x7800 | RD)
    opt = edns.record(said.dnssec_ok) if said else b""
    return _HEADER.pack(0, QR | flags | (int(why.rcode) & 15), 0, 0, 0, 1 if opt else 0)[2:] + opt

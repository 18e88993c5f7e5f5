"""Parsing a whole message from elsewhere: its records, names and TTLs; nothing in it is trusted.

    Record     one record: the offsets of its owner, TTL and data; type, class and TTL
    Message    the record sets of a whole message, names uncompressed

All work is linear in the message's length, except for names: a pointer must point before the name that contains it and
not into the header, and a name has at most 255 octets and 127 pointers, so each costs at most some 250 steps.
"""

from struct import Struct as Layout

import msgspec

from dnsbridge.wire import edns, rdata
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import HEADER_SIZE, MAX_MESSAGE, MAX_NAME, TC, Class, Type
from dnsbridge.wire.query import name_end

_HEADER = Layout("!HHHHHH")
_RECORD = Layout("!HHIH")
_MAX_POINTERS = 127
"""Pointers in one name: as many as it can have labels. Without a bound, one name could be thousands of pointers."""


class Broken(msgspec.Struct, frozen=True):
    """A message that does not parse, and why."""

    problem: str


class Record(msgspec.Struct, frozen=True, gc=False):
    """The place of one record in its message (offsets in octets)."""

    section: int
    """0 answer, 1 authority, 2 additional."""
    start: int
    rtype: int
    rclass: int
    ttl: int
    ttl_at: int
    data: int
    end: int


class Message(msgspec.Struct, frozen=True):
    """The flags and record sets of a message, without the OPT record."""

    flags: int
    answer: list[RRset]
    authority: list[RRset]
    additional: list[RRset]

    @property
    def rcode(self) -> int:
        """The four bits of the header's RCODE."""
        return self.flags & 15


def expand(message: bytes, start: int) -> tuple[bytes, int] | None:
    """The uncompressed name at `start` and the offset after it; None if it is broken."""
    parts: list[bytes] = []
    size = 0
    position = start
    after = 0
    pointers = 0
    bound = start
    """A pointer must point before this offset: each one points further back than the last, so there are no loops."""
    end = len(message)
    while position < end:
        length = message[position]
        if length >= 0xC0:
            if position + 2 > end:
                return None
            target = (length & 0x3F) << 8 | message[position + 1]
            after = after or position + 2
            pointers += 1
            if not HEADER_SIZE <= target < bound or pointers > _MAX_POINTERS:
                return None
            bound = position = target
            continue
        if length > 63:
            return None
        following = position + 1 + length
        size += 1 + length
        if size > MAX_NAME or following > end:
            return None
        parts.append(message[position:following])
        if not length:
            return b"".join(parts), after or following
        position = following
    return None


def records(message: bytes) -> list[Record] | Broken:
    """All records in order; the message must have one question and end with its last record."""
    if len(message) < HEADER_SIZE:
        return Broken("shorter than a header")
    _, _, questions, answers, authorities, additionals = _HEADER.unpack_from(message)
    if questions != 1:
        return Broken("QDCOUNT is not 1")
    position = name_end(message, HEADER_SIZE)
    end = len(message)
    if not position or position + 4 > end:
        return Broken("the question is broken")
    position += 4
    found: list[Record] = []
    for section, count in enumerate((answers, authorities, additionals)):
        for _ in range(count):
            start = position
            while position < end and 0 < message[position] < 64:
                position += message[position] + 1
            if position >= end:
                return Broken("a record's owner runs out of the message")
            position += 2 if message[position] >= 0xC0 else 1
            if position + 10 > end:
                return Broken("a record runs out of the message")
            rtype, rclass, ttl, length = _RECORD.unpack_from(message, position)
            data = position + 10
            if data + length > end:
                return Broken("a record's data runs out of the message")
            found.append(Record(section, start, rtype, rclass, ttl, position + 4, data, data + length))
            position = data + length
    return found if position == end else Broken("octets after the last record")


def read(message: bytes) -> Message | Broken:
    """The record sets of a message, in order of first appearance; records of classes other than IN are left out."""
    found = records(message)
    if isinstance(found, Broken):
        return found
    sections: tuple[dict[tuple[bytes, int], _Growing], ...] = ({}, {}, {})
    for record in found:
        if record.rtype == Type.OPT or record.rclass != Class.IN:
            continue
        owner = expand(message, record.start)
        data = _uncompressed(message, record)
        if owner is None or data is None:
            return Broken("a name is broken")
        key = (owner[0].lower(), record.rtype)
        # RFC 2181 section 8: a TTL over 31 bits counts as 0.
        ttl = record.ttl if record.ttl < 1 << 31 else 0
        grown = sections[record.section].setdefault(key, _Growing(owner[0], ttl, {}))
        grown.ttl = min(grown.ttl, ttl)
        grown.data[data] = None
    answer, authority, additional = (
        [RRset(grown.owner, rtype, grown.ttl, tuple(grown.data)) for (_, rtype), grown in section.items()]
        for section in sections
    )
    return Message(int.from_bytes(message[2:4], "big"), answer, authority, additional)


class _Growing(msgspec.Struct):
    """A record set while its records are gathered; `data` is an ordered set."""

    owner: bytes
    ttl: int
    data: dict[bytes, None]


def _uncompressed(message: bytes, record: Record) -> bytes | None:
    """A record's data with its names uncompressed; None if it is broken."""
    shape = rdata.NAMES_AT.get(record.rtype)
    if shape is None:
        return message[record.data : record.end]
    before, names = shape
    position = record.data + before
    parts = [message[record.data : position]]
    for _ in range(names):
        found = expand(message, position)
        if found is None or found[1] > record.end:
            return None
        parts.append(found[0])
        position = found[1]
    tail = message[position : record.end]
    if len(tail) != (rdata.SOA_NUMBERS_SIZE if record.rtype == Type.SOA else 0):
        return None
    return b"".join([*parts, tail])


def truncate(message: bytes, limit: int) -> bytes | Broken:
    """The message cut to `limit` octets: whole record sets of the answer section while they fit, OPT, and TC."""
    found = records(message)
    if isinstance(found, Broken):
        return found
    opt = b"".join(message[record.start : record.end] for record in found if record.rtype == Type.OPT)
    answers = [record for record in found if record.section == 0]
    kept, end = 0, name_end(message, HEADER_SIZE) + 4
    for index, record in enumerate(answers):
        if record.end + len(opt) > limit:
            break
        following = answers[index + 1] if index + 1 < len(answers) else None
        if following is None or not _same_set(message, record, following):
            kept, end = index + 1, record.end
    identity, flags = _HEADER.unpack_from(message)[:2]
    header = _HEADER.pack(identity, flags | TC, 1, kept, 0, 1 if opt else 0)
    return header + message[HEADER_SIZE:end] + opt


def _same_set(message: bytes, one: Record, other: Record) -> bool:
    if one.rtype != other.rtype:
        return False
    owner, another = expand(message, one.start), expand(message, other.start)
    return owner is not None and another is not None and owner[0].lower() == another[0].lower()


def extended_errors(message: bytes) -> list[bytes]:
    """The extended error options of a message (RFC 8914); none if it is broken or has no OPT record."""
    found = records(message)
    for record in () if isinstance(found, Broken) else found:
        if record.rtype == Type.OPT and (opt := edns.read(message, record.start, record.end)):
            return edns.extended_errors(opt.options)
    return []


def with_option(message: bytes, option: bytes) -> bytes:
    """The message with one more option in its OPT record; unchanged if it has no OPT, is broken, or is full."""
    if len(message) + len(option) > MAX_MESSAGE:
        return message
    found = records(message)
    if isinstance(found, Broken):
        return message
    for record in found:
        if record.rtype == Type.OPT:
            length = (record.end - record.data + len(option)).to_bytes(2, "big")
            return (
                message[: record.data - 2] + length + message[record.data : record.end] + option + message[record.end :]
            )
    return message

"""Parsing the octets of a datagram or a TCP frame into a question, in work linear in their length.

    Query      a question that can be looked up
    Rejected   a message that gets an error: the reason, and the question if it parsed
    Ignored    a message that gets no answer (it could be a reflection): under 12 octets, or a response

A question's name has no compression pointer (there is no earlier name to point to), so a length octet over 63 is an
error. The records after the question are walked to find OPT; the last of them must end the message.
"""

from enum import Enum
from struct import Struct as Layout

import msgspec

from dnsbridge.wire import edns
from dnsbridge.wire.constants import (
    CD,
    CLASSIC_UDP_SIZE,
    HEADER_SIZE,
    MAX_DATAGRAM,
    MAX_MESSAGE,
    MAX_NAME,
    QR,
    RD,
    Opcode,
    Type,
)
from dnsbridge.wire.failure import Failure

_HEADER = Layout("!HHHHHH")
_COPIED = RD | CD
_TWO = Layout("!HH")
_RECORD = Layout("!HHIH")


class Query(msgspec.Struct, frozen=True, gc=False):
    """One question and everything that its answer depends on."""

    message: bytes
    """As it came, ID included."""
    name: bytes
    """QNAME as asked (wire form, root included)."""
    folded: bytes
    """QNAME in lower case."""
    qtype: int
    qclass: int
    edns: edns.Edns | None
    limit: int
    """Most octets of an answer to this client on this transport."""
    stream: bool
    """Over TCP."""
    flags: int
    """The flags that an answer copies: RD and CD (RFC 1035 section 4.1.1, RFC 4035 section 3.2.2)."""
    question: bytes
    """The question section, as asked."""
    trail: tuple[bytes, ...] = ()
    """Folded names of the aliases that were followed to reach this question, in order."""

    @property
    def question_end(self) -> int:
        """Offset of the first octet after the question."""
        return HEADER_SIZE + len(self.name) + 4


class Rejected(msgspec.Struct, frozen=True):
    """A message that gets an error.

    If the message has an OPT record and its records can be walked, the error has one too (RFC 6891 section 6.1.1).
    This holds for a broken OPT: the client can then tell a format error from a server without EDNS (section 7).
    """

    failure: Failure
    query: Query | None = None
    """Set if the opcode is QUERY, its one question parsed and it has an OPT record: the error repeats the question."""
    opt: edns.Edns | None = None
    """The OPT record of any other message."""


class Ignored(Enum):
    """Why a message gets no answer."""

    SHORT = "short"
    RESPONSE = "response"


def parse(message: bytes, stream: bool = False) -> Query | Rejected | Ignored:
    """The question in these octets (RFC 1035 section 4.1), or why there is none."""
    if len(message) < HEADER_SIZE:
        return Ignored.SHORT
    _, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(message)
    if flags & QR:
        return Ignored.RESPONSE
    opcode = flags >> 11 & 15
    if opcode:
        return Rejected(Failure.UPDATE if opcode == Opcode.UPDATE else Failure.OPCODE, opt=_any_opt(message))
    if questions != 1:
        return Rejected(Failure.QUESTION_COUNT, opt=_any_opt(message))
    position = name_end(message, HEADER_SIZE)
    end = len(message)
    if not position or position + 4 > end:
        return Rejected(Failure.MALFORMED)
    name = message[HEADER_SIZE:position]
    qtype, qclass = _TWO.unpack_from(message, position)
    position += 4
    question = message[HEADER_SIZE:position]
    found: edns.Edns | None = None
    if position != end or answers or authorities or additionals:
        scanned = _scan(message, position, answers + authorities, additionals)
        if isinstance(scanned, Failure):
            found = _any_opt(message)
            if not found:
                return Rejected(scanned)
            copied, size = flags & _COPIED, CLASSIC_UDP_SIZE
            query = Query(message, name, name.lower(), qtype, qclass, found, size, stream, copied, question)
            return Rejected(scanned, query)
        found = scanned
    limit = (
        MAX_MESSAGE
        if stream
        else min(max(CLASSIC_UDP_SIZE, found.udp_size), MAX_DATAGRAM)
        if found
        else CLASSIC_UDP_SIZE
    )
    query = Query(
        message,
        name,
        name.lower(),
        qtype,
        qclass,
        found,
        limit,
        stream,
        flags & _COPIED,
        question,
    )
    if found and found.version:
        return Rejected(Failure.EDNS_VERSION, query)
    return query


def name_end(message: bytes, start: int) -> int:
    """Offset after an uncompressed name at `start`; 0 if it is broken or too long."""
    position = start
    end = len(message)
    while position < end:
        length = message[position]
        position += 1
        if not length:
            return position if position - start <= MAX_NAME else 0
        if length > 63:
            return 0
        position += length
    return 0


def _scan(message: bytes, position: int, before: int, additionals: int) -> edns.Edns | Failure | None:
    """The OPT record of the additional section; the `before` records ahead of that section are only skipped."""
    found: edns.Edns | None = None
    end = len(message)
    for index in range(before + additionals):
        owner = position
        position = _owner_end(message, position)
        if not position or position + 10 > end:
            return Failure.MALFORMED
        rtype, _, _, length = _RECORD.unpack_from(message, position)
        position += 10 + length
        if position > end:
            return Failure.MALFORMED
        if rtype == Type.OPT:
            # One only, in the additional section, owned by the root (RFC 6891 section 6.1.1).
            if index < before or found or message[owner]:
                return Failure.MALFORMED
            found = edns.read(message, owner, position)
            if not found:
                return Failure.MALFORMED
    return found if position == end else Failure.MALFORMED


def _any_opt(message: bytes) -> edns.Edns | None:
    """The first OPT record in the additional section of a refused message, whatever else is wrong with the message.

    None if the records that the header counts cannot all be walked.
    """
    _, _, questions, answers, authorities, additionals = _HEADER.unpack_from(message)
    found: edns.Edns | None = None
    position, end = HEADER_SIZE, len(message)
    for _ in range(questions):
        position = _owner_end(message, position)
        if not position or position + 4 > end:
            return None
        position += 4
    before = answers + authorities
    for index in range(before + additionals):
        position = _owner_end(message, position)
        if not position or position + 10 > end:
            return None
        rtype, _, _, length = _RECORD.unpack_from(message, position)
        start = position - 1
        position += 10 + length
        if position > end:
            return None
        if rtype == Type.OPT and index >= before and not found:
            found = edns.without_options(message, start, position)
    return found


def _owner_end(message: bytes, start: int) -> int:
    """Offset after an owner name, whose compression pointer is not followed; 0 if the name is broken."""
    position = start
    end = len(message)
    while position < end:
        length = message[position]
        if not length:
            return position + 1
        if length >= 0xC0:
            return position + 2
        if length > 63:
            return 0
        position += length + 1
    return 0


def compose(name: bytes, qtype: int, qclass: int, identity: int, flags: int = RD, opt: bytes = b"") -> bytes:
    """The message of a question that this server asks."""
    header = _HEADER.pack(identity, flags, 1, 0, 0, 1 if opt else 0)
    return header + name + _TWO.pack(qtype, qclass) + opt

"""From the octets of a datagram or of a TCP frame to a question, in work linear in its length.

    Query      a question that can be looked up
    Rejected   something that gets an answer with an error: the reason, and the question if it parsed
    Ignored    something that gets no answer at all (it could be a reflection): under 12 octets, or a response

A question's name has no compression pointer (nothing stands before it to point to), so a length octet
over 63 is an error. What follows the question is walked for the OPT record and must end with the message.
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
    """One question and all that its answer depends on."""

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
    """Octets that the answer may have on this transport, for this client."""
    stream: bool
    """Over TCP."""
    flags: int
    """The flags that an answer copies: RD and CD (RFC 1035 section 4.1.1, RFC 4035 section 3.2.2)."""
    question: bytes
    """The question section, as asked."""
    trail: tuple[bytes, ...] = ()
    """Folded names of the aliases that were followed on the way to this question, the first one first."""

    @property
    def question_end(self) -> int:
        """Offset of the first octet after the question."""
        return HEADER_SIZE + len(self.name) + 4


class Rejected(msgspec.Struct, frozen=True):
    """A message that gets an error.

    An OPT record in it gives one in the error as well (RFC 6891 section 6.1.1), as far as its records can be walked:
    to a broken OPT too, so that the client can tell a server without EDNS from a format error within it (section 7).
    """

    failure: Failure
    query: Query | None = None
    """Of an opcode QUERY with one question that parsed, and an OPT record: the error repeats the question."""
    opt: edns.Edns | None = None
    """The OPT record of a message without such a question."""


class Ignored(Enum):
    """Why a message gets no answer."""

    SHORT = "short"
    RESPONSE = "response"


def parse(message: bytes, stream: bool = False) -> Query | Rejected | Ignored:
    """What these octets ask (RFC 1035 section 4.1)."""
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
    """The one OPT record among the additional ones, after `before` records that say nothing to us."""
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
    """The first OPT record in the additional section of a message that is refused, whatever else is wrong with it.

    None where the records that the header counts cannot be walked to the last one.
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
    """Offset after a possibly compressed owner name, without following it; 0 if it is broken."""
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
    """A question of our own."""
    header = _HEADER.pack(identity, flags, 1, 0, 0, 1 if opt else 0)
    return header + name + _TWO.pack(qtype, qclass) + opt

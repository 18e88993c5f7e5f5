"""Patching a forwarded question and its reply as bytes: no message is composed anew (RFC 5625 section 4).

    outgoing(query)          the message to an upstream, without the ID: the client's, without hop-by-hop options
    matches(reply, asked)    whether a datagram answers the question
    is_bare_error(reply)     whether a datagram is an error that has only a header
    incoming(query, reply)   the message to the client, without the ID:

        flags       AA and Z cleared, RA set; RD and CD from the query; TC, AD and RCODE from the reply
        question    the client's own octets, case as asked
        records     unchanged, but for OPT: without hop-by-hop options, as this server's own, if the client sent one
        size        over the client's limit: whole record sets of the answer while they fit, and TC

An OPT record that is removed or shortened ends the message: compression pointers in the records after it could be
wrong. OPT is the last record in practice, and only additional records can follow it.
"""

from struct import Struct as Layout

from dnsbridge.wire import edns, whole_message
from dnsbridge.wire.constants import AD, ADVERTISED_UDP_SIZE, HEADER_SIZE, QR, RA, TC, Rcode, Type
from dnsbridge.wire.query import Query
from dnsbridge.wire.stored import Stored

_AFTER_ID = Layout("!HHHHH")
_COUNTS = Layout("!HHHH")
_RECORD = Layout("!H6xH")
_KEPT_FLAGS = TC | AD | 0x000F
_QR_AND_OPCODE = 0xF8
_ONE_QUESTION = b"\x00\x01"
_NO_ID = b"\x00\x00"
_OUR_SIZE = ADVERTISED_UDP_SIZE.to_bytes(2, "big")
_DO = edns.DO.to_bytes(2, "big")
_NO_FLAGS = b"\x00\x00"
_NO_OPTIONS = b"\x00\x00"
_NO_COUNTS = bytes(8)
_BARE_ERRORS = frozenset({int(Rcode.FORMERR), int(Rcode.SERVFAIL), int(Rcode.NOTIMP)})


def outgoing(query: Query) -> bytes:
    """The client's message after its ID octets, without hop-by-hop options and otherwise unchanged."""
    found = query.edns
    if found is None or not found.options:
        return query.message[2:]
    end_to_end = _end_to_end(found.options)
    if end_to_end == found.options:
        return query.message[2:]
    message = query.message
    return message[2 : found.start] + _with_options(message[found.start : found.end], end_to_end) + message[found.end :]


def matches(reply: bytes, question: bytes) -> bool:
    """Whether a message is a response to `question` (a question section), in any case; the ID is not checked."""
    if len(reply) < HEADER_SIZE or reply[2] & _QR_AND_OPCODE != 0x80 or reply[4:6] != _ONE_QUESTION:
        return False
    if reply.startswith(question, HEADER_SIZE):
        return True
    # Type and class are compared unfolded: in lower case, type 65 (HTTPS) would be type 97.
    echoed = reply[HEADER_SIZE : HEADER_SIZE + len(question)]
    return echoed[-4:] == question[-4:] and echoed[:-4].lower() == question[:-4].lower()


def is_bare_error(message: bytes) -> bool:
    """Whether a message is only a response header with FORMERR, SERVFAIL or NOTIMP.

    Some servers leave the question out of these errors. No other RCODE is accepted from a header alone.
    """
    return (
        len(message) == HEADER_SIZE
        and message[2] & _QR_AND_OPCODE == 0x80
        and message[3] & 15 in _BARE_ERRORS
        and message[4:] == _NO_COUNTS
    )


def with_question(header: bytes, question: bytes) -> bytes:
    """The reply made of a bare header and its question."""
    return header[:4] + _ONE_QUESTION + bytes(6) + question


def with_records(reply: bytes, question_end: int, kept: Stored) -> bytes:
    """A reply with its records replaced by the kept ones (see stored), and its OPT record."""
    _, _, answers, authorities, additionals = _AFTER_ID.unpack_from(reply, 2)
    found = _scan(reply, question_end, answers + authorities, additionals)
    opt = reply[found[1] : _opt_end(reply, found[1])] if found and found[1] else b""
    counts = _COUNTS.pack(1, kept.answers, kept.authorities, 1 if opt else 0)
    return reply[:4] + counts + reply[HEADER_SIZE:question_end] + kept.records + opt


def incoming(query: Query, reply: bytes, options: bytes = b"") -> bytes | None:
    """The client's answer after its ID octets, from a reply that matches; None if the reply's records do not parse.

    If the reply has no OPT record, `options` go into the one that is added.

    A truncated reply may end anywhere (RFC 2181 section 9): if it does not parse, only its question is passed on.
    """
    end = query.question_end
    flags, _, answers, authorities, additionals = _AFTER_ID.unpack_from(reply, 2)
    flags = QR | RA | query.flags | (flags & _KEPT_FLAGS)
    found = _scan(reply, end, answers + authorities, additionals)
    if found is None:
        return _question_alone(query, flags) if flags & TC else None
    stop, opt, opt_index = found
    tail = b""
    if query.edns is None:
        if opt:
            stop, additionals = opt, opt_index
    elif not opt:
        # The upstream knows no EDNS, but this server does (RFC 6891 section 6.1.1).
        additionals += 1
        tail = edns.record(query.edns.dnssec_ok, options)
    elif reply[opt + edns.OPT_SIZE - 2 : opt + edns.OPT_SIZE] != _NO_OPTIONS:
        read = edns.read(reply, opt, _opt_end(reply, opt))
        if read is None:
            return None
        end_to_end = _end_to_end(read.options)
        if end_to_end != read.options:
            stop, additionals = opt, opt_index + 1
            tail = _with_options(reply[opt : read.end], end_to_end)
    records = reply[end:stop] + tail
    if opt and query.edns:
        # The UDP size is this server's, not the upstream's; DO is the client's (RFC 3225 section 3).
        at = opt - end + 3
        flags_octets = _DO if query.edns.dnssec_ok else _NO_FLAGS
        records = records[:at] + _OUR_SIZE + records[at + 2 : at + 4] + flags_octets + records[at + 6 :]
    body = _AFTER_ID.pack(flags, 1, answers, authorities, additionals) + query.question + records
    return body if len(body) + 2 <= query.limit else _truncated(query, flags, body)


def _scan(reply: bytes, position: int, before: int, additionals: int) -> tuple[int, int, int] | None:
    """Offsets of the records' end and of OPT (0: none), and OPT's index in the additional section; None if broken."""
    end = len(reply)
    opt = opt_index = 0
    for index in range(before + additionals):
        owner = position
        while position < end and 0 < reply[position] < 64:
            position += reply[position] + 1
        if position >= end:
            return None
        octet = reply[position]
        position += 2 if octet >= 0xC0 else 1
        if position + 10 > end or 64 <= octet < 0xC0:
            return None
        rtype, length = _RECORD.unpack_from(reply, position)
        position += 10 + length
        if position > end:
            return None
        if rtype == Type.OPT:
            # One only, in the additional section, owned by the root (RFC 6891 section 6.1.1).
            if opt or index < before or reply[owner]:
                return None
            opt, opt_index = owner, index - before
    return (position, opt, opt_index) if position == end else None


def _opt_end(message: bytes, opt: int) -> int:
    return opt + edns.OPT_SIZE + int.from_bytes(message[opt + 9 : opt + 11], "big")


def _end_to_end(options: bytes) -> bytes:
    """Options without the hop-by-hop ones."""
    return b"".join(
        edns.option(code, data) for code, data in edns.split_options(options) if code not in edns.HOP_BY_HOP
    )


def _with_options(opt: bytes, options: bytes) -> bytes:
    """An OPT record with its options replaced."""
    return opt[: edns.OPT_SIZE - 2] + len(options).to_bytes(2, "big") + options


def _truncated(query: Query, flags: int, body: bytes) -> bytes:
    """A body that fits the client's limit, with TC."""
    cut = whole_message.truncate(_NO_ID + body, query.limit)
    if isinstance(cut, whole_message.Broken) or len(cut) > query.limit:
        return _question_alone(query, flags)
    return cut[2:]


def truncated(query: Query) -> bytes:
    """The answer that only tells the client to ask again over TCP."""
    return _question_alone(query, QR | RA | query.flags)


def _question_alone(query: Query, flags: int) -> bytes:
    """A truncated answer without records, except OPT for a client that sent one."""
    opt = edns.record(query.edns.dnssec_ok) if query.edns else b""
    return _AFTER_ID.pack(flags | TC, 1, 0, 0, 1 if opt else 0) + query.question + opt

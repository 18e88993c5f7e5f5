"""From octets to a question: dnspython writes the queries, tables say what becomes of them."""

import dns.edns
import dns.flags
import dns.message
import dns.name
import pytest

from dnsbridge.wire import query
from dnsbridge.wire.compose import failure, rejection
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Ignored, Query, Rejected
from tests.support.oracle import packed

HEADER = bytes.fromhex("1234 0100 0001 0000 0000 0000")
QUESTION = b"\x03web\x05local\x00\x00\x01\x00\x01"
OPT = bytes.fromhex("00 0029 04d0 00 00 8000 0000")


def header(
    word: int = 0x0100, questions: int = 1, answers: int = 0, authorities: int = 0, additionals: int = 0
) -> bytes:
    """A header."""
    return b"\x12\x34" + b"".join(
        one.to_bytes(2, "big") for one in (word, questions, answers, authorities, additionals)
    )


@pytest.mark.parametrize("flags", [0, dns.flags.RD, dns.flags.CD, dns.flags.RD | dns.flags.CD | dns.flags.AD])
@pytest.mark.parametrize("name", ["Web.Shop.svc.Cluster.LOCAL.", ".", "\\000\\255.x.", "a." * 127])
@pytest.mark.parametrize("payload", [None, 100, 512, 1232, 65535])
@pytest.mark.parametrize("stream", [False, True])
def test_accepted(flags: int, name: str, payload: int | None, stream: bool) -> None:
    """Name as asked and folded, type, class, flags, EDNS, and how large the answer may be."""
    options: list[dns.edns.Option] = [dns.edns.GenericOption(dns.edns.OptionType.make(10), b"12345678")]
    made = dns.message.make_query(
        name,
        "TYPE65280",
        "CH",
        flags=flags,
        use_edns=-1 if payload is None else 0,
        payload=payload,
        want_dnssec=bool(payload),
        options=options if payload else None,
    )
    wire = made.to_wire()
    got = query.parse(wire, stream)
    assert isinstance(got, Query)
    asked = made.question[0]
    assert (got.message, got.name, got.folded) == (wire, asked.name.to_wire(), asked.name.canonicalize().to_wire())
    assert (got.qtype, got.qclass, got.flags) == (65280, 3, flags & (dns.flags.RD | dns.flags.CD))
    assert got.limit == (65535 if stream else min(max(512, payload or 0), 65507))
    assert got.question == wire[12 : got.question_end] == packed(asked.name) + b"\xff\x00\x00\x03"
    assert bool(got.edns) == bool(payload)
    if got.edns:
        assert (got.edns.start, got.edns.end, got.edns.version) == (got.question_end, len(wire), 0)
        assert (got.edns.udp_size, got.edns.dnssec_ok) == (payload, True)
        assert (got.edns.has_option(10), got.edns.has_option(11)) == (True, False)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", Ignored.SHORT),
        (HEADER[:11], Ignored.SHORT),
        (header(0x8100) + QUESTION, Ignored.RESPONSE),
        (header(0xFFFF), Ignored.RESPONSE),
        (header(0x0800) + QUESTION, Failure.OPCODE),
        (header(0x1000) + QUESTION, Failure.OPCODE),
        (header(0x2000) + QUESTION, Failure.OPCODE),
        (header(0x2800) + QUESTION, Failure.UPDATE),
        (header(0x7800), Failure.OPCODE),
        (header(questions=0), Failure.QUESTION_COUNT),
        (header(questions=2) + QUESTION + QUESTION, Failure.QUESTION_COUNT),
        (header(questions=65535), Failure.QUESTION_COUNT),
        (HEADER, Failure.MALFORMED),
        (HEADER + QUESTION[:-1], Failure.MALFORMED),
        (HEADER + QUESTION[:5], Failure.MALFORMED),
        (HEADER + QUESTION + b"\x00", Failure.MALFORMED),
        (HEADER + b"\xc0\x0c\x00\x01\x00\x01", Failure.MALFORMED),
        (HEADER + b"\x03web\xc0\x00\x00\x01\x00\x01", Failure.MALFORMED),
        (HEADER + b"\x40" + b"a" * 64 + b"\x00\x00\x01\x00\x01", Failure.MALFORMED),
        (HEADER + b"\x80a\x00\x00\x01\x00\x01", Failure.MALFORMED),
        (HEADER + b"\x01a" * 128 + b"\x00\x00\x01\x00\x01", Failure.MALFORMED),
        (HEADER + b"\x01a" * 20000, Failure.MALFORMED),
        (header(additionals=1) + QUESTION, Failure.MALFORMED),
        (header(additionals=1) + QUESTION + OPT[:-1], Failure.MALFORMED),
        (header(additionals=1) + QUESTION + OPT + b"\x00", Failure.MALFORMED),
        (header(additionals=2) + QUESTION + OPT + OPT, Failure.MALFORMED),
        (header(answers=1) + QUESTION + OPT, Failure.MALFORMED),
        (header(authorities=1) + QUESTION + OPT, Failure.MALFORMED),
        (header(additionals=1) + QUESTION + b"\x01a" + OPT, Failure.MALFORMED),
        (header(additionals=1) + QUESTION + b"\xc0\x0c" + OPT[1:], Failure.MALFORMED),
        (header(additionals=1) + QUESTION + OPT[:-2] + b"\x00\x04\x00\x0a\x00\x01", Failure.MALFORMED),
        (header(additionals=1) + QUESTION + OPT[:-2] + b"\x00\x03\x00\x0a\x00", Failure.MALFORMED),
        (header(answers=65535, authorities=65535, additionals=65535) + QUESTION + OPT, Failure.MALFORMED),
        (header(additionals=1) + QUESTION + OPT[:6] + b"\x01" + OPT[7:], Failure.EDNS_VERSION),
    ],
    ids=lambda value: value.hex()[:60] if isinstance(value, bytes) else value.name,
)
def test_refused(octets: bytes, expected: Failure | Ignored) -> None:
    """What is wrong with a message."""
    got = query.parse(octets)
    if isinstance(expected, Ignored):
        assert got is expected
    else:
        assert isinstance(got, Rejected)
        assert got.failure is expected


ADDITIONAL = b"\x01a\x00\x00\x01\x00\x01" + bytes(4) + b"\x00\x04" + bytes(4)
"""An A record."""
BARE = "header, OPT"
ECHOED = "header, question, OPT"
NONE = "header"
OPT_OUT: dict[str, tuple[bytes, Failure, str]] = {
    "NOTIFY": (header(0x2000, additionals=1) + QUESTION + OPT, Failure.OPCODE, BARE),
    "NOTIFY without": (header(0x2000) + QUESTION, Failure.OPCODE, NONE),
    "NOTIFY with a record": (
        header(0x2000, answers=1, additionals=1) + QUESTION + ADDITIONAL + OPT,
        Failure.OPCODE,
        BARE,
    ),
    "UPDATE": (header(0x2800, authorities=1, additionals=1) + QUESTION + ADDITIONAL + OPT, Failure.UPDATE, BARE),
    "opcode 15, header only": (header(0x7800, questions=0, additionals=1) + OPT, Failure.OPCODE, BARE),
    "header only": (header(questions=0, additionals=1) + OPT, Failure.QUESTION_COUNT, BARE),
    "header only, without": (header(questions=0), Failure.QUESTION_COUNT, NONE),
    "two questions": (header(questions=2, additionals=1) + QUESTION * 2 + OPT, Failure.QUESTION_COUNT, BARE),
    "two questions, the second by a pointer": (
        header(questions=2, additionals=1) + QUESTION + b"\xc0\x0c\0\1\0\1" + OPT,
        Failure.QUESTION_COUNT,
        BARE,
    ),
    "65535 questions": (header(questions=65535, additionals=1) + QUESTION + OPT, Failure.QUESTION_COUNT, NONE),
    "OPT before another record": (
        header(questions=0, additionals=2) + OPT + ADDITIONAL,
        Failure.QUESTION_COUNT,
        BARE,
    ),
    "OPT behind a record that is cut short": (
        header(questions=0, additionals=2) + ADDITIONAL[:-1] + OPT,
        Failure.QUESTION_COUNT,
        NONE,
    ),
    "OPT before a record that is missing": (header(additionals=2) + QUESTION + OPT, Failure.MALFORMED, NONE),
    "OPT cut short": (header(additionals=1) + QUESTION + OPT[:-1], Failure.MALFORMED, NONE),
    "question cut short": (header(additionals=1) + QUESTION[:-1] + OPT, Failure.MALFORMED, NONE),
    "options broken": (
        header(additionals=1) + QUESTION + OPT[:-2] + b"\x00\x03\x00\x0a\x00",
        Failure.MALFORMED,
        ECHOED,
    ),
    "two OPT": (header(additionals=2) + QUESTION + OPT + OPT, Failure.MALFORMED, ECHOED),
    "OPT with an owner": (header(additionals=1) + QUESTION + b"\x01a" + OPT, Failure.MALFORMED, ECHOED),
    "OPT as an answer": (header(answers=1) + QUESTION + OPT, Failure.MALFORMED, NONE),
    "octets after it": (header(additionals=1) + QUESTION + OPT + b"\x00", Failure.MALFORMED, ECHOED),
    "version 1": (header(additionals=1) + QUESTION + OPT[:6] + b"\x01" + OPT[7:], Failure.EDNS_VERSION, ECHOED),
}


@pytest.mark.parametrize("name", OPT_OUT)
def test_opt_of_what_is_refused(name: str) -> None:
    """An OPT that can be found gives one, DO copied (RFC 6891 section 6.1.1), and the question with it (section 7)."""
    octets, why, shape = OPT_OUT[name]
    got = query.parse(octets)
    assert isinstance(got, Rejected)
    assert got.failure is why
    body = failure(got.query, why) if got.query else rejection(octets, why, got.opt)
    read = dns.message.from_wire(octets[:2] + body)
    assert int(read.rcode()) == why.rcode
    assert (read.edns, read.payload, read.ednsflags & 0xFFFF) == ((0, 1232, 0x8000) if shape != NONE else (-1, 0, 0))
    assert bool(read.question) == (shape == ECHOED)
    assert read.opcode() == octets[2] >> 3 & 15


@pytest.mark.parametrize("opt", [b"", OPT])
@pytest.mark.parametrize(
    ("name", "identity", "flags"), [("Web.local.", 0, 0x0100), (".", 65535, 0), ("a." * 127, 7, 0x10)]
)
def test_compose(opt: bytes, name: str, identity: int, flags: int) -> None:
    """A question of our own is what dnspython reads, and what `parse` takes."""
    wire = query.compose(packed(dns.name.from_text(name)), 33, 1, identity, flags, opt)
    read = dns.message.from_wire(wire)
    assert (read.id, read.flags, read.edns) == (identity, flags, 0 if opt else -1)
    assert read.question[0].to_text() == f"{name} IN SRV"
    assert isinstance(query.parse(wire), Query)

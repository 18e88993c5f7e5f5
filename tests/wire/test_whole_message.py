"""Reading messages that dnspython composed, compressed in its way."""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from dnsbridge.wire import edns, whole_message
from dnsbridge.wire.compose import RRset
from dnsbridge.wire.constants import HEADER_SIZE, Type
from tests.support.oracle import packed
from tests.wire.test_compose import DATA, NAMES, TYPES, rdata_of

Records = set[tuple[bytes, int, int, bytes]]


@st.composite
def messages(draw: st.DrawFn) -> dns.message.Message:
    """A response with record sets of any type in any section."""
    question = dns.message.make_query(dns.name.from_wire(draw(NAMES), 0)[0], dns.rdatatype.RdataType.make(draw(TYPES)))
    made = dns.message.make_response(question, recursion_available=True)
    made.use_edns(draw(st.sampled_from([-1, 0])), options=[])
    for section in (made.answer, made.authority, made.additional):
        for _ in range(draw(st.integers(0, 3))):
            owner, rtype = dns.name.from_wire(draw(NAMES), 0)[0], dns.rdatatype.RdataType.make(draw(TYPES))
            data = draw(st.lists(DATA[rtype], min_size=1, max_size=1 if int(rtype) in (Type.SOA, Type.CNAME) else 4))
            rrset = made.find_rrset(section, owner, dns.rdataclass.IN, rtype, create=True)
            for one in data:
                rrset.add(rdata_of(rtype, one), draw(st.integers(0, 3600)))
    return made


def wire_of(made: dns.message.Message) -> bytes:
    """Its octets; one that fits into no frame is no example."""
    try:
        return made.to_wire()
    except dns.exception.TooBig:
        reject()


def theirs(section: list[dns.rrset.RRset]) -> Records:
    """A section of dnspython's, record by record."""
    return {
        (packed(each.name).lower(), int(each.rdtype), each.ttl, packed(data).lower())
        for each in section
        for data in each
    }


def ours(section: list[RRset]) -> Records:
    """A section that was read, record by record."""
    return {(each.owner.lower(), each.rtype, each.ttl, data.lower()) for each in section for data in each.data}


@given(messages())
def test_read_gives_the_same_records(made: dns.message.Message) -> None:
    """Every record of every section, with its names written out."""
    wire = wire_of(made)
    read = whole_message.read(wire)
    assert isinstance(read, whole_message.Message)
    parsed = dns.message.from_wire(wire)
    for mine, section in zip((read.answer, read.authority, read.additional), parsed.sections[1:], strict=True):
        assert ours(mine) == theirs(section)
    assert (read.flags, read.rcode) == (int(parsed.flags), int(parsed.rcode()))


@given(messages(), st.integers(100, 700))
def test_truncate_keeps_whole_sets(made: dns.message.Message, limit: int) -> None:
    """The first record sets of the answer that fit, all of each, OPT and TC; never over the limit."""
    wire = wire_of(made)
    least = HEADER_SIZE + len(packed(made.question[0].name)) + 4 + (11 if made.edns >= 0 else 0)
    cut = whole_message.truncate(wire, max(limit, least))
    assert isinstance(cut, bytes)
    assert len(cut) <= max(limit, least)
    parsed = dns.message.from_wire(cut)
    assert parsed.flags == made.flags | dns.flags.TC
    assert (parsed.question, parsed.edns, parsed.authority, parsed.additional) == (made.question, made.edns, [], [])
    whole = dns.message.from_wire(wire).answer
    assert [each.to_text() for each in parsed.answer] == [each.to_text() for each in whole[: len(parsed.answer)]]


@given(messages(), st.binary(max_size=20))
def test_with_option(made: dns.message.Message, data: bytes) -> None:
    """One more option where there is an OPT record, and else the same octets."""
    wire = wire_of(made)
    longer = whole_message.with_option(wire, edns.option(65001, data))
    parsed = dns.message.from_wire(longer)
    if made.edns < 0:
        assert longer == wire
    else:
        assert [(int(option.otype), option.to_wire()) for option in parsed.options] == [(65001, data)]
    assert [parsed.sections] == [dns.message.from_wire(wire).sections]


HEADER = bytes(HEADER_SIZE)
POINTERS = b"".join((0xC000 | at).to_bytes(2, "big") for at in (12, *range(15, 267, 2)))
"""127 of them after `\\x01a\\x00`, each to the one before."""


@pytest.mark.parametrize("target", [0, 2, 11])
def test_no_name_leads_into_the_header(target: int) -> None:
    """The header is no name, and is another in every message."""
    assert whole_message.expand(HEADER + bytes((0xC0, target)), HEADER_SIZE) is None


@pytest.mark.parametrize(
    ("octets", "start", "expected"),
    [
        (b"\x01a\x00", 0, (b"\x01a\x00", 3)),
        (b"\x00", 0, (b"\x00", 1)),
        (HEADER + b"\x01a\x00\x01b\xc0\x0c", 15, (b"\x01b\x01a\x00", 19)),
        (HEADER + b"\x01a\x00\xc0\x0c\xc0\x0f", 17, (b"\x01a\x00", 19)),
        (b"", 0, None),
        (b"\x01", 0, None),
        (b"\x01a", 0, None),
        (b"\xc0\x00", 0, None),
        (b"\xc0\x02\xc0\x00", 0, None),
        (b"\x01a\xc0\x00", 0, None),
        (b"\x01a\xc0", 0, None),
        (b"\x40a\x00", 0, None),
        (b"\x80a\x00", 0, None),
        ((b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\x00", 0, 255),
        ((b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\x00", 0, None),
        (HEADER + b"\x01a\x00" + POINTERS, 267, (b"\x01a\x00", 269)),
        (HEADER + b"\x01a\x00" + POINTERS + b"\xc1\x0b", 269, None),
    ],
    ids=lambda value: value.hex()[:40] if isinstance(value, bytes) else repr(value)[:20],
)
def test_expand(octets: bytes, start: int, expected: tuple[bytes, int] | int | None) -> None:
    """Names with pointers: backwards only, at most 127 of them, at most 255 octets, as dnspython has it."""
    got = whole_message.expand(octets, start)
    if isinstance(expected, int):
        assert got == (octets[:expected], expected)
    else:
        assert got == expected
    if start > 200:
        return  # dnspython's bound of pointers is another, and its versions differ
    if got:
        assert dns.name.from_wire(octets, start)[0].to_wire() == got[0]
    else:
        with pytest.raises(dns.exception.DNSException):
            dns.name.from_wire(octets, start)

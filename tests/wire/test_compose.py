"""Random record sets through `compose`; dnspython reads what comes out."""

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire import name as names
from dnsbridge.wire import query as wire_query
from dnsbridge.wire import rdata
from dnsbridge.wire.compose import Body, Rotating, RRset, Sections, Serial, Stamped, compose, octets
from dnsbridge.wire.constants import HEADER_SIZE, Rcode, Type
from dnsbridge.wire.query import Query
from tests.support.oracle import packed

PRIVATE = 65280
"""The first type for private use (RFC 6895 section 3.1): data of any octets."""
Record = tuple[bytes, int, int, bytes]
"""Owner, type, TTL, data; names as they are written."""

LABELS = st.sampled_from([b"web", b"db", b"Shop", b"svc", b"cluster", b"local", b"_tcp", b"\x00.\xff", b"x" * 63])
NAMES = st.lists(LABELS, max_size=4).map(lambda labels: names.from_labels(*labels[:3]) + b"\x05local\x00")
NUMBERS = st.integers(0, 0xFFFF)
STRINGS = st.binary(max_size=300)
DATA: dict[int, st.SearchStrategy[bytes]] = {
    Type.A: st.binary(min_size=4, max_size=4),
    Type.AAAA: st.binary(min_size=16, max_size=16),
    Type.NS: NAMES,
    Type.CNAME: NAMES,
    Type.PTR: NAMES,
    Type.DNAME: NAMES,
    Type.SRV: st.builds(rdata.srv, NUMBERS, NUMBERS, NUMBERS, NAMES),
    Type.SOA: st.builds(rdata.soa, NAMES, NAMES, st.integers(0, 0xFFFFFFFF), st.integers(0, 1000)),
    Type.TXT: STRINGS.map(rdata.txt),
    Type.HINFO: st.builds(rdata.hinfo, st.binary(max_size=255), st.binary(max_size=20)),
    Type.MX: st.builds(lambda number, name: number.to_bytes(2, "big") + name, NUMBERS, NAMES),
    Type.RP: st.builds(lambda one, other: one + other, NAMES, NAMES),
}
TYPES = st.sampled_from(sorted(DATA))


@st.composite
def rrsets(draw: st.DrawFn, question: bytes, most: int = 4) -> list[RRset]:
    """Sets of different owners and types, some owned by the question's name."""
    found: dict[tuple[bytes, int], RRset] = {}
    for _ in range(draw(st.integers(0, most))):
        owner = draw(st.one_of(st.just(question), NAMES))
        rtype = draw(TYPES)
        data = draw(st.lists(DATA[rtype], min_size=1, max_size=1 if rtype == Type.SOA else 5, unique_by=bytes.lower))
        key = (owner.lower(), rtype)
        found.setdefault(key, RRset(owner, rtype, draw(st.integers(0, 0x7FFFFFFF)), tuple(data)))
    return list(found.values())


@st.composite
def cases(draw: st.DrawFn) -> tuple[Query, Sections]:
    """A question and what is said to it."""
    name = draw(NAMES)
    size = draw(st.sampled_from([None, 512, 700, 1232, 65535]))
    made = dns.message.make_query(
        dns.name.from_wire(name, 0)[0],
        dns.rdatatype.RdataType.make(draw(TYPES)),
        use_edns=-1 if size is None else 0,
        payload=size,
        want_dnssec=size is not None and draw(st.booleans()),
        id=draw(NUMBERS),
        flags=draw(st.sampled_from([0, dns.flags.RD, dns.flags.CD | dns.flags.AD, dns.flags.RD | dns.flags.CD])),
    )
    query = wire_query.parse(made.to_wire(), stream=size is None and draw(st.booleans()))
    assert isinstance(query, Query)
    said = Sections(
        draw(st.sampled_from([Rcode.NOERROR, Rcode.NXDOMAIN])),
        draw(rrsets(name)),
        draw(rrsets(name, 2)),
        draw(rrsets(name)),
        draw(st.booleans()),
    )
    return query, said


def read(query: Query, body: Body) -> dns.message.Message:
    """What the client gets, as dnspython reads it."""
    wire = query.message[:2] + octets(body)
    assert len(wire) <= query.limit
    assert wire[HEADER_SIZE : query.question_end] == query.question
    return dns.message.from_wire(wire, one_rr_per_rrset=True)


def records(message: dns.message.Message, section: int) -> list[Record]:
    """A section record by record, in order."""
    return [(packed(rrset.name), int(rrset.rdtype), rrset.ttl, packed(rrset[0])) for rrset in message.sections[section]]


def rdata_of(rtype: int, data: bytes) -> dns.rdata.Rdata:
    """Record data as dnspython reads it."""
    return dns.rdata.from_wire("IN", dns.rdatatype.RdataType.make(rtype), data, 0, len(data))


def wanted(said: list[RRset]) -> list[Record]:
    """Record sets record by record, their data read by dnspython."""
    return [
        (each.owner, each.rtype, each.ttl, packed(rdata_of(each.rtype, data))) for each in said for data in each.data
    ]


@given(cases())
def test_every_record_comes_through(case: tuple[Query, Sections]) -> None:
    """Sections, owners, types, TTLs and data in order; flags; OPT last; what does not fit ends at a record set."""
    query, said = case
    message = read(query, compose(query, said))
    cut = bool(message.flags & dns.flags.TC)
    assert int(message.rcode()) == int(said.rcode)
    asked = dns.message.from_wire(query.message)
    copied = asked.flags & (dns.flags.RD | dns.flags.CD)
    authoritative = dns.flags.AA if said.authoritative else 0
    assert message.flags & ~dns.flags.TC & ~15 == dns.flags.QR | dns.flags.RA | copied | authoritative
    assert message.edns == asked.edns
    assert message.ednsflags == asked.ednsflags
    got = [records(message, section) for section in (1, 2, 3)]
    full = [[*said.answer], [*said.authority], [*said.additional]]
    kept = [boundary(one, mine) for one, mine in zip(full, got, strict=True)]
    whole = [count == len(sets) for count, sets in zip(kept, full, strict=True)]
    assert cut == (not (whole[0] and whole[1])), "TC says that a set of answer or authority is missing, and only that"
    for section in (0, 1):
        if not whole[section]:
            assert not any(kept[section + 1 :]), "nothing follows the set that did not fit"
    if query.edns:
        assert (query.message[:2] + octets(compose(query, said)))[-11:-8] == b"\x00\x00\x29"


def boundary(sets: list[RRset], got: list[Record]) -> int:
    """How many whole sets of a section came through; fails if part of one did."""
    for count in range(len(sets) + 1):
        if sorted(wanted(sets[:count])) == sorted(got):
            return count
    raise AssertionError(f"{got} does not end at a record set of {sets}")


@pytest.mark.parametrize("rtype", [Type.A, Type.AAAA])
@pytest.mark.parametrize("count", [1, 2, 3, 24])
@pytest.mark.parametrize("additional", [(), (RRset(b"\x01x\x00", Type.A, 5, (b"\x7f\x00\x00\x01",)),)])
def test_rotation(rtype: Type, count: int, additional: tuple[RRset, ...]) -> None:
    """Every record is first once in a round, beginning where the ID says; each message holds the same set."""
    query = asked("Web.shop.svc.local", rtype)
    data = tuple(bytes([number]) * (4 if rtype == Type.A else 16) for number in range(1, count + 1))
    body = compose(query, Sections(answer=(RRset(query.name, rtype, 5, data),), additional=additional))
    assert isinstance(body, Rotating) == (count > 1)
    seen = [read(query, body) for _ in range(2 * count)]
    orders = [[record[3] for record in records(message, 1)] for message in seen]
    first = int.from_bytes(query.message[:2], "big") % count
    starts = [*range(first, count), *range(first)]
    assert orders[:count] == [[*data[start:], *data[:start]] for start in starts]
    assert orders[count:] == orders[:count]
    assert {(len(message.additional), message.flags) for message in seen} == {(len(additional), seen[0].flags)}


def asked(name: str, rtype: int, payload: int = 65535) -> Query:
    """A client's question with EDNS."""
    query = wire_query.parse(
        dns.message.make_query(name, dns.rdatatype.RdataType.make(rtype), use_edns=0, payload=payload).to_wire()
    )
    assert isinstance(query, Query)
    return query


def test_rotation_after_an_alias() -> None:
    """The addresses behind a CNAME rotate or not, but every message says the same."""
    query = asked("a.local", Type.A)
    target = names.from_text("b.local")
    answer = (RRset(query.name, Type.CNAME, 5, (target,)), RRset(target, Type.A, 5, (b"\x01" * 4, b"\x02" * 4)))
    body = compose(query, Sections(answer=answer))
    for _ in range(4):
        assert sorted(records(read(query, body), 1)) == sorted(wanted([*answer]))


@pytest.mark.parametrize("edns_size", [512, 1232])
def test_serial_of_the_moment(edns_size: int) -> None:
    """A negative answer shows the serial that the zone has when it is sent; the serial never goes back."""
    query, serial = asked("no.local", Type.A, edns_size), Serial(7)
    data = rdata.soa(names.from_text("ns.local"), names.from_text("hostmaster.local"), 7, 1)
    said = Sections(Rcode.NXDOMAIN, authority=(RRset(names.from_text("local"), Type.SOA, 1, (data,)),))
    body = compose(query, said, serial=serial)
    assert isinstance(body, Stamped)
    for now, expected in ((7, 7), (1000, 1000), (900, 1000), (1 << 32, 1000), (1001, 1001)):
        serial.advance(now)
        (start,) = read(query, body).authority[0]
        assert (start.serial, start.minimum, serial.value) == (expected, 1, expected)


@pytest.mark.parametrize(("over", "whole"), [(0, True), (1, False)])
def test_exact_fit(over: int, whole: bool) -> None:
    """Exactly the limit is whole; one octet more truncates answer and authority, and drops the additional."""
    for section in (1, 2, 3):
        query = asked("a.local", PRIVATE, 600)
        room = 600 - 11 - query.question_end - 12
        rrset = RRset(query.name, PRIVATE, 5, (b"x" * (room + over),))
        answer, authority, additional = ([rrset] if number == section else [] for number in (1, 2, 3))
        said = Sections(answer=answer, authority=authority, additional=additional)
        message = read(query, compose(query, said))
        assert bool(message.sections[section]) == whole
        assert bool(message.flags & dns.flags.TC) == (not whole and section != 3)


def test_thousands_of_records() -> None:
    """A set that cannot fit is left out whole; names past the reach of a pointer are written out."""
    data = tuple(number.to_bytes(4, "big") for number in range(5000))
    small = read(
        query := asked("a.local", Type.A, 1232), compose(query, Sections(answer=(RRset(query.name, 1, 5, data),)))
    )
    assert (len(small.answer), bool(small.flags & dns.flags.TC)) == (0, True)
    targets = tuple(names.from_text(f"host-{number}.zone-{number}.example") for number in range(1200))
    query = asked("a.local", Type.NS)
    large = compose(query, Sections(answer=(RRset(query.name, Type.NS, 5, targets),)))
    assert len(octets(large)) > 0x4000
    assert records(read(query, large), 1) == wanted([RRset(query.name, Type.NS, 5, targets)])

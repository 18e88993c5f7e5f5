"""Mutated packets against everything that reads octets from outside: it never raises, and work is bounded."""

import sys
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from dnsbridge.wire import compose, edns, query, rename, whole_message
from dnsbridge.wire import name as names
from dnsbridge.wire.constants import CLASSIC_UDP_SIZE, HEADER_SIZE
from dnsbridge.wire.failure import Failure
from tests.support.oracle import packed
from tests.support.properties import times

PARTS = 10
PACKETS = times(8_000)
"""Of each part; in all PARTS * PACKETS."""
ONE_OPTION = edns.option(15, b"\x00\x03")


def queries() -> list[bytes]:
    """Valid queries, among them rare shapes."""
    made = [dns.message.make_query("web.shop.svc.cluster.local", "A"), dns.message.make_query(".", "NS", use_edns=0)]
    options: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.make(10), b"12345678"),
        dns.edns.ECSOption("192.0.2.0", 24),
        dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"\x00\xff"),
    ]
    made.append(
        dns.message.make_query("_http._tcp.Web.shop.svc.cluster.local", "SRV", want_dnssec=True, options=options)
    )
    made.append(dns.message.make_query("1.0.96.10.in-addr.arpa", "PTR", use_edns=0, payload=4096))
    made.append(dns.message.make_query("a." * 120 + "local", "AAAA", use_edns=1))
    made.append(dns.message.make_query("x" * 63 + "." + "y" * 63 + ".local", "ANY", "CH"))
    transfer = dns.message.make_query("cluster.local", "IXFR", use_edns=0)
    transfer.authority.append(dns.rrset.from_text("cluster.local.", 0, "IN", "SOA", "ns.cluster.local. h. 1 2 3 4 5"))
    return [each.to_wire() for each in [*made, transfer]]


def replies() -> list[bytes]:
    """Valid replies with compressed names in owners and data."""
    found = []
    for question, records in (
        ("web.shop.svc.local. A", ["web.shop.svc.local. A|10.0.0.1|10.0.0.2|10.0.0.3"]),
        ("www.example.com. A", ["www.example.com. CNAME|a.example.com.", "a.example.com. A|192.0.2.1"]),
        ("_a._tcp.b.local. SRV", ["_a._tcp.b.local. SRV|0 50 80 x.b.local.|0 50 81 y.b.local."]),
        (
            "b.local. MX",
            ["b.local. MX|10 x.b.local.|20 y.b.local.", 'b.local. TXT|"some text"', "b.local. NS|x.b.local."],
        ),
        ("b.local. SOA", ["b.local. SOA|ns.b.local. h.b.local. 1 2 3 4 5", "b.local. RP|a.b.local. c.b.local."]),
    ):
        name, rtype = question.split()
        message = dns.message.make_response(dns.message.make_query(name, rtype, use_edns=0), recursion_available=True)
        for record in records:
            head, *data = record.split("|")
            owner, kind = head.split()
            message.answer.append(dns.rrset.from_text(owner, 5, "IN", kind, *data))
        message.authority.append(dns.rrset.from_text("local.", 1, "IN", "SOA", "ns.local. h.local. 1 2 3 4 5"))
        message.additional.append(dns.rrset.from_text("x.b.local.", 5, "IN", "AAAA", "2001:db8::1"))
        found.append(message.to_wire())
    return found


def mutated(random: Random, corpus: list[bytes]) -> bytes:
    """One of the corpus with one to three things wrong."""
    octets = bytearray(random.choice(corpus))
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(octets)) if octets else 0
        match random.randrange(10):
            case 0 if octets:
                octets[at] ^= 1 << random.randrange(8)
            case 1:
                del octets[at:]
            case 2:
                other = random.choice(corpus)
                octets[at:] = other[random.randrange(len(other)) :]
            case 3 if octets:
                octets[at] = random.choice((0, 1, 12, 63, 64, 65, 127, 128, 191, 192, 255))
            case 4:
                octets[at : at + 2] = bytes((0xC0 | random.randrange(2), random.randrange(256)))
            case 5 if len(octets) >= HEADER_SIZE:
                octets[random.randrange(4, 12)] = random.choice((0, 1, 2, 255))
            case 6:
                octets += random.randbytes(random.choice((1, 2, 11, 40)))
            case 7:
                del octets[at : at + random.randint(1, 6)]
            case 8:
                octets[at:at] = octets[at : at + random.randint(1, 20)]
            case _ if len(octets) > HEADER_SIZE:
                octets[random.randrange(HEADER_SIZE, len(octets))] = random.randrange(256)
    return bytes(octets)


def theirs(message: bytes) -> dns.message.Message:
    """What dnspython reads, or its reasons not to."""
    return dns.message.from_wire(message, keyring=False)


def skipped_content(message: bytes, asked: query.Query) -> bool:
    """Whether a packet is a justified exception: what dnspython refuses is content that says nothing to us.

    `parse` skips owners and data of records but OPT, and the data of options, by their lengths; dnspython reads them
    all. Without them it must accept the message.
    """
    opt = b""
    if asked.edns:
        opt = edns.record(asked.edns.dnssec_ok, udp_size=asked.edns.udp_size)
    counts = b"\x00\x01\x00\x00\x00\x00\x00" + (b"\x01" if opt else b"\x00")
    theirs(message[:4] + counts + asked.question + opt)
    position, others = asked.question_end, 0
    for _ in range(sum(int.from_bytes(message[at : at + 2], "big") for at in (6, 8, 10))):
        position = query._owner_end(message, position)
        others += message[position : position + 2] != b"\x00\x29"
        position += 10 + int.from_bytes(message[position + 8 : position + 10], "big")
    return bool(others or (asked.edns and asked.edns.options))


@pytest.mark.parametrize("part", range(PARTS // 2))
def test_mutated_queries(part: int) -> None:
    """`parse` gives one of its three, and a Query is what dnspython reads from the same octets."""
    random, corpus = Random(part), queries()
    accepted = refused_by_dnspython = 0
    for _ in range(PACKETS):
        message = mutated(random, corpus)
        got = query.parse(message, stream=bool(part % 2))
        if isinstance(got, query.Ignored):
            assert len(message) < HEADER_SIZE or message[2] & 0x80
            continue
        if isinstance(got, query.Rejected):
            answers(got, message)
            continue
        accepted += 1
        try:
            read = theirs(message)
        except dns.exception.DNSException:
            refused_by_dnspython += 1
            assert skipped_content(message, got), message.hex()
            continue
        (asked,) = read.question
        assert (asked.rdtype, asked.rdclass) == (got.qtype, got.qclass)
        assert asked.name.to_wire() == got.name
        assert bool(got.edns) == (read.edns >= 0)
        if got.edns:
            assert (got.edns.udp_size, got.edns.version) == (read.payload, read.edns)
            assert got.edns.dnssec_ok == bool(read.ednsflags & dns.flags.DO)
        assert got.flags == read.flags & (dns.flags.RD | dns.flags.CD)
    assert accepted > PACKETS // 10
    assert refused_by_dnspython < accepted // 10


def answers(got: query.Rejected, message: bytes) -> None:
    """The answer to a message that is rejected parses, and echoes what it may."""
    head = message[:2]
    if got.query is None:
        read = theirs(head + compose.rejection(message, got.failure, got.opt))
        assert (read.id.to_bytes(2, "big"), read.sections) == (head, [[], [], [], []])
        assert read.opcode() == message[2] >> 3 & 15
    else:
        read = theirs(head + compose.failure(got.query, got.failure))
        assert read.question[0].name.to_wire() == got.query.name
    assert int(read.rcode()) == int(got.failure.rcode)
    assert read.flags & dns.flags.QR


def wrong_records(found: list[whole_message.Record], message: bytes) -> bool:
    """Whether records lie outside the message, or not one after the other."""
    edges = [edge for record in found for edge in (record.start, record.data, record.end)]
    return edges != sorted(edges) or any(edge > len(message) for edge in edges)


@pytest.mark.parametrize("part", range(PARTS // 2, PARTS))
def test_mutated_replies(part: int) -> None:
    """Records lie inside the message, or it is broken; what dnspython reads of it, `read` reads alike."""
    random, corpus = Random(part), replies()
    whole = broken = 0
    for number in range(PACKETS):
        message = mutated(random, corpus)
        found, read = whole_message.records(message), whole_message.read(message)
        cut = whole_message.truncate(message, limit := random.choice((CLASSIC_UDP_SIZE, 60, 100)))
        longer = whole_message.with_option(message, ONE_OPTION)
        if isinstance(found, whole_message.Broken):
            broken += 1
            assert isinstance(read, whole_message.Broken)
            assert isinstance(cut, whole_message.Broken)
            assert longer == message
            continue
        assert not wrong_records(found, message)
        opts = [record for record in found if record.rtype == dns.rdatatype.OPT]
        if len(opts) <= 1:
            assert not isinstance(cut, whole_message.Broken)
            assert isinstance(whole_message.records(cut), list)
            fixed = HEADER_SIZE + len(cut[HEADER_SIZE : query.name_end(message, HEADER_SIZE)]) + 4
            assert len(cut) <= max(limit, fixed + sum(opt.end - opt.start for opt in opts))
            assert isinstance(whole_message.records(longer), list)
        if isinstance(read, whole_message.Broken):
            continue
        whole += 1
        for rrset in [*read.answer, *read.authority, *read.additional]:
            renamed = rename.rename_set(rrset, names.from_text("local"), names.from_text("corp"), rrset.owner)
            assert dns.name.from_wire(renamed.owner, 0)[1] == len(renamed.owner)
        if number % 4 == 0:
            compare(message, read)
    assert whole > PACKETS // 20
    assert broken > PACKETS // 20


def compare(message: bytes, read: whole_message.Message) -> None:
    """Owners, types, TTLs and data equal dnspython's where dnspython accepts the message."""
    try:
        parsed = theirs(message)
    except dns.exception.DNSException:
        return
    if parsed.opcode() != 0:
        return  # dnspython reads the sections of an update in another way
    for mine, section in zip((read.answer, read.authority, read.additional), parsed.sections[1:], strict=True):
        expected = {
            (packed(rrset.name).lower(), int(rrset.rdtype), rrset.ttl, data.to_digestable().lower())
            for rrset in section
            if rrset.rdclass == dns.rdataclass.IN
            for data in rrset
        }
        got = {(one.owner.lower(), one.rtype, one.ttl, data.lower()) for one in mine for data in one.data}
        assert got == expected, message.hex()


class Steps:
    """Counts lines of the package's wire modules that run: work, without a clock."""

    def __init__(self) -> None:
        self.count = 0

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        """For sys.settrace."""
        if "dnsbridge" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.count += 1
        return self.trace


def steps(work: Callable[[bytes], object], message: bytes) -> int:
    """How many lines of the package run."""
    counter, before = Steps(), sys.gettrace()
    sys.settrace(counter.trace)
    try:
        work(message)
    finally:
        sys.settrace(before)
    return counter.count


def header(answers: int = 0, additionals: int = 0, flags: bytes = b"\x81\x80") -> bytes:
    """A header with one question."""
    return b"\x00\x01" + flags + b"\x00\x01" + answers.to_bytes(2, "big") + b"\x00\x00" + additionals.to_bytes(2, "big")


QUESTION = b"\x01a\x00\x00\x01\x00\x01"
FIXED = b"\x00\x01\x00\x01\x00\x00\x00\x05"
A = FIXED + b"\x00\x04\x0a\x00\x00\x01"
LONGEST = b"\x01a" * 126 + b"\x00"


def long_owners(size: int) -> bytes:
    """Records whose owner, by a pointer, is a name of 126 labels."""
    first = b"\x01a" * 125 + b"\xc0\x0c" + A
    rest = (b"\xc0\x13" + A) * ((size - 300) // 16)
    return header(1 + len(rest) // 16) + QUESTION + first + rest


def pointers_to_pointers(size: int) -> bytes:
    """Data full of pointers, each to the one before, and then owners that point to the last of them."""
    return pointer_chain(size, size // 9)


def most_pointers(size: int) -> bytes:
    """The same with as many pointers as a name may have."""
    return pointer_chain(size, 126)


def pointer_chain(size: int, count: int) -> bytes:
    """A name of so many pointers, and owners that point to it."""
    start = HEADER_SIZE + len(QUESTION) + 11
    chain = b"".join(
        b"%c%c" % (0xC0 | at >> 8 & 0x3F, at & 255) for at in (12, *range(start, start + 2 * count - 2, 2))
    )
    holder = b"\x00\x00\x10\x00\x01\x00\x00\x00\x05" + len(chain).to_bytes(2, "big") + chain
    last = start + len(chain) - 2
    owners = (bytes((0xC0 | last >> 8, last & 255)) + A) * ((size - start - len(chain)) // 16)
    return header(1 + len(owners) // 16) + QUESTION + holder + owners


def empty_records(size: int) -> bytes:
    """As many records as fit: owned by the root, without data."""
    count = (size - 30) // 11
    return header(count) + QUESTION + (b"\x00" + FIXED + b"\x00\x00") * count


def many_options(size: int) -> bytes:
    """An OPT record full of empty options."""
    options = b"\x00\x0a\x00\x00" * ((size - 40) // 4)
    return header(0, 1) + QUESTION + edns.record(False, options)


def nothing_but_labels(size: int) -> bytes:
    """A question's name that never ends."""
    return header() + b"\x01a" * ((size - 12) // 2)


@pytest.mark.parametrize(
    "made", [long_owners, pointers_to_pointers, most_pointers, empty_records, many_options, nothing_but_labels]
)
def test_bounded_work(made: Callable[[int], bytes]) -> None:
    """Four times the octets cost about four times the steps, up to a TCP frame, and never more than some per octet."""
    largest = made(65535)
    assert 60_000 < len(largest) <= 65535
    for work in (
        lambda message: query.parse(message[:2] + b"\x01\x00" + message[4:], True),
        whole_message.records,
        whole_message.read,
        lambda message: whole_message.truncate(message, 30_000),
        lambda message: whole_message.with_option(message, ONE_OPTION),
    ):
        small, large = steps(work, made(16384)), steps(work, largest)
        assert large < 5 * small + len(largest)
        assert large < 200 * len(largest)


def test_every_truncation_and_every_octet() -> None:
    """Every prefix of every valid packet, and every octet set to each of its edge values, is read."""
    for message in queries() + replies():
        for at in range(len(message)):
            for changed in (
                message[:at],
                *(message[:at] + bytes([value]) + message[at + 1 :] for value in (0, 63, 64, 192, 255)),
            ):
                query.parse(changed)
                query.parse(changed[:2] + b"\x01\x00" + changed[4:])
                whole_message.read(changed)
                whole_message.truncate(changed, 100)
                whole_message.with_option(changed, ONE_OPTION)


# An RCODE over 15 is for a question with EDNS only.
@pytest.mark.parametrize(
    ("why", "use_edns"), [(why, use) for why in Failure for use in (-1, 0) if use == 0 or why.rcode < 16]
)
def test_failures_parse(why: Failure, use_edns: int) -> None:
    """The answer of every failure: its RCODE, the question as asked, its extended error to those who sent EDNS."""
    for name in ("WeB.shop.svc.cluster.local", "a." * 120 + "local", "."):
        made = query.parse(dns.message.make_query(name, "A", use_edns=use_edns).to_wire())
        assert isinstance(made, query.Query)
        wire = made.message[:2] + compose.failure(made, why)
        read = theirs(wire)
        assert len(wire) <= CLASSIC_UDP_SIZE
        assert (int(read.rcode()), read.edns) == (int(why.rcode), use_edns)
        assert wire[HEADER_SIZE : made.question_end] == made.question
        assert not read.flags & (dns.flags.AA | dns.flags.TC)
        extended = [option for option in read.options if isinstance(option, dns.edns.EDEOption)]
        if use_edns == 0 and why.extended_error is not None:
            assert [(int(option.code), option.text) for option in extended] == [(int(why.extended_error), why.text)]
        else:
            assert not extended

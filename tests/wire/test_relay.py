"""Patching forwarded messages: what passes, what is cut, what is set; dnspython reads the results."""

import dns.edns
import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire import relay
from dnsbridge.wire.query import Query
from tests.support.forger import FORGERIES, Forgery, Way
from tests.support.forwarding import ask, option

COOKIE = option(10, b"12345678")
KEEPALIVE = option(11, b"")
PADDING = option(12, bytes(9))
NSID = option(3, b"ns1")
UNKNOWN = option(65001, b"\x00\xff")
BY_THEIR_OCTETS = [each for each in FORGERIES if each.way is Way.AS_TRUE and each.field != "ID"]
"""Forged replies that only their octets tell from the true one."""


def response(query: Query, records: int = 1, options: tuple[dns.edns.Option, ...] | None = None) -> dns.message.Message:
    """An upstream's reply with some address records."""
    made = dns.message.make_response(dns.message.from_wire(query.message), recursion_available=True)
    made.use_edns(-1 if options is None else 0, options=list(options or ()))
    name = made.question[0].name.to_text()
    addresses = [f"192.0.2.{number}" for number in range(records)]
    if addresses:
        made.answer.append(dns.rrset.from_text(name, 60, "IN", "A", *addresses))
    return made


def patched(query: Query, reply: bytes) -> dns.message.Message:
    """What the client gets, as dnspython reads it."""
    body = relay.incoming(query, reply)
    assert body is not None
    assert len(body) + 2 <= query.limit
    return dns.message.from_wire(query.message[:2] + body)


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ([], []),
        ([NSID, UNKNOWN], [3, 65001]),
        ([COOKIE], []),
        ([NSID, COOKIE, UNKNOWN, KEEPALIVE, PADDING, NSID], [3, 65001, 3]),
    ],
)
def test_options_of_a_question(options: list[dns.edns.Option], passed: list[int]) -> None:
    """Hop-by-hop options are cut out of a question; the others keep their order, and all else its octets."""
    query = ask(use_edns=0, options=options, want_dnssec=True, payload=4000)
    sent = relay.outgoing(query)
    read = dns.message.from_wire(query.message[:2] + sent)
    assert [int(option.otype) for option in read.options] == passed
    assert (read.payload, read.ednsflags) == (4000, dns.flags.DO)
    assert sent[: query.question_end - 2] == query.message[2 : query.question_end]
    if len(passed) == len(options):
        assert sent == query.message[2:]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda octets: octets, True),
        (lambda octets: octets[:12] + octets[12:].upper()[:17] + octets[29:], True),
        (lambda octets: octets[:12] + b"\x03xww" + octets[16:], False),
        (lambda octets: octets[:2] + b"\x01" + octets[3:], False),
        (lambda octets: octets[:2] + bytes([octets[2] | 0x28]) + octets[3:], False),
        (lambda octets: octets[:4] + b"\x00\x00" + octets[6:], False),
        (lambda octets: octets[:4] + b"\x00\x02" + octets[6:], False),
        (lambda octets: octets[:30], False),
        (lambda octets: octets[:11], False),
        (lambda octets: octets[:30] + b"\x61" + octets[31:], False),
    ],
    ids=["same", "case", "name", "query", "opcode", "no question", "two questions", "short", "header", "type"],
)
def test_matching(change: object, expected: bool) -> None:
    """Only a response with the one question that was asked matches; letters of the type's number are not folded."""
    query = ask("Www.Example.COM", rtype="TYPE65")
    assert callable(change)
    assert relay.matches(change(response(query, 0).to_wire()), query.question) is expected


@pytest.mark.parametrize(
    "forgery",
    [each for each in FORGERIES if each.way is Way.AS_TRUE and each.field != "ID"],
    ids=lambda each: each.field,
)
def test_forged_replies_do_not_match(forgery: Forgery) -> None:
    """The true reply does, and with one field wrong it does not, whatever else is in it."""
    query = ask("www.example.com", use_edns=0)
    true = response(query, 0).to_wire()
    assert relay.matches(true, query.question)
    assert forgery.change(true) != true
    assert not relay.matches(forgery.change(true), query.question)


@pytest.mark.parametrize("asked", [0, dns.flags.RD, dns.flags.CD, dns.flags.RD | dns.flags.CD | dns.flags.AD])
@pytest.mark.parametrize(
    ("came", "kept"),
    [
        (0x8000, 0),
        (0x8400, 0),
        (0x8040, 0),
        (0x8110, 0),
        (0x8020, dns.flags.AD),
        (0x8200, dns.flags.TC),
        (0x8003, 3),
        (0x87FF, dns.flags.TC | dns.flags.AD | 15),
    ],
)
def test_flags(asked: int, came: int, kept: int) -> None:
    """AA and Z are cleared, RA is set, RD and CD are the query's, AD, TC and RCODE pass."""
    query = ask(flags=asked)
    reply = response(query).to_wire()
    body = relay.incoming(query, reply[:2] + came.to_bytes(2, "big") + reply[4:])
    assert body is not None
    flags = int.from_bytes(body[:2], "big")
    assert flags == dns.flags.QR | dns.flags.RA | (asked & (dns.flags.RD | dns.flags.CD)) | kept


def test_case_of_the_question() -> None:
    """The client gets its own spelling back, and so the owner names that point to it."""
    query = ask("wWw.eXample.com")
    reply = response(query).to_wire()
    changed = reply[:12] + reply[12:].replace(b"wWw", b"www").replace(b"eXample", b"EXAMPLE")
    got = patched(query, changed)
    assert got.question[0].name.to_text() == got.answer[0].name.to_text() == "wWw.eXample.com."


@pytest.mark.parametrize(
    ("asked", "came", "passed"),
    [
        (None, None, None),
        (None, (), None),
        (None, (COOKIE, NSID), None),
        ((), None, []),
        ((), (), []),
        ((), (NSID, UNKNOWN), [3, 65001]),
        ((), (COOKIE,), []),
        ((), (PADDING, NSID, COOKIE, KEEPALIVE), [3]),
    ],
)
def test_opt_of_a_reply(
    asked: tuple[dns.edns.Option, ...] | None, came: tuple[dns.edns.Option, ...] | None, passed: list[int] | None
) -> None:
    """OPT goes to the clients that sent one and no others, with our own size and without hop-by-hop options."""
    query = ask() if asked is None else ask(use_edns=0, options=list(asked))
    got = patched(query, response(query, 2, came).to_wire())
    assert (got.edns == -1) is (passed is None)
    assert got.edns == -1 or got.payload == 1232
    assert [int(option.otype) for option in got.options] == (passed or [])
    assert len(got.answer[0]) == 2


def test_records_after_a_changed_opt_are_left_out() -> None:
    """An OPT in front of other additional records ends the message when it must change."""
    query = ask(use_edns=0)
    made = response(query, 1, (COOKIE,))
    octets = made.to_wire()
    address = b"\x01x\x00\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01"
    got = patched(query, octets[:10] + b"\x00\x02" + octets[12:] + address)
    assert got.edns == 0
    assert not got.options
    assert not got.additional


@pytest.mark.parametrize(
    ("edns_size", "records", "kept"), [(None, 20, 20), (None, 40, 0), (1232, 40, 40), (600, 60, 0), (100, 40, 0)]
)
def test_truncation(edns_size: int | None, records: int, kept: int) -> None:
    """An answer over the client's limit loses whole record sets and gets TC; OPT stays."""
    query = ask() if edns_size is None else ask(use_edns=0, payload=edns_size)
    got = patched(query, response(query, records, None if edns_size is None else (NSID,)).to_wire(max_size=65535))
    assert bool(got.flags & dns.flags.TC) is (kept < records)
    assert sum(len(rrset) for rrset in got.answer) == kept
    assert (got.edns == 0) is (edns_size is not None)


def test_truncation_keeps_the_sets_that_fit() -> None:
    """The first set fits and stays whole, the second goes."""
    query = ask("alias.example")
    made = dns.message.make_response(dns.message.from_wire(query.message))
    made.answer.append(dns.rrset.from_text("alias.example.", 60, "IN", "CNAME", "target.example."))
    made.answer.append(dns.rrset.from_text("target.example.", 60, "IN", "A", *[f"192.0.2.{n}" for n in range(60)]))
    got = patched(query, made.to_wire(max_size=65535))
    assert [rrset.to_text() for rrset in got.answer] == ["alias.example. 60 IN CNAME target.example."]
    assert got.flags & dns.flags.TC


def test_truncation_with_options_over_the_limit() -> None:
    """When the OPT itself does not fit, one without options goes out."""
    query = ask(use_edns=0, payload=512)
    got = patched(query, response(query, 1, (option(65001, bytes(600)),)).to_wire(max_size=65535))
    assert got.flags & dns.flags.TC
    assert (got.edns, got.options) == (0, ())


@pytest.mark.parametrize("cut", [1, 5, 15])
def test_reply_cut_inside_a_record(cut: int) -> None:
    """Without TC such a reply is broken; with TC its question passes alone."""
    query = ask(use_edns=0)
    reply = response(query).to_wire()[:-cut]
    assert relay.incoming(query, reply) is None
    got = patched(query, reply[:2] + bytes([reply[2] | 0x02]) + reply[3:])
    assert got.flags & dns.flags.TC
    assert not got.answer
    assert got.edns == 0


def test_unknown_types_and_classes_pass_byte_for_byte() -> None:
    """Record data of a type that nobody here knows is not touched."""
    query = ask(rtype="TYPE65400", rdclass="CLASS300")
    record = b"\xc0\x0c\xff\x78\x01\x2c\x00\x00\x00\x05\x00\x06\x00\xc0\xff\x00ab"
    reply = query.message[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + query.question + record
    body = relay.incoming(query, reply)
    assert body is not None
    assert body[-len(query.question) - len(record) :] == query.question + record


@given(
    after=st.binary(max_size=1500),
    flags=st.integers(0x8000, 0x87FF),
    counts=st.tuples(*[st.integers(0, 5)] * 3),
    edns_size=st.sampled_from([None, 512, 1232]),
)
def test_garbage_never_raises(after: bytes, flags: int, counts: tuple[int, int, int], edns_size: int | None) -> None:
    """Any octets after a question that matches give a body within the limit, or none."""
    query = ask() if edns_size is None else ask(use_edns=0, payload=edns_size)
    header = b"".join(number.to_bytes(2, "big") for number in (flags, 1, *counts))
    reply = query.message[:2] + header + query.question + after
    assert relay.matches(reply, query.question) is (flags & 0x7800 == 0)
    body = relay.incoming(query, reply)
    assert body is None or len(body) + 2 <= query.limit


@given(
    position=st.integers(12 + 21, 200),
    octet=st.integers(0, 255),
    options=st.sampled_from([None, (), (COOKIE, NSID)]),
    with_edns=st.booleans(),
)
def test_one_wrong_octet_never_raises(
    position: int, octet: int, options: tuple[dns.edns.Option, ...] | None, with_edns: bool
) -> None:
    """A good reply with one octet changed gives a body within the limit, or none."""
    query = ask(use_edns=0) if with_edns else ask()
    reply = bytearray(response(query, 4, options).to_wire())
    reply[min(position, len(reply) - 1)] = octet
    body = relay.incoming(query, bytes(reply))
    assert body is None or len(body) + 2 <= query.limit


@given(st.binary(max_size=100))
def test_matching_garbage_never_raises(reply: bytes) -> None:
    """Datagrams of any length and content are compared without an error."""
    assert relay.matches(reply, b"\x01a\x00\x00\x01\x00\x01") in (True, False)

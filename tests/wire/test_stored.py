"""Kept answers against dnspython: what is kept of a reply renders as the same records for whoever asks the same."""

from random import Random
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.wire import query as wire_query
from dnsbridge.wire import whole_message
from dnsbridge.wire.query import Query
from dnsbridge.wire.scrub import Whose
from dnsbridge.wire.stored import MAX_NEGATIVE_TTL, MAX_TTL, STALE_TTL, Stored, keep

NAME = "www.shop.example."
DATA = {
    "A": ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    "AAAA": ["2001:db8::1", "2001:db8::2"],
    "TXT": ['"one"', '"two" "strings"', f'"{"x" * 250}"'],
    "MX": ["10 mail.shop.example.", "20 mail.elsewhere.example."],
    "SRV": ["1 2 443 web.shop.example.", "0 0 80 ."],
    "NS": ["ns1.shop.example.", "ns2.other.example."],
    "PTR": ["host.example."],
    "CAA": ['0 issue "ca.example"'],
    "HTTPS": ["1 . alpn=h2"],
    "TYPE65400": [r"\# 4 c00cc0ff"],
}


def ask(name: str = NAME, rtype: str = "A", stream: bool = True, dnssec_ok: bool = False, **keywords: Any) -> Query:
    """A question, made by dnspython."""
    message = dns.message.make_query(name, rtype, want_dnssec=dnssec_ok, **keywords)
    parsed = wire_query.parse(message.to_wire(), stream)
    assert isinstance(parsed, Query)
    return parsed


def respond(query: Query, *answer: str, authority: tuple[str, ...] = (), rcode: int = 0, flags: int = 0) -> bytes:
    """A reply: lines of the answer and authority sections."""
    response = dns.message.make_response(dns.message.from_wire(query.message), recursion_available=True)
    response.flags |= flags
    response.set_rcode(dns.rcode.Rcode(rcode))
    for section, lines in ((response.answer, answer), (response.authority, authority)):
        for line in lines:
            owner, ttl, rclass, rtype, data = line.split(None, 4)
            found = response.find_rrset(
                section, dns.name.from_text(owner), dns.rdataclass.IN, dns.rdatatype.from_text(rtype), create=True
            )
            for item in dns.rrset.from_text(owner, int(ttl), rclass, rtype, data):
                found.add(item, int(ttl))
    return response.to_wire(max_size=65535)


def kept(query: Query, reply: bytes) -> Stored:
    """What is kept."""
    found = keep(query.question, bool(query.edns and query.edns.dnssec_ok), reply)
    assert isinstance(found, Stored), found
    return found


def read(query: Query, body: bytes) -> dns.message.Message:
    """What a client gets, which must answer its question and fit."""
    assert len(body) + 2 <= query.limit
    message = dns.message.from_wire(query.message[:2] + body)
    assert message.question[0].name.labels == dns.message.from_wire(query.message).question[0].name.labels
    assert bool(query.edns) == (message.edns >= 0)
    return message


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    """Records as lines, names in lower case: where they are compressed, they have the case of the question."""
    return sorted(
        f"{rrset.name.canonicalize()} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {_data(item)}"
        for rrset in section
        for item in rrset
    )


def _data(item: dns.rdata.Rdata) -> str:
    text = item.to_text()
    return text if item.rdtype == dns.rdatatype.TXT else text.lower()


@st.composite
def replies(draw: st.DrawFn) -> tuple[str, list[str], int]:
    """A type, the lines of an answer with a chain before it, and the least TTL."""
    rtype = draw(st.sampled_from(sorted(DATA)))
    links = draw(st.integers(0, 4))
    owners = [NAME, *(f"link{number}.shop.example." for number in range(links))]
    ttls = [draw(st.integers(1, 100_000)) for _ in range(links + 1)]
    chain = [f"{owner} {ttl} IN CNAME {target}" for owner, ttl, target in zip(owners, ttls, owners[1:], strict=False)]
    data = draw(st.lists(st.sampled_from(DATA[rtype]), min_size=1, unique=True))
    return rtype, [*chain, *(f"{owners[-1]} {ttls[-1]} IN {rtype} {each}" for each in data)], min(ttls)


@given(
    reply=replies(),
    upper=st.integers(0, 1 << 20),
    age=st.integers(0, 100_000),
    edns=st.sampled_from([None, 512, 1232, 4096]),
    stream=st.booleans(),
    dnssec_ok=st.booleans(),
)
def test_the_same_records_with_lesser_ttls(
    reply: tuple[str, list[str], int], upper: int, age: int, edns: int | None, stream: bool, dnssec_ok: bool
) -> None:
    """Whatever is kept comes out for any case of the question, EDNS or not, its TTLs less its age."""
    rtype, answer, least = reply
    asked = ask(rtype=rtype, use_edns=0, dnssec_ok=dnssec_ok)
    stored = kept(asked, respond(asked, *answer))
    assert stored.ttl == min(least, MAX_TTL)
    edns_keywords: dict[str, Any] = {} if edns is None else {"use_edns": 0, "payload": edns}
    mixed = "".join(each.upper() if upper >> at & 1 else each for at, each in enumerate(NAME))
    client = ask(mixed, rtype, stream, **edns_keywords)
    got = read(client, stored.render(client, age))
    expected = [line.split(None, 4) for line in answer]
    wanted = []
    for owner, ttl, _, kind, data in expected:
        rrset = dns.rrset.from_text(owner, 0, "IN", kind, data)
        wanted.append(
            f"{owner} {max(min(int(ttl), MAX_TTL) - age, 0)} {dns.rdatatype.to_text(rrset.rdtype)} {_data(rrset[0])}"
        )
    if got.flags & dns.flags.TC:
        assert not stream
        assert set(lines(got.answer)) < set(wanted)
    else:
        assert lines(got.answer) == sorted(wanted)
    stale = read(client, stored.render_stale(client))
    assert {rrset.ttl for rrset in stale.answer} <= {STALE_TTL}
    assert [int(error.code) for error in stale.extended_errors()] == ([] if edns is None else [3])


SOA = "example. {} IN SOA ns.example. admin.example. 1 7200 1800 86400 {}"


@pytest.mark.parametrize(
    ("answer", "authority", "rcode", "ttl"),
    [
        ([], [], 3, 0),
        ([], [], 0, 0),
        ([], ["example. 300 IN NS ns.example."], 0, 0),
        ([], [SOA.format(300, 60)], 3, 60),
        ([], [SOA.format(300, 60)], 0, 60),
        ([], [SOA.format(30, 60)], 3, 30),
        ([], [SOA.format(0, 60)], 3, 0),
        ([], [SOA.format(300, 0)], 3, 0),
        ([], [SOA.format(99999, 99999)], 0, MAX_NEGATIVE_TTL),
        ([], [SOA.format(2**31 - 1, 2**32 - 1)], 0, MAX_NEGATIVE_TTL),
        ([], ["other. 300 IN SOA ns.other. admin.other. 1 7200 1800 86400 60"], 3, 0),
        ([f"{NAME} 20 IN CNAME gone.example."], [SOA.format(300, 60)], 3, 20),
        ([f"{NAME} 200 IN CNAME gone.example."], [SOA.format(300, 60)], 0, 60),
        ([f"{NAME} 200 IN CNAME gone.example."], [], 0, 0),
        ([f"{NAME} 60 IN A 192.0.2.1"], [], 3, 0),
        ([f"{NAME} 0 IN A 192.0.2.1"], [], 0, 0),
        ([f"{NAME} 60 IN A 192.0.2.1"], [SOA.format(5, 5)], 0, 60),
        ([f"{NAME} {2**31 - 1} IN A 192.0.2.1"], [], 0, MAX_TTL),
        ([f"{NAME} 60 IN A 192.0.2.1"], [], 2, 0),
        (["www.other. 60 IN A 192.0.2.1"], [], 0, 0),
    ],
)
def test_how_long(answer: list[str], authority: list[str], rcode: int, ttl: int) -> None:
    """RFC 2308: nothing negative without the SOA of its zone, for the lesser of its TTL and minimum; all has a cap."""
    query = ask()
    stored = kept(query, respond(query, *answer, authority=tuple(authority), rcode=rcode))
    assert (stored.ttl, stored.rcode, stored.failed) == (ttl, rcode, rcode == 2)
    if ttl and authority and not (answer and " A " in answer[0]):
        got = read(query, stored.render(query, 1))
        # Who keeps this answer keeps it no longer than we do.
        assert min(rrset.ttl for rrset in (*got.answer, *got.authority)) == ttl - 1
        assert got.rcode() == rcode


def test_a_ttl_over_31_bits_is_none() -> None:
    """RFC 2181 section 8."""
    query = ask()
    reply = respond(query, f"{NAME} 60 IN A 192.0.2.1").replace(b"\x00\x00\x00\x3c", b"\x80\x00\x00\x3c")
    stored = kept(query, reply)
    assert stored.ttl == 0
    assert read(query, stored.render(query, 0)).answer[0].ttl == 0


@pytest.mark.parametrize(
    ("dnssec_ok", "flags", "expected"), [(False, 0, False), (True, 0, True), (False, dns.flags.AD, True)]
)
def test_authentic_data(dnssec_ok: bool, flags: int, expected: bool) -> None:
    """AD is for those who asked for it, with AD or DO (RFC 6840 section 5.8); AA never, CD and RD as asked."""
    query = ask(dnssec_ok=True, use_edns=0)
    reply = respond(query, f"{NAME} 60 IN A 192.0.2.1", flags=dns.flags.AD | dns.flags.AA)
    client = ask(flags=flags | dns.flags.RD | dns.flags.CD, dnssec_ok=dnssec_ok)
    got = read(client, kept(query, reply).render(client, 0))
    assert bool(got.flags & dns.flags.AD) is expected
    assert not got.flags & dns.flags.AA
    assert got.flags & dns.flags.RA
    assert got.flags & (dns.flags.RD | dns.flags.CD) == dns.flags.RD | dns.flags.CD


def test_extended_errors_are_kept() -> None:
    """What the upstream says about its answer (RFC 8914) is said on; its other options are between it and us."""
    query = ask(use_edns=0)
    response = dns.message.make_response(dns.message.from_wire(query.message))
    response.set_rcode(dns.rcode.SERVFAIL)
    response.use_edns(
        0,
        0,
        1232,
        options=[
            dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "bogus"),
            dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678" * 2),
        ],
    )
    stored = kept(query, response.to_wire())
    got = read(query, stored.render(query, 0))
    assert [(int(option.otype)) for option in got.options] == [15]
    assert got.extended_errors()[0].text == "bogus"
    plain = ask()
    assert read(plain, stored.render(plain, 0)).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("rtype", ["MX", "NS", "PTR", "SRV"])
@pytest.mark.parametrize("target", [0, 2, 11, 400])
def test_names_that_point_nowhere(rtype: str, target: int) -> None:
    """A compressed name that leads into the header or forward is no name: nothing is kept."""
    query = ask(rtype=rtype)
    reply = bytearray(respond(query, f"{NAME} 60 IN {rtype} {DATA[rtype][0]}"))
    found = whole_message.records(bytes(reply))
    assert isinstance(found, list)
    at = found[0].data + {"MX": 2, "SRV": 6}.get(rtype, 0)
    reply = reply[:at] + (0xC000 | target).to_bytes(2, "big")
    reply[found[0].data - 2 : found[0].data] = (len(reply) - found[0].data).to_bytes(2, "big")
    assert isinstance(keep(query.question, False, bytes(reply)), whole_message.Broken)


def test_a_large_answer_is_kept_whole() -> None:
    """64 KiB, and cut for each client to what it can take."""
    query = ask(rtype="TXT")
    texts = [f'{NAME} 60 IN TXT "{number:03}{"x" * 247}"' for number in range(245)]
    reply = respond(query, *texts)
    assert len(reply) > 64_000
    stored = kept(query, reply)
    assert len(read(query, stored.render(query, 5)).answer[0]) == 245
    cut = ask(rtype="TXT", stream=False)
    assert read(cut, stored.render(cut, 5)).flags & dns.flags.TC


@pytest.mark.parametrize("change", [b"\x02", b"\x03"])
def test_truncated_is_not_kept(change: bytes) -> None:
    """What is cut off says nothing about the whole."""
    query = ask()
    reply = respond(query, f"{NAME} 60 IN A 192.0.2.1")
    assert isinstance(
        keep(query.question, False, reply[:2] + bytes([reply[2] | change[0]]) + reply[3:]), whole_message.Broken
    )


@given(seed=st.integers(0, 1 << 30), count=st.integers(1, 8), reply=replies(), dnssec_ok=st.booleans())
def test_garbage_never_raises(seed: int, count: int, reply: tuple[str, list[str], int], dnssec_ok: bool) -> None:
    """Octets of a good reply changed at random: what is kept renders as a message, or nothing is kept."""
    rtype, answer, _ = reply
    query = ask(rtype=rtype, use_edns=0, dnssec_ok=dnssec_ok)
    octets = bytearray(respond(query, *answer, authority=(SOA.format(300, 60),)))
    random = Random(seed)
    end = query.question_end
    for _ in range(count):
        at = random.choice((*range(6, 12), *range(end, len(octets))))
        octets[at] = random.randrange(256)
    cut = random.choice((len(octets), random.randrange(end, len(octets) + 1)))
    stored = keep(query.question, dnssec_ok, bytes(octets[:cut]), lambda _: random.choice(list(Whose)))
    if isinstance(stored, Stored):
        client = ask(NAME.upper(), rtype, stream=False)
        if stored.leads_on:
            assert stored.ttl <= min(rrset.ttl for rrset in stored.links(client, 0))
            assert any(rrset.rtype == dns.rdatatype.CNAME for rrset in stored.links(client, 7))
        for body in (stored.render(client, 7), stored.render_stale(client)):
            assert len(body) + 2 <= client.limit
            assert not isinstance(whole_message.records(client.message[:2] + body), whole_message.Broken)


@given(st.binary(max_size=80))
def test_random_octets_never_raise(garbage: bytes) -> None:
    """Any octets after a matching question."""
    query = ask()
    header = b"\0\0\x81\x80\0\x01" + garbage[:6].ljust(6, b"\0")
    keep(query.question, False, header + query.question + garbage[6:], lambda _: Whose.CLUSTER)

"""Two upstreams over loopback, the first hostile, the second good: whatever the first says, clients get good answers.

A reply that cannot be made sense of is no answer (RFC 5625 section 6.1, RFC 9267): the next upstream is asked.
"""

import dns.flags
import dns.message
import pytest
from msgspec import Struct

from dnsbridge.resolvers.forward.answer_table import CacheStore
from dnsbridge.resolvers.forward.cached_zone import Cached
from dnsbridge.resolvers.resolver import Pending
from dnsbridge.wire.query import Query
from tests.support.caching import read
from tests.support.forwarding import ask, forwarding, option, run
from tests.support.scripted_upstream import Behaviour, ScriptedUpstream, answer, raw

HOSTILE = bytes([203, 0, 113, 66])
GOOD = "192.0.2.1"
NAME = "www.example.com"
RECORDS_AT = 12 + len(NAME) + 2 + 4
"""Where the first record stands in a reply."""
OWNER = b"\xc0\x0c"
A, CNAME, MX, TXT, OPT = 1, 5, 15, 16, 41
TRUNCATED = answer(flags=dns.flags.TC)


def pointer(offset: int) -> bytes:
    """A compression pointer."""
    return (0xC000 | offset).to_bytes(2, "big")


def record(data: bytes, rtype: int = A, owner: bytes = OWNER, rclass: int = 1, ttl: int = 60) -> bytes:
    """A record's octets."""
    head = rtype.to_bytes(2, "big") + rclass.to_bytes(2, "big") + ttl.to_bytes(4, "big")
    return owner + head + len(data).to_bytes(2, "big") + data


def opt(data: bytes = b"", owner: bytes = b"\0", ttl: int = 0) -> bytes:
    """An OPT record's octets."""
    return record(data, OPT, owner, 1232, ttl)


def reply(*records: bytes, counts: tuple[int, int, int] = (1, 0, 0), after: bytes = b"", qdcount: int = 1) -> Behaviour:
    """A reply of these octets behind the question; `counts` of answers, authorities, additional records."""

    def make(message: bytes) -> bytes:
        end = message.index(0, 12) + 5
        numbers = b"".join(count.to_bytes(2, "big") for count in (qdcount, *counts))
        return message[:2] + b"\x81\x80" + numbers + message[12:end] + b"".join(records) + after

    return raw(make)


def chain(*names: str) -> Behaviour:
    """Aliases from the question's name on, in the order of the names, and the hostile address of the last."""
    owners = ["@", *names]
    links = [f"{owner} 60 IN CNAME {target}" for owner, target in zip(owners, names, strict=False)]
    return answer(*links, f"{names[-1]} 60 IN A {'.'.join(map(str, HOSTILE))}")


class Row(Struct, frozen=True):
    """What the first upstream says."""

    what: str
    behaviour: Behaviour
    rtype: str = "A"
    over_tcp: bool = True
    """Also when it says so over TCP."""


ADDRESS = record(HOSTILE)
LONG_LABEL = bytes([63]) + b"x" * 63
LONG = LONG_LABEL * 3 + bytes([60]) + b"x" * 60
"""253 octets: with a label of one letter and the root, 256, one more than a name may have."""
ROWS = [
    Row("eleven links", chain(*[f"link{number}.example." for number in range(11)])),
    Row("an alias of itself", answer("@ 60 IN CNAME www.example.com.")),
    Row("a circle of two", answer("@ 60 IN CNAME web.example.com.", "web.example.com. 60 IN CNAME www.example.com.")),
    Row("ANCOUNT one too many", reply(ADDRESS, counts=(2, 0, 0))),
    Row("ANCOUNT 65535", reply(ADDRESS, counts=(65535, 0, 0))),
    Row("ANCOUNT one too few", reply(ADDRESS, ADDRESS)),
    Row("ANCOUNT 0 before a record", reply(ADDRESS, counts=(0, 0, 0))),
    Row("NSCOUNT one too many", reply(ADDRESS, counts=(1, 1, 0))),
    Row("ARCOUNT one too many", reply(ADDRESS, opt(), counts=(1, 0, 2))),
    Row("a count without records", reply()),
    Row("QDCOUNT 0", reply(ADDRESS, qdcount=0)),
    Row("QDCOUNT 2", reply(ADDRESS, qdcount=2)),
    Row("an octet after the last record", reply(ADDRESS, after=b"\0")),
    Row("octets after OPT", reply(ADDRESS, opt(), counts=(1, 0, 1), after=b"xxxx")),
    Row("a message after the message", reply(ADDRESS, after=bytes(12))),
    Row("a datagram of more than was offered", reply(*[ADDRESS] * 100, counts=(100, 0, 0)), over_tcp=False),
    Row("a datagram of 60,000 octets", reply(*[ADDRESS] * 3700, counts=(3700, 0, 0)), over_tcp=False),
    Row("data over the end", reply(ADDRESS[:-6] + b"\0\xff" + HOSTILE)),
    Row("data of 65535 octets", reply(ADDRESS[:-6] + b"\xff\xff" + HOSTILE)),
    Row("cut in the data", reply(ADDRESS[:-1])),
    Row("cut in the header of a record", reply(ADDRESS[:7])),
    Row("cut after the owner", reply(OWNER)),
    Row("an address of three octets", reply(record(HOSTILE[:3]))),
    Row("an address of five octets", reply(record(HOSTILE + b"x"))),
    Row("an address of no octets", reply(record(b""))),
    Row("an IPv6 address of four octets", reply(record(HOSTILE, 28)), "AAAA"),
    Row("a text that is longer than its data", reply(record(b"\x05hell", TXT)), "TXT"),
    Row("an owner that points at itself", reply(record(HOSTILE, owner=pointer(RECORDS_AT)))),
    Row("an owner that points forward", reply(record(HOSTILE, owner=pointer(RECORDS_AT + 12)))),
    Row("an owner that points over the end", reply(record(HOSTILE, owner=pointer(0x3FFF)))),
    Row("an owner that points into the header", reply(record(HOSTILE, owner=pointer(0)))),
    Row(
        "two owners that point at each other",
        reply(
            record(HOSTILE, owner=pointer(RECORDS_AT + 16)),
            record(HOSTILE, owner=pointer(RECORDS_AT)),
            counts=(2, 0, 0),
        ),
    ),
    Row("half a pointer at the end", reply(b"\xc0")),
    Row("a label of type 01", reply(record(HOSTILE, owner=b"\x41x\0"))),
    Row("a label of type 10", reply(record(HOSTILE, owner=b"\x81x\0"))),
    Row("an owner of 256 octets", reply(record(HOSTILE, owner=LONG + b"\x01x\0"))),
    Row(
        "an owner of 256 octets by its pointer",
        reply(record(b"x", TXT, LONG + b"\0"), record(HOSTILE, owner=b"\x01x" + pointer(RECORDS_AT)), counts=(2, 0, 0)),
    ),
    Row("an alias that points at itself", reply(record(pointer(RECORDS_AT + 12), CNAME))),
    Row("an alias that points forward", reply(record(pointer(RECORDS_AT + 14), CNAME), ADDRESS, counts=(2, 0, 0))),
    Row("an alias that points into the header", reply(record(pointer(2), CNAME), ADDRESS, counts=(2, 0, 0))),
    Row("an alias with octets after its name", reply(record(OWNER + b"xx", CNAME))),
    Row("an alias that is cut", reply(record(b"\x05hell", CNAME))),
    Row("an alias of no octets", reply(record(b"", CNAME))),
    Row("a mail host that points at itself", reply(record(b"\0\x0a" + pointer(RECORDS_AT + 14), MX)), "MX"),
    Row("a mail host of one octet", reply(record(b"\0", MX)), "MX"),
    Row("two OPT records", reply(ADDRESS, opt(), opt(), counts=(1, 0, 2))),
    Row("an OPT record with an owner", reply(ADDRESS, opt(owner=OWNER), counts=(1, 0, 1))),
    Row("an OPT record among the answers", reply(ADDRESS, opt(), counts=(2, 0, 0))),
    Row("an option that is longer than OPT", reply(ADDRESS, opt(b"\0\x03\0\xff"), counts=(1, 0, 1))),
    Row("half an option", reply(ADDRESS, opt(b"\0\x03"), counts=(1, 0, 1))),
    Row("BADVERS", reply(opt(ttl=1 << 24), counts=(0, 0, 1))),
]
GOOD_DATA = {"A": GOOD, "AAAA": "2001:db8::1", "TXT": '"good"', "MX": "10 mail.example.com."}


async def from_two(first: ScriptedUpstream, query: Query, second: ScriptedUpstream, times: int = 1) -> list[str]:
    """What a client gets each time, as the texts of the answer's data."""
    async with forwarding(first, second) as forward:
        cached = Cached(forward, CacheStore(100), lambda: 1000, serve_stale=0.0, prefetch=False)
        texts = []
        for _ in range(times):
            got = cached.resolve(query)
            texts.append(said(read(query, await got if isinstance(got, Pending) else got)))
        return texts


def said(message: dns.message.Message) -> str:
    """The data of all records."""
    return " ".join(item.to_text() for section in message.sections[1:] for rrset in section for item in rrset)


def upstreams(row: Row, over: str) -> tuple[ScriptedUpstream, ScriptedUpstream]:
    """The hostile one and the good one."""
    good = answer(f"@ 60 IN {row.rtype} {GOOD_DATA[row.rtype]}")
    if over == "udp":
        return ScriptedUpstream(row.behaviour), ScriptedUpstream(good)
    return ScriptedUpstream(TRUNCATED, tcp=[row.behaviour]), ScriptedUpstream(good)


CASES = [(row, over) for row in ROWS for over in ("udp", "tcp") if row.over_tcp or over == "udp"]


def case_id(value: object) -> str:
    """The name of a case."""
    return value.what if isinstance(value, Row) else str(value)


@pytest.mark.parametrize(("row", "over"), CASES, ids=case_id)
def test_the_next_upstream_is_asked(row: Row, over: str) -> None:
    """The client gets the good answer, and so does the next one, from the cache."""

    async def test() -> None:
        hostile, good = upstreams(row, over)
        assert await from_two(hostile, ask(NAME, row.rtype), good, times=2) == [GOOD_DATA[row.rtype]] * 2
        assert len(good.asked) == 1
        assert hostile.asked

    run(test())


@pytest.mark.parametrize(("row", "over"), CASES, ids=case_id)
def test_past_the_cache(row: Row, over: str) -> None:
    """The same for a question with an option that is end to end, whose answer is not kept."""

    async def test() -> None:
        hostile, good = upstreams(row, over)
        query = ask(NAME, row.rtype, use_edns=0, options=[option(65001, b"x")], stream=True)
        assert await from_two(hostile, query, good) == [GOOD_DATA[row.rtype]]

    run(test())

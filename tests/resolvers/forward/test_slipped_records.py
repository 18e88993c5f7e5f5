"""Records that an upstream slips in beside an answer: no client gets them, and they answer no other question."""

from collections.abc import Sequence

import dns.message
import dns.rrset
import pytest
from msgspec import Struct

from dnsbridge.wire.query import Query
from tests.support.caching import read, setting
from tests.support.forwarding import ask, option, run
from tests.support.scripted_upstream import Behaviour, Reply

NAME = "www.example.com"
GOOD, BAD = "@ 60 IN A 192.0.2.1", "203.0.113.66"
SOA = "example.com. 300 IN SOA ns.example.com. admin.example.com. 1 7200 1800 86400 20"
OTHER_SOA = "example.net. 300 IN SOA ns.example.net. admin.example.net. 1 7200 1800 86400 20"
VICTIM = "victim.example.net."


class Row(Struct, frozen=True):
    """What the upstream says, section by section, and what of it the client gets."""

    what: str
    answer: Sequence[str] = (GOOD,)
    authority: Sequence[str] = ()
    additional: Sequence[str] = ()
    left: Sequence[str] = ("www.example.com. A 192.0.2.1",)


ALIAS = "@ 60 IN CNAME web.example.com."
ALIASED = ("www.example.com. CNAME web.example.com.", "web.example.com. A 192.0.2.1")
ROWS = [
    Row("another name", answer=(GOOD, f"{VICTIM} 60 IN A {BAD}")),
    Row("another name first", answer=(f"{VICTIM} 60 IN A {BAD}", GOOD)),
    Row("another name alone", answer=(f"{VICTIM} 60 IN A {BAD}",), left=()),
    Row("another type", answer=(GOOD, "@ 60 IN AAAA 2001:db8::66", '@ 60 IN TXT "bad"')),
    Row("another class", answer=(GOOD, f'@ 60 CH TXT "{BAD}"')),
    Row("beside an alias", answer=(ALIAS, "web.example.com. 60 IN A 192.0.2.1", f"@ 60 IN A {BAD}"), left=ALIASED),
    Row(
        "beside the end of a chain",
        answer=(ALIAS, "web.example.com. 60 IN A 192.0.2.1", f"{VICTIM} 60 IN A {BAD}"),
        left=ALIASED,
    ),
    Row("name servers of the zone", authority=("example.com. 60 IN NS ns.victim.example.net.",)),
    Row("name servers of all", authority=(". 60 IN NS ns.victim.example.net.",)),
    Row("an address of a name server", additional=(f"ns.example.com. 60 IN A {BAD}",)),
    Row("an address of a victim", additional=(f"{VICTIM} 60 IN A {BAD}",)),
    Row("a SOA beside an answer", authority=(SOA,)),
    Row("a SOA of another zone", answer=(), authority=(OTHER_SOA,), left=()),
    Row("a referral", answer=(), authority=("example.com. 60 IN NS ns.victim.example.net.",), left=()),
]


def saying(row: Row) -> Behaviour:
    """The upstream's reply; every other question gets no data."""

    def behave(message: bytes) -> Sequence[Reply]:
        query = dns.message.from_wire(message)
        response = dns.message.make_response(query, recursion_available=True)
        if query.question[0].name.to_text() == f"{NAME}.":
            for section, lines in zip(response.sections[1:], (row.answer, row.authority, row.additional), strict=True):
                section.extend(record_set(line) for line in lines)
        return [Reply(response.to_wire())]

    return behave


def record_set(line: str) -> dns.rrset.RRset:
    """A record; `@` is the name that is asked for."""
    owner, ttl, rclass, rtype, data = line.split(None, 4)
    return dns.rrset.from_text(f"{NAME}." if owner == "@" else owner, int(ttl), rclass, rtype, data)


def lines(message: dns.message.Message) -> list[str]:
    """All records of a message but OPT, without class and TTL."""
    found = [
        line.split() for section in message.sections[1:] for each in section for line in each.to_text().splitlines()
    ]
    return sorted(" ".join([owner, rtype, *data]) for owner, _, _, rtype, *data in found)


def question(name: str = NAME) -> Query:
    """A client's question whose answer is kept."""
    return ask(name, use_edns=0)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_slipped_records(row: Row) -> None:
    """The client gets what it asked for, then and from the cache; the victim's name is asked for like any other."""

    async def test() -> None:
        async with setting(saying(row)) as up:
            for _ in range(2):
                query = question()
                assert lines(read(query, await up.outcome(query))) == sorted(row.left)
            asked = up.asked
            victim = question(VICTIM)
            assert lines(read(victim, await up.outcome(victim))) == []
            assert up.asked == asked + 1

    run(test())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_slipped_records_past_the_cache(row: Row) -> None:
    """The same for a question with an option that is end to end, whose answer is not kept."""

    async def test() -> None:
        async with setting(saying(row)) as up:
            query = ask(NAME, use_edns=0, options=[option(65001, b"x")])
            assert lines(read(query, await up.outcome(query))) == sorted(row.left)

    run(test())

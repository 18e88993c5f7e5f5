"""The cache before scripted upstreams, with a clock that the tests turn: what is asked, and what clients get."""

import asyncio
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from msgspec import structs

from dnsbridge.resolvers.forward import cached_zone as module
from dnsbridge.resolvers.resolver import Pending
from dnsbridge.wire.failure import Failure
from tests.support.caching import SOA, negative, read, setting, words
from tests.support.forwarding import ONE, TWO, ask, option, run
from tests.support.scripted_upstream import Behaviour, answer


def test_fresh_counts_down_and_expires() -> None:
    """A kept answer is given with lesser TTLs, without asking, until the second in which it has none left."""

    async def test() -> None:
        async with setting(ONE, TWO) as up:
            assert await up.say() == "1/60"
            up.now += 1
            assert await up.say() == "1/59"
            up.now += 58
            assert await up.say() == "1/1"
            assert up.asked == 1
            up.now += 1
            assert await up.say() == "2/60"
            assert up.asked == 2
            assert (up.cached.hits, up.cached.misses, up.cached.stale) == (2, 2, 0)
            assert up.at_rest()

    run(test())


def test_what_the_upstream_is_asked() -> None:
    """Our own question: the name in lower case, our EDNS, RD and AD; the client's DO and CD."""

    async def test() -> None:
        async with setting(ONE) as up:
            await up.say(ask("WWW.Example.Com"))
            await up.say(ask("www.example.com", flags=dns.flags.RD | dns.flags.CD, want_dnssec=True, payload=4096))
            for asked, dnssec_ok in zip(up.server.asked, (False, True), strict=True):
                message = dns.message.from_wire(asked)
                assert str(message.question[0]) == "www.example.com. IN A"
                assert bool(message.flags & dns.flags.CD) is dnssec_ok
                assert message.flags & (dns.flags.RD | dns.flags.AD) == dns.flags.RD | dns.flags.AD
                assert (message.edns, message.payload, bool(message.ednsflags)) == (0, 1232, dnssec_ok)

    run(test())


def test_dnssec_ok_and_checking_disabled_are_kept_apart() -> None:
    """Who wants signatures, or unchecked data, does not get the answer of who does not; nor another type's."""

    async def test() -> None:
        async with setting(ONE) as up:
            kinds: list[dict[str, Any]] = [
                {},
                {"want_dnssec": True},
                {"flags": dns.flags.RD | dns.flags.CD},
                {"want_dnssec": True, "flags": dns.flags.RD | dns.flags.CD},
            ]
            for _ in range(2):
                for keywords in kinds:
                    assert await up.say(ask(**keywords)) == "1/60"
                await up.say(ask(rtype="AAAA"))
                assert up.asked == 5 or up.asked == 6, "an answer without data and SOA is not kept"
            assert len(up.store) == 4

    run(test())


@pytest.mark.parametrize(
    "keywords",
    [
        {"flags": 0},
        {"rdclass": "CH"},
        {"rdclass": "CLASS300"},
        {"use_edns": 0, "options": [option(65001, b"x")]},
        {"use_edns": 0, "options": [dns.edns.ECSOption("192.0.2.0", 24)]},
        {"use_edns": 0, "options": [option(10, b"12345678"), option(3, b"")]},
    ],
)
def test_past_the_cache(keywords: dict[str, Any]) -> None:
    """What an answer may depend on and the key does not hold goes to the upstream as it is, each time."""

    async def test() -> None:
        async with setting(ONE) as up:
            await up.say(ask())
            for count in (2, 3):
                await up.outcome(ask(**keywords))
                assert up.asked == count
            assert (len(up.store), up.cached.past) == (1, 2)

    run(test())


def test_a_signed_question_goes_past_the_cache() -> None:
    """A record beside the question, as a signature (RFC 8945), asks for more than the key holds."""

    async def test() -> None:
        async with setting(ONE) as up:
            plain = ask()
            message = bytearray(plain.message) + b"\0\x00\xfa\x00\xff\0\0\0\0\0\0"
            message[11] = 1
            await up.outcome(structs.replace(plain, message=bytes(message)))
            assert (up.cached.past, len(up.store)) == (1, 0)

    run(test())


def test_a_cache_of_size_zero() -> None:
    """Everything is forwarded, as it came."""

    async def test() -> None:
        async with setting(ONE, size=0) as up:
            for count in (1, 2):
                assert await up.say(ask("WWW.example.com")) == "1/60"
                assert up.asked == count
            assert b"WWW" in up.server.asked[0]

    run(test())


def test_one_new_name_is_asked_once() -> None:
    """500 clients with their own case, EDNS sizes and cookies: one question, and each its own answer."""

    async def test() -> None:
        async with setting(answer("@ 60 IN A 192.0.2.1", delay=0.05), attempt=1.0) as up:
            queries = []
            for number in range(500):
                name = "".join(each.upper() if number >> at & 1 else each for at, each in enumerate("www.example.com"))
                edns: dict[str, Any] = {}
                if number % 3:
                    cookie = [option(10, number.to_bytes(8, "big"))] if number % 2 else []
                    edns = {"use_edns": 0, "payload": 512 + number, "options": cookie}
                queries.append(ask(name, stream=number % 5 == 0, **edns))
            got = await asyncio.gather(*(up.outcome(query) for query in queries))
            assert {words(query, each) for query, each in zip(queries, got, strict=True)} == {"1/60"}
            assert up.asked == 1

    run(test())


def test_waiters_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than so many for one question get an answer at once, and all others one in the end."""

    async def test() -> None:
        monkeypatch.setattr(module, "MAX_WAITERS", 3)
        async with setting(answer("@ 60 IN A 192.0.2.1", delay=0.05), attempt=1.0) as up:
            waiting = [up.cached.resolve(ask()) for _ in range(5)]
            assert waiting[3:] == [Failure.OVERLOAD] * 2
            assert up.cached.overloads == 2
            got = [await each for each in waiting if isinstance(each, Pending)]
            assert [words(ask(), each) for each in got] == ["1/60"] * 3

    run(test())


@pytest.mark.parametrize(
    ("behaviour", "expected", "asked"),
    [
        (negative(3, SOA), "NXDOMAIN", 1),
        (negative(0, SOA), "", 1),
        (negative(3), "NXDOMAIN", 2),
        (negative(0), "", 2),
        (negative(0, "example.com. 300 IN NS ns.example.com."), "", 2),
    ],
)
def test_negative_answers(behaviour: Behaviour, expected: str, asked: int) -> None:
    """NXDOMAIN and NODATA are kept with their SOA, for its minimum, and not without one."""

    async def test() -> None:
        async with setting(behaviour) as up:
            for _ in range(2):
                query = ask()
                message = read(query, await up.outcome(query))
                assert dns.rcode.to_text(message.rcode()) == (expected or "NOERROR")
                assert message.answer == []
                assert [rrset.ttl for rrset in message.authority] == ([20] if asked == 1 else [])
            assert up.asked == asked
            up.now += 20
            await up.outcome(ask())
            assert up.asked == asked + 1

    run(test())


def test_a_chain_is_kept() -> None:
    """A CNAME chain is kept under the name that was asked, for its least TTL."""

    async def test() -> None:
        chain = answer(
            "@ 60 IN CNAME web.example.com.",
            "web.example.com. 9 IN CNAME w.example.net.",
            "w.example.net. 60 IN A 192.0.2.1",
        )
        async with setting(chain) as up:
            for age in (0, 8):
                up.now = 1000 + age
                query = ask("Www.Example.com")
                message = read(query, await up.outcome(query))
                assert [rrset.ttl for rrset in message.answer] == [60 - age, 9 - age, 60 - age]
            up.now += 1
            await up.say()
            assert up.asked == 2

    run(test())


@pytest.mark.parametrize(
    ("records", "rtype", "left"),
    [
        (["@ 60 IN A 192.0.2.1", "www.bank.example. 60 IN A 192.0.2.66"], "A", ["www.example.com. A"]),
        (["@ 60 IN A 192.0.2.1", "@ 60 IN TXT x"], "ANY", ["www.example.com. A", "www.example.com. TXT"]),
        (["@ 60 IN A 192.0.2.1", "@ 60 IN TXT x"], "A", ["www.example.com. A"]),
    ],
)
def test_what_was_not_asked_is_dropped(records: list[str], rtype: str, left: list[str]) -> None:
    """Records of other names and types go to no client, the first as little as later ones."""

    async def test() -> None:
        async with setting(answer(*records)) as up:
            for _ in range(2):
                query = ask(rtype=rtype)
                message = read(query, await up.outcome(query))
                found = [f"{each.name} {dns.rdatatype.to_text(each.rdtype)}" for each in message.answer]
                assert (found, up.asked) == (left, 1)

    run(test())


def test_64_kib_over_tcp() -> None:
    """A truncated reply is fetched over TCP before it is kept; UDP clients get TC, TCP clients all of it."""

    async def test() -> None:
        texts = answer(*[f'@ 60 IN TXT "{number:03}{"x" * 247}"' for number in range(245)])
        async with setting(answer(flags=dns.flags.TC), tcp=[texts], attempt=2.0, deadline=3.0) as up:
            for stream in (False, True, False):
                query = ask(rtype="TXT", stream=stream)
                message = read(query, await up.outcome(query))
                assert bool(message.flags & dns.flags.TC) is not stream
                assert sum(map(len, message.answer)) == (245 if stream else 0)
            assert (up.asked, len(up.server.asked_tcp)) == (1, 1)

    run(test())

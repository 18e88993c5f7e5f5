"""Chains over scripted upstreams: what waits, what fails, what is stale, and what goes past the cache.

`corp.` and `lab.` are forward zones with an upstream each, and the cluster has the services of CLUSTER_NAMES.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import msgspec
import pytest

from dnsbridge.cluster.freshness import Freshness
from dnsbridge.resolvers import chain
from dnsbridge.resolvers.forward.patience import PATIENCE
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from tests.support.driven_loop import clock, pass_time
from tests.support.forwarding import ask, forwarding, option, run, until
from tests.support.scripted_upstream import Behaviour, Reply, ScriptedUpstream, answer, silence
from tests.support.universe import CLUSTER, World, read

CLUSTER_NAMES: dict[str, str | Sequence[str]] = {
    f"web.{CLUSTER}": ["10.96.0.1"],
    f"out.{CLUSTER}": "app.corp.",
    f"away.{CLUSTER}": "host.lab.",
}
WEB = f"web.{CLUSTER}"
APP = answer(f"@ 60 IN CNAME {WEB}", "web.shop.svc.cluster.local. 60 IN A 192.0.2.66")
TO_LAB = answer("@ 60 IN CNAME host.lab.")
HOST = answer("@ 60 IN A 192.0.2.10")
JOINED = [f"app.corp. 60 IN CNAME {WEB}", f"{WEB} 5 IN A 10.96.0.1"]


def referral(message: bytes) -> Sequence[Reply]:
    """NS of a child zone, from a server that does not recurse."""
    response = dns.message.make_response(dns.message.from_wire(message))
    response.authority.append(dns.rrset.from_text("sub.corp.", 60, "IN", "NS", "ns.sub.corp."))
    return [Reply(response.to_wire())]


class Office(msgspec.Struct):
    """What runs: the world, and the upstreams by zone, `corp.` with as many as it has scripts."""

    world: World
    servers: dict[str, list[ScriptedUpstream]]

    async def outcome(self, query: Query) -> Outcome:
        """What a question gets in the end."""
        got = self.world.router.resolve(query)
        return await got if isinstance(got, Pending) else got

    async def say(self, query: Query) -> tuple[str, list[str], list[int]]:
        """The RCODE, the answer section and the extended errors."""
        message = read(query, await self.outcome(query))
        lines = [line for rrset in message.answer for line in rrset.to_text().splitlines()]
        return dns.rcode.to_text(message.rcode()), lines, [int(each.code) for each in message.extended_errors()]

    def asked(self, zone: str) -> int:
        """Questions that came to the first upstream of a zone."""
        return len(self.servers[zone][0].asked)


@asynccontextmanager
async def office(
    corp: Sequence[Behaviour],
    *more: Behaviour,
    lab: Sequence[Behaviour] = (HOST,),
    deadline: float = 1.0,
    **options: Any,
) -> AsyncIterator[Office]:
    """Upstreams with these scripts: the first of `corp.`, further ones of it, and that of `lab.`."""
    servers = {
        "corp.": [ScriptedUpstream(*corp), *[ScriptedUpstream(each) for each in more]],
        "lab.": [ScriptedUpstream(*lab)],
    }
    async with AsyncExitStack() as running:
        forwards = {
            zone: await running.enter_async_context(forwarding(*each, deadline=deadline))
            for zone, each in servers.items()
        }
        yield Office(World(CLUSTER_NAMES, {}, forwards=forwards, **options), servers)


def test_who_asks_meanwhile_waits_for_the_same() -> None:
    """Many clients that ask for one alias are one question, and each gets the whole chain under its own question."""

    async def test() -> None:
        async with office([APP]) as up:
            queries = [ask("app.corp", use_edns=0), ask("APP.corp", use_edns=0), ask("app.corp")]
            queries.append(ask("app.corp", use_edns=0))
            found = await asyncio.gather(*[up.say(query) for query in queries])
            assert [each[:2] for each in found] == [
                ("NOERROR", JOINED),
                ("NOERROR", [JOINED[0].replace("app", "APP"), JOINED[1]]),
                ("NOERROR", JOINED),
                ("NOERROR", JOINED),
            ]
            assert up.asked("corp.") == 1
            assert up.world.router.chains.ends["answered"] == 3, "once for each question"

    run(test())


@pytest.mark.parametrize(
    ("size", "keywords"),
    [
        pytest.param(0, {}, id="without a cache"),
        pytest.param(1000, {"options": [option(3, b"")]}, id="an EDNS option"),
        pytest.param(
            1000, {"options": [option(8, b"\0\1\x18\0\xc0\0\2")], "want_dnssec": True}, id="a client subnet, DO"
        ),
    ],
)
def test_past_the_cache(size: int, keywords: dict[str, Any]) -> None:
    """A chain is finished for questions that go past the cache, too; other answers pass as they came."""

    async def test() -> None:
        nsid = answer("@ 60 IN A 192.0.2.1", flags=dns.flags.AD, options=[option(3, b"one")])
        async with office([APP, nsid], size=size) as up:
            assert await up.say(ask("app.corp", use_edns=0, **keywords)) == ("NOERROR", JOINED, [])
            query = ask("www.corp", use_edns=0, **keywords)
            message = read(query, await up.outcome(query))
            assert [str(rrset) for rrset in message.answer] == ["www.corp. 60 IN A 192.0.2.1"]
            if keywords:
                assert [each.to_wire() for each in message.options] == [b"one"]

    run(test())


@pytest.mark.parametrize("size", [0, 1000])
@pytest.mark.parametrize("rcode", [2, 3, 5])
def test_an_error_about_the_target(rcode: int, size: int) -> None:
    """An RCODE is the last name's (RFC 6604): an alias that comes with an error about its target is followed.

    So do CoreDNS 1.8.6 (SERVFAIL, coredns/coredns#5104; NXDOMAIN, #5105) and PowerDNS (PowerDNS/pdns#311).
    """

    async def test() -> None:
        async with office([answer(f"@ 60 IN CNAME {WEB}", rcode=rcode)], size=size) as up:
            for _ in range(2):
                assert await up.say(ask("app.corp", use_edns=0)) == ("NOERROR", JOINED, [])

    run(test())


@pytest.mark.parametrize("size", [0, 1000])
def test_an_error_with_data(size: int) -> None:
    """What leads nowhere else stays an error, whatever stands beside it."""

    async def test() -> None:
        for record in ("@ 60 IN A 192.0.2.1", "@ 60 IN CNAME www.corp."):
            async with office([answer(record, rcode=2)], size=size) as up:
                assert (await up.say(ask("app.corp", use_edns=0)))[:2] == ("SERVFAIL", [])

    run(test())


def test_without_a_cache_each_trail_is_its_own() -> None:
    """Who comes to a name at the end of a long chain does not make it fail for whoever asks for the name itself."""

    async def test() -> None:
        async with office([answer("@ 60 IN CNAME out.shop.svc.cluster.local.")], size=0) as up:
            both = list(
                await asyncio.gather(up.say(ask(f"out.{CLUSTER}", use_edns=0)), up.say(ask("app.corp", use_edns=0)))
            )
            assert both == [("SERVFAIL", [], [0]), ("SERVFAIL", [], [0])]
            assert up.world.router.chains.ends["loop"] == 2

    run(test())


def test_recursion_not_desired() -> None:
    """Who does not want recursion gets what the upstream says, as it came, a referral as well."""

    async def test() -> None:
        async with office([APP, referral]) as up:
            query = ask("app.corp", flags=0)
            assert len(read(query, await up.outcome(query)).answer) == 2
            assert up.world.router.chains.ends["answered"] == 0
            query = ask("x.sub.corp", flags=0)
            assert len(read(query, await up.outcome(query)).authority) == 1

    run(test())


@pytest.mark.parametrize("size", [0, 1000])
def test_a_referral_is_no_answer(size: int) -> None:
    """The next upstream is asked; when none does better, SERVFAIL says that the upstream does not recurse."""

    async def test() -> None:
        async with office([referral], HOST, size=size) as up:
            assert await up.say(ask("x.sub.corp", use_edns=0)) == ("NOERROR", ["x.sub.corp. 60 IN A 192.0.2.10"], [])
        async with office([referral], referral, size=size) as up:
            query = ask("x.sub.corp", use_edns=0)
            message = read(query, await up.outcome(query))
            assert dns.rcode.to_text(message.rcode()) == "SERVFAIL"
            assert [each.text for each in message.extended_errors()] == [Failure.REFERRAL.text]
            assert "does not recurse" in Failure.REFERRAL.text

    run(test())


@pytest.mark.parametrize(
    ("lab", "codes"),
    [
        pytest.param([silence], [22], id="silent"),
        pytest.param([answer(rcode=2)], [], id="SERVFAIL"),
        pytest.param(
            [answer(rcode=5, options=[dns.edns.EDEOption(dns.edns.EDECode.PROHIBITED, "no")])],
            [18],
            id="REFUSED, with its reason",
        ),
        pytest.param([referral], [0], id="a referral"),
    ],
)
@pytest.mark.parametrize("size", [0, 1000])
@pytest.mark.parametrize("name", ["app.corp", f"away.{CLUSTER}"])
def test_into_a_zone_that_fails(name: str, size: int, lab: list[Behaviour], codes: list[int]) -> None:
    """A chain whose last zone is down is SERVFAIL with the reason, and none of the chain beside it."""

    async def test() -> None:
        async with office([TO_LAB], lab=lab, size=size) as up:
            rcode, lines, said = await up.say(ask(name, use_edns=0))
            assert (rcode, lines) == ("SERVFAIL", [])
            assert said == (codes or [22])
            assert up.world.router.chains.ends["failed"] == 1

    run(test())


def test_slow_links_have_one_patience_together() -> None:
    """Three links of 2 s each are given up when all have taken 4.8 s, and are in the cache for who asks again."""

    def corp(message: bytes) -> Sequence[Reply]:
        last = message[12:].startswith(b"\4last")
        return answer("@ 60 IN A 192.0.2.10" if last else "@ 60 IN CNAME host.lab.", delay=2.0)(message)

    async def test() -> None:
        async with office([corp], lab=[answer("@ 60 IN CNAME last.corp.", delay=2.0)], deadline=3.0) as up:
            began = clock()
            assert await up.say(ask(f"out.{CLUSTER}", use_edns=0)) == ("SERVFAIL", [], [23])
            assert clock() - began == pytest.approx(PATIENCE, abs=0.01)
            await pass_time(3.0)
            rcode, lines, _ = await up.say(ask(f"out.{CLUSTER}", use_edns=0))
            assert (rcode, len(lines)) == ("NOERROR", 4)
            assert up.world.router.chains.waiting == 0

    run(test())


def test_a_stale_alias() -> None:
    """While its upstream is silent an expired alias is given for 30 s, marked as stale, with the cluster as it is."""

    async def test() -> None:
        async with office([APP, silence], serve_stale=3600.0) as up:
            assert await up.say(ask("app.corp", use_edns=0)) == ("NOERROR", JOINED, [])
            up.world.now += 61
            up.world.change(WEB, ["10.96.0.2"])
            stale = [f"app.corp. 30 IN CNAME {WEB}", f"{WEB} 5 IN A 10.96.0.2"]
            for _ in range(2):
                query = ask("app.corp", use_edns=0)
                assert await up.say(query) == ("NOERROR", stale, [3])
                outcome = await up.outcome(query)
                assert isinstance(outcome, Answer)
                assert (outcome.expires, outcome.depends) == (0, ())

    run(test())


def test_out_of_the_cluster_and_back() -> None:
    """An ExternalName leads to a corporate alias, and that into the cluster: each record keeps its own TTL."""

    async def test() -> None:
        async with office([APP]) as up:
            expected = [f"out.{CLUSTER} 5 IN CNAME app.corp.", *JOINED]
            assert await up.say(ask(f"out.{CLUSTER}", use_edns=0)) == ("NOERROR", expected, [])
            up.world.now += 10
            expected[1] = expected[1].replace(" 60 ", " 50 ")
            query = ask(f"out.{CLUSTER}", use_edns=0)
            assert await up.say(query) == ("NOERROR", expected, [])
            outcome = await up.outcome(query)
            assert isinstance(outcome, Answer)
            assert (set(outcome.depends), outcome.expires) == ({b"\3out\4shop\3svc", b"\3web\4shop\3svc"}, 1060)

    run(test())


def test_case() -> None:
    """The owner of the cluster's records is the target as the alias writes it, below an alias of the zone as well."""

    async def test() -> None:
        async with office([answer("@ 60 IN CNAME WEB.shop.Svc.Cluster.local.")]) as up:
            expected = [
                "app.corp. 60 IN CNAME WEB.shop.Svc.Cluster.local.",
                "WEB.shop.Svc.Cluster.local. 5 IN A 10.96.0.1",
            ]
            for _ in range(2):
                assert await up.say(ask("app.corp", use_edns=0)) == ("NOERROR", expected, [])

    run(test())


def test_truncation() -> None:
    """Over UDP a joined answer is cut at a record set's boundary, with TC; over TCP it is whole."""

    async def test() -> None:
        many = answer(*[f"@ 60 IN A 192.0.2.{number}" for number in range(1, 60)])
        async with office([TO_LAB], lab=[many]) as up:
            query = ask("app.corp")
            message = read(query, await up.outcome(query))
            assert message.flags & dns.flags.TC
            assert [str(rrset) for rrset in message.answer] == ["app.corp. 60 IN CNAME host.lab."]
            query = ask("app.corp", stream=True)
            message = read(query, await up.outcome(query))
            assert not message.flags & dns.flags.TC
            assert [len(rrset) for rrset in message.answer] == [1, 59]

    run(test())


def test_signatures() -> None:
    """With DO the alias keeps its signature, which others may check; AD is gone."""

    async def test() -> None:
        signature = "CNAME 8 2 60 20300101000000 20200101000000 1 corp. AAAA"
        signed = answer(f"@ 60 IN CNAME {WEB}", f"@ 60 IN RRSIG {signature}", flags=dns.flags.AD)
        async with office([signed]) as up:
            for _ in range(2):
                query = ask("app.corp", want_dnssec=True)
                message = read(query, await up.outcome(query))
                assert [rrset.rdtype.name for rrset in message.answer] == ["CNAME", "RRSIG", "A"]
                assert not message.flags & dns.flags.AD

    run(test())


def test_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bound a chain that must wait fails at once and is counted; one that need not wait is answered."""
    monkeypatch.setattr(chain, "MAX_WAITING", 1)

    async def test() -> None:
        slow = answer("@ 60 IN A 192.0.2.10", delay=0.02)
        web = answer(f"@ 60 IN CNAME {WEB}")
        async with office([TO_LAB, answer("@ 60 IN CNAME other.lab."), web], lab=[slow]) as up:
            chains = up.world.router.chains
            first = asyncio.ensure_future(up.say(ask("app.corp", use_edns=0)))
            await until(lambda: chains.waiting == 1)
            assert await up.say(ask("second.corp", use_edns=0)) == ("SERVFAIL", [], [0])
            assert (await up.say(ask("third.corp", use_edns=0)))[0] == "NOERROR"
            assert (await first)[0] == "NOERROR"
            assert (chains.overloads, chains.waiting) == (1, 0)
            assert chains.ends == {"answered": 2, "failed": 1, "loop": 0, "too_long": 0}

    run(test())


def test_random_case() -> None:
    """The alias that a zone with random case gives comes back in the client's case."""

    async def test() -> None:
        servers = [ScriptedUpstream(answer("@ 60 IN CNAME web.shop.svc.cluster.local."))]
        async with forwarding(*servers, random_case=True) as forward:
            up = Office(World(CLUSTER_NAMES, {}, forwards={"corp.": forward}), {"corp.": servers})
            for _ in range(2):
                rcode, lines, _ = await up.say(ask("App.Corp", use_edns=0))
                assert (rcode, lines) == ("NOERROR", [f"App.Corp. 60 IN CNAME {WEB}", JOINED[1]])

    run(test())


@pytest.mark.parametrize(
    ("coredns", "expected"),
    [
        pytest.param([answer("@ 9 IN CNAME www.lab.")], ["9 IN CNAME www.lab.", "60 IN A 192.0.2.10"], id="unfinished"),
        pytest.param(
            [answer("@ 9 IN CNAME www.lab.", "www.lab. 7 IN A 192.0.2.77")],
            ["9 IN CNAME www.lab.", "7 IN A 192.0.2.77"],
            id="finished by CoreDNS",
        ),
        pytest.param(
            [answer("@ 9 IN CNAME web.shop.svc.cluster.local.", "web.shop.svc.cluster.local. 9 IN A 10.96.0.99")],
            ["9 IN CNAME web.shop.svc.cluster.local.", "9 IN A 10.96.0.99"],
            id="within the cluster",
        ),
    ],
)
def test_from_coredns(coredns: list[Behaviour], expected: list[str]) -> None:
    """What the cluster's CoreDNS leaves unfinished is finished in the forward zone that has the name."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(*coredns)) as own, office([APP], coredns=own) as up:
            rcode, lines, _ = await up.say(ask("custom.cluster.local", use_edns=0))
            assert (rcode, [line.partition(" ")[2] for line in lines]) == ("NOERROR", expected)

    run(test())


def test_into_a_cluster_that_only_coredns_knows() -> None:
    """Before the cluster has been read, what an alias leads to is asked of its CoreDNS, and never NXDOMAIN of ours."""

    async def test() -> None:
        for coredns, expected in (
            (answer("@ 9 IN A 10.96.0.99"), ("NOERROR", [JOINED[0], f"{WEB} 9 IN A 10.96.0.99"], [])),
            (silence, ("SERVFAIL", [], [23])),
        ):
            async with forwarding(ScriptedUpstream(coredns)) as own, office([APP], coredns=own) as up:
                up.world.cluster.freshness = Freshness.UNSYNCED
                assert await up.say(ask("app.corp", use_edns=0)) == expected

    run(test())


def test_a_truncated_reply_about_a_cluster() -> None:
    """Where an upstream has no TCP a truncated reply is passed on, but for what it says of a cluster's names."""

    async def test() -> None:
        lies = answer(f"@ 60 IN CNAME {WEB}", f"{WEB} 60 IN A 192.0.2.66", flags=dns.flags.TC)
        other = answer("@ 60 IN A 192.0.2.1", flags=dns.flags.TC)
        async with office([lies, other], size=0) as up:
            for expected in ([], ["192.0.2.1"]):
                query = ask("app.corp", use_edns=0)
                message = read(query, await up.outcome(query))
                assert message.flags & dns.flags.TC
                assert [str(each) for rrset in message.answer for each in rrset] == expected

    run(test())

"""Upstreams that do not know EDNS, in all the ways there are: each gives its answer, with or without a cache."""

from collections.abc import Sequence
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from dnsbridge.resolvers.forward.stream import StreamUpstream
from dnsbridge.resolvers.forward.zone import Forward
from tests.support.caching import read, setting
from tests.support.forwarding import ONE, TWO, ask, forwarding, option, outcome, run, said, udp, until
from tests.support.old_upstreams import WITHOUT_EDNS, bare, has_opt, to_opt, without_opt
from tests.support.scripted_upstream import ADDRESS, Behaviour, Reply, ScriptedUpstream, answer, silence

CLIENTS: dict[str, dict[str, Any]] = {
    "no EDNS": {},
    "EDNS": {"use_edns": 0},
    "DO": {"use_edns": 0, "want_dnssec": True},
}
PAST_THE_CACHE: dict[str, Any] = {"use_edns": 0, "options": [option(65001, b"x")]}
"""An option that is end to end."""
REFUSING = [how for how in WITHOUT_EDNS if how != "silence"]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("how", WITHOUT_EDNS)
def test_the_answer(how: str, client: str) -> None:
    """The client gets the answer, with OPT if it sent one; to DO an extended error says that there is no DNSSEC."""

    async def test() -> None:
        async with setting(WITHOUT_EDNS[how](ONE), attempt=0.8, deadline=2.4) as up:
            query = ask(**CLIENTS[client])
            got = await up.outcome(query)
            message = read(query, got)
            assert message.rcode() == dns.rcode.NOERROR
            assert [item.address for rrset in message.answer for item in rrset] == ["192.0.2.1"]
            assert bool(message.ednsflags & dns.flags.DO) is (client == "DO")
            errors = [(int(error.code), error.text) for error in message.extended_errors()]
            text = "the upstream knows no EDNS, so there are no DNSSEC records"
            assert errors == ([(0, text)] if client == "DO" else [])
            assert [has_opt(asked) for asked in up.server.asked] == [True, False]

    run(test())


@pytest.mark.parametrize("how", WITHOUT_EDNS)
def test_past_the_cache(how: str) -> None:
    """So does a client with an option that is end to end, and DO is answered the same."""

    async def test() -> None:
        async with setting(WITHOUT_EDNS[how](ONE), attempt=0.8, deadline=2.4) as up:
            query = ask(**PAST_THE_CACHE, want_dnssec=True)
            assert await up.say(query) == "1/60 EDE0"

    run(test())


@pytest.mark.parametrize(("how", "first"), [*((how, 2) for how in REFUSING), ("silence", 3)])
def test_it_is_remembered(how: str, first: int) -> None:
    """After two refusals, or three silences, questions go without OPT; after 15 minutes one question tries OPT."""

    async def test() -> None:
        async with setting(WITHOUT_EDNS[how](ONE), attempt=0.8, deadline=2.4) as up:
            for number in range(first + 3):
                assert await up.say(ask(f"n{number}.example")) == "1/60"
            assert [has_opt(asked) for asked in up.server.asked] == [True, False] * first + [False] * 3
            ability = udp(up.forward).health.edns
            assert ability.problem == (how.partition(",")[0].split(" ", 1)[0])
            ability.without_until = 1.0  # the term is over
            up.server.asked.clear()
            for number in range(3):
                assert await up.say(ask(f"later{number}.example")) == "1/60"
            assert [has_opt(asked) for asked in up.server.asked] == [True, False, False, False]

    run(test())


def test_many_at_once() -> None:
    """A hundred questions to an upstream that refuses OPT all get their answer, each at the cost of one more."""

    async def test() -> None:
        async with setting(WITHOUT_EDNS["FORMERR, a bare header"](ONE), attempt=0.8, deadline=2.4) as up:
            waiting = [up.cached.resolve(ask(f"n{number}.example")) for number in range(100)]
            assert [said(ask(), await each) for each in waiting] == ["1"] * 100  # type: ignore[misc]
            assert up.asked == 200
            assert await up.say() == "1/60"
            assert not has_opt(up.server.asked[-1])

    run(test())


@pytest.mark.parametrize("how", REFUSING)
def test_over_tcp(how: str) -> None:
    """An upstream over TCP that refuses OPT is asked without it in the same way."""

    async def test() -> None:
        async with ScriptedUpstream(tcp=[WITHOUT_EDNS[how](ONE)], keep=True) as server:
            upstream = StreamUpstream(ADDRESS, server.port)
            forward = Forward([upstream])
            for number in range(4):
                query = ask(f"n{number}.example", use_edns=0)
                assert said(query, await outcome(forward, query)) == "1"
            assert [has_opt(asked) for asked in server.asked_tcp] == [True, False, True, False, False, False]
            await forward.close()

    run(test())


@pytest.mark.parametrize("how", REFUSING)
def test_truncated(how: str) -> None:
    """A long answer without OPT comes over TCP, asked without OPT there as well."""

    async def test() -> None:
        truncated = answer(flags=dns.flags.TC)
        async with setting(WITHOUT_EDNS[how](truncated), tcp=[ONE], attempt=0.8, deadline=2.4) as up:
            assert await up.say(use_edns=0) == "1/60"
            assert [has_opt(asked) for asked in up.server.asked_tcp] == [False]

    run(test())


def test_opt_is_refused_over_tcp_alone() -> None:
    """A server that truncates over UDP and refuses OPT over TCP gives its answer too."""

    async def test() -> None:
        tcp = [to_opt(without_opt(1))(ONE)]
        async with setting(answer(flags=dns.flags.TC), tcp=tcp, keep=True, attempt=0.8, deadline=2.4) as up:
            assert await up.say(use_edns=0) == "1/60"
            assert [has_opt(asked) for asked in up.server.asked_tcp] == [True, False]

    run(test())


def forged_first(rcode: int, true: Behaviour) -> Behaviour:
    """A forged refusal with the right ID and question before the true reply, to a question with OPT."""

    def behave(message: bytes) -> Sequence[Reply]:
        forged = without_opt(rcode)(message) if has_opt(message) else []
        return [*forged, *(Reply(reply.octets, 0.01) for reply in true(message))]

    return behave


@pytest.mark.parametrize("rcode", [1, 4])
def test_a_forged_refusal(rcode: int) -> None:
    """The true answer to the question with OPT still counts, and EDNS stays on however often somebody forges."""

    async def test() -> None:
        true = answer("@ 60 IN A 192.0.2.1")
        async with setting(forged_first(rcode, true), attempt=0.8, deadline=2.4) as up:
            for number in range(10):
                query = ask(f"n{number}.example", use_edns=0, want_dnssec=True)
                assert await up.say(query) == "1/60", "with DNSSEC: it is the answer to the question with OPT"
            assert not udp(up.forward).health.edns.asks_without(0.0)
            assert sum(map(has_opt, up.server.asked)) == 10

    run(test())


def test_an_upstream_that_flips() -> None:
    """One that refuses OPT every other time is not found unable, and every question has its answer."""

    async def test() -> None:
        seen: list[bytes] = []

        def flip(message: bytes) -> Sequence[Reply]:
            if not has_opt(message):
                return ONE(message)
            seen.append(message)
            return (without_opt(1) if len(seen) % 2 else ONE)(message)

        async with setting(flip, attempt=0.8, deadline=2.4) as up:
            assert [await up.say(ask(f"n{number}.example")) for number in range(20)] == ["1/60"] * 20
            assert (up.asked, len(seen)) == (30, 20)

    run(test())


@pytest.mark.parametrize(
    ("reply", "expected", "mismatched"),
    [
        (bare(1), "FORMERR", 0),
        (bare(2), "SERVFAIL", 0),
        (bare(4), "NOTIMP", 0),
        (bare(0), "UPSTREAM", 3),
        (bare(3), "UPSTREAM", 3),
        (bare(5), "UPSTREAM", 3),
        (bare(9), "UPSTREAM", 3),
        (bare(2, 0x0100), "UPSTREAM", 3),
        (bare(2, 0xA100), "UPSTREAM", 3),
        (lambda message: [Reply(bare(2)(message)[0].octets + b"\0")], "UPSTREAM", 3),
        (lambda message: [Reply(bare(2)(message)[0].octets[:11] + b"\1")], "UPSTREAM", 3),
        (lambda message: [Reply(bytes([message[0] ^ 1]) + bare(2)(message)[0].octets[1:])], "UPSTREAM", 3),
        (lambda message: [Reply(bare(2)(message)[0].octets, elsewhere=True)], "UPSTREAM", 0),
    ],
    ids=["FORMERR", "SERVFAIL", "NOTIMP", "NOERROR", "NXDOMAIN", "REFUSED", "NOTAUTH", "a question", "an opcode",
         "an octet more", "a count", "the ID", "the port"],
)  # fmt: skip
def test_bare_headers(reply: Behaviour, expected: str, mismatched: int) -> None:
    """A header alone is a reply with three RCODEs and no others; the client gets its question back with it."""

    async def test() -> None:
        async with setting(reply, deadline=1.0) as up:
            assert await up.say() == expected
            assert udp(up.forward).mismatched == mismatched

    run(test())


def test_a_bare_header_proves_no_case() -> None:
    """Where names go out in random case, TCP decides about a header that does not show it."""

    async def test() -> None:
        server = ScriptedUpstream(bare(2), tcp=[ONE])
        async with forwarding(server, random_case=True, attempt_timeout=0.8) as forward:
            query = ask()
            assert said(query, await outcome(forward, query)) == "1"
            assert udp(forward).folded == 0

    run(test())


def test_an_error_without_opt_too() -> None:
    """FORMERR with and without OPT is the upstream's own word: the client gets it at once, after two datagrams."""

    async def test() -> None:
        async with setting(without_opt(1), attempt=0.8, deadline=2.4) as up:
            assert await up.say() == "FORMERR"
            assert up.asked == 2
            assert not udp(up.forward).health.edns.doubted

    run(test())


def test_the_next_upstream_after_a_refusal() -> None:
    """An upstream that refuses OPT, and then everything, leaves the question to the next one."""

    async def test() -> None:
        servers = [ScriptedUpstream(without_opt(4)), ScriptedUpstream(TWO)]
        async with forwarding(*servers, attempt_timeout=0.8) as forward:
            query = ask(use_edns=0)
            assert said(query, await outcome(forward, query)) == "2"
            assert [len(server.asked) for server in servers] == [2, 1]

    run(test())


def test_opt_that_gets_lost_is_not_taken_for_silence() -> None:
    """An upstream that answers OPT between is asked with OPT, however many datagrams get lost."""

    async def test() -> None:
        script = [ONE, silence, silence, silence, ONE, ONE] * 3
        async with setting(*script, deadline=2.4) as up:
            for number in range(9):
                assert await up.say(ask(f"n{number}.example")) == "1/60"
            assert not udp(up.forward).health.edns.asks_without(0.0)
            await until(up.at_rest)

    run(test())

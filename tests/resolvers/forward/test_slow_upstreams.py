"""Upstreams that take seconds for a name, by a driven clock: who waits how long, and what becomes of a late answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.patience import DEADLINE, LONGEST, MOST_ROUNDS, PATIENCE
from dnsbridge.resolvers.forward.stream import StreamUpstream
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.zone import IN_FLIGHT, Forward
from dnsbridge.resolvers.resolver import Pending
from dnsbridge.wire.failure import Failure
from tests.support.caching import REFUSED, Setting, setting, words
from tests.support.driven_loop import pass_time
from tests.support.forwarding import ONE, TWO, ask, forwarding, option, outcome, run, said, udp, until
from tests.support.scripted_upstream import ADDRESS, Behaviour, Reply, ScriptedUpstream, answer, silence

MAX_ATTEMPT = 0.8


def slow(seconds: float, last: int = 1) -> Behaviour:
    """Takes so long for a name that starts with `slow`; such names count from when they are asked first."""
    first: dict[bytes, float] = {}

    def behave(message: bytes) -> Sequence[Reply]:
        (reply,) = answer(f"@ 60 IN A 192.0.2.{last}")(message)
        if not message.startswith(b"\4slow", 12):
            return [reply]
        now = asyncio.get_running_loop().time()
        age = now - first.setdefault(message[12:], now)
        return [Reply(reply.octets, max(seconds - age, 0.0001))]

    return behave


@asynccontextmanager
async def patient(behaviour: Behaviour, probe: Behaviour = REFUSED, **options: object) -> AsyncIterator[Setting]:
    """A cache before one upstream, with the times that users get."""
    times = {"attempt": MAX_ATTEMPT, "deadline": DEADLINE, "patience": PATIENCE}
    async with setting(behaviour, probe=probe, **times, **options) as up:  # type: ignore[arg-type]
        yield up


def now() -> float:
    """Seconds of the driven clock."""
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("seconds", [1.0, 3.0, 4.5])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_slow_name_on_a_quiet_host(seconds: float, warm: bool) -> None:
    """The first question that a server is asked, or one after others: a probe shows that its upstream is alive."""

    async def test() -> None:
        async with patient(slow(seconds)) as up:
            for number in range(20 if warm else 0):
                assert await up.say(ask(f"n{number}.example")) == "1/60"
            assert await up.say(ask("slow.example")) == "1/60"
            health = up.forward.upstreams[0].health
            assert health.condition is Condition.UP
            assert health.slow_questions == (seconds > DEADLINE)
            assert health.is_slow(now()) is (seconds > DEADLINE)
            await until(up.at_rest)

    run(test())


@pytest.mark.parametrize("seconds", [3.0, 4.5])
@pytest.mark.parametrize("way", ["past the cache", "TCP"])
def test_other_ways(seconds: float, way: str) -> None:
    """So is a question that goes past the cache, and one to an upstream over TCP."""

    async def test() -> None:
        async with ScriptedUpstream(slow(seconds), tcp=[slow(seconds)], keep=True, probe=REFUSED) as server:
            kind = StreamUpstream if way == "TCP" else UdpUpstream
            forward = Forward([kind(ADDRESS, server.port)])
            query = ask("slow.example", use_edns=0, options=[option(65001, b"x")])
            assert said(query, await outcome(forward, query)) == "1"
            await forward.close()

    run(test())


def test_others_are_answered_meanwhile() -> None:
    """Without a reply to probes, the answers to other questions show that the upstream is alive."""

    async def test() -> None:
        async with patient(slow(4.5), probe=silence) as up:
            assert await up.say(ask("n.example")) == "1/60"
            waiting = asyncio.ensure_future(up.say(ask("slow.example")))
            for number in range(20):
                assert await up.say(ask(f"n{number}.example")) == "1/60"
                await pass_time(0.1)
            assert await waiting == "1/60"

    run(test())


def test_silent_to_everything() -> None:
    """SERVFAIL with No Reachable Authority (22) after 2.4 s and three datagrams, as long as nothing is heard."""

    async def test() -> None:
        async with patient(silence, probe=silence) as up:
            start = now()
            got = await up.outcome(ask())
            assert got is Failure.UPSTREAM
            assert DEADLINE <= now() - start < DEADLINE + 0.1
            assert up.asked == 3
            assert Failure.UPSTREAM.extended_error == 22

    run(test())


def test_too_slow() -> None:
    """Over 4.8 s the client gets SERVFAIL with Network Error (23); who asks again joins the wait and has the answer."""

    async def test() -> None:
        async with patient(slow(6.0)) as up:
            start = now()
            query = ask("slow.example")
            assert await up.outcome(query) is Failure.SLOW_UPSTREAM
            assert PATIENCE <= now() - start < PATIENCE + 0.1
            assert Failure.SLOW_UPSTREAM.extended_error == 23
            assert "answers others" in Failure.SLOW_UPSTREAM.text
            got = up.cached.resolve(query)
            assert isinstance(got, Pending)
            assert words(query, await got) == "1/60"
            assert 6.0 <= now() - start < 6.1
            assert (up.fetches, up.cached.failures) == (1, {})
            await until(up.at_rest)

    run(test())


def test_never_answered_by_one_that_is_alive() -> None:
    """A name that gets nothing costs eight datagrams; in the end the failure is remembered, and nothing is left."""

    async def test() -> None:
        def behave(message: bytes) -> Sequence[Reply]:
            return [] if message.startswith(b"\4slow", 12) else ONE(message)

        async with patient(behave) as up:
            for number in range(20):
                assert await up.say(ask(f"n{number}.example")) == "1/60"
            before, start = up.asked, now()
            assert await up.say(ask("slow.example")) == "SLOW_UPSTREAM"
            assert up.cached.failures == {}
            await until(lambda: up.cached.failures)
            assert LONGEST <= now() - start < LONGEST + 0.1
            probes = up.forward.upstreams[0].probes - up.server.probed
            assert up.asked - before - probes == MOST_ROUNDS
            assert await up.say(ask("slow.example")) == "SLOW_UPSTREAM"
            assert up.at_rest()
            await until(lambda: not any(map(len, up.forward.attempts)))

    run(test())


def test_a_late_answer_replaces_a_failure() -> None:
    """An answer after the question failed is kept, also for who has asked again and for the failure's five seconds."""

    async def test() -> None:
        async with patient(answer("@ 60 IN A 192.0.2.1", delay=3.0), probe=silence) as up:
            query = ask()
            assert await up.say(query) == "UPSTREAM"
            assert await up.say(query) == "UPSTREAM", "it is remembered"
            asked = up.asked
            await until(lambda: up.cached.late)
            assert await up.say(query) == "1/60"
            assert (up.asked, up.fetches, up.cached.failures) == (asked, 1, {})

    run(test())


def test_a_late_error_is_no_answer() -> None:
    """A late SERVFAIL replaces nothing."""

    async def test() -> None:
        async with patient(answer(rcode=2, delay=3.0), probe=silence) as up:
            assert await up.say() == "UPSTREAM"
            await until(lambda: up.forward.upstreams[0].late >= 3)
            assert (await up.say(), up.cached.late, len(up.store)) == ("UPSTREAM", 0, 0)

    run(test())


def test_a_stale_answer_meanwhile() -> None:
    """It is given after 1.8 s, and the question goes on to the answer that comes after 4.5 s."""

    async def test() -> None:
        script = [ONE]
        async with patient(lambda message: script[-1](message)) as up:  # noqa: PLW0108 - it changes
            query = ask("slow.example", use_edns=0)
            assert await up.say(query) == "1/60"
            up.now += 60
            script.append(slow(4.5, 2))
            start = now()
            assert await up.say(query) == "1/30 EDE3"
            assert 1.8 <= now() - start < 1.9
            await until(up.at_rest)
            assert 4.5 <= now() - start < 4.6
            assert await up.say(query) == "2/60"
            assert up.fetches == 2

    run(test())


def test_a_slow_name_is_its_own_affair() -> None:
    """While one name is slow, all others go on to the same upstream, which is neither suspect nor down."""

    async def test() -> None:
        servers = [ScriptedUpstream(slow(4.0), probe=REFUSED), ScriptedUpstream(silence, probe=silence)]
        async with forwarding(*servers, attempt_timeout=MAX_ATTEMPT, deadline=DEADLINE, patience=PATIENCE) as forward:
            health = forward.upstreams[0].health
            for number in range(20):
                await outcome(forward, ask(f"before{number}.example"))
            waiting = [asyncio.ensure_future(outcome(forward, ask(f"slow.n{number}.example"))) for number in range(10)]
            for number in range(40):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "1"
                assert health.condition is Condition.UP
                await pass_time(0.02)
            assert [said(ask("slow.n0.example"), await each) for each in waiting] == ["1"] * 10
            assert health.since is None, "its condition never changed"

    run(test())


def test_ten_thousand_slow_names_at_once() -> None:
    """Over the bound the oldest end, what nobody waits for first, and fast names are answered as ever."""

    async def test() -> None:
        def behave(message: bytes) -> Sequence[Reply]:
            return [] if message.startswith(b"\4slow", 12) else ONE(message)

        async with patient(behave) as up:
            for number in range(20):
                assert await up.say(ask(f"n{number}.example")) == "1/60"
            names = [f"slow.n{number}.example" for number in range(10_500)]
            waiting = []
            for name in names:
                waiting.append(up.cached.resolve(ask(name)))
                if len(waiting) % 50 == 0:  # no more at a time than a socket's buffer holds
                    await asyncio.sleep(0)
            assert up.forward.in_flight <= IN_FLIGHT
            ended = [each.outcome is Failure.OVERLOAD for each in waiting if isinstance(each, Pending)]
            assert ended == [True] * 500 + [False] * IN_FLIGHT
            for number in range(50):
                start = now()
                assert await up.say(ask(f"fast{number}.example")) == "1/60"
                assert now() - start < 0.5
            assert up.forward.in_flight <= IN_FLIGHT
            left = [await each for each in waiting[1000:] if isinstance(each, Pending)]
            assert set(left) <= {Failure.SLOW_UPSTREAM, Failure.OVERLOAD}
            assert left.count(Failure.OVERLOAD) < 1000
            # Nobody waits for what is left: it makes room first.
            assert len(up.forward.lingering) == up.forward.in_flight
            sent = up.forward.upstreams[0].sent
            assert sent < 10_500 * 4 + 1000, "extra attempts have a budget"
            await until(up.at_rest)

    run(test())


def test_the_other_upstream_is_asked_meanwhile() -> None:
    """With two upstreams the slow one costs a timeout, as before."""

    async def test() -> None:
        servers = [ScriptedUpstream(slow(4.0), probe=REFUSED), ScriptedUpstream(TWO)]
        async with forwarding(*servers, attempt_timeout=MAX_ATTEMPT, deadline=DEADLINE, patience=PATIENCE) as forward:
            for number in range(20):
                await outcome(forward, ask(f"before{number}.example"))
            start = now()
            query = ask("slow.example")
            assert said(query, await outcome(forward, query)) == "2"
            assert now() - start < 0.5
            assert udp(forward, 0).health.slow_questions == 0

    run(test())

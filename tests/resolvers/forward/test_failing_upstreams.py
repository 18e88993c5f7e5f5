"""Forwarding over loopback when upstreams are slow, err or go silent: hedges, health, failover under load."""

import asyncio
import random
from collections.abc import Callable, Sequence

import dns.flags
import dns.message
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.resolvers.resolver import Pending
from dnsbridge.wire.failure import Failure
from tests.support.driven_loop import DrivenLoop, clock
from tests.support.forwarding import ONE, TWO, ask, forwarding, outcome, run, said, until
from tests.support.properties import examples
from tests.support.scripted_upstream import Behaviour, Reply, ScriptedUpstream, answer, silence

TRUNCATED = answer(flags=dns.flags.TC)
SERVFAIL = answer(rcode=2)


def delayed(delay: float, last: int) -> Behaviour:
    """A good answer after some seconds."""
    return answer(f"@ 60 IN A 192.0.2.{last}", delay=delay)


async def warm(forward: Forward) -> None:
    """Let the health of the first upstream learn its RTT."""
    number = 0
    while forward.upstreams[0].health.hedge_after > 1:
        number += 1
        await outcome(forward, ask(f"warm{number}.example"))


def test_a_slow_upstream_is_hedged() -> None:
    """A question that waits longer than nearly all did is asked at the next upstream too, whose answer wins."""

    async def test() -> None:
        script = [ONE]
        servers = [ScriptedUpstream(lambda message: script[-1](message)), ScriptedUpstream(TWO)]  # noqa: PLW0108 - it changes
        async with forwarding(*servers, attempt_timeout=0.8, deadline=2.4) as forward:
            await warm(forward)
            slow, other = forward.upstreams
            await until(lambda: slow.health.up)
            slow.health.timeout = 0.7
            script.append(delayed(0.3, 1))
            hedges, timeouts = other.hedges, slow.timeouts
            query = ask()
            start = clock()
            assert said(query, await outcome(forward, query)) == "2"
            assert clock() - start < 0.2
            assert (other.hedges, slow.timeouts) == (hedges + 1, timeouts)
            assert other.hedges_won >= 1
            await until(lambda: slow.late >= 1)
            assert slow.health.up
            await until(lambda: not any(map(len, forward.attempts)))

    run(test())


def test_hedges_have_a_budget() -> None:
    """When all questions are slow, some are hedged, and the others wait."""

    async def test() -> None:
        script = [ONE]
        servers = [ScriptedUpstream(lambda message: script[-1](message)), ScriptedUpstream(TWO)]  # noqa: PLW0108 - it changes
        async with forwarding(*servers, attempt_timeout=0.8, deadline=2.4) as forward:
            await warm(forward)
            script.append(delayed(0.4, 1))
            forward.upstreams[0].health.timeout = 0.7
            results = await asyncio.gather(*(outcome(forward, ask(f"n{number}.example")) for number in range(100)))
            assert Failure.UPSTREAM not in results
            hedges = forward.upstreams[1].hedges
            assert 0 < hedges <= 25
            assert forward.hedges_denied > 0

    run(test())


def test_an_upstream_that_only_errs_goes_down() -> None:
    """SERVFAIL for what another has an answer to costs five questions a detour; for a name that all fail on, none."""

    async def test() -> None:
        servers = [ScriptedUpstream(SERVFAIL), ScriptedUpstream(TWO)]
        async with forwarding(*servers, attempt_timeout=0.8) as forward:
            for number in range(20):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "2"
            assert len(servers[0].asked) == 5
            assert forward.upstreams[0].health.erring
        async with forwarding(ScriptedUpstream(SERVFAIL), ScriptedUpstream(SERVFAIL)) as forward:
            for number in range(20):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "SERVFAIL"
            assert all(upstream.health.up for upstream in forward.upstreams)

    run(test())


class Switched(ScriptedUpstream):
    """Answers after an RTT while `alive`, else is a black hole."""

    def __init__(self, rtt: float, last: int) -> None:
        self.alive = True
        reply = delayed(rtt, last)
        super().__init__(lambda message: reply(message) if self.alive else [])


def test_one_of_two_upstreams_becomes_a_black_hole() -> None:
    """Under load no question fails, all are fast after the first second, and the first is in use again in 5 s."""
    rtt, rate = 0.02, 100

    async def test() -> None:
        servers = [Switched(rtt, 1), Switched(rtt, 2)]
        async with forwarding(*servers, attempt_timeout=0.8, deadline=2.4) as forward:
            taken: list[tuple[float, float, str]] = []
            waiting: set[asyncio.Task[None]] = set()

            async def one(number: int) -> None:
                start = clock()
                query = ask(f"n{number}.example")
                got = said(query, await outcome(forward, query))
                taken.append((start, clock() - start, got))

            async def load(seconds: float, enough: Callable[[], bool] = lambda: False) -> float:
                start = clock()
                while clock() - start < seconds and not enough():
                    waiting.add(asyncio.create_task(one(len(waiting))))
                    await asyncio.sleep(1 / rate)
                return clock() - start

            await load(0.5)
            dark = clock()
            servers[0].alive = False
            await load(2.5)
            servers[0].alive = True
            back = await load(5.0, lambda: bool(taken) and taken[-1][2] == "1")
            await asyncio.gather(*waiting)
            later = sorted(seconds for start, seconds, _ in taken if start > dark + 1)
            p99, worst = later[len(later) * 99 // 100], max(seconds for _, seconds, _ in taken)
            assert {got for _, _, got in taken} == {"1", "2"}
            assert p99 <= 2 * rtt + 0.1
            assert worst < 0.5
            assert back < 5

    run(test())


@examples(4)
@given(seed=st.integers(0, 1 << 30), count=st.integers(1, 3))
def test_nothing_leaks_in_a_storm(seed: int, count: int) -> None:
    """Whatever is lost, late or wrong: each question has one outcome in time, and nothing is in flight in the end."""
    source = random.Random(seed)

    def behave(message: bytes) -> Sequence[Reply]:
        return source.choice(
            [ONE, ONE, SERVFAIL, silence, delayed(0.03, 1), delayed(0.2, 1), TRUNCATED, answer(change=lambda o: o[:13])]
        )(message)

    async def test() -> None:
        servers = [ScriptedUpstream(behave, tcp=[ONE]) for _ in range(count)]
        async with forwarding(*servers, deadline=0.3, policy="fastest") as forward:
            start = clock()
            results = await asyncio.gather(*(outcome(forward, ask(f"n{number}.example")) for number in range(150)))
            assert clock() - start < 1.5
            assert len(results) == 150
            assert forward.in_flight == 0
            await until(lambda: not any(map(len, forward.attempts)))
            # A probe that is out, of two questions, may still wait.
            assert all(upstream.in_flight <= 2 for upstream in forward.upstreams)

    run(test())


def test_a_stall_of_this_process_is_not_held_against_the_upstream() -> None:
    """Replies that came while nothing ran are read before anybody is found late."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(ONE), ScriptedUpstream(TWO), attempt_timeout=0.8) as forward:
            await warm(forward)
            first = forward.upstreams[0]
            before = first.timeouts
            loop = asyncio.get_running_loop()
            assert isinstance(loop, DrivenLoop)
            query = ask()
            pending = forward.resolve(query)
            server_has_replied = loop.create_future()
            loop.call_later(0.003, server_has_replied.set_result, None)
            await server_has_replied
            more = forward.resolve(ask("more.example"))
            loop.stall(0.2)
            assert isinstance(more, Pending)
            await more
            assert pending is not None
            assert first.timeouts == before

    run(test())

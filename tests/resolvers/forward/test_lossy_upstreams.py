"""One upstream at the end of a line that loses datagrams, by a driven clock and a seeded draw."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.patience import DEADLINE, FEW_ROUNDS, MOST_ROUNDS, PATIENCE
from dnsbridge.wire.failure import Failure
from tests.support.driven_loop import pass_time
from tests.support.forwarding import ask, forwarding, outcome, run, said
from tests.support.scripted_upstream import Behaviour, Reply, ScriptedUpstream, answer

RTT = 0.02
TIMES = {"attempt_timeout": 0.8, "deadline": DEADLINE, "patience": PATIENCE}


def losing(share: float, seed: int) -> Behaviour:
    """Answers all but a share of the questions, probes among them."""
    source = random.Random(seed)
    reply = answer("@ 60 IN A 192.0.2.1", delay=RTT)

    def behave(message: bytes) -> Sequence[Reply]:
        return [] if source.random() < share else reply(message)

    return behave


@pytest.mark.parametrize(("share", "questions", "failures"), [(0.0, 100, 0), (0.2, 400, 0), (0.5, 200, 4)])
def test_loss(share: float, questions: int, failures: int) -> None:
    """At 20% no question fails, at half of all one in a hundred or so; no question costs more than eight datagrams."""

    async def test() -> None:
        behaviour = losing(share, 7)
        server = ScriptedUpstream(behaviour, probe=behaviour)
        async with forwarding(server, **TIMES) as forward:
            waiting = []
            for number in range(questions):
                waiting.append(asyncio.ensure_future(outcome(forward, ask(f"n{number}.example"))))
                await asyncio.sleep(1 / 300)
            results = [await each for each in waiting]
            failed = [got for got in results if isinstance(got, Failure)]
            assert len(failed) <= failures
            names = [message[12:] for message in server.asked]
            counts = [names.count(name) for name in set(names)]
            probes = forward.upstreams[0].probes
            assert len(counts) == questions
            assert max(counts) <= MOST_ROUNDS + probes
            if not share:
                assert (counts, probes) == ([1] * questions, 0)
            assert forward.upstreams[0].health.condition is not Condition.DOWN

    run(test())


def test_a_quiet_host_on_a_lossy_line() -> None:
    """One question at a time: each is answered though the upstream is suspect again and again."""

    async def test() -> None:
        behaviour = losing(0.2, 11)
        server = ScriptedUpstream(behaviour, probe=behaviour)
        async with forwarding(server, **TIMES) as forward:
            for number in range(100):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "1"
            assert len(server.asked) < 100 * 1.6

    run(test())


def test_a_dead_upstream_is_not_flooded() -> None:
    """An upstream that falls silent gets up to eight datagrams a question for five seconds, then three."""

    async def test() -> None:
        script = [losing(0.0, 1)]
        server = ScriptedUpstream(lambda message: script[-1](message), probe=lambda message: script[-1](message))  # noqa: PLW0108 - it changes
        async with forwarding(server, **TIMES) as forward:
            for number in range(20):
                await outcome(forward, ask(f"before{number}.example"))
            script.append(losing(1.0, 1))
            for moment, most in (("at once", MOST_ROUNDS), ("later", FEW_ROUNDS), ("much later", FEW_ROUNDS)):
                before, probes = len(server.asked), forward.upstreams[0].probes
                assert await outcome(forward, ask(f"{moment.replace(' ', '-')}.example")) is Failure.UPSTREAM
                probes = forward.upstreams[0].probes - probes
                assert len(server.asked) - before - probes <= most, moment
                await pass_time(5)

    run(test())

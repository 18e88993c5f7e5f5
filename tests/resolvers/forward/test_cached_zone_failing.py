"""The cache when answers expire and upstreams fail: stale answers, failures held, prefetch, nothing left behind."""

import asyncio

import pytest

from dnsbridge.resolvers.forward import cached_zone as module
from dnsbridge.resolvers.forward.answer_table import CacheStore
from dnsbridge.resolvers.forward.cached_zone import Cached
from dnsbridge.resolvers.forward.exchange import Asking
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.wire.compose import octets
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from tests.support.caching import REFUSED, SERVFAIL, setting, words
from tests.support.forwarding import ONE, TWO, ask, run, until
from tests.support.preparing import offer
from tests.support.scripted_upstream import Behaviour, answer, silence


def test_expired_while_the_upstream_is_slow() -> None:
    """After the timer the expired answer with TTL 30 and Stale Answer (3), later clients at once; then the new one."""

    async def test() -> None:
        slow = answer("@ 60 IN A 192.0.2.2", delay=0.4)
        async with setting(ONE, slow, attempt=2.0, deadline=3.0, stale_timer=0.1) as up:
            query = ask(use_edns=0)
            assert await up.say(query) == "1/60"
            up.now += 60
            first = up.cached.resolve(query)
            second = up.cached.resolve(ask())
            assert isinstance(first, Pending)
            assert isinstance(second, Pending)
            assert first.outcome is None
            assert words(query, await first) == "1/30 EDE3"
            assert words(ask(), await second) == "1/30"
            late = up.cached.resolve(query)
            assert isinstance(late, Answer)
            assert words(query, late) == "1/30 EDE3"
            await until(up.at_rest)
            assert await up.say(query) == "2/60"
            assert (up.fetches, up.cached.stale) == (2, 3)

    run(test())


@pytest.mark.parametrize("failing", [SERVFAIL, REFUSED, silence])
def test_expired_while_the_upstream_fails(failing: Behaviour) -> None:
    """The expired answer at once, without asking again for at most five seconds; in the end the failure."""

    async def test() -> None:
        async with setting(ONE, failing, serve_stale=100.0, deadline=0.2, stale_timer=5.0) as up:
            query = ask(use_edns=0)
            await up.say(query)
            up.now += 60
            assert await up.say(query) == "1/30 EDE3"
            asked = up.asked
            up.now += 4
            assert await up.say(query) == "1/30 EDE3"
            assert (up.asked, up.cached.failures_held) == (asked, 1)
            up.now += 1
            assert await up.say(query) == "1/30 EDE3"
            assert up.asked > asked
            up.now += 100
            assert (await up.say(query)).split()[0] in ("SERVFAIL", "REFUSED", "UPSTREAM")

    run(test())


def test_all_upstreams_are_known_to_be_down() -> None:
    """An expired answer at once, and the upstreams asked behind it, once."""

    async def test() -> None:
        slow = answer("@ 60 IN A 192.0.2.2", delay=0.1)
        async with setting(ONE, slow, attempt=1.0, down=lambda: True) as up:
            query = ask(use_edns=0)
            assert await up.say(query) == "1/60", "what is not held is asked for all the same"
            up.now += 60
            for _ in range(3):
                got = up.cached.resolve(query)
                assert not isinstance(got, Pending)
                assert words(query, got) == "1/30 EDE3"
            await until(up.at_rest)
            assert up.fetches == 2
            assert await up.say(query) == "2/60"

    run(test())


def test_serve_stale_switched_off() -> None:
    """With serve_stale 0 an expired answer is never given."""

    async def test() -> None:
        async with setting(ONE, SERVFAIL, serve_stale=0.0) as up:
            await up.say()
            up.now += 60
            assert await up.say() == "SERVFAIL"
            assert up.cached.stale == 0

    run(test())


@pytest.mark.parametrize(("failing", "expected"), [(SERVFAIL, "SERVFAIL"), (REFUSED, "REFUSED"), (silence, "UPSTREAM")])
def test_failures_are_held(failing: Behaviour, expected: str) -> None:
    """A failure is remembered for its very question, at most five seconds (RFC 9520)."""

    async def test() -> None:
        async with setting(failing, deadline=0.1) as up:
            assert await up.say() == expected
            asked = up.asked
            up.now += 4
            assert await up.say(ask("WWW.example.com")) == expected
            assert up.asked == asked
            assert await up.say(ask(rtype="AAAA")) == expected
            assert up.asked > asked, "another question is another failure"
            asked = up.asked
            up.now += 1
            assert await up.say() == expected
            assert up.asked > asked
            asked = up.asked
            up.cached.forget_failures(b"\x03www\x07example\x03com\0")
            await up.say()
            assert up.asked > asked

    run(test())


def test_failures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names that fail is not remembered without end."""

    async def test() -> None:
        monkeypatch.setattr(module, "MAX_FAILURES", 10)
        async with setting(SERVFAIL) as up:
            for number in range(30):
                await up.say(ask(f"n{number}.example"))
            assert len(up.cached.failures) == 10
            asked = up.asked
            await up.say(ask("n29.example"))
            assert up.asked == asked

    run(test())


def test_overload_is_no_failure_of_the_question() -> None:
    """A question that was not asked for lack of room is asked the next time."""

    async def test() -> None:
        async with setting(ONE) as up:
            up.forward.in_flight_limit = 1
            first = up.cached.resolve(ask())
            assert await up.say(ask("other.example")) == "1/60"
            assert isinstance(first, Pending)
            assert first.outcome is Failure.OVERLOAD
            assert await up.say() == "1/60"

    run(test())


def test_an_endless_chain() -> None:
    """A reply that leads in a circle is no answer, and is not asked for again at once."""

    async def test() -> None:
        async with setting(answer("@ 60 IN CNAME www.example.com.")) as up:
            assert await up.say(ask(use_edns=0)) == "SERVFAIL EDE0"
            assert await up.say() == "SERVFAIL"
            assert (up.asked, up.cached.failures_held) == (1, 1)

    run(test())


def test_prefetch() -> None:
    """What is asked for again is fetched anew in the last tenth of its life, once, while clients get the old one."""

    async def test() -> None:
        async with setting(ONE, TWO, prefetch=True) as up:
            await up.say()
            up.now += 53
            assert [await up.say(), await up.say()] == ["1/7", "1/7"]
            assert up.asked == 1, "not yet"
            up.now += 2
            assert [await up.say() for _ in range(5)] == ["1/5"] * 5
            await until(up.at_rest)
            assert (up.asked, up.cached.prefetches) == (2, 1)
            assert await up.say() == "2/60"

    run(test())


def test_no_prefetch_for_what_is_asked_once() -> None:
    """A name that nobody came back for is left to expire."""

    async def test() -> None:
        async with setting(ONE, prefetch=True) as up:
            await up.say()
            up.now += 59
            assert await up.say() == "1/1"
            assert (up.asked, up.cached.prefetches) == (1, 0)

    run(test())


def test_a_prefetch_that_fails() -> None:
    """It is tried again after five seconds, not with every question; and what expires meanwhile goes out stale."""

    async def test() -> None:
        async with setting(ONE, SERVFAIL, prefetch=True) as up:
            query = ask(use_edns=0)
            await up.say(query)
            up.now += 54
            for _ in range(4):
                assert await up.say(query) == "1/6"
                await until(up.at_rest)
            assert (up.asked, up.cached.prefetches) == (2, 1)
            up.now += 5
            assert await up.say(query) == "1/1"
            await until(up.at_rest)
            assert (up.asked, up.cached.prefetches) == (3, 2)
            up.now += 1
            assert await up.say(query) == "1/30 EDE3"
            assert up.asked == 3

    run(test())


def test_expired_while_it_is_prefetched() -> None:
    """A client that comes when the prefetch is still out waits no longer than the timer."""

    async def test() -> None:
        async with setting(ONE, silence, prefetch=True, attempt=3.0, deadline=3.0, stale_timer=0.1) as up:
            query = ask(use_edns=0)
            await up.say(query)
            up.now += 59
            await up.say(query)
            assert [await up.say(query), up.cached.prefetches] == ["1/1", 1]
            up.now += 1
            assert await up.say(query) == "1/30 EDE3"

    run(test())


def test_prefetches_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many questions out, none is added that nobody waits for."""

    async def test() -> None:
        monkeypatch.setattr(module, "MAX_PREFETCHING", 2)
        async with setting(ONE, ONE, ONE, ONE, silence, prefetch=True) as up:
            names = [f"n{number}.example" for number in range(4)]
            for name in names * 2:
                await up.say(ask(name))
            up.now += 59
            for name in names * 2:
                assert await up.say(ask(name)) == "1/1"
            assert up.cached.prefetches == 2

    run(test())


def test_prepared_answers_age() -> None:
    """The body that UDP keeps ready counts down, prefetches, and goes when it expires or is replaced."""

    async def test() -> None:
        prepared = Prepared()
        async with setting(ONE, TWO, prefetch=True) as up:
            query = ask()
            question = query.message[2:]
            await up.say(query)
            for _ in range(2):
                got = up.cached.resolve(query)
                assert isinstance(got, Answer)
                offer(prepared, question, got)

            def now() -> str:
                return words(query, Answer(octets(prepared.answers[question])))

            for age in (0, 1, 53):
                up.now = 1000 + age
                prepared.expire(up.now)
                assert now() == f"1/{60 - age}"
            up.now = 1054
            assert now() == "1/6"
            await until(up.at_rest)
            assert up.asked == 2
            assert now() == "1/6", "of the same second"
            up.now = 1055
            assert now() == "2/59", "of the newer answer"
            up.now = 1060
            prepared.expire(up.now)
            assert question not in prepared.answers
            got = up.cached.resolve(query)
            assert isinstance(got, Answer)
            offer(prepared, question, got)
            assert now() == "2/54"
            up.now = 1054 + 59
            prepared.expire(up.now)
            assert now() == "2/1"
            up.now = 1054 + 60
            prepared.expire(up.now)
            assert (dict(prepared.answers), prepared._expires, prepared._expiring) == ({}, {}, {})

    run(test())


@pytest.mark.parametrize("behaviour", [ONE, SERVFAIL, silence])
def test_nothing_is_left_behind(behaviour: Behaviour) -> None:
    """After the outcome, or after closing, no question is out, nobody waits, and no timer is set."""

    async def test() -> None:
        timers: list[asyncio.TimerHandle] = []
        async with setting(ONE, behaviour, attempt=5.0, deadline=5.0, stale_timer=5.0) as up:
            await up.say()
            up.now += 60
            waiting = [up.cached.resolve(ask()), up.cached.resolve(ask("other.example"))]
            timers += [each.timer for each in up.cached.fetches.values() if each.timer]
            assert len(timers) == 1
            if behaviour is silence:
                await until(lambda: up.asked == 3)
                await up.forward.close()
            assert all([isinstance(await each, Answer | Failure) for each in waiting if isinstance(each, Pending)])
            assert up.cached.fetches == {}
            assert all(timer.cancelled() for timer in timers)

    run(test())


def test_outcomes_that_come_at_once() -> None:
    """A forwarder that knows its outcome in the same moment leaves nothing out either."""

    class AtOnce:
        def resolve(self, query: Query, beyond: object = None) -> Outcome:
            raise AssertionError(query)

        def ask(self, asking: Asking) -> None:
            asking.over = True
            asking.ended(Failure.UPSTREAM)

    store = CacheStore(10)
    cached = Cached(AtOnce(), store, lambda: 5, serve_stale=9.0, prefetch=True)
    assert cached.resolve(ask()) is Failure.UPSTREAM
    assert cached.resolve(ask()) is Failure.UPSTREAM
    assert (cached.failures_held, cached.fetches) == (1, {})

"""A forward zone that gets other upstreams while it runs: what is out, what is known, what is closed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dnsbridge import config
from dnsbridge.app.answering import forward_zones
from dnsbridge.app.answering.forward_zones import ForwardZones
from dnsbridge.config import Address
from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.resolvers.resolver import Outcome, Pending
from dnsbridge.wire.compose import octets
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from tests.support.forwarding import ONE, TWO, ask, run, until
from tests.support.program import closed_port
from tests.support.scripted_upstream import ADDRESS, Behaviour, ScriptedUpstream, answer

SLOW_ONE = answer("@ 60 IN A 192.0.2.1", delay=0.2)
Change = Callable[..., None]


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Change:
    """Sets the ports of 127.0.0.1 that the file names: in a true one all have port 53."""
    now: list[int] = []

    def set_ports(*ports: int) -> None:
        now[:] = ports

    monkeypatch.setattr(forward_zones, "servers_of", lambda *_: [Address(ADDRESS, port) for port in now])
    monkeypatch.setattr(forward_zones, "LOOK_INTERVAL", 0.001)
    monkeypatch.setattr(forward_zones, "LINGER", 0.0)
    return set_ports


@asynccontextmanager
async def running(*ports: int, change: Change) -> AsyncIterator[ForwardZones]:
    """The zone "." with these upstreams, followed."""
    change(*ports)
    zones = ForwardZones([config.Forward(upstreams=(Path("/none"),))], config.Cache(), [])
    following = asyncio.create_task(zones.follow(lambda hosts: None))
    try:
        yield zones
    finally:
        following.cancel()
        await zones.close()


@asynccontextmanager
async def servers(*behaviours: Behaviour) -> AsyncIterator[Sequence[ScriptedUpstream]]:
    """A server for each."""
    made = [ScriptedUpstream(behaviour) for behaviour in behaviours]
    for each in made:
        await each.__aenter__()
    try:
        yield made
    finally:
        for each in made:
            await each.__aexit__(None, None, None)


async def outcome(zones: ForwardZones, query: Query) -> Outcome:
    """What a client gets in the end."""
    got = zones.caches["."].resolve(query)
    return await got if isinstance(got, Pending) else got


def last_octet(got: Outcome) -> int | Failure:
    """Of the address in an answer, which ends with it: these clients send no EDNS."""
    return got if isinstance(got, Failure) else octets(got.body)[-1]


def udp_ports(forward: Forward) -> list[int]:
    """Where it asks."""
    return [upstream.port for upstream in forward.upstreams]


def test_what_is_out_is_answered_by_whom_it_was_asked(change: Change) -> None:
    """A question in flight gets its answer from the old upstream, the next one from the new; then the old is closed."""

    async def test() -> None:
        async with servers(SLOW_ONE, TWO) as (old, new), running(old.port, change=change) as zones:
            before = zones.forwards["."]
            before.deadline = before.patience = 1.0
            waiting = zones.caches["."].resolve(ask("one.example"))
            assert isinstance(waiting, Pending)
            change(new.port)
            await until(lambda: zones.forwards["."] is not before)
            assert last_octet(await outcome(zones, ask("two.example"))) == 2
            assert last_octet(await waiting) == 1
            assert (len(old.asked), len(new.asked)) == (1, 1)
            closed = before.upstreams[0]
            assert isinstance(closed, UdpUpstream)
            assert closed._sockets
            await until(lambda: not zones._retiring)
            assert not closed._sockets

    run(test())


def test_an_upstream_in_both_lists_keeps_its_health(change: Change) -> None:
    """Who is down stays down after a change of the others, and is not asked first."""

    async def test() -> None:
        with closed_port() as closed:
            port = closed.getsockname()[1]
            async with servers(ONE, TWO) as (one, two), running(port, one.port, change=change) as zones:
                before = zones.forwards["."]
                assert last_octet(await outcome(zones, ask("a.example"))) == 1
                health = before.upstreams[0].health
                assert health.condition is Condition.DOWN
                change(port, one.port, two.port)
                await until(lambda: zones.forwards["."] is not before)
                now = zones.forwards["."]
                assert [each.health.condition for each in now.upstreams] == [Condition.DOWN, Condition.UP, Condition.UP]
                assert now.upstreams[1].health.srtt > 0
                assert now.upstreams[2].health.srtt == 0
                assert last_octet(await outcome(zones, ask("b.example"))) == 1
                assert now.upstreams[0].sent == 0

    run(test())


def test_failures_of_the_old_ones_are_forgotten(change: Change) -> None:
    """A name that failed with the old upstreams is asked of the new ones at once."""

    async def test() -> None:
        with closed_port() as closed:
            async with servers(TWO) as (good,), running(closed.getsockname()[1], change=change) as zones:
                before = zones.forwards["."]
                query = ask("a.example")
                assert last_octet(await outcome(zones, query)) is Failure.UPSTREAM
                assert zones.caches["."]._down()
                change(good.port)
                await until(lambda: zones.forwards["."] is not before)
                assert not zones.caches["."]._down()
                assert last_octet(await outcome(zones, query)) == 2

    run(test())


def test_nobody_to_ask_and_somebody_again(change: Change) -> None:
    """Without a server names are refused; what is held of them is still given."""

    async def test() -> None:
        async with servers(TWO) as (good,), running(change=change) as zones:
            assert not zones.forwards
            assert last_octet(await outcome(zones, ask("a.example"))) is Failure.NO_ROUTE
            change(good.port)
            await until(lambda: bool(zones.forwards))
            assert last_octet(await outcome(zones, ask("a.example"))) == 2
            change()
            await until(lambda: not zones.forwards)
            assert last_octet(await outcome(zones, ask("a.example"))) == 2
            assert last_octet(await outcome(zones, ask("b.example"))) is Failure.NO_ROUTE

    run(test())


def test_an_end_while_old_ones_are_left(change: Change) -> None:
    """The end closes also those that still wait for replies, whose questions end without an answer."""

    async def test() -> None:
        async with servers(SLOW_ONE, TWO) as (old, new):
            async with running(old.port, change=change) as zones:
                before = zones.forwards["."]
                waiting = zones.caches["."].resolve(ask("one.example"))
                change(new.port)
                await until(lambda: zones.forwards["."] is not before)
            assert isinstance(waiting, Pending)
            assert waiting.outcome is Failure.UPSTREAM
            left = before.upstreams[0]
            assert isinstance(left, UdpUpstream)
            assert not left._sockets

    run(test())

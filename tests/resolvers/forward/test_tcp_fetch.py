"""Replies truncated over UDP, asked again over TCP connections that are kept, on loopback."""

import asyncio

import dns.flags
import dns.message
import dns.rrset
import pytest

from dnsbridge.resolvers.forward.health import Condition
from tests.support.forwarding import ONE, ask, forwarding, outcome, run, said, udp, until
from tests.support.scripted_upstream import ScriptedUpstream, answer, silence

TRUNCATED = answer(flags=dns.flags.TC)


@pytest.mark.parametrize("stream", [False, True])
def test_truncated_replies_share_a_connection(stream: bool) -> None:
    """Questions truncated over UDP go over one TCP connection, at the same time and one after another."""

    async def test() -> None:
        server = ScriptedUpstream(TRUNCATED, tcp=[ONE], keep=True)
        async with forwarding(server, attempt_timeout=2.0, deadline=4.0) as forward:
            for start in (0, 20):
                queries = [ask(f"n{number}.example", stream=stream) for number in range(start, start + 20)]
                results = await asyncio.gather(*(outcome(forward, query) for query in queries))
                assert [said(query, got) for query, got in zip(queries, results, strict=True)] == ["1"] * 20
            assert (server.accepted, len(server.asked_tcp), len(server.asked)) == (1, 40, 40)
            upstream = udp(forward)
            assert (upstream.tcp_fetches, upstream.tcp_failures) == (40, 0)
            assert not forward.fetches.under_way

    run(test())


def test_fetches_over_dead_tcp_fail_fast() -> None:
    """Where TCP gives nothing, a fetch ends with its question; after three the truncated reply is given at once."""

    async def test() -> None:
        server = ScriptedUpstream(TRUNCATED, tcp=[silence], keep=True)
        async with forwarding(server, attempt_timeout=2.0, deadline=0.2) as forward:
            for number in range(4):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "TC NOERROR"
            assert len(server.asked_tcp) == 3
            upstream = udp(forward)
            assert (upstream.tcp_fetches, upstream.tcp_failures, len(forward.fetches.under_way)) == (4, 4, 0)

    run(test())


def test_fetches_that_are_not_needed_any_more() -> None:
    """A fetch that another upstream's late reply makes needless is no sign against its connection."""

    async def test() -> None:
        servers = (
            ScriptedUpstream(answer("@ 60 IN A 192.0.2.1", delay=0.15)),
            ScriptedUpstream(TRUNCATED, tcp=[silence], keep=True),
        )
        async with forwarding(*servers, deadline=2.0) as forward:
            for number in range(4):
                query = ask(f"n{number}.example")
                forward.upstreams[0].health.condition = Condition.UP
                assert said(query, await outcome(forward, query)) == "1"
            await until(lambda: not forward.fetches.under_way)
            assert len(servers[1].connections) == 1
            upstream = udp(forward, 1)
            assert (upstream.tcp_fetches, upstream.tcp_failures, servers[1].accepted) == (4, 0, 1)

    run(test())

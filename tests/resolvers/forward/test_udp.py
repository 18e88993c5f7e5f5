"""One upstream's sockets and health, over loopback: down and up again, closed ports, failing sockets, IDs and ports."""

import asyncio
import socket
from typing import Any

import pytest

from dnsbridge.resolvers.forward import udp as upstream_module
from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.udp import POOL_SIZE, UdpUpstream
from dnsbridge.resolvers.resolver import Pending
from dnsbridge.wire.failure import Failure
from tests.support.forwarding import ONE, TWO, ask, forwarding, outcome, run, said, udp, until
from tests.support.scripted_upstream import ScriptedUpstream, silence


def test_a_silent_upstream_costs_one_timeout() -> None:
    """After one timeout the other upstream is asked first; probes, not clients, find out when the first is back.

    The first probe goes at once, the second a second later; each is a question that has had an answer, and one
    for the root.
    """

    async def test() -> None:
        servers = [ScriptedUpstream(silence, silence, ONE), ScriptedUpstream(TWO)]
        async with forwarding(*servers) as forward:

            async def one(number: int) -> str:
                query = ask(f"n{number}.example")
                return said(query, await outcome(forward, query))

            assert [await one(number) for number in range(5)] == ["2"] * 5
            silent = forward.upstreams[0]
            assert silent.health.condition is Condition.SUSPECT
            assert len(servers[0].asked) <= 2
            await until(lambda: servers[0].probed)
            assert (len(servers[0].asked), servers[0].probed, silent.probes) == (2, 1, 2)
            await until(lambda: silent.health.up)
            assert silent.probes == 4
            answered = {asked[2:] for asked in servers[1].asked}
            assert {asked[2:] for asked in servers[0].asked} <= answered
            assert await one(20) == "1"

    run(test())


def test_a_refused_port_moves_questions_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions in flight on a socket go to the next upstream when ICMP says that the port is closed."""
    monkeypatch.setattr(upstream_module, "POOL_SIZE", 1)

    async def test() -> None:
        servers = [ScriptedUpstream(silence), ScriptedUpstream(TWO)]
        async with forwarding(*servers, attempt_timeout=5.0, deadline=8.0) as forward:
            upstream = udp(forward)
            queries = [ask(f"n{number}.example") for number in range(200)]
            waiting = [forward.resolve(query) for query in queries[:100]]
            await until(lambda: len(servers[0].asked) == 100)
            servers[0].close_udp()
            waiting += [forward.resolve(query) for query in queries[100:]]
            results = [await each for each in waiting if isinstance(each, Pending)]
            assert [said(query, got) for query, got in zip(queries, results, strict=True)] == ["2"] * 200
            assert upstream.refused_by_icmp > 0
            assert not upstream.health.up
            assert (upstream.timeouts, upstream.in_flight) == (0, 0)
            assert len(servers[1].asked) == 200

    run(test())


def test_a_closed_port_alone_fails_at_once() -> None:
    """With no other upstream, many questions to a closed port end without waiting for any timeout."""

    async def test() -> None:
        server = ScriptedUpstream()
        async with forwarding(server, attempt_timeout=5.0, deadline=8.0) as forward:
            server.close_udp()
            results = await asyncio.gather(*(outcome(forward, ask(f"n{number}.example")) for number in range(2000)))
            assert set(results) == {Failure.UPSTREAM}
            assert forward.in_flight == 0

    run(test())


@pytest.mark.parametrize("error", [BlockingIOError, PermissionError, OSError(101, "Network is unreachable")])
def test_failed_sends(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When sending fails, the next upstream is asked in the same turn."""

    async def test() -> None:
        servers = [ScriptedUpstream(ONE), ScriptedUpstream(TWO)]
        async with forwarding(*servers) as forward:

            def fail(*arguments: object) -> int:
                raise error

            upstream = udp(forward)
            original = upstream._open

            def opened(slot: int) -> Any:
                made = original(slot)
                assert made
                made.send = fail
                return made

            monkeypatch.setattr(upstream, "_open", opened)
            query = ask()
            assert said(query, await outcome(forward, query)) == "2"
            assert (upstream.sent, upstream.send_failures) == (0, 1)

    run(test())


OWN_ERRORS = [
    BlockingIOError(11, "Resource temporarily unavailable"),
    PermissionError(1, "Operation not permitted"),
    OSError(22, "Invalid argument"),
    OSError(99, "Cannot assign requested address"),
    OSError(101, "Network is unreachable"),
    OSError(105, "No buffer space available"),
]


@pytest.mark.parametrize("error", OWN_ERRORS, ids=lambda error: error.strerror.replace(" ", "-"))
def test_an_error_of_this_host_is_tried_again(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """A send that fails goes out on a fresh socket, to the same upstream, and nobody sees it."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(ONE), ScriptedUpstream(TWO)) as forward:
            upstream = udp(forward)
            original, opened = upstream._open, []

            def fail(*arguments: object) -> int:
                raise error

            def first_fails(slot: int | None) -> Any:
                made = original(slot)
                assert made
                if slot is not None:
                    made.send = fail
                opened.append(slot)
                return made

            monkeypatch.setattr(upstream, "_open", first_fails)
            for number in range(5):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "1"
            assert (upstream.own_errors, upstream.send_failures, upstream.sent) == (5, 0, 5)
            assert opened.count(None) == 5
            assert upstream.health.up
            # A socket whose buffer is full is none to give up.
            assert len(upstream._sockets) == (len(set(opened)) - 1 if isinstance(error, BlockingIOError) else 0)

    run(test())


def test_an_error_while_receiving_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits on a socket that reports an error of this host is asked on a fresh one; the second error is final."""
    monkeypatch.setattr(upstream_module, "POOL_SIZE", 1)

    async def test() -> None:
        server = ScriptedUpstream(silence, silence, ONE, ONE, silence)
        async with forwarding(server, ScriptedUpstream(TWO), attempt_timeout=0.8) as forward:
            upstream = udp(forward)
            queries = [ask(f"n{number}.example") for number in range(2)]
            waiting = [forward.resolve(query) for query in queries]
            await until(lambda: len(server.asked) == 2)
            (failed,) = upstream._sockets
            upstream.socket_failed(failed, OSError(100, "Network is down"))
            results = [await each for each in waiting if isinstance(each, Pending)]
            assert [said(query, got) for query, got in zip(queries, results, strict=True)] == ["1", "1"]
            assert (upstream.own_errors, upstream.sent, upstream._sockets) == (2, 4, set())
            query = ask("n2.example")
            again = forward.resolve(query)
            for number in range(2):
                await until(lambda number=number: len(server.asked) == 5 + number)  # type: ignore[misc]
                (failed,) = upstream._sockets
                upstream.socket_failed(failed, OSError(100, "Network is down"))
            assert isinstance(again, Pending)
            assert said(query, await again) == "2"
            assert upstream.send_failures == 1

    run(test())


def test_no_socket_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of file descriptors, a question fails rather than the server."""

    async def test() -> None:
        async with forwarding(ScriptedUpstream(ONE)) as forward:

            def fail(*arguments: object) -> socket.socket:
                raise OSError(24, "Too many open files")

            monkeypatch.setattr(socket, "socket", fail)
            assert await outcome(forward, ask()) is Failure.UPSTREAM
            monkeypatch.undo()
            query = ask()
            assert said(query, await outcome(forward, query)) == "1"

    run(test())


def test_a_socket_never_asks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source port equal to a local upstream's closed port is not used: its questions would come back as they went."""

    class Drawn(socket.socket):
        """A socket that draws the port it connects to."""

        def connect(self, address: Any) -> None:
            self.bind(address)
            super().connect(address)

    async def test() -> None:
        server = ScriptedUpstream()
        async with forwarding(server, attempt_timeout=5.0, deadline=8.0) as forward:
            server.close_udp()
            monkeypatch.setattr(socket, "socket", Drawn)
            assert forward.resolve(ask()) is Failure.UPSTREAM
            monkeypatch.undo()
            assert (udp(forward).sent, udp(forward).send_failures) == (0, 3)

    run(test())


def test_ids_and_ports_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions go out of many ports with different IDs, and used-up sockets give way to new ones."""
    monkeypatch.setattr(upstream_module, "QUESTIONS_PER_SOCKET", 5)

    async def test() -> None:
        server = ScriptedUpstream(ONE)
        async with forwarding(server, attempt_timeout=2.0, deadline=5.0) as forward:
            for start in range(0, 1000, 100):  # no more at a time than a socket's buffer holds
                await asyncio.gather(*(outcome(forward, ask(f"n{start + more}.example")) for more in range(100)))
            assert len(server.asked) >= 1000  # more where this machine is busy: a question without a reply goes again
            # 200 sockets at least; the kernel may draw a port again that was given back.
            assert len(set(server.ports)) > 4 * POOL_SIZE
            assert len({asked[:2] for asked in server.asked}) > 0.95 * len(server.asked)
            await until(lambda: len(udp(forward)._sockets) <= POOL_SIZE)

    run(test())


@pytest.mark.parametrize("address", ["", "dns.example", "10.0.0.256"])
def test_addresses_are_numeric(address: str) -> None:
    """An upstream is never looked up by name."""
    with pytest.raises(OSError):  # noqa: PT011 - the resolver's own error, whatever its text
        UdpUpstream(address)

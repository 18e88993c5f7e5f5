"""An upstream over TCP and TLS, on loopback: certificates, pipelining, broken and idle connections, bounds, reuse."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
import pytest

from dnsbridge.resolvers.forward import health
from dnsbridge.resolvers.forward import stream as upstream_stream
from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.stream import CONNECTIONS, QUESTIONS_PER_CONNECTION, StreamUpstream
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.resolvers.resolver import Answer, Pending
from dnsbridge.tls import Tls, client_context
from dnsbridge.wire.failure import Failure
from tests.support.certificates import Authority
from tests.support.driven_loop import clock
from tests.support.forwarding import ONE, TWO, ask, message, outcome, run, said, until
from tests.support.patience import LOOPS, PATIENT, Run
from tests.support.scripted_upstream import ADDRESS, Behaviour, Reply, ScriptedUpstream, answer, silence

TRUNCATED = answer(flags=dns.flags.TC)


def kept(*tcp: Behaviour) -> ScriptedUpstream:
    """A server whose connections stay open."""
    return ScriptedUpstream(tcp=tcp, keep=True)


@asynccontextmanager
async def over_stream(
    *servers: ScriptedUpstream,
    tls: Tls | None = None,
    idle_seconds: float = 10.0,
    attempt_timeout: float = 2.0,
    deadline: float = 5.0,
) -> AsyncIterator[tuple[Forward, StreamUpstream]]:
    """A forwarder that asks these servers over TCP or TLS, and its first upstream."""
    for server in servers:
        await server.__aenter__()
    upstreams = [StreamUpstream(ADDRESS, server.port, tls, idle_seconds=idle_seconds) for server in servers]
    forward = Forward(upstreams, attempt_timeout=attempt_timeout, deadline=deadline, patience=deadline)
    try:
        yield forward, upstreams[0]
    finally:
        await forward.close()
        for server in servers:
            await server.__aexit__(None, None, None)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The one that the client is given."""
    return Authority()


IN_WORDS = {
    "Hostname": "the certificate is not valid for dns.test",
    "IP": "the certificate is not valid for 127.0.0.1",
    "certificate": "its certificate has expired",
    "unable": "its certificate is of no authority that is trusted",
}
"""By the first word after `TLS:`."""


@pytest.mark.parametrize("run_test", LOOPS)
@pytest.mark.parametrize(
    ("names", "wanted", "options", "expected", "problem"),
    [
        (["dns.test"], "dns.test", {}, "1", ""),
        (["*.dns.test"], "a.dns.test", {}, "1", ""),
        (["127.0.0.1"], "", {}, "1", ""),
        (["other.test"], "dns.test", {}, "2", "TLS: Hostname mismatch, certificate is not valid for 'dns.test'"),
        (["dns.test"], "", {}, "2", "TLS: IP address mismatch, certificate is not valid for '127.0.0.1'"),
        (["dns.test"], "dns.test", {"expired": True}, "2", "TLS: certificate has expired"),
        (["dns.test"], "dns.test", {"unknown": True}, "2", "TLS: unable to get local issuer certificate"),
        (["dns.test"], "dns.test", {"system": True}, "2", "TLS: unable to get local issuer certificate"),
    ],
)
def test_certificates(
    run_test: Run,
    names: list[str],
    wanted: str,
    options: dict[str, bool],
    expected: str,
    problem: str,
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only a server with the right name, vouched for by a trusted authority, is asked; why not is logged once."""
    caplog.set_level(logging.INFO, upstream_stream.__name__)
    ca = None if options.get("system") else authority.write(tmp_path / "ca.pem")
    tls = Tls(client_context(ca), wanted)
    issuer = Authority() if options.get("unknown") else authority

    async def test() -> None:
        served = issuer.server(*names, expired=options.get("expired", False))
        server = ScriptedUpstream(tcp=[ONE], keep=True, tls=served)
        async with server, ScriptedUpstream(TWO) as other:
            secure = StreamUpstream(ADDRESS, server.port, tls)
            forward = Forward([secure, UdpUpstream(ADDRESS, other.port)], **PATIENT)
            for number in range(3):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == expected
            assert secure.problem == problem
            assert secure.health.up is not bool(problem)
            assert secure.health.problem == (IN_WORDS[problem.split()[1]] if problem else "")
            assert len(server.asked_tcp) == (0 if problem else 3)
            assert [record.getMessage() for record in caplog.records] == (
                [f"upstream {secure}: {problem}"] if problem else []
            )
            await forward.close()

    run_test(test())


@pytest.mark.parametrize("run_test", LOOPS)
def test_a_port_without_tls(run_test: Run) -> None:
    """A server that does not speak TLS is down, and the reason says so."""

    async def test() -> None:
        async def junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 not what you expect\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(junk, ADDRESS, 0)
        upstream = StreamUpstream(ADDRESS, server.sockets[0].getsockname()[1], Tls(client_context(None)))
        forward = Forward([upstream], **PATIENT)
        assert await outcome(forward, ask()) is Failure.UPSTREAM
        assert (upstream.health.up, upstream.problem) == (False, "TLS: wrong version number")
        await forward.close()
        server.close()
        await server.wait_closed()

    run_test(test())


def in_batches(size: int) -> Behaviour:
    """Replies to `size` questions at a time, the last question first, each with its name's number as its address."""
    held: list[bytes] = []

    def behave(octets: bytes) -> Sequence[Reply]:
        held.append(octets)
        if len(held) < size:
            return []
        batch = [answer(f"@ 60 IN A 192.0.2.{int(each[14:16])}")(each)[0] for each in reversed(held)]
        held.clear()
        return batch

    return behave


@pytest.mark.parametrize("run_test", LOOPS)
@pytest.mark.parametrize("secure", [False, True])
def test_pipelining_out_of_order(run_test: Run, secure: bool, authority: Authority, tmp_path: Path) -> None:
    """Questions share a connection, none waits for another, and each gets its own reply whatever the order."""
    tls = Tls(client_context(authority.write(tmp_path / "ca.pem")), "dns.test")

    async def test() -> None:
        server = ScriptedUpstream(tcp=[in_batches(50)], keep=True, tls=authority.server("dns.test") if secure else None)
        async with over_stream(server, tls=tls if secure else None, **PATIENT) as (forward, upstream):
            for _ in range(2):
                queries = [ask(f"n{number:02}.example") for number in range(50)]
                results = await asyncio.gather(*(outcome(forward, query) for query in queries))
                got = [said(query, result) for query, result in zip(queries, results, strict=True)]
                assert got == [str(number) for number in range(50)]
            assert (server.accepted, upstream.connects, upstream.received) == (1, 1, 100)
            assert len({asked[:2] for asked in server.asked_tcp}) > 90
            assert (upstream.mismatched, upstream.in_flight) == (0, 0)

    run_test(test())


def test_bounds() -> None:
    """Over four full connections a question is not sent here; nothing is lost that was."""

    async def test() -> None:
        most = CONNECTIONS * QUESTIONS_PER_CONNECTION
        answers = [answer("@ 60 IN A 192.0.2.1", delay=0.3)]
        async with over_stream(kept(*answers), kept(TWO)) as (forward, upstream):
            queries = [ask(f"n{number}.example") for number in range(most + 5)]
            waiting = [forward.resolve(query) for query in queries]
            assert (upstream.in_flight, upstream.overloads, upstream.connections) == (most, 5, CONNECTIONS)
            results = [await each for each in waiting if isinstance(each, Pending)]
            got = [said(query, result) for query, result in zip(queries, results, strict=True)]
            # On a busy machine some of those that were sent here are hedged at the other upstream as well.
            assert got[most:] == ["2"] * 5
            assert got.count("1") > most * 0.9
            assert set(got) == {"1", "2"}

    run(test())


@pytest.mark.parametrize("run_test", LOOPS)
def test_a_refused_connection(run_test: Run, caplog: pytest.LogCaptureFixture) -> None:
    """When the port is closed all questions move on, the upstream is down, and the reason is logged once."""

    async def test() -> None:
        closed = socket.socket()
        closed.bind((ADDRESS, 0))
        async with ScriptedUpstream(TWO) as other:
            upstream = StreamUpstream(ADDRESS, closed.getsockname()[1])
            forward = Forward([upstream, UdpUpstream(ADDRESS, other.port)], **PATIENT)
            queries = [ask(f"n{number}.example") for number in range(20)]
            results = await asyncio.gather(*(outcome(forward, query) for query in queries))
            assert [said(query, got) for query, got in zip(queries, results, strict=True)] == ["2"] * 20
            assert (upstream.health.up, upstream.problem, upstream.connect_failures) == (False, "Connection refused", 1)
            assert [record.getMessage() for record in caplog.records] == [f"upstream {upstream}: Connection refused"]
            assert upstream.connections == 0
            await forward.close()
        closed.close()

    run_test(test())


def test_a_connection_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions and probes that wait for a connection time out like any other, and put the upstream down."""
    monkeypatch.setattr(health, "PROBE_INTERVAL", 0.05)

    async def test() -> None:
        full = socket.socket()
        full.bind((ADDRESS, 0))
        full.listen(0)
        async with ScriptedUpstream(TWO) as other:
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:  # a full queue of connections: the next one gets no reply from the kernel
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            upstream = StreamUpstream(ADDRESS, full.getsockname()[1])
            forward = Forward([upstream, UdpUpstream(ADDRESS, other.port)], attempt_timeout=0.1, deadline=5.0)
            for number in range(4):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "2"
            assert (upstream.health.up, upstream.timeouts, upstream.connects) == (False, 1, 1)
            await until(lambda: upstream.health.condition is Condition.DOWN)
            assert (upstream.timeouts, upstream.problem) == (3, "no reply in time")
            await forward.close()
            for each in [full, *fillers]:
                each.close()

    run(test())


def closing(after: Behaviour) -> Behaviour:
    """The same reply, and the end of the connection."""
    return lambda octets: [Reply(reply.octets, last=True) for reply in after(octets)]


GONE: Behaviour = lambda octets: [Reply(b"", unframed=True, last=True)]  # noqa: E731 - one line of data
HALF: Behaviour = lambda octets: [Reply(b"\x01\x00" + octets[:20], unframed=True, last=True)]  # noqa: E731


@pytest.mark.parametrize(
    ("first", "expected", "connects", "broken"),
    [
        ([GONE], ["2", "2"], 1, 1),
        ([HALF], ["2", "2"], 1, 1),
        # A server may close at any time a connection that has worked: the rest is asked again on a new one.
        ([closing(ONE), ONE], ["1", "1"], 2, 1),
        ([ONE, HALF, ONE], ["1", "1"], 2, 1),
        ([closing(ONE)], ["1", "1"], 2, 1),
    ],
)
def test_a_connection_that_breaks(first: list[Behaviour], expected: list[str], connects: int, broken: int) -> None:
    """Questions in flight on a connection that ends are asked again at once, here or at the next upstream."""

    async def test() -> None:
        async with over_stream(kept(*first), kept(TWO)) as (forward, upstream):
            queries = [ask(f"n{number}.example") for number in range(2)]
            start = clock()
            results = await asyncio.gather(*(outcome(forward, query) for query in queries))
            assert [said(query, got) for query, got in zip(queries, results, strict=True)] == expected
            assert clock() - start < 1.5, "waited for a timeout"
            assert (upstream.connects, upstream.broken, upstream.timeouts) == (connects, broken, 0)

    run(test())


def test_a_server_that_only_closes_goes_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three breaks in a row without a reply put an upstream down, probes among them; a reply brings it back."""
    monkeypatch.setattr(health, "PROBE_INTERVAL", 0.05)

    async def test() -> None:
        server = kept(GONE, GONE, GONE, ONE)
        async with over_stream(server, kept(TWO)) as (forward, upstream):

            async def one(number: int) -> str:
                query = ask(f"n{number}.example")
                return said(query, await outcome(forward, query))

            assert [await one(number) for number in range(4)] == ["2"] * 4
            await until(lambda: upstream.health.condition is Condition.DOWN)
            assert upstream.problem == "it closes connections without a reply"
            await until(lambda: upstream.health.up)
            assert len(server.asked_tcp) == 4
            assert await one(9) == "1"
            assert (upstream.problem, upstream.broken) == ("", 3)

    run(test())


def test_a_silent_connection_is_given_up() -> None:
    """A connection on which three questions got no reply takes no more, so that the next try is on a new one."""

    async def test() -> None:
        # Three attempts and a probe meet silence.
        server = kept(ONE, silence, silence, silence, silence, ONE)
        async with over_stream(server, attempt_timeout=0.1, deadline=2.0) as (forward, upstream):
            for number in range(2):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "1"
            await until(lambda: len(server.connections) == 1)
            await until(lambda: upstream.health.up)
            assert (upstream.connects, upstream.timeouts, upstream.probes) == (2, 3, 2)

    run(test())


@pytest.mark.parametrize("run_test", LOOPS)
def test_idle_connections_close(run_test: Run) -> None:
    """An idle connection is closed, and the next question opens another."""

    async def test() -> None:
        server = kept(ONE)
        async with over_stream(server, idle_seconds=0.2, **PATIENT) as (forward, upstream):
            for number in range(2):
                query = ask(f"n{number}.example")
                assert said(query, await outcome(forward, query)) == "1"
                await until(lambda: not server.connections)
                assert (upstream.connections, upstream.idle_closed, server.accepted) == (0, number + 1, number + 1)

    run_test(test())


@pytest.mark.parametrize(
    ("before", "mismatched"),
    [
        (lambda reply: [Reply(b"\xff" * 40)], 2),
        (lambda reply: [Reply(b"")], 2),
        (lambda reply: [Reply(reply[:2])], 2),
        (lambda reply: [Reply(bytes([reply[0] ^ 1]) + reply[1:])], 2),
        (lambda reply: [Reply(reply.replace(b"\x03www", b"\x03xxx"))], 2),
    ],
    ids=["garbage", "empty", "ID only", "ID", "name"],
)
def test_garbage_is_counted(before: Callable[[bytes], Sequence[Reply]], mismatched: int) -> None:
    """A message that matches nothing is counted; a server that says more than it was asked loses its connection."""

    async def test() -> None:
        def behave(octets: bytes) -> Sequence[Reply]:
            true = ONE(octets)[0]
            return [*before(true.octets), *before(true.octets), true]

        async with over_stream(kept(behave), kept(TWO)) as (forward, upstream):
            query = ask()
            assert said(query, await outcome(forward, query)) == "2"
            assert (upstream.mismatched, upstream.received, upstream.broken) == (mismatched, 0, 1)

    run(test())


@pytest.mark.parametrize("run_test", LOOPS)
def test_64_kib_answers(run_test: Run) -> None:
    """The largest message there is comes through whole, in one piece or octet by octet."""

    def behave(octets: bytes) -> Sequence[Reply]:
        response = dns.message.make_response(dns.message.from_wire(octets))
        name = response.question[0].name
        room = 65535 - len(response.to_wire()) - 12
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "TYPE65280", rf"\# {room} {'00' * room}"))
        reply = response.to_wire(max_size=65535)
        assert len(reply) == 65535
        return [Reply(reply)]

    async def test() -> None:
        async with over_stream(kept(behave), **PATIENT) as (forward, upstream):
            for number in range(3):
                query = ask(f"n{number}.example", "TYPE65280", stream=True)
                got = await outcome(forward, query)
                assert isinstance(got, Answer)
                assert isinstance(got.body, bytes)
                assert len(got.body) == 65533
                assert len(message(query, got).answer) == 1
            assert (upstream.connects, upstream.received) == (1, 3)

    run_test(test())


def test_replies_in_pieces() -> None:
    """Replies are found wherever the stream is cut."""

    async def test() -> None:
        def behave(octets: bytes) -> Sequence[Reply]:
            reply = ONE(octets)[0].octets
            frame = len(reply).to_bytes(2, "big") + reply
            return [Reply(frame[at : at + 1], delay=0.002 * at + 0.001, unframed=True) for at in range(len(frame))]

        async with over_stream(kept(behave)) as (forward, _):
            query = ask()
            assert said(query, await outcome(forward, query)) == "1"

    run(test())


def test_a_truncated_reply_over_tcp_is_taken_as_it_is() -> None:
    """There is no transport left to ask over."""

    async def test() -> None:
        async with over_stream(kept(TRUNCATED)) as (forward, upstream):
            query = ask()
            assert said(query, await outcome(forward, query)) == "TC NOERROR"
            assert upstream.sent == 1

    run(test())


def test_a_slow_connection_is_hedged() -> None:
    """Over TCP too a slow question is asked elsewhere, and the connection stays in use."""

    async def test() -> None:
        server = kept(*[ONE] * 32, silence, ONE)
        async with over_stream(server, kept(TWO)) as (forward, upstream):
            for number in range(32):
                upstream.health.sample_at = 0.0  # a sample of each RTT
                query = ask(f"n{number}.example")
                await outcome(forward, query)
            query = ask("slow.example")
            assert said(query, await outcome(forward, query)) == "2"
            assert forward.upstreams[1].hedges == 1
            await until(lambda: upstream.timeouts == 1)
            await until(lambda: upstream.health.up)
            query = ask("n99.example")
            assert said(query, await outcome(forward, query)) == "1"
            assert (upstream.connects, upstream.broken, upstream.probes) == (1, 0, 2)

    run(test())


def test_closing_with_questions_in_flight() -> None:
    """Closing ends what waits, also for a connection, and nothing is sent afterwards."""

    async def test() -> None:
        server = kept(silence)
        async with over_stream(server) as (forward, upstream):
            first = forward.resolve(ask("a.example"))
            await until(lambda: len(server.asked_tcp) == 1)
            second = forward.resolve(ask("b.example"))
            await forward.close()
            assert isinstance(first, Pending)
            assert isinstance(second, Pending)
            assert first.outcome is second.outcome is Failure.UPSTREAM
            assert forward.resolve(ask("c.example")) is Failure.UPSTREAM
            await until(lambda: not server.connections)
            assert upstream.connections == 0

    run(test())


@pytest.mark.parametrize(
    ("upstream", "text"),
    [
        (StreamUpstream("127.0.0.1", 53), "tcp://127.0.0.1:53"),
        (StreamUpstream("::1", 853, Tls(client_context(None))), "tls://[::1]:853"),
        (StreamUpstream("127.0.0.1", 853, Tls(client_context(None), "dns.test")), "tls://127.0.0.1:853#dns.test"),
    ],
)
def test_text(upstream: StreamUpstream, text: str) -> None:
    """An upstream is shown as it is configured."""
    assert str(upstream) == text

"""TCP connections that ask a lot: they take turns with the rest of the server, and share what may wait."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import dns.message
import pytest

from dnsbridge.listeners.access import Access
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.fairness import Share, Waiting
from dnsbridge.listeners.responder import Responder
from dnsbridge.listeners.response_rate import ResponseRate
from dnsbridge.listeners.tcp import FRAMES_PER_TURN, Connection, TcpLimits, TcpListener, open_socket
from dnsbridge.observe.counters import Counters
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.resolver import Outcome, Pending
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from tests.support.driven_loop import clock, pass_time
from tests.support.forwarding import run, until
from tests.support.program import framed

IDLE = 10.0
"""Seconds."""
EVERYBODY = [ip_network("0.0.0.0/0")]
QUESTION = framed(dns.message.make_query("www.example.com", "A").to_wire())


class Transport(asyncio.Transport):
    """What a connection writes and whether it reads."""

    def __init__(self, client: str) -> None:
        super().__init__({"peername": (client, 5353)})
        self.frames = 0
        self.reading = True
        self.closed = False

    def write(self, data: Any) -> None:
        """One frame a call."""
        self.frames += 1

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever full."""

    def is_closing(self) -> bool:
        """See asyncio."""
        return self.closed

    def pause_reading(self) -> None:
        """See asyncio."""
        self.reading = False

    def resume_reading(self) -> None:
        """See asyncio."""
        self.reading = True

    def close(self) -> None:
        """See asyncio."""
        self.closed = True

    def abort(self) -> None:
        """See asyncio."""
        self.closed = True


class Resolver:
    """Fails at once, or answers when told to."""

    def __init__(self, slow: bool) -> None:
        self.slow = slow
        self.waiting: list[Pending] = []

    def resolve(self, query: Query) -> Outcome | Pending:
        """See resolvers.resolver."""
        if not self.slow:
            return Failure.UPSTREAM
        self.waiting.append(Pending())
        return self.waiting[-1]

    def settle(self, count: int) -> None:
        """Answer the oldest."""
        for pending in self.waiting[:count]:
            pending.settle(Failure.UPSTREAM)
        del self.waiting[:count]


class Setting:
    """A listener whose connections are made by hand, or are `real`."""

    def __init__(self, slow: bool, waiting: Waiting, real: bool = False) -> None:
        self.resolver = Resolver(slow)
        self.waiting = waiting
        responder = Responder(self.resolver, Prepared(), Counters(), 10)
        admission = Admission(Access(EVERYBODY, EVERYBODY), False, ResponseRate(1), waiting, lambda _: False, ())
        self.listening = open_socket(socket.AF_INET, "127.0.0.1", 0)
        limits = TcpLimits(idle_timeout=IDLE, queries_in_flight=50)
        self.listener = TcpListener(self.listening, responder, admission, limits)
        if not real:
            self.listening.close()

    def connect(self, client: str) -> tuple[Connection, Transport]:
        """A client's connection."""
        connection, transport = Connection(self.listener), Transport(client)
        connection.connection_made(transport)
        return connection, transport


def test_many_questions_at_once_are_taken_in_turns() -> None:
    """So many, then the event loop sees to others; nothing more is read meanwhile, and in the end all are answered."""

    async def test() -> None:
        setting = Setting(False, Waiting())
        connection, transport = setting.connect("192.0.2.1")
        connection.data_received(QUESTION * 100 + QUESTION[:5])
        connection.data_received(QUESTION[5:])
        assert transport.frames == FRAMES_PER_TURN
        assert not transport.reading
        await asyncio.sleep(0)
        assert transport.frames == 2 * FRAMES_PER_TURN
        connection.eof_received()
        assert not transport.closed
        await until(lambda: transport.closed)
        assert transport.frames == 101
        connection.connection_lost(None)

    run(test())


def test_a_lost_connection_asks_no_more() -> None:
    """What was not taken yet is forgotten."""

    async def test() -> None:
        setting = Setting(False, Waiting())
        connection, transport = setting.connect("192.0.2.1")
        connection.data_received(QUESTION * 100)
        connection.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert transport.frames == FRAMES_PER_TURN

    run(test())


@pytest.mark.parametrize("others", [0, 3])
def test_connections_share_what_may_wait(others: int) -> None:
    """Over its client's share a connection still has one question in flight, and goes on as answers come."""

    async def test() -> None:
        setting = Setting(True, Waiting(20))
        connections = [setting.connect("192.0.2.1") for _ in range(1 + others)]
        for connection, _ in connections:
            connection.data_received(QUESTION * 30)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert setting.waiting.total == 16 + others
        assert not any(transport.reading for _, transport in connections)
        assert setting.waiting.has_room(Share())
        while sum(transport.frames for _, transport in connections) < 30 * len(connections):
            await until(lambda: bool(setting.resolver.waiting))
            setting.resolver.settle(3)
        assert setting.waiting.total == 0
        assert all(transport.reading for _, transport in connections)
        for connection, _ in connections:
            connection.connection_lost(None)

    run(test())


@asynccontextmanager
async def connected(slow: bool) -> AsyncIterator[tuple[Setting, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A listener, and a client that is connected to it."""
    setting = Setting(slow, Waiting(), real=True)
    await setting.listener.start()
    reader, writer = await asyncio.open_connection(*setting.listening.getsockname())
    await until(lambda: setting.listener.connections)
    try:
        yield setting, reader, writer
    finally:
        writer.close()
        await setting.listener.stop(0)


@pytest.mark.parametrize(
    "begun", [b"", b"\0", b"\xff\xff", QUESTION[:20]], ids=["nothing", "half a length", "a length", "half"]
)
def test_a_connection_ends_with_its_idle_timeout(begun: bytes) -> None:
    """Not before, and not after; what is no whole question does not keep it."""

    async def test() -> None:
        async with connected(slow=False) as (setting, reader, writer):
            connected_at = clock()
            await pass_time(IDLE / 2)
            writer.write(begun)
            assert await reader.read() == b""
            assert clock() - connected_at == pytest.approx(IDLE, abs=0.1)
            assert setting.listener.responder.counters.tcp_idle_closed == 1

    run(test())


def test_a_question_keeps_a_connection() -> None:
    """The idle timeout runs from the last whole question."""

    async def test() -> None:
        async with connected(slow=False) as (_, reader, writer):
            await pass_time(IDLE * 0.9)
            writer.write(QUESTION)
            assert len(await reader.readexactly(2)) == 2
            asked_at = clock()
            await reader.read()
            assert clock() - asked_at == pytest.approx(IDLE, abs=0.1)

    run(test())


@pytest.mark.parametrize(
    ("asks", "answered_after", "ends_after"),
    [
        (False, None, 0.0),
        (True, 1.0, 1.0),
        (True, None, 3.0),
    ],
    ids=["idle", "in flight", "never answered"],
)
def test_the_end(asks: bool, answered_after: float | None, ends_after: float) -> None:
    """An idle connection is closed at once, one with a question in flight when it is answered, or after the grace."""

    async def test() -> None:
        async with connected(slow=True) as (setting, reader, writer):
            if asks:
                writer.write(QUESTION)
                await until(lambda: setting.resolver.waiting)
            if answered_after:
                asyncio.get_running_loop().call_later(answered_after, setting.resolver.settle, 1)
            told_at = clock()
            await setting.listener.stop(3.0)
            assert clock() - told_at == pytest.approx(ends_after, abs=0.1)
            assert bool(await reader.read()) is bool(answered_after)

    run(test())

"""One upstream DNS server over TCP or TLS: its connections, the questions in flight on them, and its health.

    StreamConnection   a connection, open or being made, and its questions in flight, by ID
    StreamUpstream     up to four such connections, and the server's health

A frame is two octets of length and a message. Connections are kept for the next questions, questions are sent without
waiting for earlier replies, and replies are taken in any order (RFC 7766 sections 6.2.1, 6.2.1.1 and 7; RFC 7858).

A connection may end while it owes replies. If it gave replies before, the server merely closed it, and the questions
are asked again on another connection (RFC 7766 section 6.2.4). If it gave none, they go to another server.

A connection that cannot be made puts the upstream down. One that ended without a reply is like a question without one.
"""

import asyncio
import logging
import os
import socket
import time
from typing import cast

from dnsbridge.resolvers.forward.health import MAX_TIMEOUT, Condition
from dnsbridge.resolvers.forward.upstream import Asker, Upstream
from dnsbridge.tls import Tls, explained, in_words
from dnsbridge.wire import relay

log = logging.getLogger(__name__)

CONNECTIONS = 4
QUESTIONS_PER_CONNECTION = 100
"""In flight at the same time."""
CONNECT_SECONDS = 5.0
"""Limit for a connection with its TLS handshake; the questions that wait for it may give up earlier."""
IDLE_SECONDS = 10.0
"""A connection without a question or a reply for so long is closed."""
SILENCES = 3
"""Timeouts in a row, without a reply on a connection, after which it takes no more questions."""


class StreamConnection(asyncio.Protocol):
    """A connection and its questions in flight."""

    def __init__(self, upstream: "StreamUpstream") -> None:
        self.waiting: dict[bytes, Asker] = {}
        self.retired = False
        """It takes no more questions, and ends when it owes no reply."""
        self.replies = 0
        """Replies that matched."""
        self.begun_at = time.monotonic()
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._writable = True
        self._owed = 0
        """Messages that may still come: one for each question sent."""
        self._silences = 0
        """Timeouts since the last reply; several questions that were in flight together count once."""
        self._silent_at = 0.0
        self._used_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._connecting = self._loop.create_task(self._connect())

    @property
    def has_room(self) -> bool:
        """Whether it takes one more question."""
        return not self.retired and self._writable and len(self.waiting) < QUESTIONS_PER_CONNECTION

    def send(self, asker: Asker) -> None:
        """Send a question, now or when there is a connection."""
        identity = os.urandom(2)
        while identity in self.waiting:
            identity = os.urandom(2)
        self.waiting[identity] = asker
        asker.socket = self
        asker.identity = identity
        if self._transport:
            self._write(self._transport, identity, asker)

    def forget(self, identity: bytes) -> None:
        """Stop waiting for the reply to a question."""
        self.waiting.pop(identity, None)
        self._close_when_done()

    def timed_out(self, now: float, asked_at: float, alive: bool = False) -> None:
        """See Carrier."""
        if asked_at >= self._silent_at:
            self._silent_at = now
            self._silences += 1
            if self._silences >= SILENCES:
                # Replies may never come, for example when a firewall has forgotten the connection.
                self.retired = True
        self._upstream.timed_out(now, asked_at, alive)

    def expect_more(self, asker: Asker) -> bool:
        """See Carrier: nobody forges replies on a connection."""
        return False

    def close(self) -> None:
        """End the connection; its questions are not told. May be repeated."""
        self.waiting.clear()
        self._connecting.cancel()
        self._end()
        if self._transport:
            # Nothing is left to say: an orderly close would wait for the other side.
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the questions that were waiting."""
        # uvloop's transports do not subclass asyncio's, so there is nothing to check at run time.
        self._transport = cast(asyncio.Transport, transport)
        self._used_at = self._loop.time()
        self._timer = self._loop.call_later(self._upstream.idle_seconds, self._look)
        for identity, asker in self.waiting.items():
            self._write(self._transport, identity, asker)

    def data_received(self, data: bytes) -> None:
        """Take complete replies."""
        received = self._received
        received += data
        start = 0
        while len(received) >= start + 2:
            end = start + 2 + int.from_bytes(received[start : start + 2], "big")
            if len(received) < end:
                break
            if not self._owed:
                # A server has no more messages to send than it was asked questions.
                self._upstream.mismatched += 1
                self._abort()
                return
            self._owed -= 1
            self._take(bytes(received[start + 2 : end]))
            start = end
        del received[:start]
        self._close_when_done()

    def pause_writing(self) -> None:
        """The server does not read: no more questions for now."""
        self._writable = False

    def resume_writing(self) -> None:
        """The server reads again."""
        self._writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the questions go elsewhere."""
        askers = self._end()
        if askers:
            self._upstream.connection_broke(self, askers)

    async def _connect(self) -> None:
        upstream = self._upstream
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connected = await upstream.connect()
                tls = upstream.tls
                await self._loop.create_connection(
                    lambda: self,
                    sock=connected,
                    ssl=tls.context if tls else None,
                    server_hostname=(tls.name or upstream.address.partition("%")[0]) if tls else None,
                )
        except OSError as error:
            upstream.cannot_connect(self, self._end(), error)

    def _take(self, reply: bytes) -> None:
        identity = reply[:2]
        asker = self.waiting.get(identity)
        if asker is not None and relay.is_bare_error(reply):
            reply = relay.with_question(reply, asker.question)
        if asker is None or not relay.matches(reply, asker.question):
            self._upstream.mismatched += 1
            return
        del self.waiting[identity]
        self.replies += 1
        self._silences = 0
        self._used_at = self._loop.time()
        self._upstream.replied()
        asker.replied(reply)

    def _write(self, transport: asyncio.Transport, identity: bytes, asker: Asker) -> None:
        self._owed += 1
        self._used_at = self._loop.time()
        transport.write((len(asker.wire) + 2).to_bytes(2, "big") + identity + asker.wire)

    def _look(self) -> None:
        """Close the connection if it is idle, else look again when it may be."""
        left = self._used_at + self._upstream.idle_seconds - self._loop.time()
        if left <= 0 and not self.waiting:
            self._upstream.idle_closed += 1
            self.close()
        else:
            # A millisecond at least: the loop's clock may be that coarse.
            self._timer = self._loop.call_later(max(left, 0.001), self._look)

    def _close_when_done(self) -> None:
        if self.retired and not self.waiting:
            self.close()

    def _abort(self) -> None:
        """End the connection, and let the questions go elsewhere."""
        self.retired = True
        if self._transport:
            self._transport.abort()

    def _end(self) -> list[Asker]:
        """Take no more questions; returns those in flight, for the caller to handle."""
        self.retired = True
        if self._timer:
            self._timer.cancel()
        self._upstream.forget_connection(self)
        askers = list(self.waiting.values())
        self.waiting.clear()
        return askers


class StreamUpstream(Upstream):
    """One upstream server that is asked over TCP or TLS."""

    def __init__(self, address: str, port: int, tls: Tls | None = None, *, idle_seconds: float = IDLE_SECONDS) -> None:
        """`address` is numeric, IPv4 or IPv6 (with %SCOPE if it is link-local); raises OSError for any other.

        Without `tls` it is asked over TCP.
        """
        super().__init__(address, port, socket.SOCK_STREAM)
        self.tls = tls
        self.idle_seconds = idle_seconds
        self._connections: list[StreamConnection] = []
        self.problem = ""
        """Why it is down, in a few words; empty while it is not."""
        self.overloads = 0
        """Questions not sent because every connection was full."""
        self.connects = 0
        """Connections begun."""
        self.connect_failures = 0
        self.broken = 0
        """Connections that ended while they owed replies."""
        self.idle_closed = 0

    def __str__(self) -> str:
        scheme = "tls" if self.tls else "tcp"
        host = f"[{self.address}]" if ":" in self.address else self.address
        name = f"#{self.tls.name}" if self.tls and self.tls.name else ""
        return f"{scheme}://{host}:{self.port}{name}"

    @property
    def timeout(self) -> float:
        """Seconds that an attempt has. The RTT says nothing while a question may have to wait for a connection."""
        return self.health.timeout if all(each.replies for each in self._connections) else MAX_TIMEOUT

    @property
    def in_flight(self) -> int:
        """Questions that wait for a reply, or for a connection."""
        return sum(len(each.waiting) for each in self._connections)

    @property
    def connections(self) -> int:
        """Connections open or being made."""
        return len(self._connections)

    def ask(self, asker: Asker) -> bool:
        """Send a question; False if there is no room for it."""
        connection = next((each for each in self._connections if each.has_room), None)
        if connection is None:
            if self._closed or len(self._connections) >= CONNECTIONS:
                self.overloads += 1
                return False
            connection = StreamConnection(self)
            self._connections.append(connection)
            self.connects += 1
        connection.send(asker)
        self.sent += 1
        return True

    def timed_out(self, now: float, asked_at: float, alive: bool) -> None:
        """A question that was asked here got no reply in time; `alive`: other questions did."""
        self.timeouts += 1
        if not alive:
            self._silent(now, asked_at, "no reply in time")

    def replied(self) -> None:
        """A matching reply came."""
        self.received += 1
        if self.problem:
            log.info("upstream %s replies again", self, extra={"event": "upstream_up"})
            self.problem = ""

    async def connect(self) -> socket.socket:
        """A connected, non-blocking socket; raises OSError."""
        opened = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            await asyncio.get_running_loop().sock_connect(opened, self._destination)
            # If the upstream is on this host and its port is closed, the kernel may draw that port as the source port.
            if opened.getsockname() == opened.getpeername():
                raise ConnectionRefusedError(111, "connected to itself")
        except BaseException:
            opened.close()
            raise
        return opened

    def cannot_connect(self, failed: StreamConnection, askers: list[Asker], error: OSError) -> None:
        """A connection could not be made for these questions."""
        self.connect_failures += 1
        self.health.refused(time.monotonic())
        self._log(explained(error))
        self.health.problem = in_words(error)
        for asker in askers:
            asker.refused(failed)

    def connection_broke(self, failed: StreamConnection, askers: list[Asker]) -> None:
        """A connection ended that owed replies to these questions."""
        self.broken += 1
        if not failed.replies:
            self._silent(time.monotonic(), failed.begun_at, "it closes connections without a reply")
        for asker in askers:
            if not (failed.replies and self.ask(asker)):
                asker.refused(failed)

    def forget_connection(self, ended: StreamConnection) -> None:
        """A connection is no longer there."""
        if ended in self._connections:
            self._connections.remove(ended)

    def close(self) -> None:
        """Close all connections; questions in flight get no reply, and later ones are not sent."""
        self._closed = True
        for each in list(self._connections):
            each.close()

    def _silent(self, now: float, asked_at: float, problem: str) -> None:
        self.health.timed_out(now, asked_at)
        if self.health.condition is Condition.DOWN and not self.problem:
            self._log(problem)
            self.health.problem = problem

    def _log(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("upstream %s: %s", self, problem, extra={"event": "upstream_down"})
            self.problem = problem

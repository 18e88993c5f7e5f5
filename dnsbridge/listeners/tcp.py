"""DNS over TCP (RFC 7766, 9210): several questions in flight per connection, answers as they are ready, all bounded.

A frame is two octets of length and a message. A connection ends when it has been idle for too long. Idle time counts
from its last whole question or its last answer, so octets that trickle in do not keep a connection alive.
"""

import asyncio
import socket
from functools import partial
from typing import cast

from msgspec import Struct

from dnsbridge.listeners.access import packed
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.fairness import Share
from dnsbridge.listeners.responder import Later, Responder

FRAMES_PER_TURN = 16
"""Questions taken from one connection before the event loop serves others."""
MAX_UNSENT = 256 * 1024
"""Octets of answers a client may leave unread before its next questions wait."""


class TcpLimits(Struct, frozen=True):
    """Bounds on connections (settings below `tcp`)."""

    connections: int = 1000
    connections_per_client: int = 100
    idle_timeout: float = 10.0
    """Seconds."""
    queries_in_flight: int = 100
    """Per connection; more wait unread."""


def open_socket(family: socket.AddressFamily, address: str, port: int, shared: bool = False) -> socket.socket:
    """A listening, non-blocking TCP socket, `shared` with others on the same port; raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock


class TcpListener:
    """One listening socket and its connections."""

    def __init__(self, sock: socket.socket, responder: Responder, admission: Admission, limits: TcpLimits) -> None:
        self.responder = responder
        self.admission = admission
        self.limits = limits
        self.connections: set[Connection] = set()
        self.per_client: dict[str, int] = {}
        family = "ipv6" if sock.family == socket.AF_INET6 else "ipv4"
        self.traffic = responder.counters.traffic("tcp", family)
        self._socket = sock
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connection, sock=self._socket)

    def connection(self) -> "Connection":
        """A connection for a client that comes."""
        return Connection(self)

    async def stop(self, seconds: float) -> None:
        """Accept no more, answer what is in flight for at most `seconds`, then close every connection."""
        if self._server:
            self._server.close()
        for connection in tuple(self.connections):
            connection.finish()
        waiting = [connection.closed for connection in self.connections]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        for connection in tuple(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, listener: TcpListener) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listener = listener
        self._counters = listener.responder.counters
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._share = Share()
        self._allowed = False
        self._buffer = bytearray()
        self._in_flight = 0
        self._reading = True
        self._taking = False
        self._scheduled = False
        """More frames will be taken in another turn of the loop."""
        self._writable = True
        self._ended = False
        self._finishing = False
        self._active_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit or reject the client."""
        # uvloop's transports do not subclass asyncio's, so there is nothing to check at run time.
        self._transport = transport = cast(asyncio.Transport, transport)
        listener = self._listener
        limits = listener.limits
        peer = transport.get_extra_info("peername")
        client = peer[0] if peer else ""
        held = listener.per_client.get(client, 0)
        if not client or len(listener.connections) >= limits.connections or held >= limits.connections_per_client:
            self._counters.tcp_rejected += 1
            transport.abort()
            return
        known = listener.admission.access.client(packed(client))
        self._allowed = known.allowed
        if not self._allowed and listener.admission.silent:
            self._counters.client_denied += 1
            transport.abort()
            return
        self._client = client
        self._share = known.share
        listener.per_client[client] = held + 1
        listener.connections.add(self)
        self._counters.tcp_accepted += 1
        self._counters.tcp_connections += 1
        transport.set_write_buffer_limits(high=MAX_UNSENT)
        self._touch()
        self._schedule(limits.idle_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._buffer.clear()
        listener = self._listener
        if self in listener.connections:
            listener.connections.discard(self)
            self._counters.tcp_connections -= 1
            left = listener.per_client[self._client] - 1
            if left:
                listener.per_client[self._client] = left
            else:
                del listener.per_client[self._client]
        if self._timer:
            self._timer.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take received octets."""
        self._buffer += data
        if not self._scheduled:
            self._take_frames()

    def eof_received(self) -> bool:
        """The client asks no more, but still gets the answers to its questions."""
        self._ended = True
        self._take_frames()
        return True

    def pause_writing(self) -> None:
        """The client does not read: its next questions wait."""
        self._writable = False
        self._pace()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writable = True
        self._pace()
        self._take_frames()

    def finish(self) -> None:
        """Take no more questions; close when all are answered."""
        self._finishing = True
        self._pace()
        self._close_if_done()

    def abort(self) -> None:
        """Close at once."""
        if self._transport:
            self._transport.abort()

    def _take_frames(self) -> None:
        """Answer whole frames while the client may have more questions in flight."""
        buffer = self._buffer
        start = 0
        size = len(buffer)
        for _ in range(FRAMES_PER_TURN):
            if size - start < 2 or not self._has_room() or not self._writable or self._finishing:
                break
            end = start + 2 + int.from_bytes(buffer[start : start + 2], "big")
            if end > size:
                break
            message = bytes(buffer[start + 2 : end])
            start = end
            self._touch()
            self._taking = True
            self._answer(message)
            self._taking = False
        else:
            self._take_more()
        del buffer[:start]
        self._pace()
        self._close_if_done()

    def _answer(self, message: bytes) -> None:
        listener = self._listener
        identity = message[:2]
        traffic = listener.traffic
        traffic.received += 1
        traffic.requests.add(len(message))
        self._in_flight += 1
        listener.admission.waiting.add(self._share)
        if self._allowed:
            found = listener.responder.respond(message, traffic)
        else:
            self._counters.client_denied += 1
            found = listener.responder.refuse(message, traffic)
        if isinstance(found, bytes):
            self._send(identity, found)
        elif isinstance(found, Later):
            found.then(partial(self._send, identity))
        else:
            # A message that gets no answer over UDP makes no sense on a connection: the connection ends.
            self._counters.tcp_aborted += 1
            self._answered()
            self._finishing = True
            self.abort()

    def _send(self, identity: bytes, body: bytes) -> None:
        transport = self._transport
        if transport and not transport.is_closing():
            self._listener.traffic.responses.add(len(body) + 2)
            transport.write((len(body) + 2).to_bytes(2, "big") + identity + body)
        self._answered()
        self._touch()
        if not self._taking and (self._finishing or self._ended or self._buffer or not self._reading):
            self._take_more()

    def _take_more(self) -> None:
        """Take further frames in another turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        self._scheduled = False
        self._take_frames()

    def _answered(self) -> None:
        self._in_flight -= 1
        self._listener.admission.waiting.remove(self._share)

    def _has_room(self) -> bool:
        """Whether another question may be in flight. One always may, so that each answer makes room for the next."""
        if not self._in_flight:
            return True
        listener = self._listener
        return self._in_flight < listener.limits.queries_in_flight and listener.admission.waiting.has_room(self._share)

    def _pace(self) -> None:
        """Read on only while there is room for another question."""
        wanted = not self._finishing and not self._scheduled and self._writable and self._has_room()
        transport = self._transport
        if transport is None or transport.is_closing() or wanted == self._reading:
            return
        self._reading = wanted
        if wanted:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _close_if_done(self) -> None:
        if (self._finishing or self._ended) and not self._in_flight and not self._scheduled and self._transport:
            self._transport.close()

    def _touch(self) -> None:
        self._active_at = asyncio.get_running_loop().time()

    def _schedule(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._check_idle)

    def _check_idle(self) -> None:
        """Close a connection that was idle for the whole timeout and is owed nothing, or does not read its answers."""
        timeout = self._listener.limits.idle_timeout
        left = self._active_at + timeout - asyncio.get_running_loop().time()
        stuck = not self._writable
        if left > 0 or (self._in_flight and not stuck):
            self._schedule(max(left, timeout / 4))
            return
        self._counters.tcp_idle_closed += 1
        self.abort()

"""Questions over UDP: a socket drained in batches, the prepared answer sent for what was asked before.

The socket is read until it would block, straight from the event loop's reader callback, which costs a quarter of what a
datagram protocol does. A socket on a wildcard address must answer from the address that was asked (RFC 2181 section
4), so there the destination comes and goes as packet information (RFC 3542).
"""

import asyncio
import socket
from contextlib import suppress
from functools import partial
from typing import Any

from dnsbridge.listeners.access import Access
from dnsbridge.listeners.responder import Responder

BATCH = 64
"""Datagrams that are answered before the loop gets a turn."""
MAX_DATAGRAM = 4096
"""Octets; a question is far below, and one that is cut off here does not parse."""
MAX_WAITING = 20_000
"""Questions of one socket that may wait for an upstream; more are dropped and counted."""
RECEIVE_BUFFER = 4 << 20
"""Octets; the kernel gives what it allows. A burst waits there while a batch is answered."""

_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it
_PKTINFO_SPACE = socket.CMSG_SPACE(20)

Peer = tuple[Any, ...]
Source = list[tuple[int, int, bytes]]
"""Packet information that makes an answer leave from the address that was asked."""


def open_socket(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket; raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_wildcard(address):
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def is_wildcard(address: str) -> bool:
    """Whether an address stands for all of the host's."""
    return address in ("0.0.0.0", "::")


class UdpListener:
    """One UDP socket and the questions that came over it."""

    def __init__(self, sock: socket.socket, responder: Responder, access: Access, silent: bool) -> None:
        """`silent`: a client outside the access list gets no answer at all."""
        self._socket = sock
        self._responder = responder
        self._access = access
        self._silent = silent
        self._waiting = 0
        self._outbox: list[tuple[bytes, Peer, Source | None]] = []
        """Answers to send in this turn of the event loop."""
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin to answer."""
        wildcard = is_wildcard(self._socket.getsockname()[0])
        drain = self._drain_wildcard if wildcard else self._drain
        asyncio.get_running_loop().add_reader(self._socket, drain)

    async def stop(self, seconds: float) -> None:
        """Take no more questions, answer those in flight for at most `seconds`, then close."""
        asyncio.get_running_loop().remove_reader(self._socket)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        self._socket.close()

    def _drain(self) -> None:
        """Answer what has come. This is the hot path: names are looked up once, and counters added at the end."""
        receive = self._socket.recvfrom
        send = self._socket.sendto
        prepared = self._responder.prepared.answers.get
        allowed = self._access.allowed
        counters = self._responder.counters
        rcodes = counters.rcodes
        received = hits = 0
        try:
            for _ in range(BATCH):
                message, peer = receive(MAX_DATAGRAM)
                received += 1
                body = prepared(message[2:])
                if body is not None and peer[0] in allowed and peer[1]:
                    hits += 1
                    octets = body if isinstance(body, bytes) else body.octets()
                    rcodes[octets[1] & 15] += 1
                    try:
                        send(message[:2] + octets, peer)
                    except OSError:
                        counters.udp_send_errors += 1
                else:
                    self._take(message, peer, partial(self._answer, message[:2], peer, None))
        except BlockingIOError:
            pass
        except OSError:
            counters.udp_receive_errors += 1
        counters.udp_queries += received
        counters.prepared_hits += hits

    def _drain_wildcard(self) -> None:
        """The same with the address that each datagram was sent to."""
        counters = self._responder.counters
        prepared = self._responder.prepared.answers
        try:
            for _ in range(BATCH):
                message, ancillary, _, peer = self._socket.recvmsg(MAX_DATAGRAM, _PKTINFO_SPACE)
                counters.udp_queries += 1
                source = [_as_source(*item) for item in ancillary]
                body = prepared.get(message[2:])
                if body is not None and peer[0] in self._access.allowed and peer[1]:
                    counters.prepared_hits += 1
                    octets = body if isinstance(body, bytes) else body.octets()
                    counters.rcodes[octets[1] & 15] += 1
                    try:
                        self._socket.sendmsg([message[:2], octets], source, 0, peer)
                    except OSError:
                        counters.udp_send_errors += 1
                else:
                    self._take(message, peer, partial(self._answer, message[:2], peer, source))
        except BlockingIOError:
            pass
        except OSError:
            counters.udp_receive_errors += 1

    def _take(self, message: bytes, peer: Peer, send: "partial[None]") -> None:
        """The second path: a question with no prepared answer."""
        counters = self._responder.counters
        if not peer[1]:
            counters.udp_port_zero += 1
            return
        if not self._access.allows(peer[0]):
            counters.client_denied += 1
            if not self._silent:
                self._waiting += 1
                if self._responder.refuse(message, False, send) is not None:
                    self._done()
            return
        if self._waiting >= MAX_WAITING:
            counters.udp_overloads += 1
            return
        self._waiting += 1
        self._idle.clear()
        if self._responder.respond(message, False, send) is not None:
            self._done()

    def _done(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._idle.set()

    def _answer(self, identity: bytes, peer: Peer, source: Source | None, body: bytes) -> None:
        """Answer at the end of this turn of the event loop: all together they wake the clients less often."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((identity + body, peer, source))
        self._waiting -= 1
        if not self._waiting:
            self._idle.set()

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        for message, peer, source in outbox:
            try:
                if source is None:
                    self._socket.sendto(message, peer)
                else:
                    self._socket.sendmsg([message], source, 0, peer)
            except OSError:
                self._responder.counters.udp_send_errors += 1


def _as_source(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Received packet information as what makes the answer leave from that address.

    IPv4: ifindex (4) | local address (4) | header destination (4); IPv6: address (16) | ifindex (4). The interface is
    left to the routing table, but for link-local addresses, which mean nothing without it.
    """
    if level == socket.IPPROTO_IP:
        return level, kind, bytes(4) + data[4:]
    link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
    return level, kind, data if link_local else data[:16] + bytes(4)

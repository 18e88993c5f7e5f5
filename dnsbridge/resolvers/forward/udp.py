"""One upstream DNS server over UDP: its sockets, the questions in flight on them, and its health.

    Asker              a question to ask here: its octets, and callbacks for its outcome (see upstream)
    Carrier            the socket that a question is in flight on (see upstream)
    UpstreamSocket     a connected socket and its questions in flight, by ID
    UdpUpstream        a pool of such sockets, and the server's health

Against forged replies (RFC 5452 section 4): the kernel takes datagrams only from the upstream's address and port, it
draws the source port of each socket at random, the ID is random, and the reply must repeat the question as sent.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterator
from struct import Struct as Layout

from dnsbridge.resolvers.forward.upstream import Asker, Upstream
from dnsbridge.wire import relay
from dnsbridge.wire.constants import HEADER_SIZE, MAX_MESSAGE

log = logging.getLogger(__name__)

POOL_SIZE = 32
QUESTIONS_PER_SOCKET = 10_000
"""After so many questions a socket is replaced by one with another source port."""
FOLDED_TO_BELIEVE = 3
"""A server whose first so many replies change the case of the name is taken to fold the case of all names."""
REPLIES_PER_TURN = 64
"""Replies read from one socket before the event loop serves others."""
_DRAW = Layout("!2sB")
_BLOCK = 4096 * _DRAW.size


class UpstreamSocket:
    """A connected, non-blocking UDP socket and its questions in flight."""

    __slots__ = ("upstream", "waiting", "asked", "retired", "second", "send", "_socket", "_loop")

    def __init__(self, upstream: "UdpUpstream", connected: socket.socket) -> None:
        self.upstream = upstream
        self.waiting: dict[bytes, Asker] = {}
        self.asked = 0
        self.retired = False
        self.second = False
        """It repeats a question that another socket of this host could not send: its own error is final."""
        self.send = connected.send
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connected.fileno(), self._readable)

    def forget(self, identity: bytes) -> None:
        """Stop waiting for the reply to a question."""
        self.waiting.pop(identity, None)
        if self.retired and not self.waiting:
            self.close()

    def timed_out(self, now: float, asked_at: float, alive: bool = False) -> None:
        """See Carrier."""
        upstream = self.upstream
        upstream.timeouts += 1
        if not alive:
            was_up = upstream.health.up
            upstream.health.timed_out(now, asked_at)
            if was_up and not upstream.health.up:
                upstream.renew_sockets()

    def expect_more(self, asker: Asker) -> bool:
        """See Carrier."""
        if self._socket.fileno() < 0:
            return False
        self.waiting[asker.identity] = asker
        return True

    def retire(self) -> None:
        """Take no more questions; close when no reply is awaited."""
        self.retired = True
        if not self.waiting:
            self.close()

    def close(self) -> None:
        """Close the socket; may be repeated."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self.upstream.forget_socket(self)

    def _readable(self) -> None:
        receive = self._socket.recv
        waiting = self.waiting
        upstream = self.upstream
        for _ in range(REPLIES_PER_TURN):
            try:
                reply = receive(MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError as error:
                upstream.socket_failed(self, error)
                return
            identity = reply[:2]
            asker = waiting.get(identity)
            if asker is None:
                upstream.mismatched += 1
                continue
            question = asker.question
            if reply.startswith(question, HEADER_SIZE) and reply[2] & 0xF8 == 0x80 and reply[4:6] == b"\0\1":
                # The common reply, a response to the very octets that were asked, is recognised without a call.
                if asker.exact:
                    upstream.exact += 1
            elif not relay.matches(reply, question):
                if not relay.is_bare_error(reply):
                    upstream.mismatched += 1
                    continue
                if asker.exact:
                    # A bare error does not show the name's case, so it proves too little.
                    asker.folded(upstream)
                    continue
                reply = relay.with_question(reply, question)
            elif asker.exact and not upstream.may_fold():
                asker.folded(upstream)
                continue
            del waiting[identity]
            upstream.received += 1
            asker.replied(reply)
            if not waiting:
                # No more replies are expected: one more read would find nothing.
                if self.retired:
                    self.close()
                return


class UdpUpstream(Upstream):
    """One upstream server that is asked over UDP."""

    def __init__(self, address: str, port: int = 53) -> None:
        """`address` is numeric, IPv4 or IPv6 (with %SCOPE if it is link-local); raises OSError for any other."""
        super().__init__(address, port, socket.SOCK_DGRAM)
        self._pool: list[UpstreamSocket | None] = [None] * POOL_SIZE
        self._sockets: set[UpstreamSocket] = set()
        """The sockets of the pool, and retired sockets that still wait for replies."""
        self._draws: Iterator[tuple[bytes, int]] = iter(())
        """Random IDs and random slots of the pool."""
        self._outbox: list[tuple[UpstreamSocket, bytes, bytes]] = []
        """Questions to send in this turn of the event loop: socket, ID, and the message after it."""
        self.exact = 0
        """Replies in the random case in which the question was sent."""
        self.folded = 0
        """Replies in another case."""
        self.refused_by_icmp = 0
        self.own_errors = 0
        """Errors of this host's sockets, each followed by a second attempt on a fresh one."""
        self.send_failures = 0
        """Questions that could not be sent."""
        self.truncated = 0
        self.tcp_fetches = 0
        self.tcp_failures = 0
        self.tcp_overloads = 0
        """Fetches not begun because too many were on their way."""

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    @property
    def timeout(self) -> float:
        """Seconds that an attempt has."""
        return self.health.timeout

    @property
    def in_flight(self) -> int:
        """Questions that wait for a reply over UDP."""
        return sum(len(each.waiting) for each in self._sockets)

    def ask(self, asker: Asker) -> bool:
        """Send a question, at the end of this turn of the event loop; False if there is no socket to send it on."""
        draw = next(self._draws, None)
        if draw is None:
            self._draws = _DRAW.iter_unpack(os.urandom(_BLOCK))
            draw = next(self._draws)
        drawn, slot = draw
        slot %= POOL_SIZE
        chosen = self._pool[slot] or self._open(slot)
        if chosen is None:
            self.send_failures += 1
            return False
        waiting = chosen.waiting
        while drawn in waiting:
            drawn = os.urandom(2)
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._send)
        self._outbox.append((chosen, drawn, asker.wire))
        waiting[drawn] = asker
        asker.socket = chosen
        asker.identity = drawn
        chosen.asked += 1
        if chosen.asked >= QUESTIONS_PER_SOCKET:
            chosen.retired = True
            self._pool[slot] = None
        return True

    def _send(self) -> None:
        """Send the questions of this turn of the event loop.

        They go together: one datagram after another keeps the upstream awake, which costs half as much as waking it for
        each.
        """
        outbox, self._outbox = self._outbox, []
        self.sent += len(outbox)
        for chosen, identity, wire in outbox:
            try:
                chosen.send(identity + wire)
            except ConnectionRefusedError as error:
                # The error is about an earlier datagram of this socket; this one was not sent.
                self.sent -= 1
                self.socket_failed(chosen, error)
            except OSError as error:
                self.sent -= 1
                asker = chosen.waiting.pop(identity, None)
                if not isinstance(error, BlockingIOError):
                    self._unpool(chosen)
                if asker is not None:
                    self._send_again(chosen, asker)

    def _send_again(self, failed: UpstreamSocket, asker: Asker) -> None:
        """After an error of this host (its address has gone, no route, no buffer): try a fresh socket first."""
        self.own_errors += 1
        second = None if failed.second else self._open(None)
        if second is not None:
            second.retired = second.second = True
            identity = os.urandom(2)
            second.waiting[identity] = asker
            asker.socket = second
            asker.identity = identity
            try:
                second.send(identity + asker.wire)
                self.sent += 1
                return
            except OSError:
                second.waiting.clear()
                second.close()
        self.send_failures += 1
        asker.refused(failed)

    def may_fold(self) -> bool:
        """Count a reply in another case than asked; returns whether this server folds the case of all names."""
        self.folded += 1
        if not self.exact and self.folded == FOLDED_TO_BELIEVE:
            log.info("upstream %s: folds the case of names, so its replies are taken in any case", self)
        return not self.exact and self.folded >= FOLDED_TO_BELIEVE

    def socket_failed(self, failed: UpstreamSocket, error: OSError) -> None:
        """A socket reports an error: drop the socket.

        If ICMP says that the port is closed, its questions go elsewhere. After a local error they are sent again.
        """
        closed_port = isinstance(error, ConnectionRefusedError)
        if closed_port:
            self.refused_by_icmp += 1
            self.health.refused(time.monotonic())
        askers = list(failed.waiting.values())
        failed.waiting.clear()
        failed.close()
        if askers:
            # Not from here: each may be sent on a socket that fails too, and so on, deeper than the stack allows.
            asyncio.get_running_loop().call_soon(_refuse if closed_port else self._send_all_again, failed, askers)

    def renew_sockets(self) -> None:
        """Ask on fresh sockets from now on: the old ones keep a source address that may no longer work."""
        for each in self._pool:
            if each is not None:
                self._unpool(each)

    def forget_socket(self, closed: UpstreamSocket) -> None:
        """Forget a closed socket."""
        self._sockets.discard(closed)
        if closed in self._pool:
            self._pool[self._pool.index(closed)] = None

    def close(self) -> None:
        """Close all sockets; questions in flight get no reply, and later ones are not sent."""
        self._closed = True
        for each in list(self._sockets):
            each.waiting.clear()
            each.close()

    def _send_all_again(self, failed: UpstreamSocket, askers: list[Asker]) -> None:
        for asker in askers:
            self._send_again(failed, asker)

    def _unpool(self, used: UpstreamSocket) -> None:
        if used in self._pool:
            self._pool[self._pool.index(used)] = None
        used.retire()

    def _open(self, slot: int | None) -> UpstreamSocket | None:
        """A new socket for a slot of the pool; if the host has none left, any other socket of the pool. Without a slot,
        a new socket beside the pool. None if there is no socket to send on.
        """
        if self._closed:
            return None
        try:
            opened = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError:
            return None if slot is None else next((each for each in self._pool if each), None)
        try:
            opened.connect(self._destination)
            # If the upstream is on this host and its port is closed, the kernel may draw that port as the source port.
            to_itself = opened.getsockname() == opened.getpeername()
        except OSError:
            opened.close()
            return None
        if to_itself:
            opened.close()
            return None
        made = UpstreamSocket(self, opened)
        if slot is not None:
            self._pool[slot] = made
        self._sockets.add(made)
        return made


def _refuse(failed: UpstreamSocket, askers: list[Asker]) -> None:
    for asker in askers:
        asker.refused(failed)

"""Questions over UDP: a socket drained in batches, the prepared answer sent for what was asked before.

The socket is read until it would block, straight from the event loop's reader callback, which costs a quarter of what a
datagram protocol does.

When more comes than can be answered (see overload) the socket is drained in another way: read faster than it fills,
with the prepared answers sent as ever, and of the other questions only so many taken as there is time for, in fair
turns and those first that need no upstream (see fairness). The rest is shed without an answer: that costs nothing
more, and does not invite to ask again at once.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from dnsbridge.listeners.access import Client
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.fairness import Share, take_turns
from dnsbridge.listeners.overload import Overload
from dnsbridge.listeners.responder import Responder, Send
from dnsbridge.listeners.response_rate import Response, truncated
from dnsbridge.listeners.udp_socket import PKTINFO_SPACE, RECEIVE_BUFFER, SHORT_BUFFER, as_source, is_wildcard, queue
from dnsbridge.wire.compose import Body, octets
from dnsbridge.wire.constants import HEADER_SIZE, Rcode

BATCH = 64
"""Datagrams that are answered before the loop gets a turn, and questions taken in a turn while the socket is behind."""
TURN = 8 * BATCH
"""Datagrams read in a turn while the socket is behind."""
MAX_OTHERS = 3 * BATCH
"""Those of them without a prepared answer: what it costs to read questions only to shed them is bounded."""
WITHOUT_CHOICE = BATCH + BATCH // 4
"""Questions that are all taken in such a turn: those of one client's flood and a few of others."""
LOOK_INTERVAL = 0.005
"""Seconds between two looks at whether any question waits, when the server ends."""
MAX_DATAGRAM = 4096
"""Octets; a question is far below, and one that is cut off here does not parse."""

Peer = tuple[Any, ...]
Datagram = tuple[Any, ...]
"""What was received: the message first, the peer last, packet information in between where it is asked for."""


class UdpListener:
    """One UDP socket and the questions that came over it."""

    def __init__(
        self, sock: socket.socket, responder: Responder, admission: Admission, overload: Overload | None = None
    ) -> None:
        self._socket = sock
        self._responder = responder
        self._admission = admission
        self._overload = overload or Overload()
        self._outbox: list[tuple[Datagram, bytes]] = []
        """Answers to send in this turn of the event loop."""
        self._wildcard = is_wildcard(sock.getsockname()[0])

    def start(self) -> None:
        """Begin to answer."""
        drain = self._drain_wildcard if self._wildcard else self._drain
        asyncio.get_running_loop().add_reader(self._socket, drain)

    async def stop(self, seconds: float) -> None:
        """Take no more questions, answer those in flight for at most `seconds`, then close."""
        asyncio.get_running_loop().remove_reader(self._socket)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # There is no event to wait for: each question would have to look after it, for the one end of a server.
                while self._admission.waiting.total:  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_INTERVAL)
        self._flush()
        self._socket.close()

    @property
    def lost(self) -> int:
        """Datagrams that the kernel dropped because the socket was full."""
        return queue(self._socket).lost

    def _drain(self) -> None:
        """Answer what has come. This is the hot path: names are looked up once, and counters added at the end.

        Nothing here is shared with the next one, because a call would be a tenth of what an answer costs.
        """
        receive = self._socket.recvfrom
        send = self._socket.sendto
        prepared = self._responder.prepared.answers.get
        varying = self._responder.prepared.octets_of
        allowed = self._admission.access.allowed
        counters = self._responder.counters
        rcodes = counters.rcodes
        received = others = errors = 0
        try:
            for received in range(BATCH):  # noqa: B007 - it counts, and is read when the socket is empty
                message, peer = receive(MAX_DATAGRAM)
                body = prepared(message[2:])
                if body is None or peer[0] not in allowed:
                    others += 1
                    self._take((message, peer))
                    continue
                octets = body if isinstance(body, bytes) else varying(message[2:], body)
                if octets[1] & 15:
                    rcodes[octets[1] & 15] += 1
                    errors += 1
                try:
                    send(message[:2] + octets, peer)
                except OSError:
                    self._not_sent(peer)
            received = BATCH
            self._look()
        except BlockingIOError:
            self._overload.full_since = None
        except OSError:
            counters.udp_receive_errors += 1
        self._count(received, others, errors)

    def _drain_wildcard(self) -> None:
        """The same with the address that each datagram was sent to."""
        receive = self._socket.recvmsg
        send = self._socket.sendmsg
        prepared = self._responder.prepared.answers.get
        varying = self._responder.prepared.octets_of
        allowed = self._admission.access.allowed
        counters = self._responder.counters
        rcodes = counters.rcodes
        received = others = errors = 0
        try:
            for received in range(BATCH):  # noqa: B007 - it counts, and is read when the socket is empty
                datagram = receive(MAX_DATAGRAM, PKTINFO_SPACE)
                message, ancillary, _flags, peer = datagram
                body = prepared(message[2:])
                if body is None or peer[0] not in allowed:
                    others += 1
                    self._take(datagram)
                    continue
                octets = body if isinstance(body, bytes) else varying(message[2:], body)
                if octets[1] & 15:
                    rcodes[octets[1] & 15] += 1
                    errors += 1
                try:
                    send([message[:2] + octets], [as_source(*item) for item in ancillary], 0, peer)
                except OSError:
                    self._not_sent(peer)
            received = BATCH
            self._look()
        except BlockingIOError:
            self._overload.full_since = None
        except OSError:
            counters.udp_receive_errors += 1
        self._count(received, others, errors)

    def _count(self, received: int, others: int, errors: int) -> None:
        """Count the datagrams of a drain: those without a prepared answer, and the prepared answers not NOERROR."""
        counters = self._responder.counters
        counters.udp_queries += received
        counters.prepared_hits += received - others
        counters.rcodes[Rcode.NOERROR] += received - others - errors

    def _not_sent(self, peer: Peer) -> None:
        """An answer could not be sent: never one to port 0, which the kernel refuses."""
        if peer[1]:
            self._responder.counters.udp_send_errors += 1
        else:
            self._responder.counters.udp_port_zero += 1

    def _look(self) -> None:
        """A whole batch was read, and there may be more: see whether the socket is behind."""
        if self._overload.falls_behind(time.monotonic(), partial(queue, self._socket)):
            self._responder.counters.udp_behind += 1
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SHORT_BUFFER)
            asyncio.get_running_loop().add_reader(self._socket, self._drain_behind)

    def _drain_behind(self) -> None:
        """Either drain's work while the socket is behind: not all that has no prepared answer is taken."""
        counters = self._responder.counters
        receive: Callable[[int, int], Datagram] = self._socket.recvmsg if self._wildcard else self._socket.recvfrom
        more = PKTINFO_SPACE if self._wildcard else 0  # of recvfrom it is the flags
        prepared = self._responder.prepared.answers.get
        varying = self._responder.prepared.octets_of
        allowed = self._admission.access.allowed
        suffixes = self._admission.suffixes
        rcodes = counters.rcodes
        asked: dict[str, int] = {}
        considered: list[Datagram] = []
        received = others = 0
        try:
            for _ in range(TURN):
                datagram = receive(MAX_DATAGRAM, more)
                received += 1
                message, peer = datagram[0], datagram[-1]
                body = prepared(message[2:])
                if body is not None and peer[0] in allowed:
                    octets = body if isinstance(body, bytes) else varying(message[2:], body)
                    rcodes[octets[1] & 15] += 1
                    self._answer(datagram, octets)
                    continue
                before = asked.get(peer[0], 0)
                asked[peer[0]] = before + 1
                # More of one client would have no turn, so they are not looked at, but for names of a cluster.
                others += 1
                if before < BATCH or message.lower().endswith(suffixes, HEADER_SIZE, message.find(0, HEADER_SIZE) + 1):
                    considered.append(datagram)
                if others == MAX_OTHERS:
                    break
        except BlockingIOError:
            pass
        except OSError:
            counters.udp_receive_errors += 1
        counters.udp_queries += received
        counters.prepared_hits += received - others
        taken = considered if len(considered) <= WITHOUT_CHOICE else self._choose(considered)
        shed = others - len(taken)
        counters.udp_shed += shed
        for datagram in taken:
            self._take(datagram)
        if self._overload.catches_up(time.monotonic(), shed > 0):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self.start()

    def _choose(self, datagrams: list[Datagram]) -> list[Datagram]:
        """Those of too many questions that are taken; nobody who may not ask has a turn."""
        access = self._admission.access
        at_hand = self._admission.at_hand
        clients = [(access.client(datagram[-1][0]), datagram) for datagram in datagrams]
        questions = [(client.share, at_hand(datagram[0]), datagram) for client, datagram in clients if client.allowed]
        self._responder.counters.client_denied += len(datagrams) - len(questions)
        return take_turns(questions, BATCH)

    def _answer_prepared(self, body: Body, send: Send) -> None:
        counters = self._responder.counters
        counters.prepared_hits += 1
        body = octets(body)
        counters.rcodes[body[1] & 15] += 1
        send(body)

    def _take(self, datagram: Datagram) -> None:
        """The second path: a question with no prepared answer, or of a client whose answers are limited."""
        peer = datagram[-1]
        counters = self._responder.counters
        if not peer[1]:
            counters.udp_port_zero += 1
            return
        admission = self._admission
        share = admission.access.allowed.get(peer[0])
        if share is None:
            client = admission.access.client(peer[0])
            if client.limited or not client.allowed:
                self._take_limited(datagram, client)
                return
            share = client.share
        waiting = admission.waiting
        if waiting.limit - waiting.total <= share.held and not self._may_wait(share, datagram[0]):
            return  # otherwise there is room for sure, and no need of a call to say so
        waiting.total += 1
        share.held += 1
        send = partial(self._answer_waiting, datagram, share)
        if self._responder.respond(datagram[0], False, send) is not None:
            waiting.remove(share)

    def _take_limited(self, datagram: Datagram, client: Client) -> None:
        """A question of a client that may not ask, or whose answers are limited."""
        message, peer = datagram[0], datagram[-1]
        send: Send = partial(self._answer, datagram)
        if client.limited:
            send = partial(self._send_limited, message, peer[0], send)
        if not client.allowed:
            self._responder.counters.client_denied += 1
            if not self._admission.silent:
                self._responder.refuse(message, False, send)
            return
        body = self._responder.prepared.answers.get(message[2:])
        if body is not None:
            self._answer_prepared(body, send)
            return
        if not self._may_wait(client.share, message):
            return
        waiting = self._admission.waiting
        waiting.add(client.share)
        if self._responder.respond(message, False, partial(self._answered, send, client.share)) is not None:
            waiting.remove(client.share)

    def _may_wait(self, share: Share, message: bytes) -> bool:
        """Whether a question may wait for its answer, or will not have to."""
        if self._admission.waiting.has_room(share) or self._admission.at_hand(message):
            return True
        self._responder.counters.udp_overloads += 1
        return False

    def _answered(self, send: Send, share: Share, body: bytes) -> None:
        send(body)
        self._admission.waiting.remove(share)

    def _answer_waiting(self, datagram: Datagram, share: Share, body: bytes) -> None:
        """Answer a question that waited. What `_answered` and `_answer` do, without their calls."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((datagram, body))
        self._admission.waiting.total -= 1
        share.held -= 1

    def _answer(self, datagram: Datagram, body: bytes) -> None:
        """Answer a question at the end of this turn of the event loop, from where it was asked."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((datagram, body))

    def _flush(self) -> None:
        """Send the answers of this turn: all together they wake the clients less often."""
        outbox, self._outbox = self._outbox, []
        sock = self._socket
        for datagram, body in outbox:
            try:
                if self._wildcard:
                    source = [as_source(*item) for item in datagram[1]]
                    sock.sendmsg([datagram[0][:2], body], source, 0, datagram[-1])
                else:
                    sock.sendto(datagram[0][:2] + body, datagram[1])
            except OSError:
                self._not_sent(datagram[-1])

    def _send_limited(self, message: bytes, address: str, send: Send, body: bytes) -> None:
        """Send an answer, if the rate of the client's network allows it."""
        response = self._admission.response_rate.response(address, body, time.monotonic())
        if response is Response.SENT:
            send(body)
            return
        short = truncated(message) if response is Response.TRUNCATED else None
        counters = self._responder.counters
        if short is None:
            counters.responses_dropped += 1
            counters.rcodes[body[1] & 15] -= 1  # whoever made the answer has counted it
        else:
            counters.responses_truncated += 1
            send(short)

"""DNS over UDP: the socket is read in batches, and a question asked before gets its prepared answer.

The event loop's reader callback reads the socket itself, and each answer is written over its question (see datagrams).
So a question asked before costs a slice and a table lookup, and a whole batch costs two system calls.

When more questions come than can be answered (see overload), the socket is drained in another way: it is read faster
than it fills, and prepared answers are sent as before. Other questions are taken only as time allows, in fair turns,
those that need no upstream first (see fairness). The rest is shed without an answer, which costs nothing more and does
not invite the client to ask again at once.
"""

import asyncio
import socket
import time
from contextlib import suppress
from functools import partial

from dnsbridge.listeners import datagrams
from dnsbridge.listeners.access import Client
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.datagrams import SIZE, SLOT, Batch, Datagram, has_port, packed_address
from dnsbridge.listeners.fairness import Share, take_turns
from dnsbridge.listeners.overload import Overload
from dnsbridge.listeners.responder import Later, Responder, Send
from dnsbridge.listeners.response_rate import Response, truncated
from dnsbridge.listeners.udp_socket import RECEIVE_BUFFER, SHORT_BUFFER, is_wildcard, queue, send_alone
from dnsbridge.observe.counters import PREPARED
from dnsbridge.wire.constants import HEADER_SIZE

FEW = SIZE // 4
"""Datagrams read in a turn after one in which so many had no prepared answer: other answers take long to find, and
replies from upstreams wait meanwhile."""
TURN = 8
"""Batches read in a turn while the socket is behind."""
MAX_OTHERS = 3 * SIZE
"""After so many datagrams without a prepared answer such a turn reads no further batch. This bounds the cost of reading
questions only to shed them."""
WITHOUT_CHOICE = SIZE + SIZE // 4
"""Up to so many questions are all taken in such a turn: one client's flood and a few of other clients."""
LOOK_INTERVAL = 0.005
"""Seconds between two checks for waiting questions while the listener stops."""
ROOM = SLOT - 2
"""Octets of the largest body that fits in a slot."""


class UdpListener:
    """One UDP socket and the questions that came over it."""

    def __init__(
        self, sock: socket.socket, responder: Responder, admission: Admission, overload: Overload | None = None
    ) -> None:
        self._socket = sock
        self._descriptor = sock.fileno()
        self._responder = responder
        self._admission = admission
        self._overload = overload or Overload()
        self._outbox: list[tuple[Datagram, bytes]] = []
        """Answers to send at the end of this turn of the event loop."""
        family = datagrams.IPV6 if sock.family == socket.AF_INET6 else datagrams.IPV4
        self._traffic = responder.counters.traffic("udp", "ipv6" if family is datagrams.IPV6 else "ipv4")
        self._latency = responder.counters.latency[PREPARED]
        wildcard = is_wildcard(sock.getsockname()[0])
        self._batch = Batch(family, wildcard)
        self._most = SIZE
        """Datagrams to be read in the next turn."""
        self._answers = Batch(family, wildcard)
        """The batch that the outbox is sent from."""
        size = family.peer_size
        self._spots = [
            (slot, slot * SLOT, slot * SLOT + 2, slot * size + family.address_at, slot * size + family.address_end)
            for slot in range(SIZE)
        ]
        """Per slot: its number, the offsets of the datagram and of its octets after the ID, and the address' bounds."""

    def start(self) -> None:
        """Begin to answer."""
        asyncio.get_running_loop().add_reader(self._socket, self._drain)

    async def stop(self, seconds: float) -> None:
        """Take no more questions, answer those in flight for at most `seconds`, then close."""
        asyncio.get_running_loop().remove_reader(self._socket)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # There is no event to wait for: every question would have to keep it, and a server ends only once.
                while self._admission.waiting.total:  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_INTERVAL)
        self._flush()
        self._socket.close()

    @property
    def lost(self) -> int:
        """Datagrams that the kernel dropped because the socket was full."""
        return queue(self._socket).lost

    def _drain(self) -> None:
        """Answer a batch of received datagrams.

        This is the hot path: attributes are looked up once, and counters are added at the end.
        """
        began = time.monotonic()
        batch = self._batch
        most = self._most
        received = self._receive(most)
        prepared = self._responder.prepared.answers.get
        varying = self._responder.prepared.octets_of
        other_form = self._responder.prepared.in_other_form
        allowed = self._admission.access.allowed
        kinds, counts = self._responder.prepared.kinds, self._traffic.prepared
        data, peers, answers = batch.data, batch.peers, batch.answers
        requests, responses = self._traffic.requests.small, self._traffic.responses.small
        first = others = 0
        for size, (slot, start, after_id, address_at, address_end) in zip(batch.sizes, self._spots, strict=False):
            question = data[after_id : start + size]
            octets: bytes | None = None
            requests[size] += 1
            if peers[address_at:address_end] in allowed:
                body = prepared(question)
                if body is not None:
                    octets = body if isinstance(body, bytes) else varying(question, body)
                    counts[octets[1] & 15][kinds[question]] += 1
                elif found := other_form(question):
                    octets, kind = found
                    counts[octets[1] & 15][kind] += 1
            if octets is None:
                octets, others = self._take(slot), others + 1
            if octets is None or len(octets) > ROOM:
                # Nothing is sent from this slot now.
                if octets is not None:
                    self._answer(batch.keep(slot), octets)
                if slot > first:
                    self._send(first, slot)
                first = slot + 1
                continue
            end = after_id + len(octets)
            data[after_id:end] = octets
            answers[slot] = end - start
            responses[end - start] += 1
        if received > first:
            self._send(first, received)
        self._count(received, others)
        if received > others:
            self._latency.add(time.monotonic() - began, received - others)
        self._most = FEW if others >= FEW else SIZE
        if received == most:
            self._look()
        else:
            self._overload.full_since = None

    def _receive(self, most: int = SIZE) -> int:
        """Fill the batch; returns how many datagrams came."""
        try:
            return self._batch.receive(self._descriptor, most)
        except OSError:
            self._responder.counters.udp_receive_errors += 1
            return 0

    def _send(self, first: int, end: int) -> None:
        """Send answers from their slots."""
        for slot in self._batch.send(self._descriptor, first, end):
            self._not_sent(self._batch.keep(slot).peer)

    def _count(self, received: int, others: int) -> None:
        """Count the datagrams in the batch, of which `others` had no prepared answer."""
        traffic = self._traffic
        traffic.received += received
        self._responder.counters.prepared_hits += received - others

    def _not_sent(self, peer: bytes) -> None:
        """Count an answer that could not be sent. The kernel refuses port 0, which is counted apart."""
        if has_port(peer):
            self._responder.counters.udp_send_errors += 1
        else:
            self._responder.counters.udp_port_zero += 1

    def _look(self) -> None:
        """Check whether the socket is behind, after a whole batch was read and there may be more."""
        if self._overload.falls_behind(time.monotonic(), partial(queue, self._socket)):
            self._responder.counters.udp_behind += 1
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SHORT_BUFFER)
            asyncio.get_running_loop().add_reader(self._socket, self._drain_behind)

    def _drain_behind(self) -> None:
        """Drain the socket while it is behind: not every question without a prepared answer is taken."""
        asked: dict[bytes, int] = {}
        considered: list[Datagram] = []
        others = 0
        for _ in range(TURN):
            received = self._receive()
            others += self._answer_prepared_of(received, asked, considered)
            if others >= MAX_OTHERS or received < SIZE:
                break
        taken = considered if len(considered) <= WITHOUT_CHOICE else self._choose(considered)
        shed = others - len(taken)
        self._responder.counters.udp_shed += shed
        for datagram in taken:
            octets = self._take_kept(datagram)
            if octets is not None:
                self._answer(datagram, octets)
        if self._overload.catches_up(time.monotonic(), shed > 0):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self.start()

    def _answer_prepared_of(self, received: int, asked: dict[bytes, int], considered: list[Datagram]) -> int:
        """Send the prepared answers of a batch; returns how many other questions there are.

        `considered` gets the other questions worth considering; `asked` counts all of them per address.
        """
        began = time.monotonic()
        batch = self._batch
        traffic = self._traffic
        prepared = self._responder.prepared
        allowed = self._admission.access.allowed
        suffixes = self._admission.suffixes
        first = others = 0
        for size, (slot, start, after_id, address_at, address_end) in zip(batch.sizes, self._spots, strict=False):
            traffic.requests.add(size)
            question = batch.data[after_id : start + size]
            address = batch.peers[address_at:address_end]
            found = prepared.find(question) if address in allowed else None
            if found is not None:
                octets, kind = found
                traffic.prepared[octets[1] & 15][kind] += 1
                if len(octets) <= ROOM:
                    batch.data[after_id : after_id + len(octets)] = octets
                    batch.answers[slot] = len(octets) + 2
                    traffic.responses.add(len(octets) + 2)
                    continue
                self._answer(batch.keep(slot), octets)
            if slot > first:
                self._send(first, slot)
            first = slot + 1
            if found is not None:
                continue
            others += 1
            before = asked.get(address, 0)
            asked[address] = before + 1
            # More questions of one client would get no turn, so they are ignored, except for names of a cluster.
            name_end = question.find(0, HEADER_SIZE - 2) + 1
            if before < SIZE or question.lower().endswith(suffixes, HEADER_SIZE - 2, name_end):
                considered.append(batch.keep(slot))
        if received > first:
            self._send(first, received)
        self._count(received, others)
        if received > others:
            self._latency.add(time.monotonic() - began, received - others)
        return others

    def _choose(self, kept: list[Datagram]) -> list[Datagram]:
        """The questions to take when there are too many; a client that may not ask gets no turn."""
        access = self._admission.access
        at_hand = self._admission.at_hand
        clients = [(access.client(packed_address(datagram.peer)), datagram) for datagram in kept]
        questions = [
            (client.share, at_hand(datagram.message), datagram) for client, datagram in clients if client.allowed
        ]
        self._responder.counters.client_denied += len(kept) - len(questions)
        return take_turns(questions, SIZE)

    def _take(self, slot: int) -> bytes | None:
        """The second path: a question with no prepared answer, or from a client whose answers are limited.

        Returns the body of the answer if it is ready; otherwise the answer is sent later, if at all.
        """
        batch = self._batch
        _, start, _, address_at, address_end = self._spots[slot]
        share = self._admission.access.allowed.get(batch.peers[address_at:address_end])
        if share is None or not batch.has_port(slot):
            return self._take_kept(batch.keep(slot))
        message = batch.data[start : start + batch.sizes[slot]]
        if not self._may_wait(share, message):
            return None
        found = self._responder.respond(message, self._traffic)
        if isinstance(found, bytes):
            return found
        if isinstance(found, Later):
            self._wait(share, found, batch.keep(slot))
        return None

    def _take_kept(self, datagram: Datagram) -> bytes | None:
        """The same for a kept datagram of any client."""
        message, peer = datagram.message, datagram.peer
        if not has_port(peer):
            self._responder.counters.udp_port_zero += 1
            return None
        client = self._admission.access.client(packed_address(peer))
        if client.limited or not client.allowed:
            self._take_limited(datagram, client)
            return None
        if not self._may_wait(client.share, message):
            return None
        found = self._responder.respond(message, self._traffic)
        if isinstance(found, Later):
            self._wait(client.share, found, datagram)
        return found if isinstance(found, bytes) else None

    def _wait(self, share: Share, later: Later, datagram: Datagram) -> None:
        """Answer a question when its answer comes."""
        self._admission.waiting.total += 1
        share.held += 1
        later.then(partial(self._answer_waiting, datagram, share))

    def _take_limited(self, datagram: Datagram, client: Client) -> None:
        """Take a question from a client that may not ask, or whose answers are limited."""
        message = datagram.message
        responder = self._responder
        send: Send = partial(self._answer, datagram)
        if client.limited:
            send = partial(self._send_limited, datagram, send)
        if not client.allowed:
            responder.counters.client_denied += 1
            refused = None if self._admission.silent else responder.refuse(message, self._traffic)
            if isinstance(refused, bytes):
                send(refused)
            return
        ready = responder.prepared.find(message[2:])
        if ready is not None:
            send(responder.of_prepared(ready, self._traffic))
            return
        if not self._may_wait(client.share, message):
            return
        found = responder.respond(message, self._traffic)
        if isinstance(found, bytes):
            send(found)
        elif isinstance(found, Later):
            self._admission.waiting.add(client.share)
            found.then(partial(self._answered, send, client.share))

    def _may_wait(self, share: Share, message: bytes) -> bool:
        """Whether a question may wait for its answer, or will not have to."""
        waiting = self._admission.waiting
        if share.held < waiting.limit - waiting.total or waiting.has_room(share) or self._admission.at_hand(message):
            return True  # the first test is the cheapest, and enough for nearly all
        self._responder.counters.udp_overloads += 1
        return False

    def _answered(self, send: Send, share: Share, body: bytes) -> None:
        send(body)
        self._admission.waiting.remove(share)

    def _answer_waiting(self, datagram: Datagram, share: Share, body: bytes) -> None:
        """Answer a question that waited: does what `_answered` and `_answer` do, without their calls."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((datagram, body))
        self._admission.waiting.total -= 1
        share.held -= 1

    def _answer(self, datagram: Datagram, body: bytes) -> None:
        """Answer a question at the end of this turn of the event loop, from the address that was asked."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append((datagram, body))

    def _flush(self) -> None:
        """Send the answers of this turn together: that wakes the clients less often."""
        outbox, self._outbox = self._outbox, []
        batch = self._answers
        slot = 0
        sizes = self._traffic.responses
        for datagram, body in outbox:
            sizes.add(len(body) + 2)
            if len(body) > ROOM:
                if not send_alone(self._socket, datagram, body):
                    self._not_sent(datagram.peer)
                continue
            batch.put(slot, datagram, body)
            slot += 1
            if slot == SIZE:
                self._send_outbox(slot)
                slot = 0
        if slot:
            self._send_outbox(slot)

    def _send_outbox(self, count: int) -> None:
        size = self._answers.family.peer_size
        for slot in self._answers.send(self._descriptor, 0, count):
            self._not_sent(self._answers.peers[slot * size : (slot + 1) * size])

    def _send_limited(self, datagram: Datagram, send: Send, body: bytes) -> None:
        """Send an answer, if the rate of the client's network allows it."""
        address = packed_address(datagram.peer)
        response = self._admission.response_rate.response(address, body, time.monotonic())
        if response is Response.SENT:
            send(body)
            return
        short = truncated(datagram.message) if response is Response.TRUNCATED else None
        counters = self._responder.counters
        if short is None:
            counters.responses_dropped += 1
        else:
            counters.responses_truncated += 1
            send(short)

"""Listeners that have some exchanges recorded, for the query log and dnstap.

They are made in place of the plain listeners when something is to be recorded, so that the plain ones pay nothing. Over
UDP the questions of a batch are drawn before it is answered, by their numbers, so the others cost nothing each.
"""

import socket
import time
from collections import OrderedDict
from collections.abc import Sequence

from dnsbridge.listeners.access import packed
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.datagrams import SIZE, SLOT, Datagram, asked_address, packed_address
from dnsbridge.listeners.responder import Responder
from dnsbridge.listeners.sampling import Drawn, Sampler
from dnsbridge.listeners.tcp import Connection, TcpLimits, TcpListener
from dnsbridge.listeners.udp import UdpListener

MAX_OPEN = 10_000


class ObservedUdpListener(UdpListener):
    """A UdpListener with samplers."""

    def __init__(
        self, sock: socket.socket, responder: Responder, admission: Admission, samplers: Sequence[Sampler]
    ) -> None:
        super().__init__(sock, responder, admission)
        self._samplers = samplers
        self._of_batch: dict[int, tuple[Datagram, Drawn]] = {}
        """The questions drawn from the present batch, by slot."""
        self._open: OrderedDict[Datagram, Drawn] = OrderedDict()
        """Questions drawn before that have no answer yet; some never get one, so the oldest makes room."""
        address, self._port, *_ = sock.getsockname()
        self._address = packed(address)

    def _receive(self, most: int = SIZE) -> int:
        received = super()._receive(most)
        if self._of_batch:
            self._leave_open()
        for sampler in self._samplers:
            if sampler.pass_by >= received:
                sampler.pass_by -= received  # what `of` would do: this is the hot path
                continue
            for slot in sampler.of(received):
                if slot in self._of_batch:
                    self._of_batch[slot][1].recorders.append(sampler.recorder)
                else:
                    datagram = self._batch.keep(slot)
                    self._of_batch[slot] = datagram, Drawn(time.time_ns(), datagram.message, [sampler.recorder])
        return received

    def _send(self, first: int, end: int) -> None:
        if self._of_batch:
            for slot in [slot for slot in self._of_batch if first <= slot < end]:
                start = slot * SLOT
                self._record(*self._of_batch.pop(slot), self._batch.data[start : start + self._batch.answers[slot]])
        super()._send(first, end)

    def _flush(self) -> None:
        if self._of_batch:
            self._leave_open()
        if self._open:
            for datagram, body in self._outbox:
                if drawn := self._open.pop(datagram, None):
                    self._record(datagram, drawn, datagram.message[:2] + body)
        super()._flush()

    def _leave_open(self) -> None:
        """The answers to these questions do not go out with their batch."""
        for datagram, drawn in self._of_batch.values():
            if len(self._open) >= MAX_OPEN:
                self._open.popitem(last=False)
            self._open[datagram] = drawn
        self._of_batch = {}

    def _record(self, datagram: Datagram, drawn: Drawn, response: bytes) -> None:
        peer = datagram.peer
        server = asked_address(datagram) if datagram.control else self._address
        port = int.from_bytes(peer[2:4], "big")
        drawn.answered(False, (packed_address(peer), port), (server, self._port), response)


class ObservedTcpListener(TcpListener):
    """A TcpListener with samplers."""

    def __init__(
        self,
        sock: socket.socket,
        responder: Responder,
        admission: Admission,
        limits: TcpLimits,
        samplers: Sequence[Sampler],
    ) -> None:
        super().__init__(sock, responder, admission, limits)
        self.samplers = samplers

    def connection(self) -> Connection:
        """A connection that samples its questions."""
        return ObservedConnection(self, self.samplers)


class ObservedConnection(Connection):
    """A Connection with samplers."""

    def __init__(self, listener: TcpListener, samplers: Sequence[Sampler]) -> None:
        super().__init__(listener)
        self._samplers = samplers
        self._open: dict[bytes, Drawn] = {}
        """The drawn questions in flight by their IDs, by which the client tells its answers apart (RFC 7766)."""

    def _answer(self, message: bytes) -> None:
        if drawn := [sampler.recorder for sampler in self._samplers if sampler.of(1)]:
            self._open[message[:2]] = Drawn(time.time_ns(), message, drawn)
        super()._answer(message)

    def _send(self, identity: bytes, body: bytes) -> None:
        drawn = self._open.pop(identity, None)
        if drawn and self._transport:
            client, server = (self._transport.get_extra_info(name) for name in ("peername", "sockname"))
            if client and server:
                drawn.answered(True, _end(client), _end(server), identity + body)
        super()._send(identity, body)


def _end(address: tuple[str, int]) -> tuple[bytes, int]:
    """The packed address and the port of a socket address."""
    return packed(address[0]), address[1]

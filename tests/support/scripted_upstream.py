"""An upstream DNS server on loopback, UDP and TCP, that behaves as told for each question.

    Behaviour        a question's octets in, the replies to send out (none: silence; over TCP: the connection is closed)
    ScriptedUpstream a server whose behaviours are used up one per question, the last one for all that follow; a probe,
                     which asks for the root's name servers, uses none up

TCP can be TLS, and its connections can stay open.

Replies are made with dnspython, so that they are not our own idea of a message.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import msgspec

from dnsbridge.resolvers.forward.probe import ROOT_NS

ADDRESS = "127.0.0.1"
MESSAGES_PER_TURN = 100
"""Datagrams read at once: a socket's buffer holds few."""


class Reply(msgspec.Struct, frozen=True):
    """Octets to send."""

    octets: bytes
    delay: float = 0.0
    """Seconds to wait before."""
    elsewhere: bool = False
    """Sent from another port than the one that was asked (UDP)."""
    unframed: bool = False
    """Sent without its length (TCP)."""
    last: bool = False
    """The connection is closed after it (TCP)."""


Behaviour = Callable[[bytes], Sequence[Reply]]


def answer(
    *records: str,
    rcode: int = 0,
    flags: int = 0,
    options: Sequence[dns.edns.Option] = (),
    change: Callable[[bytes], bytes] = bytes,
    delay: float = 0.0,
) -> Behaviour:
    """A proper reply with these records: `"NAME TTL CLASS TYPE DATA"`, NAME `@` for the question's.

    `change` edits the reply's octets; `delay` is in seconds.
    """

    def behave(message: bytes) -> Sequence[Reply]:
        query = dns.message.from_wire(message)
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(dns.rcode.Rcode(rcode))
        response.flags |= flags
        if options:
            response.use_edns(0, 0, 1232, options=list(options))
        for record in records:
            owner, ttl, rclass, rtype, data = record.split(None, 4)
            name = query.question[0].name.to_text() if owner == "@" else owner
            response.answer.append(dns.rrset.from_text(name, int(ttl), rclass, rtype, data))
        return [Reply(change(response.to_wire(max_size=65535)), delay)]

    return behave


def silence(message: bytes) -> Sequence[Reply]:
    """Nothing, ever; over TCP the connection is closed."""
    return []


def raw(make: Callable[[bytes], bytes], unframed: bool = False) -> Behaviour:
    """Octets made from the question's octets."""
    return lambda message: [Reply(make(message), unframed=unframed)]


def first(reply: Callable[[bytes], Reply], then: Behaviour) -> Behaviour:
    """One more reply before those of another behaviour; `reply` gets the true one's octets."""

    def behave(message: bytes) -> Sequence[Reply]:
        true = then(message)
        return [reply(true[0].octets), *true]

    return behave


class ScriptedUpstream:
    """The server; `async with` runs it."""

    def __init__(
        self,
        *udp: Behaviour,
        tcp: Sequence[Behaviour] = (silence,),
        keep: bool = False,
        tls: ssl.SSLContext | None = None,
        probe: Behaviour = silence,
    ) -> None:
        """`keep`: TCP connections stay open for further questions, and silence is silence; `tls`: they are TLS.

        `probe` is what probes get.
        """
        self._keep = keep
        self._tls = tls
        self._udp = list(udp) or [silence]
        self._tcp = list(tcp)
        self._probe = probe
        self.port = 0
        self.asked: list[bytes] = []
        """Questions that came over UDP, without probes."""
        self.probed = 0
        """Probes that came, over UDP and TCP."""
        self.ports: list[int] = []
        """Their source ports."""
        self.asked_tcp: list[bytes] = []
        self.accepted = 0
        """TCP connections, after the TLS handshake."""
        self.connections: set[asyncio.StreamWriter] = set()
        """Those that are open."""
        self._handles: list[asyncio.TimerHandle] = []

    async def __aenter__(self) -> "ScriptedUpstream":
        self._loop = asyncio.get_running_loop()
        while True:
            self._socket = _datagrams(0)
            self.port = self._socket.getsockname()[1]
            try:
                self._server = await asyncio.start_server(self._connected, ADDRESS, self.port, ssl=self._tls)
                break
            except OSError:  # a port that is free over UDP can be taken over TCP
                self._socket.close()
        self._other = _datagrams(0)
        self._loop.add_reader(self._socket, self._readable)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.cancel()
        self.close_udp()
        self._other.close()
        self._server.close()
        for writer in list(self.connections):
            writer.transport.abort()
        await self._server.wait_closed()

    def close_udp(self) -> None:
        """Close the UDP port: questions meet an ICMP error from now on. May be repeated."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def open_udp(self) -> None:
        """Open the same port again."""
        self._socket = _datagrams(self.port)
        self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            for _ in range(MESSAGES_PER_TURN):
                self._take(*self._socket.recvfrom(65535))

    def _take(self, message: bytes, client: tuple[str, int]) -> None:
        probe = self._is_probe(message)
        if not probe:
            self.asked.append(message)
            self.ports.append(client[1])
        for reply in (self._probe if probe else _next(self._udp))(message):
            sender = self._other if reply.elsewhere else self._socket
            if reply.delay:
                self._handles.append(self._loop.call_later(reply.delay, self._send, sender, reply.octets, client))
            else:
                sender.sendto(reply.octets, client)

    def _is_probe(self, message: bytes) -> bool:
        probe = message[4:] == ROOT_NS[2:]
        self.probed += probe
        return probe

    def _send(self, sender: socket.socket, octets: bytes, client: tuple[str, int]) -> None:
        if sender.fileno() >= 0:
            sender.sendto(octets, client)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.connections.add(writer)
        try:
            while True:
                message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                probe = self._is_probe(message)
                if not probe:
                    self.asked_tcp.append(message)
                for reply in (self._probe if probe else _next(self._tcp))(message):
                    if not reply.delay:
                        _write(writer, reply)
                    elif self._keep:
                        self._handles.append(self._loop.call_later(reply.delay, _write, writer, reply))
                    else:
                        await asyncio.sleep(reply.delay)
                        _write(writer, reply)
                await writer.drain()
                if not self._keep:
                    break
        except (EOFError, OSError):
            pass  # the forwarder may go away at any time
        finally:
            self.connections.discard(writer)
            writer.close()


def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write((b"" if reply.unframed else len(reply.octets).to_bytes(2, "big")) + reply.octets)
    if reply.last:
        writer.close()


def _next(script: list[Behaviour]) -> Behaviour:
    return script.pop(0) if len(script) > 1 else script[0]


def _datagrams(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.bind((ADDRESS, port))
    return made

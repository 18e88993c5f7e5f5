"""The interfaces of all upstreams, whatever carries questions to them (see udp, stream).

Upstream     one server: its address, its health, its counters
Carrier      a socket or a connection on which questions are in flight
Asker        a question to ask an upstream
"""

import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from dnsbridge.resolvers.forward.health import Health

if TYPE_CHECKING:
    from dnsbridge.resolvers.forward.udp import UdpUpstream


class Carrier(Protocol):
    """A socket or a connection on which questions are in flight."""

    def forget(self, identity: bytes) -> None:
        """Stop waiting for the reply to a question."""
        ...

    def timed_out(self, now: float, asked_at: float, alive: bool = False) -> None:
        """A question got no reply in time, but a late one is still taken; `alive`: its upstream answers others."""
        ...

    def expect_more(self, asker: "Asker") -> bool:
        """Take one more reply to a question that has one; returns whether that is possible."""
        ...


class Asker(Protocol):
    """A question to ask an upstream."""

    wire: bytes
    """The message after its ID octets."""
    question: bytes
    """Its question section."""
    exact: bool
    """Whether a reply over UDP must have the name in the case in which it was asked."""
    socket: Carrier
    """Where it is in flight; set by `UdpUpstream.ask`."""
    identity: bytes
    """The ID under which it is in flight there; set by `UdpUpstream.ask`."""

    def replied(self, reply: bytes) -> None:
        """A matching reply came; the question is no longer in flight."""
        ...

    def folded(self, upstream: "UdpUpstream") -> None:
        """A reply over UDP came that is right except for the case of its name; the right one is still awaited."""
        ...

    def refused(self, failed: Carrier) -> None:
        """The socket or connection that carried it failed. Called in a later turn of the event loop."""
        ...


class Upstream(ABC):
    """One upstream server. Counters are for reading at any time; all but `in_flight` only grow."""

    def __init__(self, address: str, port: int, kind: socket.SocketKind) -> None:
        """`address` is numeric, IPv4 or IPv6 (with %SCOPE if it is link-local); raises OSError for any other."""
        self.address = address
        self.port = port
        found = socket.getaddrinfo(address, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
        self._family = found[0]
        self._destination = found[4]
        self._closed = False
        self.health = Health()
        self.sent = 0
        self.received = 0
        """Replies that matched."""
        self.timeouts = 0
        self.late = 0
        """Replies that came after their attempt had timed out, or after the question was answered from elsewhere."""
        self.late_dropped = 0
        """Late attempts forgotten because there were too many."""
        self.hedges = 0
        """Questions asked here because another upstream was slow."""
        self.hedges_won = 0
        """Hedges that were answered from here."""
        self.probes = 0
        self.mismatched = 0
        """Messages that answered nothing in flight: very late, forged, or garbage."""
        self.malformed = 0
        """Replies that matched, but whose records do not parse."""

    @property
    @abstractmethod
    def timeout(self) -> float:
        """Seconds that an attempt has."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Questions that wait for a reply, or for a connection."""

    @abstractmethod
    def ask(self, asker: Asker) -> bool:
        """Send a question; False if it could not be sent."""

    @abstractmethod
    def close(self) -> None:
        """Close all sockets; questions in flight get no reply, and later ones are not sent."""

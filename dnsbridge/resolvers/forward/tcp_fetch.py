"""TCP fetches: questions with a truncated UDP reply, asked again over TCP at the same server (RFC 7766 section 5).

Fetches   all fetches of one forward zone, with a StreamUpstream beside each UDP upstream, made on first use
Fetch     one such question in flight
"""

import random
import time
from typing import Protocol

from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.stream import StreamUpstream
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.upstream import Carrier


class Truncated(Protocol):
    """A question that needs the whole reply; told once, unless it drops the fetch before."""

    question: bytes

    def fetched(self, upstream: UdpUpstream, reply: bytes) -> None:
        """The reply came over TCP, from the server of this UDP upstream."""
        ...

    def not_fetched(self) -> None:
        """No reply will come over TCP."""
        ...


class Fetches:
    """The fetches in flight, a bounded number."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.under_way: set[Fetch] = set()
        self._streams: dict[UdpUpstream, StreamUpstream] = {}

    def begin(self, truncated: Truncated, upstream: UdpUpstream, now: float, wire: bytes) -> "Fetch | None":
        """Begin a fetch from the server of a UDP upstream; None if there are too many, or TCP to it does not work.

        `wire` is the message after its ID.
        """
        if len(self.under_way) >= self.limit:
            upstream.tcp_overloads += 1
            return None
        stream = self._streams.get(upstream)
        if stream is None:
            stream = self._streams[upstream] = StreamUpstream(upstream.address, upstream.port)
        upstream.tcp_fetches += 1
        fetch = Fetch(self, truncated, upstream, stream, now, wire)
        if not (_may_ask(stream, now) and stream.ask(fetch)):
            upstream.tcp_failures += 1
            return None
        self.under_way.add(fetch)
        return fetch

    def close(self) -> None:
        """Close all connections; questions with a fetch in flight are not told."""
        for stream in self._streams.values():
            stream.close()
        self.under_way.clear()


class Fetch:
    """A question in flight over TCP."""

    __slots__ = (
        "wire",
        "question",
        "socket",
        "identity",
        "_fetches",
        "_truncated",
        "_upstream",
        "_stream",
        "_asked_at",
    )

    socket: Carrier
    identity: bytes
    exact = False

    def __init__(
        self,
        fetches: Fetches,
        truncated: Truncated,
        upstream: UdpUpstream,
        stream: StreamUpstream,
        now: float,
        wire: bytes,
    ) -> None:
        self.wire = wire
        self.question = truncated.question
        self._fetches = fetches
        self._truncated = truncated
        self._upstream = upstream
        self._stream = stream
        self._asked_at = now

    def replied(self, reply: bytes) -> None:
        """The whole reply came."""
        self._fetches.under_way.discard(self)
        self._stream.health.replied(time.monotonic(), self._asked_at)
        self._truncated.fetched(self._upstream, reply)

    def folded(self, upstream: UdpUpstream) -> None:
        """See Asker: the case is not looked at."""

    def refused(self, failed: Carrier) -> None:
        """The connection cannot be made, or broke."""
        if self not in self._fetches.under_way:
            return  # dropped while other questions were told of the break
        self._fetches.under_way.discard(self)
        self._upstream.tcp_failures += 1
        self._truncated.not_fetched()

    def timed_out(self, now: float) -> None:
        """The question's time is over."""
        self._upstream.tcp_failures += 1
        self.socket.timed_out(now, self._asked_at)
        self.drop()

    def drop(self) -> None:
        """The reply is no longer needed."""
        self._fetches.under_way.discard(self)
        self.socket.forget(self.identity)


def _may_ask(stream: StreamUpstream, now: float) -> bool:
    """Whether TCP to a server may work. While TCP is down, a fetch now and then serves as the probe."""
    if stream.health.condition is not Condition.DOWN:
        return True
    if now < stream.health.probe_at:
        return False
    stream.health.probed(now, random.random())
    return True

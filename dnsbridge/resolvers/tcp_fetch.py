"""Questions whose reply was truncated over UDP, asked again over TCP at the same server (RFC 7766 section 5).

Fetches   of one forward zone: a StreamUpstream beside each UDP upstream, made on first use
Fetch     one such question, on its way
"""

from typing import Protocol

from dnsbridge.resolvers.upstream import Carrier, Upstream
from dnsbridge.resolvers.upstream_stream import StreamUpstream


class Truncated(Protocol):
    """Who needs the whole reply; told once, unless it drops the fetch before."""

    wire: bytes
    question: bytes

    def fetched(self, reply: bytes) -> None:
        """The reply over TCP."""
        ...

    def not_fetched(self) -> None:
        """There will be none."""
        ...


class Fetches:
    """Fetches on their way, a bounded number."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.under_way: set[Fetch] = set()
        self._streams: dict[Upstream, StreamUpstream] = {}

    def begin(self, truncated: Truncated, upstream: Upstream, now: float) -> "Fetch | None":
        """A fetch from the server of a UDP upstream; None if there are too many, or TCP to it does not work."""
        if len(self.under_way) >= self.limit:
            upstream.tcp_overloads += 1
            return None
        stream = self._streams.get(upstream)
        if stream is None:
            stream = self._streams[upstream] = StreamUpstream(upstream.address, upstream.port)
        upstream.tcp_fetches += 1
        fetch = Fetch(self, truncated, upstream, stream)
        if not (stream.usable(now) and stream.ask(fetch)):
            upstream.tcp_failures += 1
            return None
        self.under_way.add(fetch)
        return fetch

    def close(self) -> None:
        """Close all connections; nobody hears of fetches on their way."""
        for stream in self._streams.values():
            stream.close()
        self.under_way.clear()


class Fetch:
    """A question on its way over TCP."""

    __slots__ = ("wire", "question", "socket", "identity", "_fetches", "_truncated", "_upstream", "_stream")

    socket: Carrier
    identity: bytes

    def __init__(self, fetches: Fetches, truncated: Truncated, upstream: Upstream, stream: StreamUpstream) -> None:
        self.wire = truncated.wire
        self.question = truncated.question
        self._fetches = fetches
        self._truncated = truncated
        self._upstream = upstream
        self._stream = stream

    def replied(self, reply: bytes) -> None:
        """The whole reply came."""
        self._fetches.under_way.discard(self)
        self._truncated.fetched(reply)

    def refused(self, failed: Carrier) -> None:
        """The connection cannot be made, or broke."""
        self._fetches.under_way.discard(self)
        self._upstream.tcp_failures += 1
        self._truncated.not_fetched()

    def timed_out(self, now: float) -> None:
        """The question's time is over."""
        self.drop()
        self._upstream.tcp_failures += 1
        self._stream.timed_out(now)

    def drop(self) -> None:
        """The reply is no longer needed."""
        self._fetches.under_way.discard(self)
        self.socket.forget(self.identity)

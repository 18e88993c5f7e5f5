"""Forwarding: a question goes to the upstreams of a zone, in order, until one gives an answer.

    arrives     identical to one in flight: waits with it; too many in flight: Failure.OVERLOAD
    is asked    at the next upstream that is up (at any, when all are down), in up to three rounds through the list
    no reply    in the attempt's time, or the upstream's port is closed, or sending fails: the next upstream
    an error    (FORMERR, SERVFAIL, NOTIMP, REFUSED): the next upstream; the last such reply is the answer
                when the first round ends without a better one
    truncated   over UDP: the same upstream again over TCP; if that fails, a UDP client gets the truncated reply,
                for a TCP client the next upstream is asked
    an answer   patched for the client (see transparent), and for all who wait with it

No question outlives its deadline. There is no timer, task or future per question: one timer looks at the oldest ones.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import takewhile

from dnsbridge.resolvers import transparent
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.resolvers.tcp_fetch import Fetch, Fetches
from dnsbridge.resolvers.upstream import Carrier, Upstream
from dnsbridge.resolvers.upstream_stream import StreamUpstream
from dnsbridge.wire.constants import TC, Rcode
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query

ATTEMPT_TIMEOUT = 0.8
"""Seconds that an upstream has for its reply, over TCP and TLS with the time to connect."""
DEADLINE = 2.4
"""Seconds from a question's arrival to its outcome: a stub resolver repeats its question after 5 (resolv.conf(5))."""
IN_FLIGHT = 10_000
JOINED = 1_000
"""Askers that may wait together for one question."""
TCP_FETCHES = 100
ROUNDS = 3
_ERRORS = frozenset({Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})
_TC_OCTET = TC >> 8

AnyUpstream = Upstream | StreamUpstream

Key = tuple[bytes, int, bool]
"""What makes two questions identical: the message for the upstream without its ID, the client's limit and transport."""


class Forwarded(Pending):
    """A question in flight."""

    __slots__ = (
        "query",
        "key",
        "wire",
        "question",
        "deadline",
        "expires",
        "step",
        "joined",
        "fallback",
        "upstream",
        "socket",
        "identity",
        "fetch",
        "_forward",
    )

    upstream: AnyUpstream
    socket: Carrier
    identity: bytes
    expires: float
    """When the attempt in flight ends (monotonic seconds)."""

    def __init__(self, forward: "Forward", query: Query, key: Key, deadline: float) -> None:
        super().__init__()
        self._forward = forward
        self.query = query
        self.key = key
        self.wire = key[0]
        self.question = query.question
        self.deadline = deadline
        self.step = 0
        """Upstreams considered so far, over all rounds."""
        self.joined = 0
        self.fallback = b""
        """The reply to give when none better comes."""
        self.fetch: Fetch | None = None
        """On its way while it is asked again over TCP."""

    def advance(self, now: float) -> None:
        """Ask the next upstream, or end."""
        forward = self._forward
        while now < self.deadline:
            upstream = forward.next_upstream(self, now)
            if upstream is None:
                break
            if upstream.ask(self):
                self.upstream = upstream
                self.expires = now + forward.attempt_timeout
                forward.attempts[self] = None
                return
        self.give_up()

    def replied(self, reply: bytes) -> None:
        """A reply came."""
        del self._forward.attempts[self]
        upstream = self.upstream
        if reply[2] & _TC_OCTET and reply[3] & 15 not in _ERRORS and isinstance(upstream, Upstream):
            upstream.truncated += 1
            if not self.query.stream:
                self.fallback = reply
            self.fetch = self._forward.fetches.begin(self, upstream, time.monotonic())
            if self.fetch is None:
                self.not_fetched()
        else:
            self._take(reply)

    def fetched(self, reply: bytes) -> None:
        """A reply came over TCP."""
        self.fetch = None
        if self.outcome is None:
            self._take(reply)

    def not_fetched(self) -> None:
        """There will be no reply over TCP."""
        self.fetch = None
        if self.outcome is not None:
            return
        if self.query.stream:
            self.advance(time.monotonic())
        else:
            self.give_up()

    def refused(self, failed: Carrier) -> None:
        """A socket or connection failed on which it was in flight; it may have moved on since."""
        if self.socket is failed and self in self._forward.attempts:
            del self._forward.attempts[self]
            self.advance(time.monotonic())

    def timed_out(self, now: float) -> None:
        """The attempt's time is over."""
        del self._forward.attempts[self]
        self.socket.forget(self.identity)
        self.upstream.timed_out(now)
        self.advance(now)

    def overdue(self) -> None:
        """The deadline has come."""
        if self in self._forward.attempts:
            self.socket.forget(self.identity)
        if self.fetch:
            self.fetch.timed_out(time.monotonic())
            self.fetch = None
        self.give_up()

    def give_up(self) -> None:
        """End with the best reply that there is, or without one."""
        body = transparent.incoming(self.query, self.fallback) if self.fallback else None
        self._forward.finish(self, Failure.UPSTREAM if body is None else Answer(body))

    def _take(self, reply: bytes) -> None:
        if reply[3] & 15 in _ERRORS:
            self.fallback = reply
            self.advance(time.monotonic())
            return
        body = transparent.incoming(self.query, reply)
        if body is None:
            self.upstream.malformed += 1
            self.advance(time.monotonic())
        else:
            self._forward.finish(self, Answer(body))


class Forward:
    """The upstreams of one forward zone, in order. Counters only grow, but for `in_flight`."""

    def __init__(
        self,
        upstreams: Sequence[AnyUpstream],
        *,
        attempt_timeout: float = ATTEMPT_TIMEOUT,
        deadline: float = DEADLINE,
        in_flight_limit: int = IN_FLIGHT,
        tcp_limit: int = TCP_FETCHES,
        insist: bool = True,
    ) -> None:
        """`upstreams` has at least one, and this owns them; times are in seconds.

        When all are down, all are asked in order all the same if `insist`, else the question fails at once: right where
        somebody else has an answer in hand.
        """
        self.upstreams = tuple(upstreams)
        self.attempt_timeout = attempt_timeout
        self.deadline = deadline
        self.in_flight_limit = in_flight_limit
        self.insist = insist
        self.attempts: dict[Forwarded, None] = {}
        """Questions that wait for a reply at their present upstream, the oldest attempt first."""
        self.overloads = 0
        self.coalesced = 0
        """Questions that waited with an identical one."""
        self._in_flight: dict[Key, Forwarded] = {}
        """All questions without an outcome, the oldest first."""
        self.fetches = Fetches(tcp_limit)
        self._timer: asyncio.TimerHandle | None = None
        self._steps = ROUNDS * len(self.upstreams)

    @property
    def in_flight(self) -> int:
        """Questions that have no outcome yet."""
        return len(self._in_flight)

    def resolve(self, query: Query) -> Outcome | Pending:
        """Ask the upstreams."""
        key = (transparent.outgoing(query), query.limit, query.stream)
        question = self._in_flight.get(key)
        if question is not None:
            if question.joined >= JOINED:
                self.overloads += 1
                return Failure.OVERLOAD
            question.joined += 1
            self.coalesced += 1
            return question
        if len(self._in_flight) >= self.in_flight_limit:
            self.overloads += 1
            return Failure.OVERLOAD
        now = time.monotonic()
        question = self._in_flight[key] = Forwarded(self, query, key, now + self.deadline)
        question.advance(now)
        if self._timer is None:
            self._schedule(now)
        return question if question.outcome is None else question.outcome

    async def close(self) -> None:
        """Close all connections; what is in flight ends with Failure.UPSTREAM, and so does what comes later."""
        for upstream in self.upstreams:
            upstream.close()
        self.fetches.close()
        for question in list(self._in_flight.values()):
            self.finish(question, Failure.UPSTREAM)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        await asyncio.sleep(0)  # a turn of the loop, in which connections close

    def next_upstream(self, question: Forwarded, now: float) -> AnyUpstream | None:
        """The next one for a question to try; None when it has tried enough."""
        count = len(self.upstreams)
        while question.step < self._steps:
            if question.step >= count and question.fallback:
                return None
            upstream = self.upstreams[question.step % count]
            question.step += 1
            if upstream.usable(now) or (self.insist and not any(other.up for other in self.upstreams)):
                return upstream
        return None

    def finish(self, question: Forwarded, outcome: Outcome) -> None:
        """Give the outcome to all who wait for it."""
        del self._in_flight[question.key]
        self.attempts.pop(question, None)
        if question.fetch:
            question.fetch.drop()
            question.fetch = None
        question.settle(outcome)

    def _schedule(self, now: float) -> None:
        """Look at the oldest ones when the first of them is due; never later than an attempt begun now ends."""
        if not self._in_flight:
            self._timer = None
            return
        due = next(iter(self._in_flight.values())).deadline
        if self.attempts:
            due = min(due, next(iter(self.attempts)).expires)
        # A millisecond later than due: the loop's clock may be that coarse.
        delay = max(min(due - now, self.attempt_timeout), 0.0) + 0.001
        self._timer = asyncio.get_running_loop().call_later(delay, self._sweep)

    def _sweep(self) -> None:
        now = time.monotonic()
        for question in list(takewhile(lambda question: question.deadline <= now, self._in_flight.values())):
            question.overdue()
        for question in list(takewhile(lambda question: question.expires <= now, self.attempts)):
            question.timed_out(now)
        self._schedule(now)

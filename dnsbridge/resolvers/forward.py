"""Forwarding: a question goes to the upstreams of a zone, in its policy's order, until one gives an answer.

    arrives     identical to one in flight: waits with it; too many in flight: Failure.OVERLOAD
    is asked    at the next upstream that is not down (at any, when all are), in up to three rounds through the list
    is slow     for that upstream (see health): the next one is asked too, a hedge, if it is up and the budget allows
    no reply    in the attempt's time, or the upstream's port is closed, or sending fails: the next upstream; a late
                reply is still taken
    an error    (FORMERR, SERVFAIL, NOTIMP, REFUSED): the next upstream; the last such reply is the answer
                when the first round ends without a better one
    truncated   over UDP: the same upstream again over TCP; if that fails, a UDP client gets the truncated reply,
                for a TCP client the next upstream is asked
    an answer   the first good one, patched for the client (see transparent), and for all who wait with it

No question outlives its deadline. There is no timer, task or future per question: one timer looks at the oldest ones.
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from itertools import takewhile

from dnsbridge.resolvers import transparent
from dnsbridge.resolvers.attempts import ERRORS_TO_BLAME, Attempt, Attempts
from dnsbridge.resolvers.health import MAX_TIMEOUT, Condition
from dnsbridge.resolvers.policy import Ordering, Policy
from dnsbridge.resolvers.probe import Prober, root_ns
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.resolvers.tcp_fetch import Fetch, Fetches
from dnsbridge.resolvers.upstream import Carrier, Upstream
from dnsbridge.resolvers.upstream_stream import AnyUpstream, StreamUpstream
from dnsbridge.wire.constants import TC, Rcode
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query

DEADLINE = 2.4
"""Seconds from a question's arrival to its outcome: a stub resolver repeats its question after 5 (resolv.conf(5))."""
IN_FLIGHT = 10_000
JOINED = 1_000
"""Askers that may wait together for one question."""
TCP_FETCHES = 100
HEDGE_SHARE = 0.1
"""Hedges that may be made for each question sent."""
HEDGE_BURST = 10.0
LONGEST_SLEEP = 0.01
"""Seconds that the timer sleeps at most while questions are in flight: the least that a hedge waits for."""
SHORTEST_SLEEP = 0.002
LAG = 0.01
"""Seconds by which the timer may be late before it lets replies be read that came meanwhile."""
ROUNDS = 3
_ERRORS = frozenset({Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})
_TC_OCTET = TC >> 8

Key = tuple[bytes, int, bool]
"""What makes two questions identical: the message for the upstream without its ID, the client's limit and transport."""


class Forwarded(Pending):
    """A question in flight, and its own first attempt: most have no other."""

    __slots__ = (
        "query",
        "key",
        "wire",
        "question",
        "socket",
        "identity",
        "deadline",
        "order",
        "step",
        "joined",
        "fallback",
        "live",
        "blamed",
        "fetch",
        "_forward",
        "first",
        "_further",
    )

    socket: Carrier
    identity: bytes

    def __init__(self, forward: "Forward", query: Query, key: Key, deadline: float, order: tuple[int, ...]) -> None:
        # Not by the base class's own method: a call for each question.
        self.outcome = None
        self._waiters = []
        self._forward = forward
        self.query = query
        self.key = key
        self.wire = key[0]
        self.question = query.question
        self.deadline = deadline
        self.order = order
        """Positions of the upstreams."""
        self.step = 0
        """Upstreams considered so far, over all rounds."""
        self.joined = 0
        self.fallback = b""
        """The reply to give when none better comes."""
        self.live = 0
        """Attempts that have neither a reply nor timed out."""
        self.blamed: tuple[AnyUpstream, ...] = ()
        """Upstreams that replied with an error: their fault if there is an answer elsewhere."""
        self.fetch: Fetch | None = None
        """On its way while it is asked again over TCP."""
        self.first: Attempts | None = None
        """Where it was asked first."""
        self._further: tuple[FurtherAttempt, ...] = ()

    def advance(self, now: float) -> None:
        """Ask the next upstream; without one wait for late replies, or end."""
        forward = self._forward
        while now < self.deadline:
            attempts = forward.next_attempts(self)
            if attempts is None:
                if not self._may_still_be_answered():
                    break
                return
            if self._ask(attempts, now, False):
                return
        self.give_up()

    def replied(self, reply: bytes) -> None:
        """See Asker."""
        first = self.first
        assert first is not None
        asked_at = first.fresh.get(self)
        if asked_at and self.outcome is None and not (reply[3] & 15 or reply[2] & _TC_OCTET or self.blamed):
            body = transparent.incoming(self.query, reply)
            if body is not None:
                # What `take` would do, without its calls: nearly all replies are like this.
                del first.fresh[self]
                self.live -= 1
                health = first.upstream.health
                now = time.monotonic()
                if now < health.sample_at:
                    health.good += 1
                else:
                    health.replied(now, asked_at)
                self._forward.answered = self
                self.finish(Answer(body))
                return
        self.take(self, first, reply, False)

    def refused(self, failed: Carrier) -> None:
        """See Asker."""
        if self.first is not None and self.first.drop(self):
            self.lost(time.monotonic())

    def slow(self, now: float, upstream: AnyUpstream) -> None:
        """See Attempt: ask the next upstream too, if it is worth it."""
        forward = self._forward
        if self.outcome is not None or self.fetch or self.step >= len(self.order):
            return
        attempts = forward.attempts[self.order[self.step]]
        if attempts.upstream.health.up and (not upstream.health.up or forward.take_hedge()):
            self.step += 1
            attempts.upstream.hedges += 1
            self._ask(attempts, now, True)

    def lost(self, now: float) -> None:
        """See Attempt."""
        self.live -= 1
        self._go_on(now)

    def take(self, attempt: Attempt, attempts: Attempts, reply: bytes, hedge: bool) -> None:
        """A reply came to an attempt; `hedge`: one made while an earlier one was slow."""
        upstream = attempts.upstream
        now = time.monotonic()
        live = attempts.replied(attempt, reply, now)
        if live:
            self.live -= 1
        if self.outcome is not None or not live:
            upstream.late += 1
            if self.outcome is not None:
                return
        if reply[3] & 15 in _ERRORS:
            self._take_error(upstream, reply, now)
        elif not reply[2] & _TC_OCTET or isinstance(upstream, StreamUpstream):
            self._take_answer(upstream, reply, now, hedge)
        elif not self.fetch:
            upstream.truncated += 1
            if not self.query.stream:
                self.fallback = reply
            self.fetch = self._forward.fetches.begin(self, upstream, now)
            if self.fetch is None:
                self.not_fetched()

    def fetched(self, upstream: Upstream, reply: bytes) -> None:
        """See Truncated."""
        self.fetch = None
        now = time.monotonic()
        if reply[3] & 15 in _ERRORS:
            self._take_error(upstream, reply, now)
        else:
            self._take_answer(upstream, reply, now, False)

    def not_fetched(self) -> None:
        """See Truncated."""
        self.fetch = None
        if self.query.stream:
            self._go_on(time.monotonic())
        else:
            self.give_up()

    def overdue(self, now: float) -> None:
        """The deadline has come."""
        if self.fetch:
            self.fetch.timed_out(now)
            self.fetch = None
        self.give_up()

    def give_up(self) -> None:
        """End with the best reply that there is, or without one."""
        body = transparent.incoming(self.query, self.fallback) if self.fallback else None
        self.finish(Failure.UPSTREAM if body is None else Answer(body))

    def finish(self, outcome: Outcome) -> None:
        """Give the outcome to all who wait for it."""
        del self._forward.unanswered[self.key]
        if self._further:
            # They know their question; without this each would stay until the garbage collector finds the circle.
            self._further = ()
        if self.fetch:
            self.fetch.drop()
            self.fetch = None
        self.settle(outcome)

    def _ask(self, attempts: Attempts, now: float, hedge: bool) -> bool:
        if self.first is None:
            if not attempts.upstream.ask(self):
                return False
            self.first = attempts
            attempts.fresh[self] = now
        else:
            further = FurtherAttempt(self, attempts, hedge)
            if not attempts.upstream.ask(further):
                return False
            attempts.fresh[further] = now
            self._further += (further,)
        self.live += 1
        return True

    def _go_on(self, now: float) -> None:
        if not self.live and not self.fetch and self.outcome is None:
            self.advance(now)

    def _may_still_be_answered(self) -> bool:
        """Whether a late reply is worth waiting for: where there is a fallback, only one of an upstream that is up."""
        waiting = [further.attempts for further in self._further if further in further.attempts]
        if self.first is not None and self in self.first:
            waiting.append(self.first)
        return any(not self.fallback or attempts.upstream.health.up for attempts in waiting)

    def _take_error(self, upstream: AnyUpstream, reply: bytes, now: float) -> None:
        self.fallback = reply
        if reply[3] & 15 in ERRORS_TO_BLAME:
            self.blamed += (upstream,)
        self._go_on(now)

    def _take_answer(self, upstream: AnyUpstream, reply: bytes, now: float, hedge: bool) -> None:
        body = transparent.incoming(self.query, reply)
        if body is None:
            upstream.malformed += 1
            upstream.health.failed(now)
            self._go_on(now)
            return
        if hedge:
            upstream.hedges_won += 1
        for blamed in self.blamed:
            blamed.health.erred(now)
        self._forward.answered = self
        self.finish(Answer(body))


class FurtherAttempt:
    """An attempt after a question's first (an Attempt)."""

    __slots__ = ("wire", "question", "socket", "identity", "attempts", "_of", "_hedge")

    socket: Carrier
    identity: bytes

    def __init__(self, of: Forwarded, attempts: Attempts, hedge: bool) -> None:
        self.wire = of.wire
        self.question = of.question
        self.attempts = attempts
        self._of = of
        self._hedge = hedge

    def replied(self, reply: bytes) -> None:
        """See Asker."""
        self._of.take(self, self.attempts, reply, self._hedge)

    def refused(self, failed: Carrier) -> None:
        """See Asker."""
        if self.attempts.drop(self):
            self.lost(time.monotonic())

    def slow(self, now: float, upstream: AnyUpstream) -> None:
        """See Attempt."""
        self._of.slow(now, upstream)

    def lost(self, now: float) -> None:
        """See Attempt."""
        self._of.lost(now)


class Forward:
    """The upstreams of one forward zone. Counters only grow, but for `in_flight`."""

    def __init__(
        self,
        upstreams: Sequence[AnyUpstream],
        *,
        policy: Policy = "sequential",
        attempt_timeout: float = MAX_TIMEOUT,
        deadline: float = DEADLINE,
        in_flight_limit: int = IN_FLIGHT,
        tcp_limit: int = TCP_FETCHES,
        insist: bool = True,
    ) -> None:
        """`upstreams` has at least one, and this owns them; times are in seconds, that of an attempt is the longest.

        When all are down, all are asked in order all the same if `insist`, else the question fails at once: right where
        somebody else has an answer in hand.
        """
        self.upstreams = tuple(upstreams)
        self.attempt_timeout = attempt_timeout
        self.deadline = deadline
        self.in_flight_limit = in_flight_limit
        self.insist = insist
        self.attempts = tuple([Attempts(upstream) for upstream in self.upstreams])
        """In the order of the upstreams."""
        self.fetches = Fetches(tcp_limit)
        self.answered: Forwarded | None = None
        """The last question that had an answer: a good one to probe with."""
        self.hedges_denied = 0
        """Hedges over the budget."""
        self.overloads = 0
        self.coalesced = 0
        """Questions that waited with an identical one."""
        self.unanswered: dict[Key, Forwarded] = {}
        """All questions without an outcome, the oldest first."""
        self._timer: asyncio.TimerHandle | None = None
        self._steps = ROUNDS * len(self.upstreams)
        self._ordering = Ordering(policy, [upstream.health for upstream in self.upstreams], random.random)
        self._prober = Prober(self.upstreams, self._sample)
        self._hedge_credit = HEDGE_BURST
        self._hedge_credit_at = 0
        """How many questions had been sent when the credit was reckoned."""

    @property
    def in_flight(self) -> int:
        """Questions that have no outcome yet."""
        return len(self.unanswered)

    def resolve(self, query: Query) -> Outcome | Pending:
        """Ask the upstreams."""
        key = (transparent.outgoing(query), query.limit, query.stream)
        question = self.unanswered.get(key)
        if question is not None:
            if question.joined >= JOINED:
                self.overloads += 1
                return Failure.OVERLOAD
            question.joined += 1
            self.coalesced += 1
            return question
        if len(self.unanswered) >= self.in_flight_limit:
            self.overloads += 1
            return Failure.OVERLOAD
        now = time.monotonic()
        order = self._ordering.order()
        question = self.unanswered[key] = Forwarded(self, query, key, now + self.deadline, order)
        first = self.attempts[order[0]]
        upstream = first.upstream
        if upstream.health.condition:
            question.advance(now)
        else:
            # What `advance` would do, without its calls: nearly all questions begin like this.
            question.step = 1
            if upstream.ask(question):
                question.first = first
                question.live = 1
                first.fresh[question] = now
            else:
                question.advance(now)
        if self._timer is None:
            self._schedule(now)
        return question if question.outcome is None else question.outcome

    async def close(self) -> None:
        """Close all connections; what is in flight ends with Failure.UPSTREAM, and so does what comes later."""
        self._prober.close()
        for attempts in self.attempts:
            attempts.clear()
            attempts.upstream.close()
        self.fetches.close()
        for question in list(self.unanswered.values()):
            question.finish(Failure.UPSTREAM)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        await asyncio.sleep(0)  # a turn of the loop, in which connections close

    def next_attempts(self, question: Forwarded) -> Attempts | None:
        """Those of the next upstream for a question to try; None when it has tried enough."""
        order = question.order
        count = len(order)
        while question.step < self._steps:
            if question.step >= count and question.fallback:
                return None
            attempts = self.attempts[order[question.step % count]]
            question.step += 1
            if attempts.upstream.health.condition is not Condition.DOWN or (self.insist and self._all_down()):
                return attempts
        return None

    def take_hedge(self) -> bool:
        """Take one hedge from the budget, if it has one left."""
        sent = sum(upstream.sent for upstream in self.upstreams)
        self._hedge_credit = min(HEDGE_BURST, self._hedge_credit + (sent - self._hedge_credit_at) * HEDGE_SHARE)
        self._hedge_credit_at = sent
        if self._hedge_credit < 1:
            self.hedges_denied += 1
            return False
        self._hedge_credit -= 1
        return True

    def _all_down(self) -> bool:
        return all(upstream.health.condition is Condition.DOWN for upstream in self.upstreams)

    def _sample(self) -> tuple[bytes, bytes]:
        return (self.answered.wire, self.answered.question) if self.answered else root_ns()

    def _patience(self, upstream: AnyUpstream) -> tuple[float, float]:
        """Seconds after which an attempt is slow, and after which it has timed out."""
        timeout = min(upstream.timeout, self.attempt_timeout)
        return min(upstream.health.hedge_after, timeout), timeout

    def _schedule(self, now: float) -> None:
        """Look at the oldest ones when the first of them is due."""
        self._prober.wake(now)
        due = next(iter(self.unanswered.values())).deadline if self.unanswered else math.inf
        for attempts in self.attempts:
            due = min(due, attempts.due(*self._patience(attempts.upstream), self.deadline))
        if due == math.inf:
            self._timer = None
            return
        # A millisecond later than due: the loop's clock may be that coarse. One that is asked next may be due sooner.
        delay = min(max(due - now + 0.001, SHORTEST_SLEEP), LONGEST_SLEEP)
        self._timer = asyncio.get_running_loop().call_later(delay, self._wake, now + delay)

    def _wake(self, due: float) -> None:
        if time.monotonic() - due > LAG:
            # This process was busy or stopped: replies may lie unread, and their upstreams must not be blamed.
            self._timer = asyncio.get_running_loop().call_later(SHORTEST_SLEEP, self._sweep)
        else:
            self._sweep()

    def _sweep(self) -> None:
        now = time.monotonic()
        for question in list(takewhile(lambda question: question.deadline <= now, self.unanswered.values())):
            question.overdue(now)
        for attempts in self.attempts:
            upstream = attempts.upstream
            hedge_after, timeout = self._patience(upstream)
            for attempt in attempts.turn_slow(now - hedge_after):
                if hedge_after < timeout:
                    attempt.slow(now, upstream)
            for attempt, asked_at in attempts.turn_late(now - timeout):
                attempt.socket.timed_out(now, asked_at)
                attempt.lost(now)
            attempts.forget_late(now - self.deadline)
        self._schedule(now)

"""Forwarding: the questions of one zone and its upstreams, asked in the policy's order until one gives an answer.

    resolve(query)   passes a client's question on as it came (see transparent); an identical one in flight is joined
    ask(asking)      puts any other question on its way

How a question fares is in asking. No question outlives its deadline, and of too many the oldest ends. There is no
timer, task or future per question: one timer looks at the oldest ones.
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from itertools import islice, takewhile

from dnsbridge.resolvers import transparent
from dnsbridge.resolvers.asking import Asking, Verdict
from dnsbridge.resolvers.attempts import Attempts
from dnsbridge.resolvers.chain import Beyond, Link
from dnsbridge.resolvers.health import MAX_TIMEOUT, Condition
from dnsbridge.resolvers.policy import Ordering, Policy
from dnsbridge.resolvers.probe import Prober, root_ns
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, settle
from dnsbridge.resolvers.tcp_fetch import Fetches
from dnsbridge.resolvers.upstream_stream import AnyUpstream
from dnsbridge.wire import walk
from dnsbridge.wire.constants import CLASSIC_UDP_SIZE, RD, TC, Class
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from dnsbridge.wire.scrub import Whose
from dnsbridge.wire.stored import Stored, keep

DEADLINE = 2.4
"""Seconds from a question's arrival to its outcome: a stub resolver repeats its question after 5 (resolv.conf(5))."""
IN_FLIGHT = 10_000
DROPPED_SHARE = 100
"""One in so many questions in flight, the oldest ones, makes room when there are too many."""
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

Key = tuple[bytes, int, bool, tuple[bytes, ...]]
"""What makes two questions identical: the message for the upstream without its ID, the client's limit and transport,
and the aliases that led to it.
"""


class Passing(Asking):
    """A client's question, passed on as it came, and all who wait for it."""

    def __init__(self, forward: "Forward", query: Query, key: Key, beyond: Beyond | None) -> None:
        self.wire = key[0]
        self.question = query.question
        self.whole = query.stream
        self.largest = max(CLASSIC_UDP_SIZE, query.edns.udp_size) if query.edns else CLASSIC_UDP_SIZE
        self.pending = Pending()
        self.joined = 0
        self._forward = forward
        self._query = query
        self._key = key
        self._beyond = beyond
        self._link: Link | None = None
        """What came, if it leads on."""
        self._outcome: Outcome = Failure.UPSTREAM

    def accept(self, reply: bytes) -> Verdict:
        """See Asking."""
        query = self._query
        verdict = Verdict.GOOD
        self._link = None
        if query.qclass == Class.IN and query.flags & RD and not reply[2] & TC >> 8:
            # Other classes, and servers asked what they know by themselves, follow rules of their own.
            whose = self._beyond.whose if self._beyond else None
            kept = keep(self.question, bool(query.edns and query.edns.dnssec_ok), reply, whose)
            if not isinstance(kept, Stored):
                return Verdict.BROKEN
            if kept.failed:
                verdict = Verdict.USELESS
                if kept.rcode != reply[3] & 15:
                    # The upstream takes it for an answer: a referral, or a chain that does not end.
                    self._outcome = Answer(kept.render(query, 0))
                    return verdict
            if kept.leads_on:
                self._link = Link(kept.links(query, 0))
                return verdict
            reply = transparent.with_records(reply, query.question_end, kept)
        body = transparent.truncated(query) if self._is_of_a_cluster(reply) else transparent.incoming(query, reply)
        if body is None:
            return Verdict.BROKEN
        self._outcome = Answer(body)
        return verdict

    def _is_of_a_cluster(self, reply: bytes) -> bool:
        """Whether a truncated reply speaks of a cluster's names, which no upstream may."""
        query = self._query
        if not reply[2] & TC >> 8 or query.qclass != Class.IN or not query.flags & RD or self._beyond is None:
            return False
        message = walk.read(reply)
        whose = self._beyond.whose
        return isinstance(message, walk.Message) and any(
            whose(rrset.owner.lower()) is Whose.CLUSTER for rrset in message.answer
        )

    def ended(self, failure: Failure | None) -> None:
        """See Asking."""
        del self._forward.passing[self._key]
        if failure is None and self._link and self._beyond:
            settle(self.pending, self._beyond.chains.follow(self._query, self._link))
        else:
            self.pending.settle(self._outcome if failure is None else failure)


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
        random_case: bool = False,
    ) -> None:
        """`upstreams` has at least one, and this owns them; times are in seconds, that of an attempt is the longest.

        When all are down, all are asked in order all the same if `insist`, else the question fails at once: right where
        somebody else has an answer in hand. `random_case`: names go out in random case, and must come back in it.
        """
        self.upstreams = tuple(upstreams)
        self.attempt_timeout = attempt_timeout
        self.deadline = deadline
        self.in_flight_limit = in_flight_limit
        self.insist = insist
        self._random_case = random_case
        self.attempts = tuple([Attempts(upstream) for upstream in self.upstreams])
        """In the order of the upstreams."""
        self.fetches = Fetches(tcp_limit)
        self.answered: Asking | None = None
        """The last question that had an answer: a good one to probe with."""
        self.hedges_denied = 0
        """Hedges over the budget."""
        self.overloads = 0
        """Questions that ended because too many were in flight, or waited for the same."""
        self.coalesced = 0
        """Questions that waited with an identical one."""
        self.passing: dict[Key, Passing] = {}
        self.unanswered: dict[Asking, float] = {}
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

    def resolve(self, query: Query, beyond: Beyond | None = None) -> Outcome | Pending:
        """Pass a client's question on; a chain that leads elsewhere is followed if what is `beyond` is known."""
        key = (transparent.outgoing(query), query.limit, query.stream, query.trail)
        passing = self.passing.get(key)
        if passing is None:
            passing = self.passing[key] = Passing(self, query, key, beyond)
            self.ask(passing)
        elif passing.joined >= JOINED:
            self.overloads += 1
            return Failure.OVERLOAD
        else:
            passing.joined += 1
            self.coalesced += 1
        return passing.pending.outcome or passing.pending

    def ask(self, asking: Asking) -> None:
        """Put a question on its way; it may end at once."""
        unanswered = self.unanswered
        if len(unanswered) >= self.in_flight_limit:
            # Not one by one: a dict whose first entries were taken takes long to find the next first.
            for oldest in list(islice(unanswered, max(1, self.in_flight_limit // DROPPED_SHARE))):
                self.overloads += 1
                oldest.drop()
        if self._random_case:
            asking.randomise_case()
        now = time.monotonic()
        order = self._ordering.order()
        asking.upstreams = self
        asking.order = order
        unanswered[asking] = now + self.deadline
        first = self.attempts[order[0]]
        upstream = first.upstream
        if upstream.health.condition:
            asking.step = 0
            asking.advance(now)
        elif upstream.ask(asking):
            # What `advance` would do, without its calls: nearly all questions begin like this.
            asking.first = first
            asking.live = 1
            first.fresh[asking] = now
        else:
            asking.advance(now)
        if self._timer is None:
            self._schedule(now)

    async def close(self) -> None:
        """Close all connections; what is in flight ends with Failure.UPSTREAM, and so does what comes later."""
        self._prober.close()
        for attempts in self.attempts:
            attempts.clear()
            attempts.upstream.close()
        self.fetches.close()
        for question in list(self.unanswered):
            question.finish(Failure.UPSTREAM)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        await asyncio.sleep(0)  # a turn of the loop, in which connections close

    def next_attempts(self, question: Asking) -> Attempts | None:
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
        due = next(iter(self.unanswered.values())) if self.unanswered else math.inf
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
        for question, _ in list(takewhile(lambda item: item[1] <= now, self.unanswered.items())):
            if not question.over:
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

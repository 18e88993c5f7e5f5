"""A forward zone: its questions and its upstreams, asked in the policy's order until one of them gives an answer.

    resolve(query)   forwards a client's question as it came (see wire.relay), or joins an identical one in flight
    ask(asking)      starts any other question

The course of a question is in exchange, its time limits are in patience. When there are too many questions, the oldest
end. There is no timer, task or future per question: one timer looks at the oldest questions.
"""

import asyncio
import heapq
import math
import random
import time
from collections.abc import Sequence
from itertools import chain, islice, takewhile

from dnsbridge.resolvers.chain import Beyond, Link
from dnsbridge.resolvers.forward.allowance import Allowance
from dnsbridge.resolvers.forward.edns_ability import NO_DNSSEC, is_badvers
from dnsbridge.resolvers.forward.exchange import Asking, Verdict
from dnsbridge.resolvers.forward.health import MAX_TIMEOUT, Condition, Health
from dnsbridge.resolvers.forward.outstanding import Attempts
from dnsbridge.resolvers.forward.patience import (
    DEADLINE,
    EXTRA_BURST,
    EXTRA_SHARE,
    FEW_ROUNDS,
    LONGEST,
    MOST_ROUNDS,
    PATIENCE,
)
from dnsbridge.resolvers.forward.policy import Ordering, Policy
from dnsbridge.resolvers.forward.probe import Prober
from dnsbridge.resolvers.forward.tcp_fetch import Fetches
from dnsbridge.resolvers.forward.upstream import Upstream
from dnsbridge.resolvers.forward.upstream_news import UpstreamNews
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, settle
from dnsbridge.wire import relay, whole_message
from dnsbridge.wire.constants import CLASSIC_UDP_SIZE, RD, TC, Class
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from dnsbridge.wire.scrub import Whose
from dnsbridge.wire.stored import Stored, keep

IN_FLIGHT = 10_000
DROPPED_SHARE = 100
"""One in so many questions in flight is dropped when there are too many: the oldest ones."""
JOINED = 1_000
"""Clients that may join one question."""
TCP_FETCHES = 100
HEDGE_SHARE = 0.1
"""Hedges that may be made for each question sent."""
HEDGE_BURST = 10.0
LONGEST_SLEEP = 0.01
"""Seconds that the timer sleeps at most while questions are in flight: the shortest time before a hedge."""
SHORTEST_SLEEP = 0.002
LAG = 0.01
"""Seconds by which the timer may be late; if it is later, replies that came meanwhile are read first."""

Key = tuple[bytes, int, bool, tuple[bytes, ...]]
"""What makes two questions identical: the message for the upstream without its ID, the client's limit and transport,
and the aliases that led to it.
"""


class Passing(Asking):
    """A client's question, forwarded as it came, and all clients that wait for it."""

    def __init__(self, forward: "Forward", query: Query, key: Key, beyond: Beyond | None) -> None:
        self.wire = key[0]
        self.question = query.question
        self.opt = query.edns is not None
        self.whole = query.stream
        self.largest = max(CLASSIC_UDP_SIZE, query.edns.udp_size) if query.edns else CLASSIC_UDP_SIZE
        self.pending = Pending()
        self.joined = 0
        self._forward = forward
        self._query = query
        self._key = key
        self._beyond = beyond
        self._link: Link | None = None
        """The accepted reply, if it leads on."""
        self._outcome: Outcome = Failure.UPSTREAM

    def accept(self, reply: bytes) -> Verdict:
        """See Asking."""
        query = self._query
        verdict = Verdict.GOOD
        self._link = None
        if query.qclass == Class.IN and query.flags & RD and not reply[2] & TC >> 8:
            # Other classes, and questions without RD, follow their own rules.
            whose = self._beyond.whose if self._beyond else None
            kept = keep(self.question, bool(query.edns and query.edns.dnssec_ok), reply, whose)
            if not isinstance(kept, Stored):
                return Verdict.BROKEN
            if kept.failed:
                verdict = Verdict.USELESS
                if kept.rcode != reply[3] & 15:
                    # The upstream takes this for an answer: a referral, or a chain that does not end.
                    self._outcome = Answer(kept.render(query, 0))
                    return verdict
            if kept.leads_on:
                self._link = Link(kept.links(query, 0))
                return verdict
            reply = relay.with_records(reply, query.question_end, kept)
        elif is_badvers(reply, self.question):
            return Verdict.BROKEN
        if self._is_of_a_cluster(reply):
            self._outcome = Answer(relay.truncated(query))
            return verdict
        wants_dnssec = self.opt_left_out and query.edns is not None and query.edns.dnssec_ok
        body = relay.incoming(query, reply, NO_DNSSEC if wants_dnssec else b"")
        if body is None:
            return Verdict.BROKEN
        self._outcome = Answer(body)
        return verdict

    def _is_of_a_cluster(self, reply: bytes) -> bool:
        """Whether a truncated reply has records for a cluster's names, which no upstream may give."""
        query = self._query
        if not reply[2] & TC >> 8 or query.qclass != Class.IN or not query.flags & RD or self._beyond is None:
            return False
        message = whole_message.read(reply)
        whose = self._beyond.whose
        return isinstance(message, whole_message.Message) and any(
            whose(rrset.owner.lower()) is Whose.CLUSTER for rrset in message.answer
        )

    def came_late(self, reply: bytes) -> None:
        """See Asking: no client would get it."""

    def ended(self, failure: Failure | None) -> None:
        """See Asking."""
        del self._forward.passing[self._key]
        if failure is None and self._link and self._beyond:
            settle(self.pending, self._beyond.chains.follow(self._query, self._link))
        else:
            self.pending.settle(self._outcome if failure is None else failure)


class Forward:
    """The upstreams of one forward zone. Counters other than `in_flight` only grow."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        policy: Policy = "sequential",
        attempt_timeout: float = MAX_TIMEOUT,
        deadline: float = DEADLINE,
        patience: float = PATIENCE,
        in_flight_limit: int = IN_FLIGHT,
        tcp_limit: int = TCP_FETCHES,
        insist: bool = True,
        random_case: bool = False,
    ) -> None:
        """`upstreams` has at least one, and this object owns them. Times are in seconds; `attempt_timeout` is a limit.

        `deadline` is for a question whose upstreams are silent to everything, `patience` for a question with a live
        upstream. The two are equal where the caller has another answer in hand.
        When all upstreams are down, `insist` asks them all in order; else the question fails at once, which is right
        where the caller has another answer. `random_case`: names go out in random case, and must come back in it.
        """
        self.upstreams = tuple(upstreams)
        self.attempt_timeout = attempt_timeout
        self.deadline = deadline
        self.patience = patience
        self.longest = max(LONGEST, patience) if patience > deadline else deadline
        """Seconds after which a question ends in any case."""
        self.in_flight_limit = in_flight_limit
        self.insist = insist
        self._random_case = random_case
        self.attempts = tuple([Attempts(upstream) for upstream in self.upstreams])
        """In the order of the upstreams."""
        self.fetches = Fetches(tcp_limit)
        self.hedges_denied = 0
        """Hedges over the budget."""
        self.overloads = 0
        """Questions that ended because too many were in flight, or too many clients waited for the same one."""
        self.coalesced = 0
        """Questions that joined an identical one."""
        self.passing: dict[Key, Passing] = {}
        self.unanswered: dict[Asking, float] = {}
        """Questions in their first age with the time when they came, the oldest first; the other ages are alike."""
        self.patient: dict[Asking, float] = {}
        """Questions past `deadline`."""
        self.lingering: dict[Asking, float] = {}
        """Questions past `patience`: only clients that ask again wait for them."""
        self._ages = (self.unanswered, self.patient, self.lingering)
        self.draw = random.random
        self._pauses: list[tuple[float, int, Asking]] = []
        """A heap of questions that wait for their next round: the time, a number, the question. Some are over."""
        self._pauses_made = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ordering = Ordering(policy, [upstream.health for upstream in self.upstreams], random.random)
        self._news = UpstreamNews(self.upstreams)
        self._prober = Prober(self.upstreams, self._sample, self._news.look)
        self._hedges = Allowance(HEDGE_SHARE, HEDGE_BURST)
        self._extras = Allowance(EXTRA_SHARE, EXTRA_BURST)

    @property
    def in_flight(self) -> int:
        """Questions that have not ended."""
        return len(self.unanswered) + len(self.patient) + len(self.lingering)

    def resolve(self, query: Query, beyond: Beyond | None = None) -> Outcome | Pending:
        """Forward a client's question. A chain that leads elsewhere is followed if `beyond` is given."""
        key = (relay.outgoing(query), query.limit, query.stream, query.trail)
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
        """Start a question; it may end at once."""
        unanswered = self.unanswered
        if len(unanswered) + len(self.patient) + len(self.lingering) >= self.in_flight_limit:
            # Not one by one: a dict takes long to find its first entry after its first entries were removed.
            oldest_first = chain(self.lingering, self.patient, unanswered)
            for oldest in list(islice(oldest_first, max(1, self.in_flight_limit // DROPPED_SHARE))):
                self.overloads += 1
                oldest.drop()
        if self._random_case:
            asking.randomise_case()
        now = time.monotonic()
        order = self._ordering.order()
        asking.upstreams = self
        asking.order = order
        unanswered[asking] = now
        first = self.attempts[order[0]]
        upstream = first.upstream
        if upstream.health.caution:
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
        """Close all connections. Questions in flight end with Failure.UPSTREAM, and so do later questions."""
        self._prober.close()
        for attempts in self.attempts:
            attempts.clear()
            attempts.upstream.close()
        self.fetches.close()
        for question in list(chain(*self._ages)):
            question.finish(Failure.UPSTREAM)
        self._pauses.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        await asyncio.sleep(0)  # a turn of the loop, in which connections close

    def begun_at(self, question: Asking) -> float | None:
        """See Upstreams."""
        return next((age[question] for age in self._ages if question in age), None)

    def remove(self, question: Asking) -> None:
        """See Upstreams."""
        for age in self._ages:
            age.pop(question, None)

    def next_attempts(self, question: Asking, now: float) -> Attempts | None:
        """See Upstreams."""
        order = question.order
        rounds = question.step // len(order)
        while rounds < MOST_ROUNDS and question.step < (rounds + 1) * len(order):
            attempts = self.attempts[order[question.step % len(order)]]
            question.step += 1
            health = attempts.upstream.health
            if health.condition is Condition.DOWN and not (self.insist and self._all_down()):
                continue
            if rounds >= FEW_ROUNDS and (question.heard or not self._is_worth_more(health, now)):
                continue
            if question.datagrams(attempts) < MOST_ROUNDS:
                return attempts
        return None

    def pause(self, question: Asking, until: float) -> None:
        """See Upstreams."""
        self._pauses_made += 1
        heapq.heappush(self._pauses, (until, self._pauses_made, question))

    def take_hedge(self) -> bool:
        """Take one hedge from the budget; False if none is left."""
        if self._hedges.take(self._sent()):
            return True
        self.hedges_denied += 1
        return False

    def _is_worth_more(self, health: Health, now: float) -> bool:
        """Whether an upstream may be asked more than a few times."""
        return health.replied_lately(now) and self._extras.take(self._sent())

    def _sent(self) -> int:
        return sum([upstream.sent for upstream in self.upstreams])

    def _all_down(self) -> bool:
        return all(upstream.health.condition is Condition.DOWN for upstream in self.upstreams)

    def _sample(self, upstream: Upstream) -> tuple[bytes, bytes] | None:
        """The question to probe an upstream with: the last one it answered, else one that another upstream answered."""
        answered = {attempts.upstream: attempts.answered for attempts in self.attempts if attempts.answered}
        question = answered.get(upstream) or next(iter(answered.values()), None)
        return (question.wire, question.question) if question else None

    def _times(self, upstream: Upstream) -> tuple[float, float]:
        """Seconds after which an attempt is slow, and after which it has timed out."""
        timeout = min(upstream.timeout, self.attempt_timeout)
        return min(upstream.health.hedge_after, timeout), timeout

    def _schedule(self, now: float) -> None:
        """Set the timer for the first question or attempt that is due."""
        self._prober.wake(now)
        due = self._pauses[0][0] if self._pauses else math.inf
        for age, seconds in zip(self._ages, (self.deadline, self.patience, self.longest), strict=True):
            if age:
                due = min(due, next(iter(age.values())) + seconds)
        for attempts in self.attempts:
            due = min(due, attempts.due(*self._times(attempts.upstream), self.longest))
        if due == math.inf:
            self._timer = None
            return
        # A millisecond later than due: the loop's clock may be that coarse. A later question may be due sooner.
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
        self._end_ages(now)
        for attempts in self.attempts:
            upstream = attempts.upstream
            hedge_after, timeout = self._times(upstream)
            for attempt in attempts.turn_slow(now - hedge_after):
                if hedge_after < timeout:
                    attempt.slow(now, upstream)
            for attempt, asked_at in attempts.turn_late(now - timeout):
                alive = upstream.health.alive_since(attempt.since(asked_at))
                attempt.socket.timed_out(now, asked_at, alive)
                if alive:
                    attempt.missed(upstream)
                attempt.lost(now)
            attempts.forget_late(now - self.longest)
        while self._pauses and self._pauses[0][0] <= now:
            _, _, question = heapq.heappop(self._pauses)
            if not question.over:
                question.resume(now)
        self._news.look(now)
        self._schedule(now)

    def _end_ages(self, now: float) -> None:
        """Move each question that is at the end of an age to the next age, or end it."""
        for question, begun_at in _begun_by(self.unanswered, now - self.deadline):
            if question.over:
                continue
            if self.patience > self.deadline and question.is_alive(begun_at):
                question.plain = False
                del self.unanswered[question]
                self.patient[question] = begun_at
                for upstream in question.alive(begun_at):
                    upstream.health.found_slow(now)
            else:
                question.overdue(now, Failure.UPSTREAM)
        for question, begun_at in _begun_by(self.patient, now - self.patience):
            if question.over:
                continue
            if question.tire():
                del self.patient[question]
                self.lingering[question] = begun_at
            else:
                question.overdue(now, Failure.SLOW_UPSTREAM)
        for question, _ in _begun_by(self.lingering, now - self.longest):
            if not question.over:
                question.overdue(now, Failure.SLOW_UPSTREAM)


def _begun_by(age: dict[Asking, float], moment: float) -> list[tuple[Asking, float]]:
    return list(takewhile(lambda item: item[1] <= moment, age.items()))

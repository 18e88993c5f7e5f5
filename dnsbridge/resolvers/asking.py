"""A question on its way through the upstreams of a zone, from its first attempt to its end.

is asked    at the next upstream that is not down (at any, when all are), in up to three rounds through the list
is slow     for that upstream (see health): the next one is asked too, a hedge, if it is up and the budget allows
no reply    in the attempt's time, or the upstream's port is closed, or sending fails: the next upstream; a late
            reply is still taken
an error    (FORMERR, SERVFAIL, NOTIMP, REFUSED): the next upstream; the last such reply is the answer
            when the first round ends without a better one
truncated   over UDP: the same upstream again over TCP; if that fails, who can use a truncated reply gets it, for
            the others the next upstream is asked
folded      in another case than the random one that was asked: the same upstream over TCP, which nobody can forge
broken      or larger than was offered: the next upstream
useless     to whoever asks, though well-formed: as an error
an answer   the first good one
"""

import time
from abc import ABC, abstractmethod
from enum import Enum
from typing import Protocol

from dnsbridge.resolvers.attempts import ERRORS_TO_BLAME, Attempt, Attempts
from dnsbridge.resolvers.random_case import random_case
from dnsbridge.resolvers.tcp_fetch import Fetch, Fetches
from dnsbridge.resolvers.upstream import Carrier, Upstream
from dnsbridge.resolvers.upstream_stream import AnyUpstream, StreamUpstream
from dnsbridge.wire.constants import HEADER_SIZE, TC, Rcode
from dnsbridge.wire.failure import Failure

_ERRORS = frozenset({Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})
_TC_OCTET = TC >> 8


class Verdict(Enum):
    """What a reply is worth to whoever asks."""

    GOOD = "an answer"
    USELESS = "no better than an error"
    BROKEN = "no answer at all"


class Upstreams(Protocol):
    """What a question needs of its zone."""

    attempts: tuple[Attempts, ...]
    """In the order of the upstreams."""
    fetches: Fetches
    unanswered: "dict[Asking, float]"
    """All questions that have not ended, the oldest first, and their deadlines (monotonic seconds)."""
    answered: "Asking | None"
    """The last question that had an answer."""

    def next_attempts(self, question: "Asking") -> Attempts | None:
        """Those of the next upstream for a question to try; None when it has tried enough."""
        ...

    def take_hedge(self) -> bool:
        """Take one hedge from the budget, if it has one left."""
        ...


class Asking(ABC):
    """A question on its way, and its own first attempt: most have no other (an Attempt, and Truncated).

    What most questions never need stands in the class until it is set.
    """

    wire: bytes
    question: bytes
    socket: Carrier
    identity: bytes
    upstreams: Upstreams
    order: tuple[int, ...]
    """Positions of the upstreams."""
    whole: bool = True
    """A truncated reply is of no use."""
    largest: int
    """Octets that a reply over UDP may have."""
    exact = False
    """The name is in random case, which a reply over UDP must have too."""
    step = 1
    """Upstreams considered so far, over all rounds; the first one without a call."""
    over = False
    plain = True
    """Nothing has happened but its first attempt: all below is as it was."""
    first: Attempts | None = None
    """Where it was asked first."""
    live = 0
    """Attempts after the first that have neither a reply nor timed out, and the first one."""
    fallback = b""
    """The reply to give when none better comes."""
    blamed: tuple[AnyUpstream, ...] = ()
    """Upstreams that replied with an error: their fault if there is an answer elsewhere."""
    fetch: Fetch | None = None
    """On its way while it is asked again over TCP."""
    _further: "tuple[FurtherAttempt, ...]" = ()

    @abstractmethod
    def accept(self, reply: bytes) -> Verdict:
        """What a reply is worth, which matches the question; unless it is broken, what it says is kept for `ended`."""

    @abstractmethod
    def ended(self, failure: Failure | None) -> None:
        """It has ended, with a failure or with the last reply that was accepted. Called once."""

    def randomise_case(self) -> None:
        """Ask for the name in random case."""
        name = random_case(self.question[:-4])
        start = HEADER_SIZE - 2
        self.wire = self.wire[:start] + name + self.wire[start + len(name) :]
        self.question = name + self.question[-4:]
        self.exact = True

    def advance(self, now: float) -> None:
        """Ask the next upstream; without one wait for late replies, or end."""
        self.plain = False
        upstreams = self.upstreams
        while now < upstreams.unanswered[self]:
            attempts = upstreams.next_attempts(self)
            if attempts is None:
                if not self._may_still_be_answered():
                    break
                return
            if self.ask(attempts, now, False):
                return
        self.give_up()

    def ask(self, attempts: Attempts, now: float, hedge: bool) -> bool:
        """Ask an upstream; False if that failed at once."""
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

    def replied(self, reply: bytes) -> None:
        """See Asker."""
        first = self.first
        assert first is not None
        asked_at = first.fresh.get(self)
        if (
            asked_at
            and self.plain
            and not (reply[3] & 15 or reply[2] & _TC_OCTET)
            and len(reply) <= self.largest
            and self.accept(reply) is Verdict.GOOD
        ):
            # What `take` and `finish` would do, without their calls: nearly all replies are like this.
            del first.fresh[self]
            health = first.upstream.health
            now = time.monotonic()
            if now < health.sample_at:
                health.good += 1
            else:
                health.replied(now, asked_at)
            self.upstreams.answered = self
            self.over = True
            self.plain = False
            del self.upstreams.unanswered[self]
            self.ended(None)
            return
        self.take(self, first, reply, False)

    def refused(self, failed: Carrier) -> None:
        """See Asker."""
        if self.first is not None and self.first.drop(self):
            self.lost(time.monotonic())

    def slow(self, now: float, upstream: AnyUpstream) -> None:
        """See Attempt: ask the next upstream too, if it is worth it."""
        if self.over or self.fetch or self.step >= len(self.order):
            return
        attempts = self.upstreams.attempts[self.order[self.step]]
        if attempts.upstream.health.up and (not upstream.health.up or self.upstreams.take_hedge()):
            self.plain = False
            self.step += 1
            attempts.upstream.hedges += 1
            self.ask(attempts, now, True)

    def lost(self, now: float) -> None:
        """See Attempt."""
        self.live -= 1
        self._go_on(now)

    def folded(self, upstream: Upstream) -> None:
        """See Asker."""
        self.plain = False
        if not self.over and not self.fetch:
            self.fetch = self.upstreams.fetches.begin(self, upstream, time.monotonic())

    def take(self, attempt: Attempt, attempts: Attempts, reply: bytes, hedge: bool) -> None:
        """A reply came to an attempt; `hedge`: one made while an earlier one was slow."""
        self.plain = False
        upstream = attempts.upstream
        now = time.monotonic()
        live = attempts.replied(attempt, reply, now)
        if live:
            self.live -= 1
        if self.over or not live:
            upstream.late += 1
            if self.over:
                return
        if len(reply) > self.largest and isinstance(upstream, Upstream):
            self._reject(upstream, now)
        elif reply[3] & 15 in _ERRORS:
            self._take_error(upstream, reply, now)
        elif not reply[2] & _TC_OCTET or isinstance(upstream, StreamUpstream):
            self._take_answer(upstream, reply, now, hedge)
        elif not self.fetch:
            upstream.truncated += 1
            if not self.whole:
                self.fallback = reply
            self.fetch = self.upstreams.fetches.begin(self, upstream, now)
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
        if self.whole or not self.fallback:
            self._go_on(time.monotonic())
        else:
            self.give_up()

    def overdue(self, now: float) -> None:
        """The deadline has come."""
        if self.fetch:
            self.fetch.timed_out(now)
            self.fetch = None
        self.give_up()

    def drop(self) -> None:
        """Make room for others: end, and wait for no replies."""
        if self.first is not None:
            self.first.abandon(self)
        for further in self._further:
            further.attempts.abandon(further)
        self.finish(Failure.OVERLOAD)

    def give_up(self) -> None:
        """End with the best reply that there is, or without one."""
        usable = self.fallback and self.accept(self.fallback) is not Verdict.BROKEN
        self.finish(None if usable else Failure.UPSTREAM)

    def finish(self, failure: Failure | None) -> None:
        """End; see `ended`."""
        self.over = True
        del self.upstreams.unanswered[self]
        if not self.plain:
            # They know their question; without this each would stay until the garbage collector finds the circle.
            self._further = ()
            if self.fetch:
                self.fetch.drop()
                self.fetch = None
        self.plain = False
        self.ended(failure)

    def _go_on(self, now: float) -> None:
        if not self.live and not self.fetch and not self.over:
            self.advance(now)

    def _may_still_be_answered(self) -> bool:
        """Whether a late reply is worth waiting for: where there is a fallback, only one of an upstream that is up."""
        waiting = [further.attempts for further in self._further if further in further.attempts]
        if self.first is not None and self in self.first:
            waiting.append(self.first)
        return any(not self.fallback or attempts.upstream.health.up for attempts in waiting)

    def _take_error(self, upstream: AnyUpstream, reply: bytes, now: float) -> None:
        self.fallback = reply
        if reply[3] & 15 in ERRORS_TO_BLAME or not reply[3] & 15:
            self.blamed += (upstream,)
        self._go_on(now)

    def _reject(self, upstream: AnyUpstream, now: float) -> None:
        upstream.malformed += 1
        upstream.health.failed(now)
        self._go_on(now)

    def _take_answer(self, upstream: AnyUpstream, reply: bytes, now: float, hedge: bool) -> None:
        verdict = self.accept(reply)
        if verdict is not Verdict.GOOD:
            if verdict is Verdict.BROKEN:
                self._reject(upstream, now)
            else:
                self._take_error(upstream, reply, now)
            return
        if hedge:
            upstream.hedges_won += 1
        for blamed in self.blamed:
            blamed.health.erred(now)
        self.upstreams.answered = self
        self.finish(None)


class FurtherAttempt:
    """An attempt after a question's first (an Attempt)."""

    __slots__ = ("wire", "question", "exact", "socket", "identity", "attempts", "_of", "_hedge")

    socket: Carrier
    identity: bytes

    def __init__(self, of: Asking, attempts: Attempts, hedge: bool) -> None:
        self.wire = of.wire
        self.question = of.question
        self.exact = of.exact
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

    def folded(self, upstream: Upstream) -> None:
        """See Asker."""
        self._of.folded(upstream)

    def slow(self, now: float, upstream: AnyUpstream) -> None:
        """See Attempt."""
        self._of.slow(now, upstream)

    def lost(self, now: float) -> None:
        """See Attempt."""
        self._of.lost(now)

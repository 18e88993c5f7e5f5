"""A question in flight at the upstreams of a zone, from its first attempt to its end.

Upstreams that are not down (any, when all are) are asked in rounds through their list. The second round begins when
the first is over, each later one when the question is half again as old (see patience). The course of an attempt:

slow        for this upstream (see health): the next one is asked too, a hedge, if it is up and the budget allows
no reply    in time, or the port is closed, or sending fails: the next upstream is asked; a late reply is still taken
no OPT      OPT is refused: the same upstream at once without OPT (see edns_ability); an answer with OPT still wins
error       FORMERR, SERVFAIL, NOTIMP or REFUSED: the next upstream; the last error is the answer when the first round
            ends without a better reply
truncated   over UDP: the same upstream again over TCP; if that fails, a client that can use a truncated reply gets it,
            for any other client the next upstream is asked
folded      not in the random case of the question: the same upstream over TCP, where nobody can forge a reply
broken      or larger than was offered: the next upstream
useless     to the asker, though well-formed: like an error
answer      the first good one wins; one that comes after the question has failed is kept for others (see came_late)

A question has three ages (see patience). Every question gets the first age. A question whose upstream answers others
gets the second. In the third no client waits: it is for an asker that can keep a late answer.
"""

import time
from abc import ABC, abstractmethod
from enum import Enum
from typing import Protocol

from dnsbridge.resolvers.forward.edns_ability import refusal, without_opt
from dnsbridge.resolvers.forward.outstanding import ERRORS_TO_BLAME, Attempt, Attempts, FurtherAttempt
from dnsbridge.resolvers.forward.patience import next_round
from dnsbridge.resolvers.forward.random_case import random_case
from dnsbridge.resolvers.forward.tcp_fetch import Fetch, Fetches
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.upstream import Carrier, Upstream
from dnsbridge.wire.constants import HEADER_SIZE, TC, Rcode
from dnsbridge.wire.failure import Failure

_ERRORS = frozenset({Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED})
_TC_OCTET = TC >> 8


class Verdict(Enum):
    """What a reply is worth to the asker."""

    GOOD = "an answer"
    USELESS = "no better than an error"
    BROKEN = "no answer at all"


class Upstreams(Protocol):
    """What a question needs from its zone."""

    attempts: tuple[Attempts, ...]
    """In the order of the upstreams."""
    fetches: Fetches
    unanswered: "dict[Asking, float]"
    """Questions in their first age with the time when they came (monotonic seconds), the oldest first."""

    def begun_at(self, question: "Asking") -> float | None:
        """When a question came; None when it has ended."""
        ...

    def remove(self, question: "Asking") -> None:
        """A question has ended."""
        ...

    def next_attempts(self, question: "Asking", now: float) -> Attempts | None:
        """The attempts at the next upstream that a question tries in this round; None when none is left."""
        ...

    def pause(self, question: "Asking", until: float) -> None:
        """Call a question's `resume` at the time `until`."""
        ...

    def take_hedge(self) -> bool:
        """Take one hedge from the budget; False if none is left."""
        ...

    def draw(self) -> float:
        """A random number from 0 to under 1."""
        ...


class Asking(ABC):
    """A question in flight; it is its own first attempt, and most have no other (an Attempt, and Truncated).

    Attributes that most questions never need stay on the class until they are set.
    """

    wire: bytes
    question: bytes
    socket: Carrier
    identity: bytes
    upstreams: Upstreams
    order: tuple[int, ...]
    """Positions of the upstreams, in the order in which they are asked."""
    opt: bool = True
    """Its message has an OPT record."""
    whole: bool = True
    """A truncated reply is of no use."""
    largest: int
    """Octets that a reply over UDP may have."""
    exact = False
    """The name is in random case, which a reply over UDP must repeat."""
    step = 1
    """Upstreams considered so far, over all rounds; the first one without a call."""
    over = False
    failed = False
    """It ended without an answer: a late answer is kept."""
    plain = True
    """Nothing but its first attempt has happened: all attributes below have their first values."""
    first: Attempts | None = None
    """The attempts at the upstream that got its own message first."""
    live = 0
    """Attempts that neither have a reply nor have timed out."""
    fallback = b""
    """The reply to give when no better one comes."""
    blamed: tuple[Upstream, ...] = ()
    """Upstreams that replied with an error: it is their fault if another upstream has an answer."""
    fetch: Fetch | None = None
    """Set while the question is asked again over TCP."""
    opt_left_out = False
    """The reply at hand is to the question without its OPT record."""
    heard = False
    """A reply came, but none that ends the question: the cause is not loss."""
    _further: tuple[FurtherAttempt, ...] = ()
    _missed: frozenset[Upstream] = frozenset()
    """Upstreams that answer others, but not an attempt of this question in time."""
    _refusals: tuple[tuple[Upstream, str], ...] = ()
    """Upstreams that refused OPT, and how."""
    _next_round_at = 0.0
    _paused = False
    """It waits for the next round."""

    @abstractmethod
    def accept(self, reply: bytes) -> Verdict:
        """What a matching reply is worth; unless it is broken, its content is kept for `ended`."""

    @abstractmethod
    def ended(self, failure: Failure | None) -> None:
        """The question has ended, with a failure or with the last reply that was accepted. Called once."""

    @abstractmethod
    def came_late(self, reply: bytes) -> None:
        """A reply came after the question had ended without one."""

    def tire(self) -> bool:
        """Its clients wait no longer; returns whether the question goes on without them."""
        return False

    def randomise_case(self) -> None:
        """Ask for the name in random case."""
        name = random_case(self.question[:-4])
        start = HEADER_SIZE - 2
        self.wire = self.wire[:start] + name + self.wire[start + len(name) :]
        self.question = name + self.question[-4:]
        self.exact = True

    def advance(self, now: float) -> None:
        """Ask the next upstream, now or when the next round is due. If none is left, wait for late replies, or end."""
        self.plain = False
        upstreams = self.upstreams
        while not self._paused:
            begins = not self.step % len(self.order)
            if begins and self.step:
                if self.fallback:
                    break
                if now < self._next_round_at:
                    self._paused = True
                    upstreams.pause(self, self._next_round_at)
                    return
                begun_at = upstreams.begun_at(self)
                assert begun_at is not None
                number = self.step // len(self.order) + 1
                self._next_round_at = next_round(begun_at, now, number, upstreams.draw())
            attempts = upstreams.next_attempts(self, now)
            if attempts is not None:
                if self.ask(attempts, now, False):
                    return
            elif begins:
                break  # no upstream is worth another attempt
        if not self._paused and not self._may_still_be_answered():
            self.give_up()

    def resume(self, now: float) -> None:
        """The time of the next round has come."""
        self._paused = False
        self._go_on(now)

    def ask(self, attempts: Attempts, now: float, hedge: bool, without: bool = False) -> bool:
        """Ask an upstream, `without` OPT or as the upstream needs; False if that failed at once."""
        left_out = without_opt(self.wire, self.question) if without or self._leaves_out(attempts, now) else None
        if self.first is None and left_out is None:
            if not attempts.upstream.ask(self):
                return False
            self.first = attempts
            attempts.fresh[self] = now
        else:
            further = FurtherAttempt(self, attempts, hedge, left_out)
            if not attempts.upstream.ask(further):
                return False
            attempts.fresh[further] = now
            self._further += (further,)
        self.live += 1
        return True

    def datagrams(self, attempts: Attempts) -> int:
        """How often an upstream was asked this question."""
        return (self.first is attempts) + sum([further.attempts is attempts for further in self._further])

    def since(self, asked_at: float) -> float:
        """See Attempt."""
        begun_at = None if self.over else self.upstreams.begun_at(self)
        return asked_at if begun_at is None else begun_at

    def missed(self, upstream: Upstream) -> None:
        """See Attempt."""
        self.plain = False
        self._missed |= {upstream}

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
                health.rtt.add(now - asked_at)
            else:
                health.replied(now, asked_at)
            first.answered = self
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

    def slow(self, now: float, upstream: Upstream) -> None:
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

    def folded(self, upstream: UdpUpstream) -> None:
        """See Asker."""
        self.fold(upstream, self.wire)

    def fold(self, upstream: UdpUpstream, wire: bytes) -> None:
        """A reply to this message came that is right except for the case of its name."""
        self.plain = False
        if not self.over and not self.fetch:
            self.fetch = self.upstreams.fetches.begin(self, upstream, time.monotonic(), wire)

    def take(self, attempt: Attempt, attempts: Attempts, reply: bytes, hedge: bool) -> None:
        """A reply to an attempt came; `hedge`: the attempt was made while an earlier one was slow."""
        self.plain = False
        upstream = attempts.upstream
        now = time.monotonic()
        refused = refusal(reply, self.question) if attempt.opt else ""
        live = attempts.replied(attempt, reply, now, refused)
        if live:
            self.live -= 1
        if self.over or not live:
            upstream.late += 1
            if self.over:
                if self.failed and not (reply[3] & 15 in _ERRORS or reply[2] & _TC_OCTET or refused):
                    self.opt_left_out = self.opt and not attempt.opt
                    self.came_late(reply)
                return
        self.heard = True
        if len(reply) > self.largest and isinstance(upstream, UdpUpstream):
            self._reject(upstream, now)
        elif refused:
            attempts.expect_more(attempt, now)
            self._ask_without_opt(attempts, reply, refused, now, hedge)
        elif reply[3] & 15 in _ERRORS:
            self._take_error(upstream, reply, now)
        elif not (reply[2] & _TC_OCTET and isinstance(upstream, UdpUpstream)):
            self._take_answer(upstream, reply, now, attempt.opt, hedge, live)
        elif not self.fetch:
            upstream.truncated += 1
            if not self.whole:
                self.fallback = reply
            self.fetch = self.upstreams.fetches.begin(self, upstream, now, attempt.wire)
            if self.fetch is None:
                self.not_fetched()

    def fetched(self, upstream: UdpUpstream, reply: bytes) -> None:
        """See Truncated."""
        assert self.fetch is not None
        with_opt = self.opt and self.fetch.wire == self.wire
        self.fetch = None
        now = time.monotonic()
        refused = refusal(reply, self.question) if with_opt else ""
        left_out = without_opt(self.wire, self.question) if refused else None
        if left_out:
            self._refusals += ((upstream, refused),)
            self.fetch = self.upstreams.fetches.begin(self, upstream, now, left_out)
            if self.fetch is None:
                self.not_fetched()
        elif reply[3] & 15 in _ERRORS:
            self._take_error(upstream, reply, now)
        else:
            self._take_answer(upstream, reply, now, with_opt, False, True)

    def not_fetched(self) -> None:
        """See Truncated."""
        self.fetch = None
        if self.whole or not self.fallback:
            self._go_on(time.monotonic())
        else:
            self.give_up()

    def is_alive(self, begun_at: float) -> bool:
        """Whether an upstream that was asked answers others, so that this question is worth a longer wait."""
        return not self.fallback and (self.fetch is not None or bool(self.alive(begun_at)))

    def alive(self, begun_at: float) -> list[Upstream]:
        """The upstreams that were asked this question, and have answered something asked since it began."""
        asked = {further.attempts.upstream for further in self._further}
        if self.first is not None:
            asked.add(self.first.upstream)
        return [upstream for upstream in asked if upstream.health.alive_since(begun_at)]

    def overdue(self, now: float, failure: Failure) -> None:
        """The deadline has come."""
        if self.fetch:
            self.fetch.timed_out(now)
            self.fetch = None
        self.give_up(failure)

    def drop(self) -> None:
        """Make room for others: end, and wait for no replies."""
        if self.first is not None:
            self.first.abandon(self)
        for further in self._further:
            further.attempts.abandon(further)
        self.finish(Failure.OVERLOAD)

    def give_up(self, failure: Failure = Failure.UPSTREAM) -> None:
        """End with the best reply, or without one."""
        usable = self.fallback and self.accept(self.fallback) is not Verdict.BROKEN
        self.failed = not usable
        self.finish(None if usable else failure)

    def finish(self, failure: Failure | None) -> None:
        """End; see `ended`."""
        self.over = True
        self.upstreams.remove(self)
        if not self.plain:
            # Attempts refer to their question: this breaks the cycle, which only the garbage collector would find.
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
        """Whether a late reply is worth waiting for: if there is a fallback, only one from an upstream that is up; and
        never one to a message with OPT from an upstream that refused OPT.
        """
        waiting = [further.attempts for further in self._further if self._is_awaited(further, further.attempts)]
        if self.first is not None and self._is_awaited(self, self.first):
            waiting.append(self.first)
        return any(not self.fallback or attempts.upstream.health.up for attempts in waiting)

    def _is_awaited(self, attempt: Attempt, attempts: Attempts) -> bool:
        return attempt in attempts and not (attempt.opt and self._has_refused(attempts.upstream))

    def _leaves_out(self, attempts: Attempts, now: float) -> bool:
        """Whether the next datagram to an upstream omits OPT: the upstream cannot take OPT, or was silent to it."""
        if not self.opt:
            return False
        edns = attempts.upstream.health.edns
        if edns.asks_without(now) or self._has_refused(attempts.upstream):
            return True
        more = self.datagrams(attempts) - edns.silence_turn
        if more < 0 or more % 2:
            return False
        begun_at = self.upstreams.begun_at(self)
        return begun_at is not None and edns.answered_at <= begun_at

    def _ask_without_opt(self, attempts: Attempts, reply: bytes, refused: str, now: float, hedge: bool) -> None:
        """OPT was refused, or the refusal was forged: ask the same upstream without OPT, once."""
        upstream = attempts.upstream
        if self._has_refused(upstream):
            self._go_on(now)
            return
        self._refusals += ((upstream, refused),)
        if without_opt(self.wire, self.question) is None or not self.ask(attempts, now, hedge, without=True):
            self._take_error(upstream, reply, now)

    def _has_refused(self, upstream: Upstream) -> bool:
        return any(refusing is upstream for refusing, _ in self._refusals)

    def _learn(self, upstream: Upstream, now: float) -> None:
        """An upstream answered the question without OPT, but not with OPT."""
        health = upstream.health
        refused = next((how for refusing, how in self._refusals if refusing is upstream), "")
        if refused:
            health.edns.refused(now, refused)
        elif not health.edns.asks_without(now):
            health.edns.silent(now)
        health.weigh()

    def _take_error(self, upstream: Upstream, reply: bytes, now: float) -> None:
        self.fallback = reply
        if reply[3] & 15 in ERRORS_TO_BLAME or not reply[3] & 15:
            self.blamed += (upstream,)
        self._go_on(now)

    def _reject(self, upstream: Upstream, now: float) -> None:
        upstream.malformed += 1
        upstream.health.failed(now)
        self._go_on(now)

    def _take_answer(
        self, upstream: Upstream, reply: bytes, now: float, with_opt: bool, hedge: bool, in_time: bool
    ) -> None:
        self.opt_left_out = self.opt and not with_opt
        verdict = self.accept(reply)
        if verdict is not Verdict.GOOD:
            if verdict is Verdict.BROKEN:
                self._reject(upstream, now)
            else:
                self._take_error(upstream, reply, now)
            return
        if hedge:
            upstream.hedges_won += 1
        if self.opt_left_out:
            self._learn(upstream, now)
        for blamed in self.blamed:
            blamed.health.erred(now)
        if in_time:
            # So the name was not slow.
            for missed in self._missed:
                missed.health.failed(now, "no reply in time")
        for attempts in self.upstreams.attempts:
            if attempts.upstream is upstream:
                attempts.answered = self
        self.finish(None)

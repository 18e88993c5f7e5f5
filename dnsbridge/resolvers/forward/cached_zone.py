"""Forwarding with a cache in front: a question is in flight once, and kept answers serve when nothing better comes.

    fresh       the kept answer, its TTLs counted down
    expired     the upstreams are asked; after STALE_TIMER, when they fail, or at once when they are known to be down,
                the expired answer goes out with TTL 30 (RFC 8767), until it is `serve_stale` old
    failed      remembered for FAILURE_TTL: the failure, or the expired answer, at once (RFC 9520); an answer that comes
                late is kept, and the failure forgotten
    absent      the upstreams are asked, once for all who wait

Upstreams are asked the same question whoever asks here: the name in lower case, our own EDNS with the client's DO, its
CD. What depends on more than that (other classes, end-to-end EDNS options, records beside the question, RD clear) goes
past the cache.

An answer that leads on (see wire.scrub) is kept up to its last alias. Whoever asks gets it joined with what the target
gives at that moment (see chain).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import structs

from dnsbridge.resolvers.chain import Beyond, Link
from dnsbridge.resolvers.forward.answer_table import KINDS, CacheStore, Held, Key
from dnsbridge.resolvers.forward.edns_ability import NO_DNSSEC
from dnsbridge.resolvers.forward.exchange import Asking, Verdict
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, settle
from dnsbridge.wire import edns
from dnsbridge.wire.constants import AD, ADVERTISED_UDP_SIZE, CD, HEADER_SIZE, RD, Class
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, compose
from dnsbridge.wire.stored import FAILURE_TTL, STALE, Stored, keep

STALE_TIMER = 1.8
"""Seconds that a client waits for the upstreams before it gets an expired answer (RFC 8767 section 5)."""
MAX_WAITERS = 1000
"""Clients that may wait for one question."""
MAX_FAILURES = 10_000
MAX_PREFETCHING = 1000
"""With so many questions out, none is added of which nobody waits for the answer."""
PREFETCH_SHARE = 0.1
"""An answer that was asked for again is fetched anew in the last part of its life."""
PREFETCH_HITS = 2
PREFETCH_TTL = 5
"""Seconds; what lives shorter than this would be fetched about twice as often."""
_MESSAGES = {
    dnssec_ok | checking_disabled: (
        compose(b"", 0, 0, 0, RD | AD | checking_disabled, edns.record(False))[2:HEADER_SIZE],
        dnssec_ok,
        edns.record(dnssec_ok),
    )
    for dnssec_ok in (False, True)
    for checking_disabled in (0, CD)
}
"""By the last octet of a key: what comes before its question, the DO bit, and what comes after."""
_IN = int(Class.IN)
"""Faster to compare with than the member of an enumeration."""

Reason = Failure | Stored
"""Why the upstreams gave no data: they were silent, or what they said instead."""


class Aging(msgspec.Struct, gc=False):
    """The body of a kept answer, made anew each second in which it is asked for; when a newer answer takes the place of
    the kept one, it is that one's.
    """

    cached: "Cached"
    key: Key
    held: Held
    query: Query
    second: int = -1
    body: bytes = b""

    @property
    def weight(self) -> int:
        """Octets that it holds: the body of a second, beside the kept answer."""
        return len(self.query.message) + len(self.held.stored.records)

    def octets(self) -> bytes:
        """The body of this second."""
        now = self.cached.clock()
        if now != self.second:
            held = self.held
            if self.second >= 0:  # the first time is counted by whoever made this
                held.hits += 1
                self.cached.prefetch(self.key, held, self.query, now)
            self.second = now
            self.body = held.stored.render(self.query, now - held.since)
        return self.body


class Waiting(Pending):
    """A client's question that waits for a fetch which another began."""

    __slots__ = ("query",)

    def __init__(self, query: Query) -> None:
        super().__init__()
        self.query = query


class Fetch(Asking, Pending):
    """A question that is out, and who waits for it. It is itself what the client gets that it began with."""

    further: tuple[Waiting, ...] = ()
    held: Held | None = None
    """An expired answer, to be used if nothing comes."""
    kept: Stored | None = None
    """What came."""
    largest = ADVERTISED_UDP_SIZE
    timer: asyncio.TimerHandle | None = None
    late = False
    """Nobody is made to wait any more."""

    def __init__(self, cached: "Cached", key: Key, query: Query | None) -> None:
        """`query` is what the client asks, None where no client waits."""
        # Not by the base class's own method: a call for each question.
        self.outcome = None
        self._waiters = ()
        head, self._dnssec_ok, opt = _MESSAGES[key[-1]]
        self.key = key
        self.query = query
        self.question = question = key[:-1]
        self.wire = head + question + opt
        self._cached = cached

    def accept(self, reply: bytes) -> Verdict:
        """See Asking."""
        beyond = self._cached.beyond
        kept = keep(self.question, self._dnssec_ok, reply, beyond.whose if beyond else None)
        if not isinstance(kept, Stored):
            return Verdict.BROKEN
        if self.opt_left_out and self._dnssec_ok:
            kept = structs.replace(kept, said=kept.said + NO_DNSSEC)
        self.kept = kept
        return Verdict.USELESS if kept.failed else Verdict.GOOD

    def ended(self, failure: Failure | None) -> None:
        """See Asking."""
        cached = self._cached
        del cached.fetches[self.key]
        if self.timer:
            self.timer.cancel()
        kept = self.kept
        if failure is not None or kept is None or kept.failed:
            cached.failed(self, failure or kept or Failure.UPSTREAM)
            return
        if cached.failures:
            cached.failures.pop(self.key, None)
        if kept.ttl:
            cached.store.put(self.key, kept, cached.clock())
        if kept.leads_on:
            self._settle_followed(kept)
            return
        if self.query is not None:
            self.settle(Answer(kept.render(self.query, 0)))
        for waiting in self.further:
            waiting.settle(Answer(kept.render(waiting.query, 0)))

    def came_late(self, reply: bytes) -> None:
        """See Asking."""
        if self.accept(reply) is Verdict.GOOD and self.kept is not None:
            self._cached.came_late(self.key, self.kept)

    def tire(self) -> bool:
        """See Asking: who asks again joins."""
        cached = self._cached
        self.settle_all(lambda query: cached.given_up(query, self.held, Failure.SLOW_UPSTREAM))
        return True

    def _settle_followed(self, kept: Stored) -> None:
        """Give everybody who waits the answer that is made of a link and its target, made once for each question."""
        found: dict[tuple[bytes, int, tuple[bytes, ...]], Outcome | Pending] = {}

        def settled(query: Query) -> Outcome | Pending:
            key = query.message[2:], query.limit, query.trail
            if key not in found:
                found[key] = self._cached.follow(query, Link(kept.links(query, 0)))
            return found[key]

        self.settle_all(settled)

    def settle_all(self, settled: Callable[[Query], Outcome | Pending]) -> None:
        """Give everybody who waits, and waits no longer then, what `settled` says for each."""
        further, self.further = self.further, ()
        if self.query is not None:
            query, self.query = self.query, None
            settle(self, settled(query))
        for waiting in further:
            settle(waiting, settled(waiting.query))


class Forwarder(Protocol):
    """What a cache stands before."""

    def resolve(self, query: Query, beyond: Beyond | None = None) -> Outcome | Pending:
        """See Forward."""
        ...

    def ask(self, asking: Asking) -> None:
        """See Forward."""
        ...


class Cached:
    """A forward zone with a cache. Counters only grow."""

    def __init__(
        self,
        forward: Forwarder,
        store: CacheStore,
        clock: Callable[[], int],
        *,
        serve_stale: float,
        prefetch: bool,
        down: Callable[[], bool] = lambda: False,
        stale_timer: float = STALE_TIMER,
    ) -> None:
        """`clock` gives monotonic whole seconds, cheaply; `down` says whether all upstreams are known to be silent;
        `serve_stale` and `stale_timer` are in seconds.
        """
        self.clock = clock
        self.hits = 0
        """Answers from the cache; those that were prepared (see prepared) are counted there."""
        self.misses = 0
        self.stale = 0
        """Expired answers given."""
        self.failures_held = 0
        """Questions answered by a remembered failure."""
        self.prefetches = 0
        self.overloads = 0
        """Questions not taken because too many wait for the same."""
        self.late = 0
        """Answers that came after their question had failed."""
        self.past = 0
        """Questions that went past the cache."""
        self._forward = forward
        self.beyond: Beyond | None = None
        """Where chains lead to; without it none is followed."""
        self.store = store
        self._serve_stale = serve_stale
        self._prefetch = prefetch
        self._down = down
        self._stale_timer = stale_timer
        self.fetches: dict[Key, Fetch] = {}
        self.failures: dict[Key, tuple[int, Reason]] = {}
        """Until when, and what. A dict, for each question that is new is looked for here: the TTLCache of cachetools
        would add some 5% to what a forwarded question costs.
        """

    def resolve(self, query: Query) -> Outcome | Pending:
        """The kept answer, or the upstreams'."""
        message = query.message
        question = query.question
        options = query.edns
        if (
            query.qclass != _IN
            or not query.flags & RD
            or not self.store.size
            or (
                len(message) != HEADER_SIZE + len(question)
                if options is None
                else not _is_common(options, query.question_end, len(message))
            )
        ):
            self.past += 1
            return self._forward.resolve(query, self.beyond)
        key = query.folded + question[-4:] + KINDS[query.flags & CD | (options is not None and options.dnssec_ok)]
        held = self.store.get(key)
        if held is not None:
            now = self.clock()
            if now < held.expires:
                self.hits += 1
                self.prefetch(key, held, query, now)
                if held.stored.leads_on:
                    return self.follow(query, self._link(key, held, query, now))
                return Answer(Aging(self, key, held, query), expires=held.expires)
            if now >= held.expires + self._serve_stale:
                held = None
        failure = self.failures.get(key)
        if failure is not None:
            if self.clock() < failure[0]:
                self.failures_held += 1
                return self.given_up(query, held, failure[1])
            del self.failures[key]
        self.misses += 1
        fetch = self.fetches.get(key)
        if fetch is None:
            down = held is not None and self._down()
            fetch = self.fetches[key] = Fetch(self, key, None if down else query)
            if held is not None:
                fetch.held, fetch.late = held, down
            self._forward.ask(fetch)
            if down:
                return self.given_up(query, held, Failure.UPSTREAM)
            if fetch.outcome is not None:
                return fetch.outcome
            waiting: Pending = fetch
        elif held is not None and fetch.late:
            return self.given_up(query, held, Failure.UPSTREAM)
        elif len(fetch.further) + 1 >= MAX_WAITERS:
            self.overloads += 1
            return self.given_up(query, held, Failure.OVERLOAD)
        else:
            waiting = further = Waiting(query)
            fetch.further += (further,)
            fetch.held = held
        if held is not None and fetch.timer is None:
            fetch.timer = asyncio.get_running_loop().call_later(self._stale_timer, self._lose_patience, fetch)
        return waiting

    def prefetch(self, key: Key, held: Held, query: Query, now: int) -> None:
        """Ask anew for an answer that is asked for often and will expire soon."""
        ttl = held.stored.ttl
        if (
            held.expires - now > max(1, int(ttl * PREFETCH_SHARE))
            or ttl < PREFETCH_TTL
            or held.hits < PREFETCH_HITS
            or not self._prefetch
            or key in self.fetches
            or len(self.fetches) >= MAX_PREFETCHING
        ):
            return
        failure = self.failures.get(key)
        if failure is None or now >= failure[0]:
            self.prefetches += 1
            fetch = self.fetches[key] = Fetch(self, key, None)
            self._forward.ask(fetch)

    def follow(self, query: Query, link: Link) -> Outcome | Pending:
        """The answer that is made of a link and its target."""
        return self.beyond.chains.follow(query, link) if self.beyond else Failure.INTERNAL

    def _link(self, key: Key, held: Held, query: Query, now: int) -> Link:
        """A kept answer that leads on."""
        stored = held.stored

        def again(now: int) -> None:
            held.hits += 1
            self.prefetch(key, held, query, now)

        return Link(stored.links(query, now - held.since), expires=held.expires, since=now, again=again)

    def replace(self, forward: Forwarder) -> None:
        """Ask other upstreams from now on; what is out at the old ones is still waited for."""
        self._forward = forward

    def forget_failures(self, name: bytes | None) -> None:
        """Forget what failed of a folded name (None: of all)."""
        for key in [key for key in self.failures if name is None or key[:-5] == name]:
            del self.failures[key]

    def failed(self, fetch: Fetch, why: Reason) -> None:
        """The upstreams have given no data."""
        if why is not Failure.OVERLOAD:
            self.failures.pop(fetch.key, None)
            if len(self.failures) >= MAX_FAILURES:
                del self.failures[next(iter(self.failures))]
            self.failures[fetch.key] = (self.clock() + FAILURE_TTL, why)
        fetch.settle_all(lambda query: self.given_up(query, fetch.held, why))

    def came_late(self, key: Key, kept: Stored) -> None:
        """An answer to a question that had failed: good for who asks next, and for who has asked again."""
        self.late += 1
        self.failures.pop(key, None)
        if kept.ttl:
            self.store.put(key, kept, self.clock())
        fetch = self.fetches.get(key)
        if fetch is not None:
            fetch.settle_all(lambda query: Answer(kept.render(query, 0)))

    def _lose_patience(self, fetch: Fetch) -> None:
        """The upstreams take long: an expired answer now is better than a fresh one too late."""
        fetch.late = True
        fetch.settle_all(lambda query: self.given_up(query, fetch.held, Failure.UPSTREAM))

    def given_up(self, query: Query, held: Held | None, why: Reason) -> Outcome | Pending:
        """What a client gets when the upstreams give nothing."""
        if held is not None:
            self.stale += 1
            if held.stored.leads_on:
                return self.follow(query, Link(held.stored.links(query, None), (STALE,)))
            return Answer(held.stored.render_stale(query))
        return why if isinstance(why, Failure) else Answer(why.render(query, 0))


def _is_common(options: edns.Edns, question_end: int, size: int) -> bool:
    """Whether the OPT record is all that a question has beside it, without options that are end to end."""
    if options.start != question_end or options.end != size:
        return False
    return not options.options or all(code in edns.HOP_BY_HOP for code, _ in edns.split_options(options.options))

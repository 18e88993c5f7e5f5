"""A forward zone with a cache in front: each question is in flight once, and stale answers serve as a last resort.

    fresh       the cached answer is given, its TTLs counted down
    expired     the upstreams are asked; after STALE_TIMER, when they fail, or at once when they are known to be down,
                the expired answer is given with TTL 30 (RFC 8767), up to `serve_stale` seconds after its expiry
    failed      the failure is remembered for FAILURE_TTL (RFC 9520): it, or the expired answer, is given at once; a
                late answer is kept, and the failure forgotten
    absent      the upstreams are asked, once for all waiting clients

The upstreams are asked the same question for every client: the name in lower case, our own EDNS with the client's DO,
and the client's CD. A question that depends on more (other classes, end-to-end EDNS options, records beside the
question, RD clear) bypasses the cache.

An answer that leads on (see wire.scrub) is kept up to its last alias. Each client gets it joined with the current
answer for the target (see chain).
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
"""With so many questions in flight no prefetch begins."""
PREFETCH_SHARE = 0.1
"""An answer that was asked for again is fetched anew in this last part of its life."""
PREFETCH_HITS = 2
PREFETCH_TTL = 5
"""Seconds; an answer that lives shorter would be fetched about twice as often."""
_MESSAGES = {
    dnssec_ok | checking_disabled: (
        compose(b"", 0, 0, 0, RD | AD | checking_disabled, edns.record(False))[2:HEADER_SIZE],
        dnssec_ok,
        edns.record(dnssec_ok),
    )
    for dnssec_ok in (False, True)
    for checking_disabled in (0, CD)
}
"""By the last octet of a key: the octets before its question, the DO bit, and the octets after it."""
_IN = int(Class.IN)
"""An int: numbers compare faster than enum members."""

Reason = Failure | Stored
"""Why the upstreams gave no data: a failure such as silence, or the error that they replied with."""


class Aging(msgspec.Struct, gc=False):
    """The body of a cached answer, made anew each second in which it is asked for. When a newer answer replaces the
    cached one, this becomes the body of the newer one.
    """

    cached: "Cached"
    key: Key
    held: Held
    query: Query
    second: int = -1
    body: bytes = b""

    @property
    def weight(self) -> int:
        """Octets that it holds beside the cached answer: the body of one second."""
        return len(self.query.message) + len(self.held.stored.records)

    def octets(self) -> bytes:
        """The body of this second."""
        now = self.cached.clock()
        if now != self.second:
            held = self.held
            if self.second >= 0:  # the first use was counted when this was made
                held.hits += 1
                self.cached.prefetch(self.key, held, self.query, now)
            self.second = now
            self.body = held.stored.render(self.query, now - held.since)
        return self.body


class Waiting(Pending):
    """A client's question that waits for a fetch that another question began."""

    __slots__ = ("query",)

    def __init__(self, query: Query) -> None:
        super().__init__()
        self.query = query


class Fetch(Asking, Pending):
    """A question in flight and the clients that wait for its answer; itself the Pending of the client that began it."""

    further: tuple[Waiting, ...] = ()
    held: Held | None = None
    """An expired answer, to be used if no answer comes."""
    kept: Stored | None = None
    """The answer that came."""
    largest = ADVERTISED_UDP_SIZE
    timer: asyncio.TimerHandle | None = None
    late = False
    """Clients no longer wait if there is an expired answer."""

    def __init__(self, cached: "Cached", key: Key, query: Query | None) -> None:
        """`query` is what the client asks, None where no client waits."""
        # Not by the base class's __init__, which would be a call for each question.
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
        """See Asking: a client that asks again joins."""
        cached = self._cached
        self.settle_all(lambda query: cached.given_up(query, self.held, Failure.SLOW_UPSTREAM))
        return True

    def _settle_followed(self, kept: Stored) -> None:
        """Give every waiting client the link joined with its target's answer, made once for each distinct question."""
        found: dict[tuple[bytes, int, tuple[bytes, ...]], Outcome | Pending] = {}

        def settled(query: Query) -> Outcome | Pending:
            key = query.message[2:], query.limit, query.trail
            if key not in found:
                found[key] = self._cached.follow(query, Link(kept.links(query, 0)))
            return found[key]

        self.settle_all(settled)

    def settle_all(self, settled: Callable[[Query], Outcome | Pending]) -> None:
        """Settle every waiting client with what `settled` gives for its question; no client waits afterwards."""
        further, self.further = self.further, ()
        if self.query is not None:
            query, self.query = self.query, None
            settle(self, settled(query))
        for waiting in further:
            settle(waiting, settled(waiting.query))


class Forwarder(Protocol):
    """The forward zone behind a cache."""

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
        """Answers from the cache; prepared answers are counted elsewhere (see prepared)."""
        self.misses = 0
        self.stale = 0
        """Expired answers given."""
        self.failures_held = 0
        """Questions answered by a remembered failure."""
        self.prefetches = 0
        self.overloads = 0
        """Questions not taken because too many clients wait for the same one."""
        self.late = 0
        """Answers that came after their question had failed."""
        self.past = 0
        """Questions that bypassed the cache."""
        self._forward = forward
        self.beyond: Beyond | None = None
        """The sources that chains lead to; None: no chain is followed."""
        self.store = store
        self._serve_stale = serve_stale
        self._prefetch = prefetch
        self._down = down
        self._stale_timer = stale_timer
        self.fetches: dict[Key, Fetch] = {}
        self.failures: dict[Key, tuple[int, Reason]] = {}
        """Until when, and why. A dict, because each new question is looked up here: cachetools' TTLCache would add some
        5% to the cost of a forwarded question.
        """

    def resolve(self, query: Query) -> Outcome | Pending:
        """The cached answer, or the upstreams' answer."""
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
                return Answer(Aging(self, key, held, query), expires=held.expires, source="cache")
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
        """Fetch an answer anew that is asked for often and will expire soon."""
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
        """A link joined with the answer for its target."""
        return self.beyond.chains.follow(query, link) if self.beyond else Failure.INTERNAL

    def _link(self, key: Key, held: Held, query: Query, now: int) -> Link:
        """The link of a cached answer that leads on."""
        stored = held.stored

        def again(now: int) -> None:
            held.hits += 1
            self.prefetch(key, held, query, now)

        return Link(stored.links(query, now - held.since), expires=held.expires, since=now, again=again)

    def replace(self, forward: Forwarder) -> None:
        """Ask other upstreams from now on; replies from the old ones are still taken."""
        self._forward = forward

    def forget_failures(self, name: bytes | None) -> None:
        """Forget the failures of a folded name (None: of all names)."""
        for key in [key for key in self.failures if name is None or key[:-5] == name]:
            del self.failures[key]

    def failed(self, fetch: Fetch, why: Reason) -> None:
        """The upstreams gave no data: remember that, and tell the waiting clients."""
        if why is not Failure.OVERLOAD:
            self.failures.pop(fetch.key, None)
            if len(self.failures) >= MAX_FAILURES:
                del self.failures[next(iter(self.failures))]
            self.failures[fetch.key] = (self.clock() + FAILURE_TTL, why)
        fetch.settle_all(lambda query: self.given_up(query, fetch.held, why))

    def came_late(self, key: Key, kept: Stored) -> None:
        """Keep a late answer to a question that had failed, and give it to clients that have asked again."""
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
        """What a client gets when the upstreams give no answer."""
        if held is not None:
            self.stale += 1
            if held.stored.leads_on:
                return self.follow(query, Link(held.stored.links(query, None), (STALE,)))
            return Answer(held.stored.render_stale(query), source="stale")
        return why if isinstance(why, Failure) else Answer(why.render(query, 0))


def _is_common(options: edns.Edns, question_end: int, size: int) -> bool:
    """Whether the OPT record is the only record beside the question, and has no end-to-end options."""
    if options.start != question_end or options.end != size:
        return False
    return not options.options or all(code in edns.HOP_BY_HOP for code, _ in edns.split_options(options.options))

"""Forwarding with a cache in front: a question is in flight once, and kept answers serve when nothing better comes.

    fresh       the kept answer, its TTLs counted down
    expired     the upstreams are asked; after STALE_TIMER, when they fail, or at once when they are known to be down,
                the expired answer goes out with TTL 30 (RFC 8767), until it is `serve_stale` old
    failed      remembered for FAILURE_TTL: the failure, or the expired answer, at once (RFC 9520)
    absent      the upstreams are asked, once for all who wait

Upstreams are asked the same question whoever asks here: the name in lower case, our own EDNS with the client's DO, its
CD. What depends on more than that (other classes, end-to-end EDNS options, records beside the question, RD clear) goes
past the cache.
"""

import asyncio
from collections.abc import Callable

from dnsbridge.resolvers.cache_store import CacheStore, Held, Key
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver
from dnsbridge.wire import edns
from dnsbridge.wire.compose import octets
from dnsbridge.wire.constants import AD, ADVERTISED_UDP_SIZE, CD, MAX_MESSAGE, RD, Class
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, compose
from dnsbridge.wire.stored import FAILURE_TTL, Stored, keep

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
_OPT = {dnssec_ok: edns.record(dnssec_ok) for dnssec_ok in (False, True)}

Reason = Failure | Stored
"""Why the upstreams gave no data: they were silent, or what they said instead."""


class Aging:
    """The body of a kept answer, made anew each second in which it is asked for; when a newer answer takes the place of
    the kept one, it is that one's.
    """

    __slots__ = ("_body", "_cached", "_held", "_key", "_query", "_second")

    def __init__(self, cached: "Cached", key: Key, held: Held, query: Query) -> None:
        self._cached = cached
        self._key = key
        self._held = held
        self._query = query
        self._second = -1
        self._body = b""

    @property
    def weight(self) -> int:
        """Octets that it holds: the body of a second, beside the kept answer."""
        return len(self._query.message) + len(self._held.stored.records)

    def octets(self) -> bytes:
        """The body of this second."""
        now = self._cached.clock()
        if now != self._second:
            held = self._held
            if self._second >= 0:  # the first time is counted by whoever made this
                held.hits += 1
                self._cached.prefetch(self._key, held, self._query, now)
            self._second = now
            self._body = held.stored.render(self._query, now - held.since)
        return self._body


class _Fetch:
    """A question that is out, and who waits for it."""

    __slots__ = ("held", "late", "timer", "waiters")

    def __init__(self) -> None:
        self.held: Held | None = None
        """An expired answer, to be used if nothing comes."""
        self.waiters: list[tuple[Query, Pending]] = []
        self.timer: asyncio.TimerHandle | None = None
        self.late = False
        """Nobody is made to wait any more."""


class Cached:
    """A forward zone with a cache. Counters only grow."""

    def __init__(
        self,
        forward: Resolver,
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
        self.broken = 0
        """Replies that could not be made sense of."""
        self.past = 0
        """Questions that went past the cache."""
        self._forward = forward
        self._store = store
        self._serve_stale = serve_stale
        self._prefetch = prefetch
        self._down = down
        self._stale_timer = stale_timer
        self._fetches: dict[Key, _Fetch] = {}
        self._failures: dict[Key, tuple[int, Reason]] = {}
        """Until when, and what."""

    def resolve(self, query: Query) -> Outcome | Pending:
        """The kept answer, or the upstreams'."""
        message = query.message
        end = query.question_end
        options = query.edns
        if (
            query.qclass != Class.IN
            or not message[2] & (RD >> 8)
            or not self._store.size
            or (options is None and len(message) != end)
            or (options is not None and not _is_common(options, end, len(message)))
        ):
            self.past += 1
            return self._forward.resolve(query)
        dnssec_ok = options is not None and options.dnssec_ok
        key = query.folded + message[end - 4 : end] + bytes((dnssec_ok | message[3] & CD,))
        now = self.clock()
        held = self._store.get(key)
        if held is not None:
            if now < held.expires:
                self.hits += 1
                self.prefetch(key, held, query, now)
                return Answer(Aging(self, key, held, query), expires=held.expires)
            if now >= held.expires + self._serve_stale:
                held = None
        failure = self._failures.get(key)
        if failure is not None:
            if now < failure[0]:
                self.failures_held += 1
                return self._given_up(query, held, failure[1])
            del self._failures[key]
        self.misses += 1
        fetch = self._fetches.get(key)
        if held is not None and (fetch.late if fetch else self._down()):
            if fetch is None:
                self._fetches[key] = fetch = _Fetch()
                fetch.held, fetch.late = held, True
                self._ask(key, query, dnssec_ok)
            return self._given_up(query, held, Failure.UPSTREAM)
        waiting = Pending()
        if fetch is None:
            fetch = self._fetches[key] = _Fetch()
            fetch.waiters.append((query, waiting))
            fetch.held = held
            self._ask(key, query, dnssec_ok)
        elif len(fetch.waiters) >= MAX_WAITERS:
            self.overloads += 1
            return self._given_up(query, held, Failure.OVERLOAD)
        else:
            fetch.waiters.append((query, waiting))
            fetch.held = held
        if waiting.outcome is not None:
            return waiting.outcome
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
            or key in self._fetches
            or len(self._fetches) >= MAX_PREFETCHING
        ):
            return
        failure = self._failures.get(key)
        if failure is None or now >= failure[0]:
            self.prefetches += 1
            self._fetches[key] = _Fetch()
            self._ask(key, query, bool(query.edns and query.edns.dnssec_ok))

    def replace(self, forward: Resolver) -> None:
        """Ask other upstreams from now on; what is out at the old ones is still waited for."""
        self._forward = forward

    def forget_failures(self, name: bytes | None) -> None:
        """Forget what failed of a folded name (None: of all)."""
        for key in [key for key in self._failures if name is None or key[:-5] == name]:
            del self._failures[key]

    def _ask(self, key: Key, query: Query, dnssec_ok: bool) -> None:
        """Ask the upstreams the question of a key; the outcome goes to whoever waits for it by then."""
        opt = _OPT[dnssec_ok]
        flags = RD | AD | (query.message[3] & CD)
        message = compose(query.folded, query.qtype, query.qclass, 0, flags, opt)
        end = len(message)
        ours = Query(
            message,
            query.folded,
            query.folded,
            query.qtype,
            query.qclass,
            edns.Edns(end - len(opt), end, ADVERTISED_UDP_SIZE, 0, dnssec_ok, b""),
            MAX_MESSAGE,
            stream=True,
        )
        reached = self._forward.resolve(ours)
        if isinstance(reached, Pending):
            reached.then(lambda outcome: self._done(key, ours, outcome))
        else:
            self._done(key, ours, reached)

    def _done(self, key: Key, ours: Query, outcome: Outcome) -> None:
        """The upstreams have answered, or failed."""
        fetch = self._fetches.pop(key)
        if fetch.timer:
            fetch.timer.cancel()
        now = self.clock()
        why: Reason = Failure.UPSTREAM
        if isinstance(outcome, Failure):
            why = outcome
        else:
            kept = keep(ours, b"\0\0" + octets(outcome.body))
            if not isinstance(kept, Stored):
                self.broken += 1
            elif kept.failed:
                why = kept
            else:
                self._failures.pop(key, None)
                if kept.ttl:
                    self._store.put(key, kept, now)
                for query, waiting in fetch.waiters:
                    waiting.settle(Answer(kept.render(query, 0)))
                return
        if why is not Failure.OVERLOAD:
            self._failures.pop(key, None)
            if len(self._failures) >= MAX_FAILURES:
                del self._failures[next(iter(self._failures))]
            self._failures[key] = (now + FAILURE_TTL, why)
        for query, waiting in fetch.waiters:
            waiting.settle(self._given_up(query, fetch.held, why))

    def _lose_patience(self, fetch: _Fetch) -> None:
        """The upstreams take long: an expired answer now is better than a fresh one too late."""
        fetch.late = True
        waiters, fetch.waiters = fetch.waiters, []
        for query, waiting in waiters:
            waiting.settle(self._given_up(query, fetch.held, Failure.UPSTREAM))

    def _given_up(self, query: Query, held: Held | None, why: Reason) -> Outcome:
        """What a client gets when the upstreams give nothing."""
        if held is not None:
            self.stale += 1
            return Answer(held.stored.render_stale(query))
        return why if isinstance(why, Failure) else Answer(why.render(query, 0))


def _is_common(options: edns.Edns, question_end: int, size: int) -> bool:
    """Whether the OPT record is all that a question has beside it, without options that are end to end."""
    if options.start != question_end or options.end != size:
        return False
    return not options.options or all(code in edns.HOP_BY_HOP for code, _ in edns.split_options(options.options))

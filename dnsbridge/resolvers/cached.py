"""Forwarding with a cache in front: a question is in flight once, and kept answers serve when nothing better comes.

    fresh       the kept answer, its TTLs counted down
    expired     the upstreams are asked; after STALE_TIMER, or when they fail, the expired answer goes out with TTL 30
                (RFC 8767), until it is `serve_stale` old
    failed      remembered for FAILURE_TTL: the failure, or the expired answer, at once (RFC 9520)
    absent      the upstreams are asked, once for all who wait

Upstreams are asked the same question whoever asks here: the name in lower case, our own EDNS with the client's DO, its
CD. What depends on more than that (other classes, end-to-end EDNS options, RD clear) goes past the cache.
"""

import asyncio
from collections.abc import Callable

from dnsbridge.resolvers.cache_store import CacheStore, Held, Key
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver
from dnsbridge.wire import edns
from dnsbridge.wire.compose import octets
from dnsbridge.wire.constants import AD, ADVERTISED_UDP_SIZE, CD, MAX_MESSAGE, RD, Class, ExtendedError, Rcode
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, compose
from dnsbridge.wire.stored import FAILURE_TTL, Stored, keep

STALE_TIMER = 1.8
"""Seconds that a client waits for the upstreams before it gets an expired answer (RFC 8767 section 5)."""
MAX_WAITERS = 1000
"""Clients that may wait for one question."""
MAX_FAILURES = 10_000
PREFETCH_SHARE = 0.1
"""An answer that was asked for again is fetched anew in the last part of its life."""
PREFETCH_HITS = 2
_STALE = edns.extended_error(ExtendedError.STALE_ANSWER)
_OPT = {dnssec_ok: edns.record(dnssec_ok) for dnssec_ok in (False, True)}


class Aging:
    """The body of a kept answer, made anew each second in which it is asked for."""

    __slots__ = ("_body", "_cached", "_held", "_key", "_query", "_second", "_since")

    def __init__(self, cached: "Cached", key: Key, held: Held, query: Query) -> None:
        self._cached = cached
        self._key = key
        self._held = held
        self._query = query
        self._since = held.since
        self._second = -1
        self._body = b""

    def octets(self) -> bytes:
        """The body of this second."""
        now = self._cached.clock()
        if now != self._second:
            held = self._held
            self._second = now
            self._body = held.stored.render(self._query, now - held.since)
            held.hits += 1
            self._cached.prefetch(self._key, held, self._query, now)
        return self._body


class _Fetch:
    """A question that is out, and who waits for it."""

    __slots__ = ("held", "timer", "waiters")

    def __init__(self, held: Held | None) -> None:
        self.held = held
        """An expired answer, to be used if nothing comes."""
        self.waiters: list[tuple[Query, Pending]] = []
        self.timer: asyncio.TimerHandle | None = None


class Cached:
    """A forward zone with a cache."""

    def __init__(
        self,
        forward: Resolver,
        store: CacheStore,
        clock: Callable[[], int],
        replaced: Callable[[bytes], None],
        serve_stale: float,
        prefetch: bool,
    ) -> None:
        """`clock` gives monotonic whole seconds, cheaply; `replaced` is told a name whose answers have changed."""
        self.store = store
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
        self.past = 0
        """Questions that went past the cache."""
        self._forward = forward
        self._replaced = replaced
        self._serve_stale = serve_stale
        self._prefetch = prefetch
        self._fetches: dict[Key, _Fetch] = {}
        self._failures: dict[Key, tuple[int, Failure]] = {}

    def resolve(self, query: Query) -> Outcome | Pending:
        """The kept answer, or the upstreams'."""
        options = query.edns
        header = query.message[2:4]
        if (
            query.qclass != Class.IN
            or not header[0] & (RD >> 8)
            or not self.store.size
            or (options is not None and options.options and _has_end_to_end(options.options))
        ):
            self.past += 1
            return self._forward.resolve(query)
        dnssec_ok = options is not None and options.dnssec_ok
        key = (
            query.folded
            + query.message[query.question_end - 4 : query.question_end]
            + bytes((dnssec_ok | header[1] & CD,))
        )
        now = self.clock()
        held = self.store.get(key)
        if held is not None:
            if now < held.expires:
                self.hits += 1
                self.prefetch(key, held, query, now)
                return Answer(Aging(self, key, held, query), (query.folded,), expires=held.expires)
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
        if fetch is None:
            fetch = self._fetches[key] = _Fetch(held)
            waiting = Pending()
            fetch.waiters.append((query, waiting))
            self._ask(key, query, dnssec_ok)
            if held is not None and waiting.outcome is None:
                fetch.timer = asyncio.get_running_loop().call_later(STALE_TIMER, self._lose_patience, fetch)
            return waiting if waiting.outcome is None else waiting.outcome
        if len(fetch.waiters) >= MAX_WAITERS:
            self.overloads += 1
            return Failure.OVERLOAD
        waiting = Pending()
        fetch.waiters.append((query, waiting))
        return waiting

    def prefetch(self, key: Key, held: Held, query: Query, now: int) -> None:
        """Ask anew for an answer that is asked for often and will expire soon."""
        if not self._prefetch or held.hits < PREFETCH_HITS or key in self._fetches or key in self._failures:
            return
        ttl = held.stored.ttl
        if ttl > 1 and held.expires - now <= max(1, int(ttl * PREFETCH_SHARE)):
            self.prefetches += 1
            self._fetches[key] = _Fetch(None)
            self._ask(key, query, bool(query.edns and query.edns.dnssec_ok))

    def flush(self, name: bytes | None) -> int:
        """Forget all answers of a folded name (None: of all); how many there were."""
        self._failures.clear()
        return self.store.remove(name)

    async def close(self) -> None:
        """Let go of the timers."""
        for fetch in self._fetches.values():
            if fetch.timer:
                fetch.timer.cancel()

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
        if isinstance(outcome, Answer):
            kept = keep(ours, b"\0\0" + octets(outcome.body))
            if isinstance(kept, Stored) and kept.rcode != Rcode.SERVFAIL:
                self._failures.pop(key, None)
                if kept.ttl:
                    self.store.put(key, kept, now)
                    self._replaced(ours.folded)
                for query, waiting in fetch.waiters:
                    waiting.settle(Answer(kept.render(query, 0)))
                return
            outcome = Failure.UPSTREAM
        if outcome is not Failure.OVERLOAD:
            if len(self._failures) >= MAX_FAILURES:
                del self._failures[next(iter(self._failures))]
            self._failures[key] = (now + FAILURE_TTL, outcome)
        for query, waiting in fetch.waiters:
            waiting.settle(self._given_up(query, fetch.held, outcome))

    def _lose_patience(self, fetch: _Fetch) -> None:
        """The upstreams take long: an expired answer now is better than a fresh one too late."""
        waiters, fetch.waiters = fetch.waiters, []
        for query, waiting in waiters:
            waiting.settle(self._given_up(query, fetch.held, Failure.UPSTREAM))

    def _given_up(self, query: Query, held: Held | None, why: Failure) -> Outcome:
        """What a client gets when the upstreams give nothing."""
        if held is None:
            return why
        self.stale += 1
        return Answer(held.stored.render(query, 0, _STALE, stale=True))


def _has_end_to_end(options: bytes) -> bool:
    return any(code not in edns.HOP_BY_HOP for code, _ in edns.split_options(options))

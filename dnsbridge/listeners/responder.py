"""The responder: turns the octets of one message into the octets of its answer, over UDP and TCP alike.

    respond(message, ...)    answers a client that may ask
    refuse(message, ...)     refuses a client that may not

Both return the body of the answer (the message without its two ID octets), or `Ignored` when there is no answer.
`respond` may also return a `Later`, for a body that is not ready yet.
"""

import logging
import time
from collections.abc import Callable
from functools import partial

from dnsbridge.observe.counters import NOWHERE, Counters
from dnsbridge.observe.traffic import OTHER, Traffic
from dnsbridge.resolvers.prepared import STREAM, Found, Prepared
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver
from dnsbridge.wire import edns, whole_message
from dnsbridge.wire.canonical import canonical
from dnsbridge.wire.compose import failure, rejection
from dnsbridge.wire.constants import Option, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Ignored, Query, Rejected, parse

log = logging.getLogger(__name__)

LABELLED = frozenset(
    map(int, (Type.A, Type.AAAA, Type.CNAME, Type.MX, Type.NS, Type.PTR, Type.SOA, Type.SRV, Type.TXT, Type.NAPTR))
) | {43, 48, 64, 65, 255, 257}
"""Types that are counted each by itself; also DS, DNSKEY, SVCB, HTTPS, ANY and CAA. Numbers compare faster than enum
members.
"""
Send = Callable[[bytes], None]
"""Takes the body of an answer."""


class Later:
    """The body of an answer that is not ready yet."""

    __slots__ = ("_began", "_pending", "_query", "_responder")

    def __init__(self, responder: "Responder", query: Query, pending: Pending, began: float) -> None:
        self._began = began
        self._responder = responder
        self._query = query
        self._pending = pending

    def then(self, send: Send) -> None:
        """Pass the body to `send` when it is ready."""
        self._pending.then(partial(self._finish, send))

    def _finish(self, send: Send, outcome: Outcome) -> None:
        send(self._responder.body(self._query, outcome, self._began))


class Responder:
    """Answers messages with one resolver."""

    def __init__(
        self,
        resolver: Resolver,
        prepared: Prepared,
        counters: Counters,
        keepalive: float,
        zone_of: Callable[[bytes], str] = lambda _: "",
    ) -> None:
        """`keepalive` is the idle timeout of TCP connections in seconds, told to clients that ask for it (RFC 7828);
        `zone_of` gives the zone that a folded name is counted in.
        """
        self.prepared = prepared
        self._zone_of = zone_of
        self.counters = counters
        self._resolver = resolver
        self._keepalive = edns.keepalive(keepalive)

    def respond(self, message: bytes, traffic: Traffic) -> bytes | Ignored | Later:
        """The answer to a message. A message over UDP has no prepared answer: the listener has looked (see udp)."""
        if traffic.stream and (found := self.prepared.find_stream(message[2:])):
            return self.of_prepared(found, traffic)
        began = time.monotonic()
        query = parse(message, traffic.stream)
        if not isinstance(query, Query):
            return self._ignore(query) if isinstance(query, Ignored) else self._rejection(message, query)
        traffic.ask(*self._labels(query))
        reached = self._resolve(query)
        if isinstance(reached, Pending):
            return Later(self, query, reached, began)
        return self.body(query, reached, began)

    def of_prepared(self, found: Found, traffic: Traffic) -> bytes:
        """The octets of a prepared answer, which is counted."""
        octets, kind = found
        self.counters.prepared_hits += 1
        traffic.prepared[octets[1] & 15][kind] += 1
        return octets

    def refuse(self, message: bytes, traffic: Traffic) -> bytes | Ignored:
        """The answer that tells a client that it may not ask."""
        query = parse(message, traffic.stream)
        if isinstance(query, Ignored):
            return self._ignore(query)
        if isinstance(query, Query):
            query = Rejected(Failure.NOT_ALLOWED, query)
        return self._rejection(message, query)

    def body(self, query: Query, outcome: Outcome, began: float) -> bytes:
        """The body of the answer for an outcome to a question that came at `began` (monotonic seconds); each body is
        counted.
        """
        source: str = NOWHERE
        if isinstance(outcome, Answer):
            source = outcome.source
            body = outcome.body if isinstance(outcome.body, bytes) else outcome.body.octets()
        else:
            self._count_failure(outcome)
            body = failure(query, outcome)
        if query.stream and query.edns and query.edns.has_option(Option.TCP_KEEPALIVE):
            body = whole_message.with_option(b"\0\0" + body, self._keepalive)[2:]
        elif isinstance(outcome, Answer) and (outcome.expires or outcome.depends):
            self._prepare(query, outcome)
        self.counters.answered(source, body[1] & 15, time.monotonic() - began)
        return body

    def _resolve(self, query: Query) -> Outcome | Pending:
        try:
            return self._resolver.resolve(query)
        except Exception as error:
            return self._internal_error(error)

    def _prepare(self, query: Query, answer: Answer) -> None:
        """Keep an answer prepared, if its question is worth it."""
        question = query.message[2:]
        form = canonical(question)
        key = STREAM + form if query.stream else form
        if not self.prepared.wants(key):
            return
        if form is question:
            self.prepared.put(key, answer, self._kind(query, answer))
        else:
            # Names in an answer follow the case of the question: only the answer to the canonical one serves all.
            same = parse(query.message[:2] + form, query.stream)
            found = self._resolve(same) if isinstance(same, Query) else None
            if isinstance(found, Answer):
                self.prepared.put(key, found, self._kind(query, found))

    def _kind(self, query: Query, answer: Answer) -> int:
        """What a prepared answer is counted by. Once prepared, an upstream's answer is one of the cache."""
        return self.counters.kind(*self._labels(query), "cache" if answer.source == "forward" else answer.source)

    def _labels(self, query: Query) -> tuple[str, int]:
        """The zone and the type that a question is counted by."""
        return self._zone_of(query.folded), query.qtype if query.qtype in LABELLED else OTHER

    def _rejection(self, message: bytes, rejected: Rejected) -> bytes:
        self._count_failure(rejected.failure)
        why = rejected.failure
        body = failure(rejected.query, why) if rejected.query else rejection(message, why, rejected.opt)
        self.counters.answered(NOWHERE, body[1] & 15, 0)
        return body

    def _ignore(self, why: Ignored) -> Ignored:
        counted = self.counters.ignored
        counted[why.value] = counted.get(why.value, 0) + 1
        return why

    def _count_failure(self, why: Failure) -> None:
        counted = self.counters.failures
        counted[why.name] = counted.get(why.name, 0) + 1

    def _internal_error(self, error: Exception) -> Failure:
        """The one place for unexpected errors: log one line, answer SERVFAIL, and go on."""
        self.counters.internal_errors += 1
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        at = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
        log.error("internal error, answered with SERVFAIL: %s: %s (%s)", type(error).__name__, error, at)
        return Failure.INTERNAL

"""From the octets of one message to the octets of its answer: what UDP and TCP have in common.

    respond(message, ...)    a question from an allowed client
    refuse(message)          one from a client that is not

Both give the body of the answer to `send`, now or later, or say with `Ignored` that there is none.
"""

import logging
from collections.abc import Callable
from functools import partial

from dnsbridge.observe.counters import Counters
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver
from dnsbridge.wire import edns, walk
from dnsbridge.wire.compose import failure, rejection
from dnsbridge.wire.constants import Option
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Ignored, Query, Rejected, parse

log = logging.getLogger(__name__)

Send = Callable[[bytes], None]
"""Takes the body of an answer: the message without its two ID octets."""


class Responder:
    """Answers messages by one resolver."""

    def __init__(self, resolver: Resolver, prepared: Prepared, counters: Counters, keepalive: float) -> None:
        """`keepalive` is the idle timeout of TCP connections in seconds, told to those who ask (RFC 7828)."""
        self.prepared = prepared
        self.counters = counters
        self._resolver = resolver
        self._keepalive = edns.keepalive(keepalive)

    def respond(self, message: bytes, stream: bool, send: Send) -> Ignored | None:
        """Answer a message."""
        query = parse(message, stream)
        if not isinstance(query, Query):
            if isinstance(query, Ignored):
                return self._ignore(query)
            self._reject(message, query, send)
            return None
        try:
            found = self._resolver.resolve(query)
        except Exception as error:
            found = self._internal_error(error)
        if isinstance(found, Pending):
            found.then(partial(self._finish, query, send))
        else:
            self._finish(query, send, found)
        return None

    def refuse(self, message: bytes, stream: bool, send: Send) -> Ignored | None:
        """Tell a client that it may not ask."""
        query = parse(message, stream)
        if isinstance(query, Ignored):
            return self._ignore(query)
        if isinstance(query, Query):
            query = Rejected(Failure.NOT_ALLOWED, query)
        self._reject(message, query, send)
        return None

    def _finish(self, query: Query, send: Send, outcome: Outcome) -> None:
        if isinstance(outcome, Answer):
            if (outcome.expires or outcome.depends) and not query.stream:
                self.prepared.offer(query.message[2:], outcome)
            body = outcome.body if isinstance(outcome.body, bytes) else outcome.body.octets()
        else:
            self._count_failure(outcome)
            body = failure(query, outcome)
        if query.stream and query.edns and query.edns.has_option(Option.TCP_KEEPALIVE):
            body = walk.with_option(b"\0\0" + body, self._keepalive)[2:]
        self.counters.rcodes[body[1] & 15] += 1
        send(body)

    def _reject(self, message: bytes, rejected: Rejected, send: Send) -> None:
        self._count_failure(rejected.failure)
        body = failure(rejected.query, rejected.failure) if rejected.query else rejection(message, rejected.failure)
        self.counters.rcodes[body[1] & 15] += 1
        send(body)

    def _ignore(self, why: Ignored) -> Ignored:
        counted = self.counters.ignored
        counted[why.value] = counted.get(why.value, 0) + 1
        return why

    def _count_failure(self, why: Failure) -> None:
        counted = self.counters.failures
        counted[why.name] = counted.get(why.name, 0) + 1

    def _internal_error(self, error: Exception) -> Failure:
        """One place for what should not happen: one line, SERVFAIL, and the server goes on."""
        self.counters.internal_errors += 1
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        at = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
        log.error("internal error, answered with SERVFAIL: %s: %s (%s)", type(error).__name__, error, at)
        return Failure.INTERNAL

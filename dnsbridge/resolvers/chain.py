"""CNAME chains that lead from one source (a cluster or a forward zone) to another (RFC 1034 section 3.6.2).

    Link             the part of a chain from one source: RRsets that end at an alias
    next_question    the question for the target of a link, or why the chain ends there
    joined           one answer from a link and the answer for its target, with the target's RCODE (RFC 6604)
    Chains           asks for the target of a link, and joins; treats an ExternalName and a forwarded alias alike
    Beyond           what a source knows about all other sources: who answers for a name, and Chains

A chain has at most MAX_CHAIN aliases over all its sources, and no name twice. All links after the first one share one
PATIENCE. Each question carries its trail, the names before it, so no chain is remembered here.

A joined answer is kept prepared when each of its parts could be, and when at most one cluster has a part in it. It is
kept until its first forwarded part expires or its cluster part changes.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from dnsbridge.resolvers.cluster.reach import Unrouted
from dnsbridge.resolvers.forward.patience import PATIENCE
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver, Source, pending
from dnsbridge.wire import edns, whole_message
from dnsbridge.wire.compose import Body, RRset, Sections, Serial, Stamped, compose, octets, weight
from dnsbridge.wire.constants import Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.wire.query import compose as compose_query
from dnsbridge.wire.scrub import MAX_CHAIN, Whose

log = logging.getLogger(__name__)

MAX_WAITING = 1000
"""Links that may wait for their targets at a time."""
_PLAIN_OPTS = (edns.record(False), edns.record(True))
"""Our OPT records without options."""
_GOOD = frozenset({int(Rcode.NOERROR), int(Rcode.NXDOMAIN)})


class Link(msgspec.Struct, frozen=True):
    """The part of a chain from one source; its dependencies are given as in Answer."""

    answer: Sequence[RRset]
    """The RRsets; the last CNAME is the alias that leads on."""
    options: tuple[bytes, ...] = ()
    """Extended errors (RFC 8914), each an EDNS option."""
    authoritative: bool = False
    depends: tuple[bytes, ...] = ()
    cluster: str = ""
    expires: int = 0
    since: int = 0
    """The monotonic second in which the TTLs are right. If the answer expires, its TTLs count down from here."""
    again: Callable[[int], None] | None = None
    """Called with the second of each further use of an answer that expires."""

    @property
    def target(self) -> bytes:
        """The name at which the chain goes on."""
        return next(rrset.data[0] for rrset in reversed(self.answer) if rrset.rtype == Type.CNAME)

    def aged(self, now: int) -> Sequence[RRset]:
        """The RRsets with their TTLs at `now`, in monotonic seconds."""
        age = now - self.since
        if not self.expires or age <= 0:
            return self.answer
        return [msgspec.structs.replace(rrset, ttl=max(0, rrset.ttl - age)) for rrset in self.answer]


def next_question(query: Query, link: Link) -> Query | Failure:
    """The question for the target of a link that answers `query`; a failure when the chain must end."""
    trail = (*query.trail, *[rrset.owner.lower() for rrset in link.answer if rrset.rtype == Type.CNAME])
    target = link.target
    if len({*trail, target.lower()}) <= len(trail):
        return Failure.CHAIN_LOOP
    if len(trail) > MAX_CHAIN:
        return Failure.CHAIN
    opt = edns.record(query.edns.dnssec_ok) if query.edns else b""
    further = parse(compose_query(target, query.qtype, query.qclass, 0, query.flags, opt), stream=True)
    if not isinstance(further, Query):
        return Failure.INTERNAL
    return msgspec.structs.replace(further, trail=trail)


class _Said(NamedTuple):
    """The parsed message about a target."""

    message: whole_message.Message
    rcode: int
    errors: list[bytes]
    """Extended errors, each an EDNS option."""
    serial: Serial | None
    """The serial in its SOA, if a cluster answered."""


def joined(query: Query, link: Link, reached: Outcome, clock: Callable[[], int]) -> Outcome:
    """The answer to `query`, from its link and the outcome of the question for the link's target.

    `clock` gives monotonic whole seconds.
    """
    if reached is Failure.NO_ROUTE:
        # No source here answers for the target; the client may be able to ask elsewhere.
        sections = Sections(answer=link.answer, authoritative=link.authoritative)
        source: Source = "cluster" if link.cluster else "forward"
        return Answer(compose(query, sections, b"".join(link.options)), (), link.cluster, source=source)
    if isinstance(reached, Failure):
        return reached
    inner = reached.body
    unrouted = inner if isinstance(inner, Unrouted) else None
    if unrouted:
        inner = unrouted.body  # it is counted once, as a part of this answer
    said = _read(inner)
    if said is None:
        return Failure.UPSTREAM
    if said.rcode not in _GOOD:
        return _failed(query, said)
    aliases = [rrset.owner.lower() for rrset in (*link.answer, *said.message.answer) if rrset.rtype == Type.CNAME]
    aliases += query.trail
    if len(set(aliases)) < len(aliases):
        return Failure.CHAIN_LOOP
    if len(aliases) > MAX_CHAIN:
        return Failure.CHAIN
    depends, cluster, expires = _kept(link, reached)
    body = Joined(query, link, inner, clock, said) if expires else _body(query, link, link.answer, said)
    return Answer(unrouted.around(body) if unrouted else body, depends, cluster, expires, reached.source)


class Joined:
    """The body of a joined answer whose TTLs count down, made anew each second (see wire.compose.Varying)."""

    __slots__ = ("query", "link", "inner", "clock", "second", "body")

    def __init__(self, query: Query, link: Link, inner: Body, clock: Callable[[], int], said: _Said) -> None:
        """`said` is `inner` parsed in this second."""
        self.query = query
        self.link = link
        self.inner = inner
        self.clock = clock
        self.second = clock()
        self.body = _body(query, link, link.aged(self.second), said)

    @property
    def weight(self) -> int:
        """Octets that it holds."""
        sets = sum(len(rrset.owner) + sum(map(len, rrset.data)) for rrset in self.link.answer)
        return len(self.query.message) + sets + weight(self.body) + weight(self.inner)

    def octets(self) -> bytes:
        """The body of this second, its addresses in rotating order."""
        now = self.clock()
        if now != self.second:
            if self.link.again:
                self.link.again(now)
            self.second = now
            if said := _read(self.inner):
                self.body = _body(self.query, self.link, self.link.aged(now), said)
        return octets(self.body)


def _kept(link: Link, reached: Answer) -> tuple[tuple[bytes, ...], str, int]:
    """The keys that a joined answer depends on, their cluster, and its expiry; no keys and 0 if it is not kept."""
    parts: tuple[Link | Answer, ...] = (link, reached)
    clusters = {part.cluster for part in parts if part.depends}
    if len(clusters) > 1 or not all(part.depends or part.expires for part in parts):
        return (), link.cluster, 0
    expires = min((part.expires for part in parts if part.expires), default=0)
    return link.depends + reached.depends, next(iter(clusters), link.cluster), expires


def _read(body: Body) -> _Said | None:
    """The message about a target at this moment, parsed; None if it is broken."""
    message = b"\0\0" + octets(body)
    said = whole_message.read(message)
    if isinstance(said, whole_message.Broken):
        return None
    errors = [] if message.endswith(_PLAIN_OPTS) else whole_message.extended_errors(message)
    return _Said(said, said.rcode, errors, body.serial if isinstance(body, Stamped) else None)


def _body(query: Query, link: Link, before: Sequence[RRset], said: _Said) -> Body:
    """A link and the message about its target, composed as one message."""
    options = b"".join(dict.fromkeys([*link.options, *said.errors]))
    message = said.message
    answer = [*before, *message.answer]
    sections = Sections(Rcode(said.rcode), answer, message.authority, message.additional, link.authoritative)
    return compose(query, sections, options, said.serial)


def _failed(query: Query, said: _Said) -> Outcome:
    """SERVFAIL with the extended errors of the failed target, if it has some."""
    if not said.errors or not query.edns:
        return Failure.UPSTREAM
    return Answer(compose(query, Sections(Rcode.SERVFAIL, authoritative=False), b"".join(said.errors)))


class Chains:
    """Follows links by asking the whole server again. Counters only grow."""

    def __init__(self, whole: Resolver, clock: Callable[[], int]) -> None:
        """`clock` gives monotonic whole seconds, like the clock of the caches."""
        self.ends: dict[str, int] = {"answered": 0, "failed": 0, "loop": 0, "too_long": 0}
        """Ends of chains that led from one source to another; each chain is counted once."""
        self.overloads = 0
        """Links not waited for because too many others were."""
        self.waiting = 0
        self.told: Callable[[Query, Link], None] | None = None
        """Called with each link that is followed and the question that it answers."""
        self._whole = whole
        self._clock = clock

    def follow(self, query: Query, link: Link) -> Outcome | Pending:
        """The answer to `query`, for which a source gave this link."""
        if self.told:
            self.told(query, link)
        further = next_question(query, link)
        if isinstance(further, Failure):
            return self._ended(query, further)
        try:
            reached = self._whole.resolve(further)
            if not isinstance(reached, Pending):
                return self._ended(query, joined(query, link, reached, self._clock))
        except Exception as error:
            # The caller may be in the middle of giving one reply to many clients.
            log.error("internal error while following an alias: %s: %s", type(error).__name__, error)
            return self._ended(query, Failure.INTERNAL)
        if self.waiting >= MAX_WAITING:
            # The question goes on: its answer will be in the cache for clients that ask again.
            self.overloads += 1
            return self._ended(query, Failure.OVERLOAD)
        self.waiting += 1

        async def wait() -> Outcome:
            try:
                # This limit of the first link covers all later links; a question at an upstream also has its own.
                async with asyncio.timeout(None if query.trail else PATIENCE):
                    outcome = await reached
            except TimeoutError:
                # The question goes on: its answer will be in the cache for clients that ask again.
                outcome = Failure.SLOW_UPSTREAM
            finally:
                self.waiting -= 1
            if isinstance(outcome, Answer):
                # The keys that the link depends on may have changed meanwhile: the answer is not kept.
                outcome = Answer(outcome.body, source=outcome.source)
            return self._ended(query, joined(query, link, outcome, self._clock))

        return pending(wait())

    def _ended(self, query: Query, outcome: Outcome) -> Outcome:
        """Count the end of a chain where it began."""
        if not query.trail:
            if outcome is Failure.CHAIN_LOOP:
                end = "loop"
            elif outcome is Failure.CHAIN:
                end = "too_long"
            elif isinstance(outcome, Failure) or _is_error(outcome.body):
                end = "failed"
            else:
                end = "answered"
            self.ends[end] += 1
        return outcome


def _is_error(body: Body) -> bool:
    """Whether a body is from `_failed`. A body that varies is not, and reading it would rotate its addresses."""
    return isinstance(body, bytes) and body[1] & 15 not in _GOOD


class Beyond(msgspec.Struct, frozen=True):
    """The names of all other sources, as a forward zone or a cluster sees them."""

    whose: Callable[[bytes], Whose]
    """Who answers for a folded name."""
    chains: Chains

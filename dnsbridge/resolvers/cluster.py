"""One cluster as a resolver: questions below its zone, its aliases and its reverse zones, answered at once.

An ExternalName's target is asked of `outside`, which is the whole server again: it may be in this cluster, in another,
or in the corporate DNS. `Query.hops` counts the links of such a chain, so it ends.
"""

from enum import Enum

import msgspec

from dnsbridge.resolvers.reach import Reach, Unrouted, UnroutedCounts, extended_error, judge
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver, pending
from dnsbridge.wire import edns, rename, walk
from dnsbridge.wire.compose import RRset, Sections, compose, octets
from dnsbridge.wire.constants import ExtendedError, Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.wire.query import compose as compose_query
from dnsbridge.zone import addresses, lookup, outcome, reverse
from dnsbridge.zone.addresses import Network, ReversePrefix
from dnsbridge.zone.index import Index
from dnsbridge.zone.lookup import Asked, ZoneSettings

MAX_CHAIN = 10
"""Links of a CNAME chain that are followed."""


class Freshness(Enum):
    """How far the objects that are held can be trusted."""

    FRESH = "fresh"
    STALE = "stale"
    """The source has given no sign of life for `max_staleness`."""
    UNSYNCED = "unsynced"
    """Nothing has been read yet: nobody can say that a name does not exist."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where in the cluster's names a question is: below a suffix, or in a reverse zone."""

    suffix: bytes
    """Folded zone or alias; for a reverse name the one that targets are named below."""
    prefix: ReversePrefix | None = None
    bits: int = 0
    """Of the reverse zone."""


class Cluster:
    """The names of one cluster, and how they are answered."""

    def __init__(
        self,
        name: str,
        zone: bytes,
        aliases: tuple[bytes, ...],
        settings: ZoneSettings,
        prefixes: reverse.Prefixes,
        index: Index,
    ) -> None:
        self.name = name
        self.zone = zone
        """Folded, wire form; the cluster's own name for itself."""
        self.suffixes = (zone, *aliases)
        self.settings = settings
        self.prefixes = prefixes
        self.index = index
        self.freshness = Freshness.UNSYNCED
        self.outside: Resolver | None = None
        self.reach: Reach | None = None
        """Where routes lead, for answers to be compared with; None: nobody wants to know."""
        self.omit_unrouted = False
        self.unrouted = UnroutedCounts()

    def owned_bits(self, prefix: ReversePrefix) -> int | None:
        """Length of the reverse zone of ours that holds a prefix; None if it is not ours."""
        return reverse.owned_bits(self.index, self.prefixes, prefix)

    def networks(self) -> tuple[Network, ...]:
        """The prefixes whose reverse zones are this cluster's."""
        return reverse.networks(self.index, self.prefixes)

    def lookup(self, query: Query, place: Place) -> outcome.Outcome:
        """What the cluster's objects say."""
        if place.prefix:
            asked = Asked(query.name, query.folded, b"", query.qtype)
            return reverse.lookup(self.index, self.settings, asked, place.prefix, place.bits, place.suffix)
        front = len(query.name) - len(place.suffix)
        asked = Asked(query.name, query.folded[:front], query.name[front:], query.qtype)
        return lookup.lookup(self.index, self.settings, asked)

    def answer(self, query: Query, place: Place, said: outcome.Outcome) -> Outcome | Pending:
        """The answer to what the objects said."""
        stale = self.freshness is Freshness.STALE
        options = edns.extended_error(ExtendedError.STALE_ANSWER) if stale and query.edns else b""
        if isinstance(said, outcome.Alias):
            return self._follow(query, place, said, options)
        if isinstance(said, outcome.Found):
            answer = said.answer
            if answer[0].rtype == Type.CNAME:
                answer = (self._renamed(query, place, answer[0]),)
            if self.reach:
                return self._judged(query, answer, said, options, () if stale else said.depends)
            sections = Sections(answer=answer, additional=said.additional)
        else:
            rcode = Rcode.NOERROR if isinstance(said, outcome.NoData) else Rcode.NXDOMAIN
            sections = Sections(rcode=rcode, authority=(self._soa(query, place),))
        body = compose(query, sections, options, self.index.serial)
        return Answer(body, () if stale else said.depends, self.name)

    def _judged(
        self, query: Query, answer: tuple[RRset, ...], said: outcome.Found, options: bytes, depends: tuple[bytes, ...]
    ) -> Answer:
        """The answer of records whose addresses are compared with the routes."""
        assert self.reach
        own = judge(answer, self.reach, self.omit_unrouted)
        more = judge(said.additional, self.reach, self.omit_unrouted)
        example, lost = own.example or more.example, own.lost or more.lost
        if lost and query.edns:
            options += extended_error(example)
        body = compose(query, Sections(answer=own.rrsets, additional=more.rrsets), options, self.index.serial)
        return Answer(Unrouted(body, self.unrouted, example, lost) if example else body, depends, self.name)

    def _soa(self, query: Query, place: Place) -> RRset:
        settings = self.settings
        if place.prefix:
            apex = addresses.reverse_zone(place.prefix, place.bits)
            apex, zone = query.name[len(query.name) - len(apex) :], place.suffix
        else:
            apex = zone = query.name[len(query.name) - len(place.suffix) :]
        return lookup.soa(self.index, settings, apex, zone, settings.negative_ttl)

    def _renamed(self, query: Query, place: Place, cname: RRset) -> RRset:
        """A CNAME whose target, if it is a name of this cluster, is below the suffix that was asked for."""
        suffix = query.name[len(query.name) - len(place.suffix) :]
        return rename.rename_set(cname, self.zone, suffix, query.name)

    def _follow(self, query: Query, place: Place, alias: outcome.Alias, options: bytes) -> Outcome | Pending:
        """The CNAME and what its target gives."""
        if query.hops >= MAX_CHAIN:
            return Failure.CHAIN
        cname = self._renamed(query, place, alias.cname)
        target = cname.data[0]
        opt = edns.record(query.edns.dnssec_ok) if query.edns else b""
        message = compose_query(target, query.qtype, query.qclass, 0, query.flags, opt)
        further = parse(message, stream=True)
        if not isinstance(further, Query) or self.outside is None:
            return Failure.INTERNAL
        reached = self.outside.resolve(msgspec.structs.replace(further, hops=query.hops + 1))
        if isinstance(reached, Pending):

            async def wait() -> Outcome:
                return self._joined(query, cname, alias, await reached, options)

            return pending(wait())
        return self._joined(query, cname, alias, reached, options)

    def _joined(self, query: Query, cname: RRset, alias: outcome.Alias, reached: Outcome, options: bytes) -> Outcome:
        """The answer of a CNAME and its target, whose RCODE it has (RFC 6604)."""
        depends: tuple[bytes, ...] = ()
        unrouted: Unrouted | None = None
        if reached is Failure.NO_ROUTE:
            # Nobody here can ask further; whoever asked us may be able to.
            sections = Sections(answer=(cname,))
        elif isinstance(reached, Failure):
            return reached
        else:
            inner = reached.body
            if isinstance(inner, Unrouted):
                unrouted, inner = inner, inner.body  # it is counted once, as a part of this answer
                options += extended_error(unrouted.example) if unrouted.lost and query.edns else b""
            message = walk.read(b"\0\0" + octets(inner))
            if isinstance(message, walk.Broken) or message.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
                return Failure.UPSTREAM
            if reached.depends and reached.cluster == self.name and self.freshness is not Freshness.STALE:
                depends = alias.depends + reached.depends
            answer = (cname, *message.answer)
            sections = Sections(Rcode(message.rcode), answer, message.authority, message.additional)
        # With dependencies the SOA in it, if any, is this cluster's own.
        body = compose(query, sections, options, self.index.serial if depends else None)
        return Answer(unrouted.around(body) if unrouted else body, depends, self.name)

"""The names of one cluster: answers questions below its zone, its aliases and its reverse zones at once.

An ExternalName is a link of a chain (see chain): its target may be in this cluster, in another cluster, or in the
corporate DNS.
"""

import msgspec

from dnsbridge.cluster.freshness import Freshness
from dnsbridge.resolvers.chain import Beyond, Link
from dnsbridge.resolvers.cluster.reach import Reach, Unrouted, UnroutedCounts, extended_error, judge
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Source
from dnsbridge.wire import addresses, edns, rename
from dnsbridge.wire.addresses import Network, ReversePrefix
from dnsbridge.wire.compose import RRset, Sections, compose
from dnsbridge.wire.constants import ExtendedError, Rcode, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from dnsbridge.zone import lookup, outcome, reverse
from dnsbridge.zone.index import Index
from dnsbridge.zone.lookup import Asked, ZoneSettings


class Place(msgspec.Struct, frozen=True, gc=False):
    """The place of a question among the cluster's names: below a suffix, or in a reverse zone."""

    suffix: bytes
    """Folded zone or alias; for a reverse name the suffix that targets are named below."""
    prefix: ReversePrefix | None = None
    bits: int = 0
    """Prefix length of the reverse zone."""


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
        """The cluster's own zone, folded, in wire form."""
        self.suffixes = (zone, *aliases)
        self.settings = settings
        self.prefixes = prefixes
        self.index = index
        self.freshness = Freshness.UNSYNCED
        self.beyond: Beyond | None = None
        """Set by the router that holds this cluster."""
        self.reach: Reach | None = None
        """Where routes lead, to compare answers with; None: answers are not compared."""
        self.omit_unrouted = False
        self.unrouted = UnroutedCounts()

    def owned_bits(self, prefix: ReversePrefix) -> int | None:
        """Prefix length of this cluster's reverse zone that holds a prefix; None if there is none."""
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
        """The answer for an outcome of `lookup`."""
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
        return Answer(body, () if stale else said.depends, self.name, source=self._source)

    def _judged(
        self, query: Query, answer: tuple[RRset, ...], said: outcome.Found, options: bytes, depends: tuple[bytes, ...]
    ) -> Answer:
        """The answer with found records, whose addresses are compared with the routes."""
        assert self.reach
        own = judge(answer, self.reach, self.omit_unrouted)
        more = judge(said.additional, self.reach, self.omit_unrouted)
        example, lost = own.example or more.example, own.lost or more.lost
        if lost and query.edns:
            options += extended_error(example)
        body = compose(query, Sections(answer=own.rrsets, additional=more.rrsets), options, self.index.serial)
        found = Unrouted(body, self.unrouted, example, lost) if example else body
        return Answer(found, depends, self.name, source=self._source)

    @property
    def _source(self) -> Source:
        return "stale" if self.freshness is Freshness.STALE else "cluster"

    def _soa(self, query: Query, place: Place) -> RRset:
        settings = self.settings
        if place.prefix:
            apex = addresses.reverse_zone(place.prefix, place.bits)
            apex, zone = query.name[len(query.name) - len(apex) :], place.suffix
        else:
            apex = zone = query.name[len(query.name) - len(place.suffix) :]
        return lookup.soa(self.index, settings, apex, zone, settings.negative_ttl)

    def _renamed(self, query: Query, place: Place, cname: RRset) -> RRset:
        """A CNAME; a target in this cluster is renamed to the suffix that was asked for."""
        suffix = query.name[len(query.name) - len(place.suffix) :]
        return rename.rename_set(cname, self.zone, suffix, query.name)

    def _follow(self, query: Query, place: Place, alias: outcome.Alias, options: bytes) -> Outcome | Pending:
        """The CNAME joined with the answer for its target."""
        if self.beyond is None:
            return Failure.INTERNAL
        depends = () if self.freshness is Freshness.STALE else alias.depends
        cname = self._renamed(query, place, alias.cname)
        link = Link((cname,), (options,) if options else (), authoritative=True, depends=depends, cluster=self.name)
        return self.beyond.chains.follow(query, link)

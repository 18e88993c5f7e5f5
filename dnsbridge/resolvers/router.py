"""The router: gives each question to the cluster or the forward zone that owns its name.

The clusters' zones come first, then their reverse zones, then the forward zones. The longest match wins; of clusters
whose prefixes overlap the first in order of precedence has the reverse name. A cluster's names never go to the
corporate DNS, so a forward zone below a cluster's zone is never asked.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from dnsbridge.resolvers.chain import Beyond, Chains
from dnsbridge.resolvers.cluster.fallback import Fallback, OwnQuestions
from dnsbridge.resolvers.cluster.names import Cluster, Place
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver, second
from dnsbridge.wire import name as names
from dnsbridge.wire import rdata
from dnsbridge.wire.addresses import reverse_prefix
from dnsbridge.wire.compose import RRset, Sections, compose
from dnsbridge.wire.constants import Class, Type
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from dnsbridge.wire.scrub import Whose

REVERSE = "reverse"
"""The name of all reverse zones of clusters together."""
_ARPA = b"\x04arpa\x00"
_ROOT = b"\x00"
_TRANSFERS = frozenset({int(Type.AXFR), int(Type.IXFR)})
_CHAOS = int(Class.CH)
"""An int: numbers compare faster than enum members."""
_VERSION = frozenset({names.from_text("version.bind"), names.from_text("version.server")})


class Router:
    """Everything that this server can answer."""

    def __init__(
        self,
        clusters: Sequence[Fallback],
        forwards: Mapping[bytes, Resolver],
        own_questions: OwnQuestions,
        version: str | None = None,
        clock: Callable[[], int] = second,
    ) -> None:
        """`clusters` are in order of precedence: the first that claims a suffix or a prefix gets it.

        `forwards` are keyed by folded zone; `version` is the answer to CHAOS `version.bind`, None to refuse it; `clock`
        is the clock of the forward zones' caches.
        """
        self.clusters = clusters
        self.forwards = forwards
        self.loops = 0
        self.chains = Chains(self, clock)
        self._own_questions = own_questions
        self._version = version
        self._suffixes: dict[bytes, Fallback] = {}
        for fallback in clusters:
            for suffix in fallback.cluster.suffixes:
                self._suffixes.setdefault(suffix, fallback)
        # Targets of PTR records are named below the first suffix that leads back to the same cluster.
        self._primary = {
            fallback.cluster.name: next(
                (suffix for suffix in fallback.cluster.suffixes if self._suffixes[suffix] is fallback),
                fallback.cluster.zone,
            )
            for fallback in clusters
        }
        for fallback in clusters:
            fallback.cluster.beyond = Beyond(partial(self._whose, fallback.cluster, None), self.chains)
        self.perhaps_clusters = (*self._suffixes, _ARPA)
        """Endings of every name that may be a cluster's. A name may also match by chance, in the middle of a label."""
        self._below_root = tuple([zone for zone in forwards if len(zone) > 1])
        """The same for the forward zones other than the root."""
        self._texts = {zone: names.to_text(zone) for zone in (*self._suffixes, *forwards)}
        self._root = (_ROOT, forwards[_ROOT]) if _ROOT in forwards else None

    def resolve(self, query: Query) -> Outcome | Pending:
        """The outcome from the source that owns the question."""
        if self._own_questions.names and query.name in self._own_questions.names:
            self.loops += 1
            return Failure.LOOP
        if query.qtype in _TRANSFERS:
            return Failure.TRANSFER
        if query.qclass == _CHAOS:
            return self._chaos(query)
        folded = query.folded
        if folded.endswith(self.perhaps_clusters):
            found = self.cluster_of(folded)
            if found:
                fallback, place = found
                return fallback.resolve(query, place) if query.qclass == Class.IN else Failure.CLASS
        forward = self._root
        if forward is None or folded.endswith(self._below_root):
            forward = self.forward_of(folded)
        return forward[1].resolve(query) if forward else Failure.NO_ROUTE

    def cluster_of(self, folded: bytes) -> tuple[Fallback, Place] | None:
        """The cluster that owns a name, and the place of the name in it."""
        suffixes = self._suffixes
        position = 0
        while folded[position]:
            suffix = folded[position:]
            fallback = suffixes.get(suffix)
            if fallback is not None:
                return fallback, Place(suffix)
            position += folded[position] + 1
        if folded.endswith(_ARPA) and (prefix := reverse_prefix(folded)):
            for fallback in self.clusters:
                bits = fallback.cluster.owned_bits(prefix)
                if bits is not None:
                    return fallback, Place(self._primary[fallback.cluster.name], prefix, bits)
        return None

    def forward_of(self, folded: bytes) -> tuple[bytes, Resolver] | None:
        """The longest forward zone that a name is in."""
        position = 0
        while True:
            zone = folded[position:]
            forward = self.forwards.get(zone)
            if forward is not None:
                return zone, forward
            if len(zone) == 1:
                return None
            position += folded[position] + 1

    def zone_of(self, folded: bytes) -> str:
        """The zone of a name, for people: a cluster's zone or alias, `reverse`, or a forward zone; empty for none."""
        if folded.endswith(self.perhaps_clusters) and (found := self.cluster_of(folded)):
            _, place = found
            return REVERSE if place.prefix else self._texts[place.suffix]
        forward = self.forward_of(folded)
        return self._texts[forward[0]] if forward else ""

    def beyond(self, zone: bytes) -> Beyond:
        """All names outside a forward zone (folded), as the zone sees them."""
        return Beyond(partial(self._whose, None, zone), self.chains)

    def _whose(self, cluster: Cluster | None, zone: bytes | None, folded: bytes) -> Whose:
        """Who answers for a name, as a cluster or a forward zone sees it."""
        if folded.endswith(self.perhaps_clusters) and (found := self.cluster_of(folded)):
            return Whose.HERE if found[0].cluster is cluster else Whose.CLUSTER
        forward = self.forward_of(folded)
        return Whose.HERE if forward is None or forward[0] == zone else Whose.ANOTHER

    def _chaos(self, query: Query) -> Outcome:
        """`version.bind` in the class CHAOS, if its answer is configured."""
        if self._version is None or query.folded not in _VERSION or query.qtype not in (Type.TXT, Type.ANY):
            return Failure.CLASS
        version = RRset(query.name, Type.TXT, 0, (rdata.txt(self._version.encode()),))
        return Answer(compose(query, Sections(answer=(version,), authoritative=False)))

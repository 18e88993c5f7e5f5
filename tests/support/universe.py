"""A small world of names for tests of chains: a cluster and three forward zones, and what their upstreams say.

truth    what each name is: addresses, an alias of another name, or nothing (names that are left out)
Says     how an upstream speaks of names that are not in its zone
World    the router over all of it, whose caches ask upstreams that answer at once, and a clock that tests turn
expected what a client must get, by following the truth one name after the other
"""

from collections.abc import Mapping, Sequence
from enum import Enum

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import Service, ServiceCIDR
from dnsbridge.resolvers.cluster.fallback import Fallback, OwnQuestions
from dnsbridge.resolvers.cluster.names import Cluster
from dnsbridge.resolvers.forward.answer_table import CacheStore
from dnsbridge.resolvers.forward.cached_zone import Cached, Forwarder
from dnsbridge.resolvers.forward.exchange import Asking
from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.resolvers.resolver import Answer, Outcome, Resolver
from dnsbridge.resolvers.router import Router
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import failure, octets
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.zone.index import Index
from dnsbridge.zone.lookup import ZoneSettings
from dnsbridge.zone.reverse import Prefixes

CLUSTER = "shop.svc.cluster.local."
FORWARDS = ("corp.", "lab.", ".")
LIE = "192.0.2.66"
"""What upstreams say that a cluster's name has."""
MAX_LINKS = 10
CLUSTER_TTL = 5
FORWARD_TTL = 60

Truth = Mapping[str, str | Sequence[str]]
"""By absolute name: the name that it is an alias of, or its IPv4 addresses."""


class Says(Enum):
    """How an upstream ends a chain that leaves its zone."""

    STOPS = "NOERROR and no word, from a server that does not recurse"
    UNFINISHED = "NOERROR and no word, from a recursor"
    DENIES = "NXDOMAIN, from a recursor"
    LIES = "an address for a cluster's name, NXDOMAIN for others"


def zone_of(name: str) -> str:
    """Whose a name is."""
    return CLUSTER if name.endswith("." + CLUSTER) else next(zone for zone in FORWARDS if name.endswith(zone))


def expected(truth: Truth, name: str) -> tuple[str, list[tuple[str, str, int]]]:
    """The RCODE, and `(owner, data, TTL)` of each record, in order but for the addresses."""
    records: list[tuple[str, str, int]] = []
    seen: set[str] = set()
    while True:
        ttl = CLUSTER_TTL if zone_of(name) == CLUSTER else FORWARD_TTL
        held = truth.get(name)
        if held is None:
            return "NXDOMAIN", records
        if not isinstance(held, str):
            return "NOERROR", records + [(name, address, ttl) for address in sorted(held)]
        if name in seen or len(seen) == MAX_LINKS:
            return "SERVFAIL", []
        seen.add(name)
        records.append((name, held, ttl))
        name = held


class AtOnce:
    """The upstream of a forward zone; its replies are made by dnspython."""

    def __init__(self, truth: Truth, zone: str, says: Says) -> None:
        self.asked: list[str] = []
        self._truth = truth
        self._zone = zone
        self._says = says

    def resolve(self, query: Query, beyond: object = None) -> Outcome:
        """See Forwarder: nothing goes past the cache here."""
        raise AssertionError(query)

    def ask(self, asking: Asking) -> None:
        """See Forwarder."""
        query = dns.message.from_wire(b"\0\0" + asking.wire)
        self.asked.append(query.question[0].name.to_text())
        asking.accept(self._reply(query).to_wire())
        asking.over = True
        asking.ended(None)

    def _reply(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=self._says is not Says.STOPS)
        name = query.question[0].name.to_text()
        rcode = dns.rcode.NOERROR
        seen: set[str] = set()
        while name not in seen:
            seen.add(name)
            if zone_of(name) != self._zone:
                if self._says is Says.LIES and zone_of(name) == CLUSTER:
                    reply.answer.append(dns.rrset.from_text(name, FORWARD_TTL, "IN", "A", LIE))
                elif self._says in (Says.DENIES, Says.LIES):
                    rcode = dns.rcode.NXDOMAIN
                    soa = "a.root. b.root. 1 7200 1800 86400 60"
                    reply.authority.append(dns.rrset.from_text(".", FORWARD_TTL, "IN", "SOA", soa))
                break
            held = self._truth.get(name)
            if held is None or (not isinstance(held, str) and query.question[0].rdtype != dns.rdatatype.A):
                rcode = dns.rcode.NXDOMAIN if held is None else dns.rcode.NOERROR
                soa = f"ns.{self._zone} admin.{self._zone} 1 7200 1800 86400 60".replace("..", ".")
                reply.authority.append(dns.rrset.from_text(self._zone, FORWARD_TTL, "IN", "SOA", soa))
                break
            if not isinstance(held, str):
                reply.answer.append(dns.rrset.from_text(name, FORWARD_TTL, "IN", "A", *held))
                break
            reply.answer.append(dns.rrset.from_text(name, FORWARD_TTL, "IN", "CNAME", held))
            name = held
        reply.set_rcode(rcode)
        return reply


class World:
    """All of it, running."""

    def __init__(
        self,
        truth: Truth,
        says: Mapping[str, Says],
        *,
        forwards: Mapping[str, Forward] | None = None,
        coredns: Resolver | None = None,
        size: int = 1000,
        serve_stale: float = 0.0,
        prefetch: bool = False,
    ) -> None:
        """`forwards` take the place of upstreams that answer at once, by zone; `size` is that of the cache. With
        `coredns` the cluster asks it for names of unknown shape.
        """
        self.now = 1000
        self.index = Index()
        self.index.apply([Put(ServiceCIDR(name="kubernetes", cidrs=("10.96.0.0/16",)))], 1)
        self.index.apply([Put(_service(name, held)) for name, held in truth.items() if zone_of(name) == CLUSTER], 1)
        self.cluster = Cluster(
            "dev", names.from_text("cluster.local"), (), ZoneSettings(ttl=CLUSTER_TTL), Prefixes(), self.index
        )
        self.cluster.freshness = Freshness.FRESH
        self.upstreams = {zone: AtOnce(truth, zone, says[zone]) for zone in FORWARDS if zone in says}
        asked: dict[str, Forwarder] = {**self.upstreams, **(forwards or {})}
        store = CacheStore(size)
        caches = {
            zone: Cached(upstream, store, lambda: self.now, serve_stale=serve_stale, prefetch=prefetch)
            for zone, upstream in asked.items()
        }
        own = OwnQuestions()
        over: dict[bytes, Resolver] = {names.from_text(zone): cached for zone, cached in caches.items()}
        fallback = Fallback(self.cluster, "unknown" if coredns else "never", lambda: coredns, own)
        self.router = Router([fallback], over, own, clock=lambda: self.now)
        for zone, cached in caches.items():
            cached.beyond = self.router.beyond(names.from_text(zone))

    def change(self, name: str, held: str | Sequence[str] | None) -> list[bytes]:
        """Change a name of the cluster (None: it goes); the keys of its zone that are no longer right."""
        service = _service(name, held or ())
        change: Change = Gone(service.key) if held is None else Put(service)
        return list(self.index.apply([change], self.now))

    def ask(self, name: str, rtype: str = "A") -> tuple[Query, Outcome]:
        """A question, and its outcome, which must be there at once."""
        message = dns.message.make_query(name, rtype, use_edns=0)
        query = parse(message.to_wire(), stream=True)
        assert isinstance(query, Query)
        outcome = self.router.resolve(query)
        assert isinstance(outcome, Answer | Failure)
        return query, outcome

    def say(self, name: str) -> tuple[str, list[tuple[str, str, int]]]:
        """The same in the form of `expected`."""
        query, outcome = self.ask(name)
        message = read(query, outcome)
        records = []
        for rrset in message.answer:
            records += [(rrset.name.to_text(), data, rrset.ttl) for data in sorted(str(each) for each in rrset)]
        return dns.rcode.to_text(message.rcode()), records


def read(query: Query, outcome: Outcome) -> dns.message.Message:
    """What a client gets, as dnspython reads it."""
    body = failure(query, outcome) if isinstance(outcome, Failure) else octets(outcome.body)
    return dns.message.from_wire(query.message[:2] + body)


def _service(name: str, held: str | Sequence[str]) -> Service:
    label = name.removesuffix("." + CLUSTER)
    if isinstance(held, str):
        return Service(namespace="shop", name=label, type="ExternalName", external_name=held.rstrip("."))
    packed = tuple([bytes(map(int, address.split("."))) for address in held])
    return Service(namespace="shop", name=label, cluster_ips=packed)

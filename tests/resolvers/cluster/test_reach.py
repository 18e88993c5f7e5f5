"""Answers compared with routes: what is counted, left out, and said."""

from ipaddress import ip_address, ip_network

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.cluster.changes import Put
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import Endpoint, EndpointSlice, Object, Port, Service
from dnsbridge.resolvers.cluster.fallback import Fallback, OwnQuestions
from dnsbridge.resolvers.cluster.names import Cluster
from dnsbridge.resolvers.cluster.reach import Reach
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.resolver import Answer
from dnsbridge.resolvers.router import Router
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import octets
from dnsbridge.wire.query import Query, parse
from dnsbridge.zone.index import Index
from dnsbridge.zone.lookup import ZoneSettings
from dnsbridge.zone.reverse import Prefixes
from tests.support.preparing import offer

WEB, DB0, DB1 = (ip_address(text).packed for text in ("10.96.0.1", "10.244.0.1", "10.244.1.1"))
SLICE = (Endpoint((DB0,), "db-0"), Endpoint((DB1,), "db-1"))
OBJECTS: tuple[Object, ...] = (
    Service(namespace="shop", name="web", cluster_ips=(WEB,)),
    Service(namespace="shop", name="db", headless=True),
    EndpointSlice(namespace="shop", name="db-1", service="db", endpoints=SLICE, ports=(Port("sql", "TCP", 5432),)),
    Service(namespace="shop", name="in", type="ExternalName", external_name="web.shop.svc.cluster.local"),
)


def server(reach: Reach | None, omit: bool = False) -> tuple[Cluster, Router]:
    """A cluster with routes to some of it."""
    index = Index()
    index.apply([Put(obj) for obj in OBJECTS], 1000)
    cluster = Cluster("dev", names.from_text("cluster.local"), (), ZoneSettings(), Prefixes(), index)
    cluster.freshness = Freshness.FRESH
    cluster.reach, cluster.omit_unrouted = reach, omit
    return cluster, Router([Fallback(cluster, "never", lambda: None, OwnQuestions())], {}, OwnQuestions())


def ask(router: Router, name: str, rtype: str) -> tuple[list[str], list[str]]:
    """Addresses in the answer and the additional section, and the extended errors."""
    query = parse(dns.message.make_query(f"{name}.shop.svc.cluster.local", rtype, use_edns=0).to_wire())
    assert isinstance(query, Query)
    got = router.resolve(query)
    assert isinstance(got, Answer)
    message = dns.message.from_wire(query.message[:2] + octets(got.body))
    sections = [*message.answer, *message.additional]
    found = sorted(str(data) for rrset in sections for data in rrset if rrset.rdtype in (1, 28))
    return found, [f"{int(each.code)} {each.text}" for each in message.extended_errors()]


def reach(*prefixes: str, nowhere: tuple[str, ...] = ()) -> Reach:
    """Routes to prefixes."""
    return Reach(map(ip_network, prefixes), map(ip_network, nowhere))


BOTH = ["10.244.0.1", "10.244.1.1"]
NONE: list[str] = []


def no_route(address: str) -> list[str]:
    """The extended error of an answer without a route."""
    return [f"0 no route from here to {address}"]


@pytest.mark.parametrize(
    ("routes", "omit", "question", "addresses", "errors", "counted"),
    [
        (None, True, "db A", BOTH, NONE, 0),
        (reach("10.0.0.0/8"), True, "db A", BOTH, NONE, 0),
        (reach("10.244.0.0/24"), False, "db A", BOTH, NONE, 1),
        (reach("10.244.0.0/24"), True, "db A", BOTH[:1], NONE, 1),
        (reach("10.244.0.0/24"), True, "db SRV", BOTH, no_route("10.244.1.1"), 1),
        (reach("10.244.0.0/24"), True, "db-1.db A", BOTH[1:], no_route("10.244.1.1"), 1),
        (reach("10.244.0.0/16", nowhere=("10.244.1.0/24",)), True, "db A", BOTH[:1], NONE, 1),
        (reach(), True, "db A", BOTH, no_route("10.244.0.1"), 1),
        (reach(), False, "web A", ["10.96.0.1"], no_route("10.96.0.1"), 1),
        (reach(), True, "in A", ["10.96.0.1"], no_route("10.96.0.1"), 1),
        (reach("10.96.0.0/12"), True, "in A", ["10.96.0.1"], NONE, 0),
        (reach(), True, "web AAAA", NONE, NONE, 0),
        (reach(), True, "web TXT", NONE, NONE, 0),
    ],
)
def test_answers(
    routes: Reach | None, omit: bool, question: str, addresses: list[str], errors: list[str], counted: int
) -> None:
    """Unrouted addresses are counted; left out only by `omit`, and only where a routed one remains of the set."""
    cluster, router = server(routes, omit)
    name, rtype = question.split()
    assert ask(router, name, rtype) == (addresses, errors)
    assert cluster.unrouted.answers == counted


def test_a_prepared_answer_counts_each_time() -> None:
    """What is unrouted is counted each time that it is sent, prepared or not, and once each."""
    cluster, router = server(reach())
    prepared = Prepared()
    query = parse(dns.message.make_query("in.shop.svc.cluster.local", "A").to_wire())
    assert isinstance(query, Query)
    for expected in (1, 2):
        answer = router.resolve(query)
        assert isinstance(answer, Answer)
        offer(prepared, query.message[2:], answer)
        octets(answer.body)
        assert cluster.unrouted.answers == expected
    body = prepared.answers[query.message[2:]]
    assert not isinstance(body, bytes)
    first = prepared.octets_of(query.message[2:], body)
    assert prepared.octets_of(query.message[2:], body) == first
    assert cluster.unrouted.answers == 4


PREFIX = st.builds(
    lambda number, bits: ip_network((number >> (8 - bits) << (8 - bits), 24 + bits)),
    st.integers(0, 255),
    st.integers(0, 8),
)


@given(st.sets(PREFIX), st.sets(PREFIX), st.integers(0, 255))
def test_the_longest_prefix_decides(reached: set[object], nowhere: set[object], last: int) -> None:
    """An address is reached if the longest prefix that holds it is one with a route."""
    address = ip_address(last)
    own = Reach(reached, nowhere)  # type: ignore[arg-type]
    held = [network for network in reached | nowhere if address in network]  # type: ignore[operator]
    longest = max(held, key=lambda network: network.prefixlen, default=None)  # type: ignore[attr-defined]
    assert own.leads_to(address.packed) == (longest in reached)

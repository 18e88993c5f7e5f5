"""A cluster as a resolver: CNAME chains, freshness, what answers depend on, whose question it is."""

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdtypes.ANY.SOA
import pytest

from dnsbridge.cluster.changes import Put
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import Endpoint, EndpointSlice, Object, Service, ServiceCIDR
from dnsbridge.resolvers.cluster.fallback import Fallback, OwnQuestions
from dnsbridge.resolvers.cluster.names import Cluster
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.resolvers.router import Router
from dnsbridge.wire import name as names
from dnsbridge.wire.compose import octets
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.wire.scrub import MAX_CHAIN
from dnsbridge.zone.index import REVERSE_TREE, Index
from dnsbridge.zone.lookup import ZoneSettings
from dnsbridge.zone.reverse import Prefixes

ADDRESS = b"\x0a\x60\x00\x01"


def external(name: str, target: str) -> Service:
    """An ExternalName service in `shop`."""
    return Service(namespace="shop", name=name, type="ExternalName", external_name=target)


OBJECTS: tuple[Object, ...] = (
    Service(namespace="shop", name="web", cluster_ips=(ADDRESS,)),
    Service(namespace="shop", name="db", headless=True),
    EndpointSlice(namespace="shop", name="db-1", service="db", endpoints=(Endpoint((b"\x0a\xf4\x00\x01",), "db-0"),)),
    ServiceCIDR(name="kubernetes", cidrs=("10.96.0.0/16",)),
    external("out", "www.example.com"),
    external("in", "web.shop.svc.cluster.local"),
    external("gone", "none.shop.svc.cluster.local"),
    external("loop", "loop.shop.svc.cluster.local"),
    external("far", "web.shop.svc.far.example"),
    *(external(f"link-{number}", f"link-{number + 1}.shop.svc.cluster.local") for number in range(1, MAX_CHAIN + 1)),
    external(f"link-{MAX_CHAIN + 1}", "web.shop.svc.cluster.local"),
)


def cluster(name: str = "dev", zone: str = "cluster.local", *aliases: str, address: bytes = ADDRESS) -> Cluster:
    """A cluster that has synced, its `web` at an address."""
    index = Index()
    web = Service(namespace="shop", name="web", cluster_ips=(address,))
    index.apply([Put(obj) for obj in (*OBJECTS, web)], 1000)
    suffixes = tuple(names.from_text(alias) for alias in aliases)
    made = Cluster(name, names.from_text(zone), suffixes, ZoneSettings(), Prefixes(), index)
    made.freshness = Freshness.FRESH
    return made


def router(*clusters: Cluster, version: str | None = None) -> Router:
    """A router over clusters without CoreDNS, and no corporate DNS."""
    own = OwnQuestions()
    return Router([Fallback(each, "never", lambda: None, own) for each in clusters], {}, own, version)


def question(name: str, rtype: str = "A", rclass: str = "IN", use_edns: int = 0) -> Query:
    """A client's question."""
    query = parse(dns.message.make_query(name, rtype, rclass, use_edns=use_edns).to_wire())
    assert isinstance(query, Query)
    return query


def answer(over: Router, query: Query) -> tuple[Answer, dns.message.Message]:
    """The answer, and what dnspython reads of it."""
    got = over.resolve(query)
    assert isinstance(got, Answer), got
    return got, dns.message.from_wire(query.message[:2] + octets(got.body))


def said(message: dns.message.Message) -> list[str]:
    """The answer section in short: types and data."""
    return [f"{dns.rdatatype.to_text(each.rdtype)} {data}" for each in message.answer for data in each]


@pytest.mark.parametrize(
    ("name", "expected", "rcode"),
    [
        ("in.shop.svc.cluster.local", ["CNAME web.shop.svc.cluster.local.", "A 10.96.0.1"], "NOERROR"),
        ("IN.shop.svc.Dev.CORP", ["CNAME web.shop.svc.Dev.CORP.", "A 10.96.0.1"], "NOERROR"),
        ("out.shop.svc.dev.corp", ["CNAME www.example.com."], "NOERROR"),
        ("gone.shop.svc.dev.corp", ["CNAME none.shop.svc.dev.corp."], "NXDOMAIN"),
        ("far.shop.svc.cluster.local", ["CNAME web.shop.svc.far.example.", "A 10.97.0.9"], "NOERROR"),
    ],
)
def test_chains(name: str, expected: list[str], rcode: str) -> None:
    """A CNAME and its chain, under the suffix that was asked; the RCODE is the last name's (RFC 6604)."""
    over = router(
        cluster("dev", "cluster.local", "dev.corp"), cluster("far", "far.example", address=b"\x0a\x61\x00\x09")
    )
    _, message = answer(over, question(name))
    assert (said(message), dns.rcode.to_text(message.rcode())) == (expected, rcode)
    assert message.flags & dns.flags.AA


@pytest.mark.parametrize("rtype", ["CNAME", "ANY"])
def test_alias_itself_under_the_suffix(rtype: str) -> None:
    """Asked for the CNAME alone, its target is named below the same suffix as in a chain."""
    over = router(cluster("dev", "cluster.local", "dev.corp"))
    _, message = answer(over, question("in.shop.svc.dev.corp", rtype))
    assert said(message) == ["CNAME web.shop.svc.dev.corp."]


@pytest.mark.parametrize(("first", "reached"), [(2, True), (1, False)])
def test_chain_is_bounded(first: int, reached: bool) -> None:
    """Ten links are followed, the eleventh is not; a loop ends when it comes back to a name."""
    over = router(cluster())
    query = question(f"link-{first}.shop.svc.cluster.local")
    if reached:
        _, message = answer(over, query)
        assert [text.split()[0] for text in said(message)] == ["CNAME"] * MAX_CHAIN + ["A"]
    else:
        assert over.resolve(query) is Failure.CHAIN
    assert over.resolve(question("loop.shop.svc.cluster.local")) is Failure.CHAIN_LOOP


@pytest.mark.parametrize(
    ("name", "rtype", "depends"),
    [
        ("WEB.shop.svc.dev.corp", "A", {"web.shop.svc"}),
        ("no.shop.svc.cluster.local", "A", {"no.shop.svc"}),
        ("in.shop.svc.cluster.local", "A", {"in.shop.svc", "web.shop.svc"}),
        ("gone.shop.svc.cluster.local", "A", {"gone.shop.svc", "none.shop.svc"}),
        ("out.shop.svc.cluster.local", "A", set()),
        ("far.shop.svc.cluster.local", "A", set()),
        ("1.0.96.10.in-addr.arpa", "PTR", {"1.0.96.10.in-addr.arpa."}),
        ("0.96.10.in-addr.arpa", "PTR", {"0.96.10.in-addr.arpa.", "arpa"}),
        ("x.1.0.96.10.in-addr.arpa", "PTR", {"1.0.96.10.in-addr.arpa."}),
        ("FD00-0--1.shop.pod.cluster.local", "AAAA", {"fd00--1.shop.pod", "shop.pod"}),
    ],
)
def test_depends(name: str, rtype: str, depends: set[str]) -> None:
    """The keys whose change makes an answer wrong; an answer that others have a part in is not kept."""
    far = cluster("far", "far.example", address=b"\x0a\x61\x00\x09")
    got, _ = answer(router(cluster("dev", "cluster.local", "dev.corp"), far), question(name, rtype))
    keys = {names.from_text(key) if key.endswith(".") else names.from_text(key)[:-1] for key in depends}
    assert ({*got.depends}, got.cluster) == (keys, "dev")
    assert (REVERSE_TREE in got.depends) == ("arpa" in depends)


@pytest.mark.parametrize(
    "name", ["web.shop.svc.cluster.local", "none.shop.svc.cluster.local", "in.shop.svc.cluster.local"]
)
@pytest.mark.parametrize("use_edns", [-1, 0])
def test_stale(name: str, use_edns: int) -> None:
    """A stale cache still answers, says so to those who sent EDNS (RFC 8914), and nothing of it is kept prepared."""
    held = cluster()
    held.freshness = Freshness.STALE
    got, message = answer(router(held), question(name, use_edns=use_edns))
    codes = [option.code for option in message.options if isinstance(option, dns.edns.EDEOption)]
    assert codes == ([3] if use_edns == 0 else [])
    assert got.depends == ()


@pytest.mark.parametrize("name", ["web.shop.svc.cluster.local", "none.cluster.local", "cluster.local"])
def test_unsynced_is_no_nxdomain(name: str) -> None:
    """Before anything has been read nobody can say that a name does not exist: SERVFAIL."""
    held = cluster()
    held.freshness = Freshness.UNSYNCED
    assert router(held).resolve(question(name)) is Failure.NOT_READY
    assert int(Failure.NOT_READY.rcode) == int(dns.rcode.SERVFAIL)


@pytest.mark.parametrize("service", ["none", "gone"])
def test_serial_in_prepared_negative_answers(service: str) -> None:
    """A negative answer composed before a change shows the serial after it, and has the negative TTL twice."""
    held = cluster()
    query = question(f"{service}.shop.svc.Cluster.local")
    got, _ = answer(router(held), query)
    held.index.apply([Put(Service(namespace="shop", name="new", cluster_ips=(b"\x0a\x60\x00\x07",)))], 2000)
    message = dns.message.from_wire(query.message[:2] + octets(got.body))
    (rrset,) = message.authority
    (start,) = rrset
    assert isinstance(start, dns.rdtypes.ANY.SOA.SOA)
    assert (start.serial, start.minimum, rrset.ttl) == (2000, 1, 1)
    assert (rrset.name.to_text(), start.mname.to_text()) == ("Cluster.local.", "ns.dns.Cluster.local.")


@pytest.mark.parametrize(
    ("name", "rtype", "rclass", "expected"),
    [
        ("web.shop.svc.cluster.local", "A", "IN", "10.96.0.1"),
        ("web.shop.svc.prod.corp", "A", "IN", "10.97.0.1"),
        ("web.shop.svc.sub.cluster.local", "A", "IN", "10.97.0.1"),
        ("1.0.96.10.in-addr.arpa", "PTR", "IN", "web.shop.svc.cluster.local."),
        ("1.0.97.10.in-addr.arpa", "PTR", "IN", Failure.NO_ROUTE),
        ("www.example.com", "A", "IN", Failure.NO_ROUTE),
        (".", "NS", "IN", Failure.NO_ROUTE),
        ("xcluster.local", "A", "IN", Failure.NO_ROUTE),
        ("cluster.local", "AXFR", "IN", Failure.TRANSFER),
        ("cluster.local", "IXFR", "IN", Failure.TRANSFER),
        ("web.shop.svc.cluster.local", "A", "HS", Failure.CLASS),
        ("web.shop.svc.cluster.local", "A", "ANY", Failure.CLASS),
        ("Version.Bind", "TXT", "CH", "bridge"),
        ("version.bind", "A", "CH", Failure.CLASS),
        ("web.shop.svc.cluster.local", "A", "CH", Failure.CLASS),
    ],
)
def test_whose_question(name: str, rtype: str, rclass: str, expected: str | Failure) -> None:
    """The longest suffix wins, of two that claim the same the first; other classes and transfers are refused."""
    first = cluster("dev", "cluster.local")
    second = cluster("prod", "cluster.local", "prod.corp", "sub.cluster.local", address=b"\x0a\x61\x00\x01")
    over = router(first, second, version="bridge")
    query = question(name, rtype, rclass)
    got: Outcome | Pending = over.resolve(query)
    if isinstance(expected, Failure):
        assert got is expected
    else:
        _, message = answer(over, query)
        assert expected in said(message)[0]


def test_targets_of_the_second_cluster() -> None:
    """Of two clusters that are both cluster.local the second's PTR records name an alias that leads back to it."""
    second = cluster("prod", "cluster.local", "prod.corp", address=b"\x0a\x61\x00\x01")
    second.index.apply([Put(ServiceCIDR(name="kubernetes", cidrs=("10.97.0.0/16",)))], 1001)
    _, message = answer(router(cluster(), second), question("1.0.97.10.in-addr.arpa", "PTR"))
    assert said(message) == ["PTR web.shop.svc.prod.corp."]


def test_version_is_refused_unless_configured() -> None:
    """CHAOS version.bind says nothing by default."""
    assert router(cluster()).resolve(question("version.bind", "TXT", "CH")) is Failure.CLASS


def test_external_address_moves() -> None:
    """An ExternalName that is an address is answered under its own name, and a change of it drops what was prepared."""
    dev = cluster()
    first = Service(namespace="shop", name="host", type="ExternalName", external_address=b"\xc0\0\2\1")
    dev.index.apply([Put(first)], 1001)
    over = router(dev)
    name = "host.shop.svc.cluster.local"
    got, message = answer(over, question(name))
    assert [rrset.to_text() for rrset in message.answer] == [f"{name}. 5 IN A 192.0.2.1"]
    moved = Service(namespace="shop", name="host", type="ExternalName", external_address=b"\xc0\0\2\2")
    assert dev.index.apply([Put(moved)], 1002) >= set(got.depends)
    alias = external("host", "www.example.com")
    got, message = answer(over, question(name))
    assert [rrset.to_text() for rrset in message.answer] == [f"{name}. 5 IN A 192.0.2.2"]
    assert dev.index.apply([Put(alias)], 1003) >= set(got.depends)
    assert not dev.index.pointers.keys() & {b"\xc0\0\2\1", b"\xc0\0\2\2"}

"""Whose question it is: the section of that title of the specification, shown by who answers and who was asked."""

import json
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, NamedTuple

import dns.flags
import dns.rcode
import dns.reversename
import pytest

from tests.server.conftest import CLUSTERS
from tests.server.test_names import EXTERNAL_NAMES, HEADLESS, PODS, REVERSE, SERVICES, each_transport, reverse
from tests.server.test_negative import ANY, NO_DATA, NO_SUCH_NAME
from tests.support.corporate import corporate_dns
from tests.support.program import TRANSPORTS, Program, RunningUpstream, Transport
from tests.support.rows import Row, check, check_negative_soa, check_soa, shown
from tests.support.started import run

CORPORATE, PARTNER = "corporate", "partner"


class Office(NamedTuple):
    """A server with two clusters, and the two DNS servers that it forwards to."""

    program: Program
    upstreams: dict[str, RunningUpstream]

    def asked(self) -> dict[str, int]:
        """How many questions have reached each upstream."""
        return {name: upstream.count() for name, upstream in self.upstreams.items()}

    def who_answers(self, name: str, rtype: str, transport: Transport) -> str:
        """`cluster`, or the upstream that was asked; there must be exactly one, and the answer must be its own."""
        before = self.asked()
        response = self.program.ask(name, rtype, transport)
        after = self.asked()
        reached = [upstream for upstream in after if after[upstream] > before[upstream]]
        if response.flags & dns.flags.AA:
            assert reached == []
            return "cluster"
        assert len(reached) == 1
        asked = self.upstreams[reached[0]].asked(before[reached[0]])
        # Where this machine stood still for so long that a timeout passed, the question went out again.
        assert {question.lower() for question in asked} == {f"{name}. {rtype}".lower()}
        return reached[0]


def cluster(name: str, manifests: Path, **settings: Any) -> dict[str, Any]:
    """A cluster's settings."""
    return {"name": name, "source": {"manifests": str(manifests)}, **settings}


@pytest.fixture(scope="module")
def office(corporate: RunningUpstream) -> Iterator[Office]:
    """Nested zones, an alias below a forward zone, prefixes below another."""
    with RunningUpstream(corporate_dns(A="192.0.2.99")) as partner:
        settings = {
            "version_bind": "of this test",
            "cache": {"size": 0},
            "clusters": [
                cluster("outer", CLUSTERS / "prefixes.yaml", aliases=["dev.k8s.corp"]),
                cluster("inner", CLUSTERS / "observed.yaml", zone="eu.cluster.local"),
            ],
            "forward": [
                {"zone": ".", "upstreams": [corporate.address]},
                {"zone": "k8s.corp", "upstreams": [partner.address]},
                {"zone": "233.10.in-addr.arpa", "upstreams": [partner.address]},
                {"zone": "example.org", "upstreams": [corporate.address]},
                {"zone": "lab.example.org", "upstreams": [partner.address]},
            ],
        }
        with Program(settings=settings, upstreams=None) as program:
            yield Office(program, {CORPORATE: corporate, PARTNER: partner})


NAMES = [
    ("a cluster's zone", "web.shop.svc.cluster.local", "A", "cluster"),
    ("a cluster's zone, no such name", "nothing.shop.svc.cluster.local", "A", "cluster"),
    ("a cluster's zone, a shape of nobody", "nothing.cluster.local", "A", "cluster"),
    ("an apex", "cluster.local", "SOA", "cluster"),
    ("above an apex", "local", "A", CORPORATE),
    ("a name that only looks like the zone", "web.shop.svc.notcluster.local", "A", CORPORATE),
    ("an alias below a forward zone", "web.shop.svc.dev.k8s.corp", "A", "cluster"),
    ("beside the alias", "web.shop.svc.prod.k8s.corp", "A", PARTNER),
    ("a forward zone's apex", "k8s.corp", "A", PARTNER),
    ("of two forward zones the longer", "x.lab.example.org", "A", PARTNER),
    ("of two forward zones the shorter", "x.example.org", "A", CORPORATE),
    ("everything else", "www.example.com", "A", CORPORATE),
    ("a root name", "com", "A", CORPORATE),
    ("reverse name in a cluster, below a forward zone", "5.5.233.10.in-addr.arpa", "PTR", "cluster"),
    ("reverse name beside the cluster, in a forward zone", "5.64.233.10.in-addr.arpa", "PTR", PARTNER),
    ("reverse name of nobody", "1.2.0.192.in-addr.arpa", "PTR", CORPORATE),
    ("above a cluster's reverse zones", "233.10.in-addr.arpa", "SOA", PARTNER),
    ("far above a cluster's reverse zones", "10.in-addr.arpa", "SOA", CORPORATE),
    ("all of the reverse names", "in-addr.arpa", "NS", CORPORATE),
    ("IPv6 prefix, in the cluster", dns.reversename.from_address("fd00:233::1234").to_text(True), "PTR", "cluster"),
    ("IPv6 prefix, the last address", dns.reversename.from_address("fd00:233::f:ffff").to_text(True), "PTR", "cluster"),
    ("IPv6 prefix, one further", dns.reversename.from_address("fd00:233::10:0").to_text(True), "PTR", CORPORATE),
    ("IPv6 prefix, the one before", dns.reversename.from_address("fd00:232:ffff::").to_text(True), "PTR", CORPORATE),
]


@each_transport
@pytest.mark.parametrize(("name", "rtype", "expected"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_longest_match(office: Office, name: str, rtype: str, expected: str, transport: Transport) -> None:
    """Clusters first, then their own prefixes, then forward zones; the longest match has the question, in any case."""
    assert office.who_answers(name, rtype, transport) == expected
    assert office.who_answers(name.upper(), rtype, transport) == expected


@each_transport
def test_nested_zones(office: Office, transport: Transport) -> None:
    """A cluster whose zone lies in another's answers for itself, and the other for the rest."""
    check(office.program, Row("", "web.shop.svc.Z A", ["@ A 10.50.0.1"]), transport, "eu.cluster.local")
    check(office.program, Row("", "web.shop.svc.Z A", ["@ A 10.233.5.5"]), transport, "cluster.local")
    check(office.program, Row("", "kafka.shop.svc.Z A", rcode="NXDOMAIN"), transport, "eu.cluster.local")


@each_transport
def test_prefix_of_18_bits_is_64_zones_and_not_one_more(office: Office, transport: Transport) -> None:
    """10.233.0.0/18: the SOA of 64 /24 zones is the cluster's; the 64 that follow and the neighbour below are not."""
    for number in range(128):
        zone = f"{number}.233.10.in-addr.arpa"
        assert office.who_answers(zone, "SOA", transport) == ("cluster" if number < 64 else PARTNER), zone
        if number < 64:
            (soa,) = office.program.ask(zone, "SOA", transport).answer
            check_soa(soa[0], "cluster.local", 1)
            negative = office.program.ask(f"9.{zone}", "PTR", transport)
            assert dns.rcode.to_text(negative.rcode()) == "NXDOMAIN"
            check_negative_soa(negative, zone)
    assert office.who_answers("255.232.10.in-addr.arpa", "SOA", transport) == CORPORATE
    check(office.program, Row("", "5.5.233.10.in-addr.arpa PTR", ["@ PTR web.shop.svc.Z"]), transport)


@each_transport
def test_prefix_of_26_bits_is_64_addresses_and_not_one_more(office: Office, transport: Transport) -> None:
    """10.234.7.64/26: each address in it is a zone of its own; those around it, and the /24, are not the cluster's."""
    for number in range(256):
        expected = "cluster" if 64 <= number < 128 else CORPORATE
        assert office.who_answers(f"{number}.7.234.10.in-addr.arpa", "PTR", transport) == expected, number
    assert office.who_answers("7.234.10.in-addr.arpa", "SOA", transport) == CORPORATE
    check(office.program, Row("", "70.7.234.10.in-addr.arpa PTR", ["@ PTR db-0.db.shop.svc.Z"]), transport)


@each_transport
def test_ipv6_prefix_of_62_bits_is_4_zones_and_not_one_more(office: Office, transport: Transport) -> None:
    """fd00:234:0:4::/62: four /64 zones; the neighbours on both sides are not the cluster's."""
    for number in range(16):
        zone = reverse(f"fd00:234:0:{number:x}::/64")
        assert office.who_answers(zone, "SOA", transport) == ("cluster" if 4 <= number < 8 else CORPORATE), number
    name = dns.reversename.from_address("fd00:234:0:7::70").to_text(True)
    check(office.program, Row("", f"{name} PTR", ["@ PTR db-0.db.shop.svc.Z"]), transport)


@each_transport
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.50.0.1", ["@ PTR web.shop.svc.eu.cluster.local"]),
        ("fd00:50::1", ["@ PTR web.shop.svc.eu.cluster.local"]),
        ("10.60.0.1", ["@ PTR db-0.db.shop.svc.eu.cluster.local"]),
        ("10.50.0.2", None),
        ("10.60.0.2", None),
        ("10.61.0.1", None),
    ],
)
def test_addresses_observed_where_no_prefix_is_declared(
    office: Office, address: str, expected: list[str] | None, transport: Transport
) -> None:
    """A cluster that declares no prefixes has its ClusterIPs and pods, not their neighbours, nor endpoints outside."""
    name = ip_address(address).reverse_pointer
    assert office.who_answers(name, "PTR", transport) == ("cluster" if expected else CORPORATE)
    if expected:
        assert shown(office.program.ask(name, "PTR", transport).answer, name) == expected


@each_transport
def test_cluster_names_never_reach_an_upstream(
    names: Program, corporate: RunningUpstream, transport: Transport
) -> None:
    """None of the names that the cluster owns, there or not, is ever asked of the corporate DNS."""
    before = corporate.asked()
    inside = [row for row in EXTERNAL_NAMES if "example.com" not in str(row.answer)]
    for row in SERVICES + HEADLESS + inside + PODS + REVERSE + NO_DATA + NO_SUCH_NAME + ANY:
        for zone in ("cluster.local", "dev.k8s.corp", "verified.test"):
            name, rtype = row.question.replace("Z ", f"{zone} ").split()
            names.ask(name, rtype, transport)
    assert corporate.asked() == before


@each_transport
def test_version_bind_as_configured(office: Office, transport: Transport) -> None:
    """CHAOS version.bind gives the configured text; other names in that class stay refused."""
    response = office.program.ask("Version.BIND", "TXT", transport, rclass="CH")
    assert response.answer[0][0].to_text() == '"of this test"'
    assert dns.rcode.to_text(office.program.ask("id.server", "TXT", transport, rclass="CH").rcode()) == "REFUSED"


def test_precedence(corporate: RunningUpstream) -> None:
    """Of two clusters with one zone and one prefix the preferred has both, and the other is there under its alias."""
    clusters = [
        cluster("old", CLUSTERS / "observed.yaml", aliases=["old.corp"]),
        cluster("new", CLUSTERS / "prefixes.yaml", aliases=["new.corp"], precedence=1),
    ]
    with Program(settings={"clusters": clusters}, upstreams=[corporate.address]) as program:
        for transport in TRANSPORTS:
            for zone, address in [
                ("cluster.local", "10.233.5.5"),
                ("new.corp", "10.233.5.5"),
                ("old.corp", "10.50.0.1"),
            ]:
                check(program, Row("", "web.shop.svc.Z A", [f"@ A {address}"]), transport, zone)
            # A PTR's target must lead back to its own cluster.
            name = ip_address("10.50.0.1").reverse_pointer
            check(program, Row("", f"{name} PTR", ["@ PTR web.shop.svc.Z"]), transport, "old.corp")
            name = ip_address("10.233.5.5").reverse_pointer
            check(program, Row("", f"{name} PTR", ["@ PTR web.shop.svc.Z"]), transport)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            ({}, {}), "cluster.local is claimed by clusters one (clusters[0]) and two (clusters[1])", id="zone"
        ),
        pytest.param(
            ({"aliases": ["a.corp"]}, {"zone": "a.corp"}), "a.corp is claimed by clusters one", id="alias and zone"
        ),
        pytest.param(({}, {"zone": "b.corp"}), "clusters one and two both claim 10.233.0.0/18", id="prefix"),
    ],
)
def test_two_clusters_with_one_claim(tmp_path: Path, settings: tuple[Any, Any], expected: str) -> None:
    """The same zone, alias or prefix twice without precedence keeps the server from starting, with one line."""
    clusters = [
        cluster(name, CLUSTERS / "prefixes.yaml", **each) for name, each in zip(("one", "two"), settings, strict=True)
    ]
    file = tmp_path / "dnsbridge.yaml"
    file.write_text(json.dumps({"clusters": clusters}))
    words = ["serve", "--config", str(file), "--listen", "127.0.0.1:0", "--http", "", "--upstream", "127.0.0.1:1"]
    ended = run(*words)
    assert ended.returncode == 1
    assert expected in ended.stderr.splitlines()[-1]
    assert "precedence" in ended.stderr.splitlines()[-1]


def test_prefixes_written_in_the_settings(corporate: RunningUpstream) -> None:
    """Prefixes in the settings replace those that the cluster declares."""
    settings = {
        "clusters": [cluster("one", CLUSTERS / "prefixes.yaml")],
        "routes": {"service_cidrs": ["10.233.5.0/24"], "pod_cidrs": []},
        "cache": {"size": 0},
    }
    with Program(settings=settings, upstreams=[corporate.address]) as program:
        office = Office(program, {CORPORATE: corporate})
        for transport in TRANSPORTS:
            assert office.who_answers("5.5.233.10.in-addr.arpa", "PTR", transport) == "cluster"
            assert office.who_answers("5.6.233.10.in-addr.arpa", "PTR", transport) == CORPORATE
            assert office.who_answers("70.7.234.10.in-addr.arpa", "PTR", transport) == CORPORATE
            name = IPv6Address("fd00:233::1234").reverse_pointer
            assert office.who_answers(name, "PTR", transport) == CORPORATE

"""Every name of the cluster, each type: the table `Names` of the specification, asked of the running program."""

from collections import Counter
from ipaddress import ip_network

import dns.message
import pytest

from tests.server.conftest import CLUSTERS, CROWD
from tests.support.corporate import SOA
from tests.support.program import TRANSPORTS, Program, RunningUpstream, Transport
from tests.support.rows import Row, check, check_soa, no_data, no_such_name, shown

ZONES = ("cluster.local", "dev.k8s.corp", "Dev.K8s.CORP")
"""The zone, an alias, and the alias as a resolver writes it that randomises case."""

SERVICES = [
    Row("version of the specification", "dns-version.Z TXT", ['@ TXT "1.1.0"']),
    Row("ClusterIP IPv4, A", "web.shop.svc.Z A", ["@ A 10.96.0.10"]),
    no_data("ClusterIP IPv4, AAAA", "web.shop.svc.Z AAAA"),
    Row("ClusterIP IPv6, AAAA", "six.shop.svc.Z AAAA", ["@ AAAA fd00:10:96::6"]),
    no_data("ClusterIP IPv6, A", "six.shop.svc.Z A"),
    Row("dual stack, A", "dual.shop.svc.Z A", ["@ A 10.96.0.20"]),
    Row("dual stack, AAAA", "dual.shop.svc.Z AAAA", ["@ AAAA fd00:10:96::20"]),
    Row(
        "ClusterIP, SRV of all ports",
        "web.shop.svc.Z SRV",
        ["@ SRV 0 50 80 web.shop.svc.Z", "@ SRV 0 50 9100 web.shop.svc.Z"],
        ["web.shop.svc.Z A 10.96.0.10"],
    ),
    Row(
        "dual stack, SRV of both protocols",
        "dual.shop.svc.Z SRV",
        ["@ SRV 0 100 443 dual.shop.svc.Z"],
        ["dual.shop.svc.Z A 10.96.0.20", "dual.shop.svc.Z AAAA fd00:10:96::20"],
    ),
    Row(
        "SRV of a port",
        "_http._tcp.web.shop.svc.Z SRV",
        ["@ SRV 0 100 80 web.shop.svc.Z"],
        ["web.shop.svc.Z A 10.96.0.10"],
    ),
    Row(
        "SRV of a port, IPv6",
        "_http._tcp.six.shop.svc.Z SRV",
        ["@ SRV 0 100 80 six.shop.svc.Z"],
        ["six.shop.svc.Z AAAA fd00:10:96::6"],
    ),
    Row(
        "SRV of a UDP port, dual stack",
        "_https-udp._udp.dual.shop.svc.Z SRV",
        ["@ SRV 0 100 443 dual.shop.svc.Z"],
        ["dual.shop.svc.Z A 10.96.0.20", "dual.shop.svc.Z AAAA fd00:10:96::20"],
    ),
    no_data("a port has no address", "_http._tcp.web.shop.svc.Z A"),
    no_such_name("a port of another protocol", "_http._udp.web.shop.svc.Z SRV"),
    no_such_name("an unnamed port has no name", "_5432._tcp.unnamed.shop.svc.Z SRV"),
    Row(
        "an unnamed port is the service's",
        "unnamed.shop.svc.Z SRV",
        ["@ SRV 0 100 5432 unnamed.shop.svc.Z"],
        ["unnamed.shop.svc.Z A 10.96.0.30"],
    ),
    Row("ClusterIP without endpoints, A", "idle.shop.svc.Z A", ["@ A 10.96.0.40"]),
    Row(
        "ClusterIP without endpoints, SRV",
        "_http._tcp.idle.shop.svc.Z SRV",
        ["@ SRV 0 100 80 idle.shop.svc.Z"],
        ["idle.shop.svc.Z A 10.96.0.40"],
    ),
    Row("endpoint of a ClusterIP service, by hostname", "special.web.shop.svc.Z A", ["@ A 10.244.0.11"]),
    Row("endpoint of a ClusterIP service, by address", "10-244-0-10.web.shop.svc.Z A", ["@ A 10.244.0.10"]),
    no_such_name("an endpoint that is not ready has no name", "10-244-0-12.web.shop.svc.Z A"),
    no_such_name("an endpoint with a hostname has no name by address", "10-244-0-11.web.shop.svc.Z A"),
    no_such_name("a pod's name is no endpoint's unless configured", "web-a.web.shop.svc.Z A"),
]

KAFKA_ADDRESSES = [
    *(f"kafka-{number}.kafka.data.svc.Z A 10.244.1.{number + 1}" for number in range(3)),
    *(f"kafka-{number}.kafka.data.svc.Z AAAA fd00:10:244:1::{number + 1}" for number in range(3)),
]
BARE_TARGETS = {
    "10-244-3-1.bare.data.svc.Z": "A 10.244.3.1",
    "fd00-10-244-3--0.bare.data.svc.Z": "AAAA fd00:10:244:3::",
    "0--5.bare.data.svc.Z": "AAAA ::5",
}

HEADLESS = [
    Row("headless, A", "kafka.data.svc.Z A", ["@ A 10.244.1.1", "@ A 10.244.1.2", "@ A 10.244.1.3"]),
    Row("headless, AAAA", "kafka.data.svc.Z AAAA", [f"@ AAAA fd00:10:244:1::{number}" for number in (1, 2, 3)]),
    Row(
        "headless, SRV: endpoints x ports, with the slice's port numbers",
        "kafka.data.svc.Z SRV",
        [f"@ SRV 0 16 {port} kafka-{number}.kafka.data.svc.Z" for number in range(3) for port in (9092, 9093)],
        KAFKA_ADDRESSES,
    ),
    Row(
        "headless, SRV of a port: weight 100 // 3",
        "_broker._tcp.kafka.data.svc.Z SRV",
        [f"@ SRV 0 33 9092 kafka-{number}.kafka.data.svc.Z" for number in range(3)],
        KAFKA_ADDRESSES,
    ),
    Row("endpoint by hostname, A", "kafka-0.kafka.data.svc.Z A", ["@ A 10.244.1.1"]),
    Row("endpoint by hostname, AAAA", "kafka-0.kafka.data.svc.Z AAAA", ["@ AAAA fd00:10:244:1::1"]),
    Row("endpoint by IPv4 address", "10-244-3-1.bare.data.svc.Z A", ["@ A 10.244.3.1"]),
    no_data("endpoint by IPv4 address, AAAA", "10-244-3-1.bare.data.svc.Z AAAA"),
    Row(
        "endpoint by IPv6 address, a trailing dash gets a 0",
        "fd00-10-244-3--0.bare.data.svc.Z AAAA",
        ["@ AAAA fd00:10:244:3::"],
    ),
    Row("endpoint by IPv6 address, a leading dash gets a 0", "0--5.bare.data.svc.Z AAAA", ["@ AAAA ::5"]),
    Row(
        "headless with unnamed ports, SRV",
        "bare.data.svc.Z SRV",
        [f"@ SRV 0 33 7000 {target}" for target in BARE_TARGETS],
        [f"{target} {data}" for target, data in BARE_TARGETS.items()],
    ),
    no_such_name("headless with unnamed ports has no port names", "_tcp.bare.data.svc.Z SRV"),
    Row("two endpoints share a hostname", "twin.pair.data.svc.Z A", ["@ A 10.244.2.1", "@ A 10.244.2.2"]),
    Row(
        "two endpoints share a hostname, one SRV target",
        "_sync._sctp.pair.data.svc.Z SRV",
        ["@ SRV 0 100 7001 twin.pair.data.svc.Z"],
        ["twin.pair.data.svc.Z A 10.244.2.1", "twin.pair.data.svc.Z A 10.244.2.2"],
    ),
    Row("an address in two slices is one record", "twice.data.svc.Z A", ["@ A 10.244.2.11", "@ A 10.244.2.12"]),
    Row(
        "an address in two slices is one SRV target",
        "_sync._tcp.twice.data.svc.Z SRV",
        [f"@ SRV 0 50 7001 10-244-2-{number}.twice.data.svc.Z" for number in (11, 12)],
        [f"10-244-2-{number}.twice.data.svc.Z A 10.244.2.{number}" for number in (11, 12)],
    ),
    Row("ready unset counts as ready", "starting.data.svc.Z A", ["@ A 10.244.4.1", "@ A 10.244.4.2"]),
    Row("ready unset, endpoint name", "unset.starting.data.svc.Z A", ["@ A 10.244.4.1"]),
    Row("no conditions, endpoint name", "unknown.starting.data.svc.Z A", ["@ A 10.244.4.2"]),
    no_such_name("not ready", "unready.starting.data.svc.Z A"),
    no_such_name("terminating", "leaving.starting.data.svc.Z A"),
    Row("publishNotReadyAddresses", "early.data.svc.Z A", ["@ A 10.244.4.11", "@ A 10.244.4.12"]),
    Row("publishNotReadyAddresses, endpoint name", "unready.early.data.svc.Z A", ["@ A 10.244.4.11"]),
    Row("publishNotReadyAddresses, terminating", "leaving.early.data.svc.Z A", ["@ A 10.244.4.12"]),
    no_such_name("slice without a service, A", "ghost.data.svc.Z A"),
    no_such_name("slice without a service, SRV", "_http._tcp.ghost.data.svc.Z SRV"),
    no_such_name("slice without a service, endpoint", "ghost-0.ghost.data.svc.Z A"),
]

EXTERNAL_NAMES = [
    Row("ExternalName, CNAME", "docs.shop.svc.Z CNAME", ["@ CNAME www.example.com"]),
    Row("ExternalName outside, A", "docs.shop.svc.Z A", ["@ CNAME www.example.com", "www.example.com 60 A 192.0.2.80"]),
    Row(
        "ExternalName outside, AAAA",
        "docs.shop.svc.Z AAAA",
        ["@ CNAME www.example.com", "www.example.com 60 AAAA 2001:db8::80"],
    ),
    Row(
        "ExternalName in capitals",
        "capitals.shop.svc.Z A",
        ["@ CNAME www.example.com", "www.example.com 60 A 192.0.2.80"],
    ),
    Row(
        "ExternalName with underscores",
        "underscore.shop.svc.Z A",
        ["@ CNAME _db.my_host.example.com", "_db.my_host.example.com 60 A 192.0.2.80"],
    ),
    Row(
        "ExternalName with a final dot",
        "final-dot.shop.svc.Z A",
        ["@ CNAME www.example.com", "www.example.com 60 A 192.0.2.80"],
    ),
    Row("ExternalName that is an IPv4 address, A", "address.shop.svc.Z A", ["@ A 10.96.0.222"]),
    no_data("ExternalName that is an IPv4 address, AAAA", "address.shop.svc.Z AAAA"),
    no_data("ExternalName that is an IPv4 address, CNAME", "address.shop.svc.Z CNAME"),
    no_data("ExternalName that is an IPv4 address, SRV", "address.shop.svc.Z SRV"),
    no_such_name("ExternalName that is an IPv4 address has no ports", "_http._tcp.address.shop.svc.Z SRV"),
    Row("ExternalName that is an IPv6 address, AAAA", "address-six.shop.svc.Z AAAA", ["@ AAAA fd00:10:96::222"]),
    no_data("ExternalName that is an IPv6 address, A", "address-six.shop.svc.Z A"),
    Row(
        "ExternalName of a service that is an address",
        "to-address.shop.svc.Z A",
        ["@ CNAME address.shop.svc.Z", "address.shop.svc.Z A 10.96.0.222"],
    ),
    Row("ExternalName inside, A", "inside.shop.svc.Z A", ["@ CNAME web.shop.svc.Z", "web.shop.svc.Z A 10.96.0.10"]),
    Row("ExternalName inside, CNAME", "inside.shop.svc.Z CNAME", ["@ CNAME web.shop.svc.Z"]),
    Row(
        "ExternalName of an ExternalName",
        "further.shop.svc.Z A",
        ["@ CNAME inside.shop.svc.Z", "inside.shop.svc.Z CNAME web.shop.svc.Z", "web.shop.svc.Z A 10.96.0.10"],
    ),
    Row(
        "chain of 10 links",
        "link-10.chain.svc.Z A",
        [
            "@ CNAME link-9.chain.svc.Z",
            *(f"link-{number}.chain.svc.Z CNAME link-{number - 1}.chain.svc.Z" for number in range(2, 10)),
            "link-1.chain.svc.Z CNAME web.shop.svc.Z",
            "web.shop.svc.Z A 10.96.0.10",
        ],
    ),
]

PODS = [
    Row("pods insecure, IPv4", "1-2-3-4.shop.pod.Z A", ["@ A 1.2.3.4"]),
    no_data("pods insecure, IPv4 has no AAAA", "1-2-3-4.shop.pod.Z AAAA"),
    Row("pods insecure, IPv6", "2001-db8--1.shop.pod.Z AAAA", ["@ AAAA 2001:db8::1"]),
    Row("pods insecure, IPv6 in full", "fd00-10-244-0-0-0-0-a.shop.pod.Z AAAA", ["@ AAAA fd00:10:244::a"]),
    no_data("pods insecure, IPv6 has no A", "2001-db8--1.shop.pod.Z A"),
    no_such_name("pods insecure, not an address", "1-2-3.shop.pod.Z A"),
    no_such_name("pods insecure, octet over 255", "1-2-3-256.shop.pod.Z A"),
    no_such_name("pods insecure, below the address", "a.1-2-3-4.shop.pod.Z A"),
    no_such_name("pods insecure, no such namespace", "1-2-3-4.nowhere.pod.Z A"),
]

OTHER_SETTINGS = {
    "verified.test": [
        Row("pods verified, IPv4", "10-244-0-10.shop.pod.Z A", ["@ A 10.244.0.10"]),
        Row("pods verified, IPv6", "fd00-10-244--a.shop.pod.Z AAAA", ["@ AAAA fd00:10:244::a"]),
        Row("pods verified, IPv6 in full", "fd00-10-244-0-0-0-0-a.shop.pod.Z AAAA", ["@ AAAA fd00:10:244::a"]),
        no_data("pods verified, another type", "10-244-0-10.shop.pod.Z AAAA"),
        no_such_name("pods verified, no pod has it", "10-244-0-99.shop.pod.Z A"),
        no_such_name("pods verified, a pod of another namespace", "10-244-0-10.data.pod.Z A"),
    ],
    "disabled.test": [
        no_such_name("pods disabled, IPv4", "10-244-0-10.shop.pod.Z A"),
        no_such_name("pods disabled, IPv6", "fd00-10-244--a.shop.pod.Z AAAA"),
        Row("pods disabled, services are there", "web.shop.svc.Z A", ["@ A 10.96.0.10"]),
    ],
    "podnames.test": [
        Row("endpoint_pod_names, by the pod's name", "bare-7f9c-x2.bare.data.svc.Z A", ["@ A 10.244.3.1"]),
        no_such_name("endpoint_pod_names, no longer by address", "10-244-3-1.bare.data.svc.Z A"),
        Row("endpoint_pod_names, a hostname goes first", "kafka-0.kafka.data.svc.Z A", ["@ A 10.244.1.1"]),
        Row("endpoint_pod_names, without a pod by address", "0--5.bare.data.svc.Z AAAA", ["@ AAAA ::5"]),
        Row("endpoint_pod_names, ClusterIP service", "web-a.web.shop.svc.Z A", ["@ A 10.244.0.10"]),
    ],
}


def reverse(prefix: str) -> str:
    """The reverse name of an address, or the apex of the reverse zone of a prefix whose length ends on a label."""
    network = ip_network(prefix)
    bits = 8 if network.version == 4 else 4
    labels = network.network_address.reverse_pointer.split(".")
    return ".".join(labels[(network.max_prefixlen - network.prefixlen) // bits :])


REVERSE = [
    Row("ClusterIP, IPv4", "10.0.96.10.in-addr.arpa PTR", ["@ PTR web.shop.svc.Z"]),
    Row("ClusterIP, IPv6", f"{reverse('fd00:10:96::6')} PTR", ["@ PTR six.shop.svc.Z"]),
    Row("ClusterIP of a dual stack service, IPv4", "20.0.96.10.in-addr.arpa PTR", ["@ PTR dual.shop.svc.Z"]),
    Row("ClusterIP of a dual stack service, IPv6", f"{reverse('fd00:10:96::20')} PTR", ["@ PTR dual.shop.svc.Z"]),
    Row("endpoint by hostname, IPv4", "1.1.244.10.in-addr.arpa PTR", ["@ PTR kafka-0.kafka.data.svc.Z"]),
    Row(
        "endpoint by hostname, IPv6",
        f"{reverse('fd00:10:244:1::1')} PTR",
        ["@ PTR kafka-0.kafka.data.svc.Z"],
    ),
    Row("endpoint by address, IPv4", "1.3.244.10.in-addr.arpa PTR", ["@ PTR 10-244-3-1.bare.data.svc.Z"]),
    Row(
        "endpoint by address, IPv6",
        f"{reverse('fd00:10:244:3::')} PTR",
        ["@ PTR fd00-10-244-3--0.bare.data.svc.Z"],
    ),
    Row(
        "several services have the address",
        "10.0.244.10.in-addr.arpa PTR",
        ["@ PTR 10-244-0-10.web.shop.svc.Z", "@ PTR both.shared.shop.svc.Z"],
    ),
    Row("a shared hostname, each address", "2.2.244.10.in-addr.arpa PTR", ["@ PTR twin.pair.data.svc.Z"]),
    Row("an address in two slices", "11.2.244.10.in-addr.arpa PTR", ["@ PTR 10-244-2-11.twice.data.svc.Z"]),
    Row("publishNotReadyAddresses", "11.4.244.10.in-addr.arpa PTR", ["@ PTR unready.early.data.svc.Z"]),
    no_such_name("not ready", "3.4.244.10.in-addr.arpa PTR", soa="244.10.in-addr.arpa"),
    no_such_name("slice without a service", "7.7.244.10.in-addr.arpa PTR", soa="244.10.in-addr.arpa"),
    no_such_name("no service has the address", "99.0.96.10.in-addr.arpa PTR", soa="96.10.in-addr.arpa"),
    no_data("another type", "10.0.96.10.in-addr.arpa TXT", soa="96.10.in-addr.arpa"),
]


def named(rows: list[Row]) -> pytest.MarkDecorator:
    """Each row a test of its name."""
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_zone = pytest.mark.parametrize("zone", ZONES)


@each_transport
@each_zone
@named(SERVICES + HEADLESS + EXTERNAL_NAMES + PODS)
def test_row(names: Program, row: Row, zone: str, transport: Transport) -> None:
    """A name answers with exactly its records, every name in them below the suffix that was asked."""
    # What is over 512 octets needs EDNS: additional records that do not fit are just left out.
    check(names, row, transport, zone, edns=len(row.additional) > 4)


@each_transport
@pytest.mark.parametrize(
    ("zone", "row"),
    [pytest.param(zone, row, id=row.name) for zone, rows in OTHER_SETTINGS.items() for row in rows],
)
def test_row_with_another_setting(names: Program, row: Row, zone: str, transport: Transport) -> None:
    """`pods` and `endpoint_pod_names` decide about the names of pods and of endpoints."""
    check(names, row, transport, zone)


@each_transport
@named(REVERSE)
def test_reverse_row(names: Program, row: Row, transport: Transport) -> None:
    """An address leads to every name that has it, in the cluster's own zone."""
    check(names, row, transport)


@each_transport
@each_zone
@pytest.mark.parametrize("name", ["loop.shop", "ping.shop", "pong.shop", "link-11.chain", "link-12.chain"])
def test_endless_chain(names: Program, name: str, zone: str, transport: Transport) -> None:
    """A CNAME loop, or a chain over 10 links, is SERVFAIL."""
    response = names.ask(f"{name}.svc.{zone}", "A", transport, edns=True)
    assert response.rcode() == 2
    assert not response.answer
    assert "CNAME chain over 10 links" in response.to_text()


@each_transport
@each_zone
def test_alias_of_nothing(names: Program, zone: str, transport: Transport) -> None:
    """An ExternalName without a target is NXDOMAIN with the CNAME (RFC 6604) and the SOA of the target's zone."""
    row = Row("", "nowhere.shop.svc.Z A", ["@ CNAME nothing.shop.svc.Z"], rcode="NXDOMAIN")
    check(names, row, transport, zone)


@each_transport
@each_zone
def test_alias_without_the_type(names: Program, zone: str, transport: Transport) -> None:
    """An ExternalName whose target lacks the type is no data with the CNAME and the SOA of the target's zone."""
    check(names, Row("", "inside.shop.svc.Z AAAA", ["@ CNAME web.shop.svc.Z"]), transport, zone)


@each_transport
@each_zone
def test_alias_outside_without_the_type(names: Program, zone: str, transport: Transport) -> None:
    """An ExternalName whose target outside lacks the type comes with the SOA of the target's own zone."""
    response = names.ask(f"docs.shop.svc.{zone}", "MX", transport)
    assert response.rcode() == 0
    assert shown(response.answer) == [f"docs.shop.svc.{zone} CNAME www.example.com"]
    (soa,) = response.authority
    assert (str(soa.name), str(soa[0])) == ("example.com.", SOA)
    assert 0 < soa.ttl <= 300, "it comes from the cache"


@each_transport
@pytest.mark.parametrize(
    ("question", "count"),
    [
        ("kafka.data.svc.cluster.local A", 3),
        ("kafka.data.svc.cluster.local AAAA", 3),
        ("twice.data.svc.Dev.k8s.corp A", 2),
    ],
)
def test_rotation(names: Program, question: str, count: int, transport: Transport) -> None:
    """Each address of a headless service comes first about equally often, and none is ever missing."""
    name, rtype = question.split()
    query = dns.message.make_query(name, rtype)
    answers = []
    for query.id in range(1000, 1000 + 4 * count):
        answers.append(names.exchange(query, transport).answer[0])
    assert {frozenset(rdata.to_text() for rdata in answer) for answer in answers} == {
        frozenset(rdata.to_text() for rdata in answers[0])
    }
    firsts = Counter(answer[0].to_text() for answer in answers)
    assert len(answers[0]) == len(firsts) == count
    assert min(firsts.values()) >= 3


@each_transport
@each_zone
def test_rotation_behind_an_alias(names: Program, zone: str, transport: Transport) -> None:
    """All of a large service's addresses follow its alias, over TCP or to a client that takes so much over UDP."""
    response = names.ask(f"crowded.shop.svc.{zone}", "A", transport, edns=True, payload=4096)
    cname, addresses = response.answer
    assert shown([cname]) == [f"crowded.shop.svc.{zone} CNAME crowd.big.svc.{zone}"]
    assert sorted(shown([addresses])) == sorted(f"crowd.big.svc.{zone} A 10.244.9.{number}" for number in range(CROWD))


@each_zone
def test_weight_is_at_least_one(names: Program, zone: str) -> None:
    """Over a hundred endpoints have weight 1, not 0."""
    row = Row(
        "",
        "_gossip._udp.crowd.big.svc.Z SRV",
        [f"@ SRV 0 1 7946 member-{number}.crowd.big.svc.Z" for number in range(CROWD)],
        [f"member-{number}.crowd.big.svc.Z A 10.244.9.{number}" for number in range(CROWD)],
    )
    check(names, row, "tcp", zone, edns=True)


@each_transport
@each_zone
def test_apex(names: Program, zone: str, transport: Transport) -> None:
    """The apex has SOA and NS, the server's name has the configured addresses."""
    response = names.ask(zone, "SOA", transport)
    (soa,) = response.answer
    assert soa.name.to_text(omit_final_dot=True) == zone
    assert soa.ttl == 5
    check_soa(soa[0], zone, 1)
    glue = ["ns.dns.Z A 192.0.2.53", "ns.dns.Z AAAA 2001:db8::53"]
    check(names, Row("", "Z NS", ["@ NS ns.dns.Z"], glue), transport, zone)
    check(names, Row("", "ns.dns.Z A", ["@ A 192.0.2.53"]), transport, zone)
    check(names, Row("", "ns.dns.Z AAAA", ["@ AAAA 2001:db8::53"]), transport, zone)


@each_transport
@pytest.mark.parametrize("prefix", ["10.96.0.0/16", "10.244.0.0/16", "fd00:10:96::/112", "fd00:10:244::/48"])
def test_reverse_apex(names: Program, prefix: str, transport: Transport) -> None:
    """A reverse zone has SOA and NS as well, which name the server below the cluster's zone."""
    zone = reverse(prefix)
    response = names.ask(zone, "SOA", transport)
    (soa,) = response.answer
    assert soa.name.to_text(omit_final_dot=True) == zone
    check_soa(soa[0], "cluster.local", 1)
    glue = ["ns.dns.Z A 192.0.2.53", "ns.dns.Z AAAA 2001:db8::53"]
    check(names, Row("", f"{zone} NS", ["@ NS ns.dns.Z"], glue), transport)


def test_where_the_server_listens_is_the_default_of_its_addresses(corporate: RunningUpstream) -> None:
    """Without `ns_addresses`, ns.dns.Z is where the server listens."""
    with Program(CLUSTERS / "names.yaml", upstreams=[corporate.address]) as program:
        for server, transport in enumerate(TRANSPORTS):
            check(program, Row("", "ns.dns.Z A", ["@ A 127.0.0.1"]), transport, server=server)
            check(program, Row("", "ns.dns.Z AAAA", ["@ AAAA ::1"]), transport, server=server)


@each_transport
@named(SERVICES[1:8])
def test_row_over_ipv6(names: Program, row: Row, transport: Transport) -> None:
    """A client that comes over IPv6 gets the same."""
    check(names, row, transport, server=1)

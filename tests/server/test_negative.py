"""No data and no such name: the section of that title of the specification, asked of the running program."""

import random
from ipaddress import ip_address

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest

from tests.server.conftest import CROWD
from tests.server.test_names import EXTERNAL_NAMES, HEADLESS, PODS, REVERSE, SERVICES, each_transport, named, reverse
from tests.support.program import Program, Transport
from tests.support.rows import Row, check, check_negative_soa, no_data, no_such_name

ZONES = ("cluster.local", "dev.k8s.corp")
each_zone = pytest.mark.parametrize("zone", ZONES)

NO_DATA = [
    no_data("apex", "Z A"),
    no_data("svc", "svc.Z A"),
    no_data("pod", "pod.Z AAAA"),
    no_data("dns", "dns.Z A"),
    no_data("namespace of services", "shop.svc.Z A"),
    no_data("namespace of pods", "shop.pod.Z A"),
    no_data("namespace without any object in it", "empty.svc.Z A"),
    no_data("namespace without any object in it, pods", "empty.pod.Z A"),
    no_data("namespace that only a service shows", "chain.svc.Z A"),
    no_data("protocol of a ClusterIP service", "_tcp.web.shop.svc.Z SRV"),
    no_data("both protocols of a service: TCP", "_tcp.dual.shop.svc.Z SRV"),
    no_data("both protocols of a service: UDP", "_udp.dual.shop.svc.Z SRV"),
    no_data("protocol of a headless service", "_tcp.kafka.data.svc.Z SRV"),
    no_data("protocol SCTP", "_sctp.pair.data.svc.Z SRV"),
    no_data("version, another type", "dns-version.Z A"),
    no_data("service, TXT", "web.shop.svc.Z TXT"),
    no_data("service, CNAME", "web.shop.svc.Z CNAME"),
    no_data("service, NS", "web.shop.svc.Z NS"),
    no_data("service, SOA", "web.shop.svc.Z SOA"),
    no_data("service, HTTPS", "web.shop.svc.Z HTTPS"),
    no_data("service, a type that nobody knows", "web.shop.svc.Z TYPE65400"),
    no_data("headless service, TXT", "kafka.data.svc.Z TXT"),
    no_data("endpoint, SRV", "kafka-0.kafka.data.svc.Z SRV"),
    no_data("port, TXT", "_http._tcp.web.shop.svc.Z TXT"),
    no_data("pod, TXT", "1-2-3-4.shop.pod.Z TXT"),
]
NO_SUCH_NAME = [
    no_such_name("service", "nothing.shop.svc.Z A"),
    no_such_name("service, a type that nobody knows", "nothing.shop.svc.Z TYPE65400"),
    no_such_name("service, ANY", "nothing.shop.svc.Z ANY"),
    no_such_name("namespace", "nowhere.svc.Z A"),
    no_such_name("namespace of pods", "nowhere.pod.Z A"),
    no_such_name("service of a missing namespace", "web.nowhere.svc.Z A"),
    no_such_name("endpoint", "kafka-9.kafka.data.svc.Z A"),
    no_such_name("port", "_nothing._tcp.web.shop.svc.Z SRV"),
    no_such_name("protocol", "_udp.web.shop.svc.Z SRV"),
    no_such_name("protocol of a service with unnamed ports", "_tcp.unnamed.shop.svc.Z SRV"),
    no_such_name("below a port", "a._http._tcp.web.shop.svc.Z SRV"),
    no_such_name("below an endpoint", "a.kafka-0.kafka.data.svc.Z A"),
    no_such_name("below the version", "a.dns-version.Z TXT"),
    no_such_name("a shape that no specification has", "web.shop.Z A"),
    no_such_name("a wildcard is a name like any other", "*.shop.svc.Z A"),
    no_such_name("the zone below itself, as search lists ask", "web.shop.svc.cluster.local.Z A"),
    no_such_name("headless without ready endpoints, A", "down.data.svc.Z A"),
    no_such_name("headless without ready endpoints, SRV", "down.data.svc.Z SRV"),
    no_such_name("headless without ready endpoints, SRV of a port", "_sync._tcp.down.data.svc.Z SRV"),
    no_such_name("headless without ready endpoints, endpoint", "down-0.down.data.svc.Z A"),
    no_such_name("headless without slices, A", "lonely.data.svc.Z A"),
    no_such_name("headless without slices, SRV of a port", "_http._tcp.lonely.data.svc.Z SRV"),
]
ANY = [
    Row("service", "web.shop.svc.Z ANY", ['@ HINFO "RFC8482" ""']),
    Row("headless service", "kafka.data.svc.Z ANY", ['@ HINFO "RFC8482" ""']),
    Row("endpoint", "kafka-0.kafka.data.svc.Z ANY", ['@ HINFO "RFC8482" ""']),
    Row("port", "_http._tcp.web.shop.svc.Z ANY", ['@ HINFO "RFC8482" ""']),
    Row("pod", "1-2-3-4.shop.pod.Z ANY", ['@ HINFO "RFC8482" ""']),
    Row("apex", "Z ANY", ['@ HINFO "RFC8482" ""']),
    Row("reverse name", "10.0.96.10.in-addr.arpa ANY", ['@ HINFO "RFC8482" ""']),
    Row("ExternalName", "inside.shop.svc.Z ANY", ["@ CNAME web.shop.svc.Z"]),
    no_data("namespace", "shop.svc.Z ANY"),
]


@each_transport
@each_zone
@named(NO_DATA)
def test_no_data(names: Program, row: Row, zone: str, transport: Transport) -> None:
    """A name that exists without the type is NOERROR with the SOA."""
    check(names, row, transport, zone)


@each_transport
@each_zone
@named(NO_SUCH_NAME)
def test_no_such_name(names: Program, row: Row, zone: str, transport: Transport) -> None:
    """A name that the cluster owns and does not have is NXDOMAIN with the SOA."""
    check(names, row, transport, zone)


@each_transport
@each_zone
@named(ANY)
def test_any(names: Program, row: Row, zone: str, transport: Transport) -> None:
    """ANY gets one record set or HINFO."""
    check(names, row, transport, zone)


def questions() -> list[str]:
    """Every question of the names' tables that has an answer."""
    rows = [row for row in SERVICES + HEADLESS + EXTERNAL_NAMES + PODS + REVERSE if row.answer]
    return sorted({row.question.replace("Z ", "cluster.local ") for row in rows})


def apexes() -> list[dns.name.Name]:
    """The zones whose owner the cluster is."""
    prefixes = ["10.96.0.0/16", "10.244.0.0/16", "fd00:10:96::/112", "fd00:10:244::/48"]
    return [dns.name.from_text(zone) for zone in ["cluster.local", *map(reverse, prefixes)]]


@each_transport
@pytest.mark.parametrize("question", questions())
def test_resolver_that_minimises_names_gets_through(names: Program, question: str, transport: Transport) -> None:
    """From its zone's apex down to the name itself, label by label (RFC 9156), nothing is NXDOMAIN or an error."""
    text, asked_type = question.split()
    name = dns.name.from_text(text)
    apex = next((zone for zone in apexes() if name.is_subdomain(zone)), None)
    if apex is None:
        pytest.fail(f"{name} is in no zone of the cluster")
    for depth in range(len(apex), len(name) + 1):
        for rtype in ("A", "NS", "TYPE65400", asked_type):
            if depth < len(name) or rtype == asked_type:
                response = names.ask(name.split(depth)[1], rtype, transport)
                assert dns.rcode.to_text(response.rcode()) == "NOERROR", f"{response.question[0]}"
                assert response.flags & dns.flags.AA


@each_transport
def test_reverse_names_part_way(names: Program, transport: Transport) -> None:
    """A part-way reverse name exists if an address below it has a name; below an address there is nothing."""
    for name, zone, expected in [
        ("0.96.10.in-addr.arpa", "96.10.in-addr.arpa", "NOERROR"),
        ("1.96.10.in-addr.arpa", "96.10.in-addr.arpa", "NXDOMAIN"),
        ("222.0.96.10.in-addr.arpa", "96.10.in-addr.arpa", "NXDOMAIN"),  # the address that an ExternalName is
        ("9.244.10.in-addr.arpa", "244.10.in-addr.arpa", "NOERROR"),
        ("8.244.10.in-addr.arpa", "244.10.in-addr.arpa", "NXDOMAIN"),
        ("a.10.0.96.10.in-addr.arpa", "96.10.in-addr.arpa", "NXDOMAIN"),
        ("256.96.10.in-addr.arpa", "96.10.in-addr.arpa", "NXDOMAIN"),
        ("010.0.96.10.in-addr.arpa", "96.10.in-addr.arpa", "NXDOMAIN"),
        ("1.0.0.0." + reverse("fd00:10:244::/48"), reverse("fd00:10:244::/48"), "NOERROR"),
        ("2.0.0.0." + reverse("fd00:10:244::/48"), reverse("fd00:10:244::/48"), "NXDOMAIN"),
    ]:
        response = names.ask(name, "PTR", transport)
        assert (name, dns.rcode.to_text(response.rcode())) == (name, expected)
        check_negative_soa(response, zone)


@each_transport
@pytest.mark.parametrize("edns", [False, True])
def test_case_comes_back_as_asked(names: Program, edns: bool, transport: Transport) -> None:
    """Whatever the case, the answer is the same, and the question and its owner names are as they were asked.

    So also where it is prepared, and with a DNS cookie made anew each time.
    """
    source = random.Random(0x20)
    prepared = names.metrics()["dnsbridge_prepared_hits_total"]
    absent = [row.question.replace("Z ", "cluster.local ") for row in NO_SUCH_NAME + NO_DATA]
    for question in questions() + absent:
        name, rtype = question.split()
        plain = names.ask(name, rtype, "tcp", edns=edns)
        for turn in range(4):
            mixed = "".join(source.choice((letter.lower(), letter.upper())) for letter in name)
            cookie = [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, source.randbytes(8))] if turn % 2 else []
            options = cookie if edns else []
            response = names.ask(mixed, rtype, transport, edns=edns, payload=4096, options=options)
            assert response.question[0].name.to_text(omit_final_dot=True) == mixed
            assert response.rcode() == plain.rcode()
            for got, expected in zip(response.answer, plain.answer, strict=True):
                assert (got.name, set(got)) == (expected.name, set(expected))
                if got.name == response.question[0].name:
                    assert got.name.to_text(omit_final_dot=True) == mixed
            for soa in response.authority:
                assert mixed.endswith(soa.name.to_text(omit_final_dot=True))
    asked = len(questions() + absent) * 4
    hits = names.metrics()["dnsbridge_prepared_hits_total"] - prepared
    assert hits >= asked * 0.4


@each_transport
def test_version_bind_is_refused(names: Program, transport: Transport) -> None:
    """CHAOS version.bind is refused unless it is configured, and so is any other class."""
    for name, rclass in [("version.bind", "CH"), ("web.shop.svc.cluster.local", "CH"), ("id.server", "CH")]:
        response = names.ask(name, "TXT", transport, rclass=rclass)
        assert dns.rcode.to_text(response.rcode()) == "REFUSED"
        assert not response.flags & dns.flags.AA


@each_transport
def test_every_endpoint_has_its_reverse_name(names: Program, transport: Transport) -> None:
    """The names of a large service and those of its addresses agree."""
    for number in range(0, CROWD, 7):
        address = ip_address(f"10.244.9.{number}")
        response = names.ask(address.reverse_pointer, "PTR", transport)
        (target,) = response.answer[0]
        assert names.ask(target.target, "A", transport).answer[0][0].to_text() == str(address)

"""A Service as an upstream: which of its servers are asked, and what is looked at again when the cluster changes."""

from ipaddress import ip_address

import pytest

from dnsbridge.app.answering.service_upstreams import ITSELF, MAX_SERVERS, ServiceUpstreams
from dnsbridge.cluster.changes import Gone, Put
from dnsbridge.cluster.objects import Endpoint, EndpointSlice, Port, Service
from dnsbridge.config import Address, Forward, ServiceAddress
from dnsbridge.zone.index import Index

CORP = ServiceAddress("dns", "corp")
DNS = (Port("dns", "UDP", 53),)


def packed(*hosts: str) -> tuple[bytes, ...]:
    """Addresses as objects hold them."""
    return tuple([ip_address(host).packed for host in hosts])


def endpoints(*hosts: str) -> EndpointSlice:
    """A slice of dns/corp."""
    made = tuple([Endpoint(packed(host)) for host in hosts])
    return EndpointSlice(namespace="dns", name="corp-1", service="corp", endpoints=made, ports=DNS)


HEADLESS = Service(namespace="dns", name="corp", headless=True, ports=DNS)
FRONT = Service(namespace="dns", name="corp", cluster_ips=packed("10.96.0.53"), ports=DNS)

CASES = [
    # what, the objects, where dnsbridge listens, the servers, why there are none
    ("one endpoint is where dnsbridge listens", HEADLESS, ("127.0.0.1", "10.244.0.2"), "127.0.0.1:53",
     ["10.244.0.2:53"], ""),
    ("the same, by a wildcard", HEADLESS, ("127.0.0.1", "10.244.0.2"), "0.0.0.0:53", ["10.244.0.2:53"], ""),
    ("another port of this host is another server", HEADLESS, ("127.0.0.1",), "127.0.0.1:5300", ["127.0.0.1:53"], ""),
    ("no endpoint but dnsbridge", HEADLESS, ("127.0.0.1",), "0.0.0.0:53", [], ITSELF),
    ("dnsbridge behind the ClusterIP", FRONT, ("127.0.0.1", "10.244.0.2"), "0.0.0.0:53", [], ITSELF),
    ("others behind the ClusterIP", FRONT, ("10.244.0.2",), "0.0.0.0:53", ["10.96.0.53:53"], ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "hosts", "listening", "servers", "problem"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_never_itself(
    service: Service, hosts: tuple[str, ...], listening: str, servers: list[str], problem: str
) -> None:
    """A Service never leads back to dnsbridge."""
    index = Index()
    index.apply([Put(service), Put(endpoints(*hosts))], 1)
    host, _, port = listening.rpartition(":")
    made = ServiceUpstreams([Forward(upstreams=(CORP,))], ["dev"], {"dev": index}, [Address(host, int(port))])
    found = made.by_address[CORP]
    assert ([str(server) for server in found.servers], found.problem) == (servers, problem)


def test_a_bound_on_servers() -> None:
    """Of very many endpoints some are asked, and the rest is counted."""
    index = Index()
    index.apply([Put(HEADLESS), Put(endpoints(*(f"10.244.0.{number}" for number in range(1, 101))))], 1)
    found = ServiceUpstreams([Forward(upstreams=(CORP,))], ["dev"], {"dev": index}).by_address[CORP]
    assert (len(found.servers), found.left_out) == (MAX_SERVERS, 100 - MAX_SERVERS)


def test_what_is_looked_at_again() -> None:
    """A change counts in the cluster that is named, or else in the first one; one of another Service costs nothing."""
    dev, prod = Index(), Index()
    named = ServiceAddress("dns", "corp", 53, "prod")
    made = ServiceUpstreams([Forward(upstreams=(CORP, named))], ["dev", "prod"], {"dev": dev, "prod": prod})
    assert made.by_address[CORP].problem == made.by_address[named].problem == "there is no such Service"
    assert not made.look(
        "dev", dev.apply([Put(Service(namespace="dns", name="corp-2", cluster_ips=packed("10.1.1.1")))], 1)
    )
    assert made.look("prod", prod.apply([Put(FRONT)], 1))
    assert [len(made.by_address[each].servers) for each in (CORP, named)] == [0, 1]
    assert made.look("dev", dev.apply([Put(FRONT)], 1))
    assert [len(made.by_address[each].servers) for each in (CORP, named)] == [1, 1]
    assert made.look("dev", dev.apply([Gone(FRONT.key)], 1))
    assert [len(made.by_address[each].servers) for each in (CORP, named)] == [0, 1]

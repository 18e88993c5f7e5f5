"""Where a Service can be asked: its ClusterIPs or its ready endpoints, and the port of each."""

from ipaddress import ip_address

import pytest

from dnsbridge.cluster.changes import Put
from dnsbridge.cluster.objects import Endpoint, Endpoints, EndpointSlice, Object, Port, Service, Subset
from dnsbridge.zone.index import Index
from dnsbridge.zone.service_servers import NoServer, servers

DNS, DNS_TCP, HIGH = Port("dns", "UDP", 53), Port("dns-tcp", "TCP", 53), Port("dns", "UDP", 5353)
METRICS = Port("metrics", "TCP", 9153)


def packed(*addresses: str) -> tuple[bytes, ...]:
    """Addresses as objects hold them."""
    return tuple([ip_address(each).packed for each in addresses])


def service(ports: tuple[Port, ...] = (DNS, DNS_TCP), **more: object) -> Service:
    """The Service dns/corp; with a ClusterIP unless something else is said."""
    said = more or {"cluster_ips": packed("10.96.0.53")}
    return Service(namespace="dns", name="corp", ports=ports, **said)  # type: ignore[arg-type]


def slice_(name: str, ports: tuple[Port, ...], *endpoints: tuple[str, bool]) -> EndpointSlice:
    """A slice of it, with endpoints that are ready or not."""
    made = tuple([Endpoint(packed(address), ready=ready) for address, ready in endpoints])
    return EndpointSlice(namespace="dns", name=name, service="corp", endpoints=made, ports=ports)


HEADLESS = service(headless=True)
TWO = slice_("corp-1", (HIGH, METRICS), ("10.244.0.9", True), ("10.244.0.8", True), ("10.244.0.7", False))

CASES: list[tuple[str, list[Object], int | str, list[str] | str]] = [
    ("a ClusterIP", [service()], 53, ["10.96.0.53 53"]),
    ("by the name of a port", [service((HIGH, METRICS))], "dns", ["10.96.0.53 5353"]),
    ("by another number", [service((HIGH,))], 5353, ["10.96.0.53 5353"]),
    ("two families", [service(cluster_ips=packed("10.96.0.53", "fd00::53"))], 53, ["10.96.0.53 53", "fd00::53 53"]),
    ("endpoints do not count behind a ClusterIP", [service(), TWO], 53, ["10.96.0.53 53"]),
    ("a headless one: ready endpoints in order, and their own port",
     [HEADLESS, TWO], 53, ["10.244.0.8 5353", "10.244.0.9 5353"]),
    ("a headless one by the name of a port", [HEADLESS, TWO], "dns", ["10.244.0.8 5353", "10.244.0.9 5353"]),
    ("a headless one by a port that only endpoints have",
     [HEADLESS, TWO], 5353, ["10.244.0.8 5353", "10.244.0.9 5353"]),
    ("slices with different ports",
     [HEADLESS, slice_("a", (DNS,), ("10.244.0.2", True)), slice_("b", (HIGH,), ("10.244.0.1", True))],
     53, ["10.244.0.1 5353", "10.244.0.2 53"]),
    ("an endpoint of two slices is one server",
     [HEADLESS, TWO, slice_("again", (HIGH,), ("10.244.0.8", True))], 53, ["10.244.0.8 5353", "10.244.0.9 5353"]),
    ("a headless one without ports",
     [service((), headless=True), slice_("a", (), ("10.244.0.2", True))], 53, ["10.244.0.2 53"]),
    ("endpoints that are not ready, published",
     [service(headless=True, publish_not_ready=True), slice_("a", (DNS,), ("10.244.0.2", False))],
     53, ["10.244.0.2 53"]),
    ("v1 Endpoints",
     [HEADLESS, Endpoints(namespace="dns", name="corp",
                          subsets=(Subset((Endpoint(packed("10.244.0.8")), Endpoint(packed("10.244.0.7"), ready=False)),
                                          (HIGH,)),))],
     53, ["10.244.0.8 5353"]),
    ("no such namespace", [], 53, "there is no such Service"),
    ("no such Service", [Service(namespace="dns", name="other")], 53, "there is no such Service"),
    ("an ExternalName", [service((), type="ExternalName", external_name="dns.corp")], 53,
     "is an ExternalName, which has no address of its own"),
    ("no such port", [service((HIGH, METRICS))], 53,
     "has no UDP port 53; its ports are dns 5353/UDP, metrics 9153/TCP"),
    ("TCP alone", [service((DNS_TCP,))], 53, "has no UDP port 53; its ports are dns-tcp 53/TCP"),
    ("no endpoint", [HEADLESS], 53, "has no ready endpoint"),
    ("no ready endpoint", [HEADLESS, slice_("a", (DNS,), ("10.244.0.2", False))], 53, "has no ready endpoint"),
    ("endpoints without such a port", [HEADLESS, slice_("a", (METRICS,), ("10.244.0.2", True))], 53,
     "has no endpoint with a UDP port 53; their ports are metrics 9153/TCP"),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "port", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_servers(objects: list[Object], port: int | str, wanted: list[str] | str) -> None:
    """A Service has these servers, or none for this reason."""
    index = Index()
    index.apply([Put(each) for each in objects], 1)
    found = servers(index, "dns", "corp", port)
    if isinstance(found, NoServer):
        assert found.problem == wanted
    else:
        assert [f"{ip_address(address)} {number}" for address, number in found] == wanted

"""One wrong field costs one field: services, their endpoints, and pods."""

from typing import Any

import msgspec
import pytest

from dnsbridge.cluster.objects import Endpoint, Endpoints, EndpointSlice, Object, Pod, Port, Service, Subset
from dnsbridge.watch.api.decoding import Incoming, Skipped, decode_object
from dnsbridge.watch.api.resources import SERVICES
from tests.support.flaws import ADDRESS, LABEL, REACH, SUBDOMAIN, check_invalid, check_left_out, made, packed


def service(**spec: Any) -> dict[str, Any]:
    """A Service with a ClusterIP."""
    return made("Service", spec={"clusterIP": "10.96.0.1", **spec})


def service_of(**fields: Any) -> Service:
    """What such a Service gives."""
    return Service(**{"namespace": "default", "name": "web", "cluster_ips": (packed("10.96.0.1"),), **fields})


def endpoints(*listed: Any, **rest: Any) -> dict[str, Any]:
    """A slice with these endpoints before one that is right."""
    right = {"addresses": ["10.0.0.9"], "hostname": "right"}
    metadata = {"labels": {"kubernetes.io/service-name": "web"}}
    fields = {"addressType": "IPv4", "endpoints": [*listed, right], **rest}
    return made("EndpointSlice", "discovery.k8s.io/v1", metadata, **fields)


def slice_of(*listed: Endpoint, ports: tuple[Port, ...] = (), last: bool = True) -> EndpointSlice:
    """What such a slice gives."""
    right = (Endpoint((packed("10.0.0.9"),), "right"),) if last else ()
    return EndpointSlice(namespace="default", name="web", service="web", endpoints=(*listed, *right), ports=ports)


def endpoint(address: str, **fields: Any) -> Endpoint:
    """One endpoint."""
    return Endpoint((packed(address),), **fields)


WEB = {"addresses": ["10.0.0.1"], "hostname": "web-0"}
WEB_OF = endpoint("10.0.0.1", hostname="web-0")
HTTP, HTTP_OF = {"name": "http", "port": 80}, Port("http", "TCP", 80)

SUBSET = {"addresses": [{"ip": "10.0.0.9", "hostname": "right"}]}
"""One that is right."""


def old_endpoints(*addresses: Any, **rest: Any) -> dict[str, Any]:
    """Endpoints with these addresses in one subset before one that is right."""
    return made("Endpoints", subsets=[{"addresses": list(addresses), **rest}, SUBSET])


def old_endpoints_of(*listed: Endpoint, ports: tuple[Port, ...] = ()) -> Endpoints:
    """What such Endpoints give."""
    subsets = (Subset(listed, ports), Subset((endpoint("10.0.0.9", hostname="right"),)))
    return Endpoints(namespace="default", name="web", subsets=subsets if listed else subsets[1:])


FLAWED: dict[str, tuple[dict[str, Any], Object, list[str]]] = {
    # --- Endpoints
    "Endpoints, a hostname with a dot: the endpoint goes by its address": (
        old_endpoints({"ip": "10.0.0.1", "hostname": "test.hostname"}),
        old_endpoints_of(endpoint("10.0.0.1")),
        [f"subsets[0].addresses[0].hostname: {LABEL}, got test.hostname"],
    ),
    "Endpoints, an address that is none": (
        old_endpoints({"ip": "web-0"}, {"ip": "10.0.0.1"}),
        old_endpoints_of(endpoint("10.0.0.1")),
        [f"subsets[0].addresses[0].ip: {ADDRESS}, got web-0"],
    ),
    "Endpoints, an address that is no mapping, alone in its subset": (
        old_endpoints("10.0.0.1"),
        old_endpoints_of(),
        ["subsets[0].addresses[0]: expected a mapping, got a string"],
    ),
    "Endpoints, an address of this host": (
        old_endpoints({"ip": "127.0.0.1"}, {"ip": "10.0.0.1"}),
        old_endpoints_of(endpoint("10.0.0.1")),
        [f"subsets[0].addresses[0].ip: {REACH}, got 127.0.0.1"],
    ),
    "Endpoints, a port that cannot be": (
        old_endpoints({"ip": "10.0.0.1"}, ports=[{"port": -1}, HTTP]),
        old_endpoints_of(endpoint("10.0.0.1"), ports=(HTTP_OF,)),
        ["subsets[0].ports[0].port: expected a number from 1 to 65535, got -1"],
    ),
    # --- EndpointSlice
    "a hostname with a dot: the endpoint goes by its address": (
        endpoints({"addresses": ["10.0.0.1"], "hostname": "test.hostname"}, WEB),
        slice_of(endpoint("10.0.0.1"), WEB_OF),
        [f"endpoints[0].hostname: {LABEL}, got test.hostname"],
    ),
    "a hostname that is a number": (
        endpoints({"addresses": ["10.0.0.1"], "hostname": 123}),
        slice_of(endpoint("10.0.0.1")),
        ["endpoints[0].hostname: expected a string or null, got an integer"],
    ),
    "a hostname that YAML makes a float": (
        endpoints({"addresses": ["10.0.0.1"], "hostname": 1.1}),
        slice_of(endpoint("10.0.0.1")),
        ["endpoints[0].hostname: expected a string or null, got a float"],
    ),
    "a hostname that YAML makes a boolean": (
        endpoints({"addresses": ["10.0.0.1"], "hostname": True}),
        slice_of(endpoint("10.0.0.1")),
        ["endpoints[0].hostname: expected a string or null, got a boolean"],
    ),
    "an address that is none": (
        endpoints({"addresses": ["10.0.0.256"]}, WEB),
        slice_of(WEB_OF),
        [f"endpoints[0].addresses[0]: {ADDRESS}, got 10.0.0.256"],
    ),
    "an address that is none beside one that is right": (
        endpoints({"addresses": ["x", "10.0.0.1"]}),
        slice_of(endpoint("10.0.0.1")),
        [f"endpoints[0].addresses[0]: {ADDRESS}, got x"],
    ),
    "an address of the other family": (
        endpoints({"addresses": ["fd00::1"]}),
        slice_of(),
        ["endpoints[0].addresses[0]: fd00::1 is no IPv4 address, which addressType promises"],
    ),
    "an address with a scope": (
        endpoints({"addresses": ["fe80::1%eth0"]}),
        slice_of(),
        [f"endpoints[0].addresses[0]: {ADDRESS}, got fe80::1%eth0"],
    ),
    **{
        f"an address that the API server refuses: {text}": (
            endpoints({"addresses": [text]}),
            slice_of(),
            [f"endpoints[0].addresses[0]: {REACH}, got {text}"],
        )
        for text in ("0.0.0.0", "127.0.0.1", "127.9.9.9", "169.254.1.1", "224.0.0.251")
    },
    **{
        f"an IPv6 address that the API server refuses: {text}": (
            made(
                "EndpointSlice",
                "discovery.k8s.io/v1",
                {"labels": {"kubernetes.io/service-name": "web"}},
                addressType="IPv6",
                endpoints=[{"addresses": [text]}, {"addresses": ["fd00::9"]}],
            ),
            slice_of(endpoint("fd00::9"), last=False),
            [f"endpoints[0].addresses[0]: {REACH}, got {text}"],
        )
        for text in ("::", "::1", "fe80::1", "ff02::fb", "ff12::1")
    },
    "an endpoint without addresses": (
        endpoints({"addresses": []}),
        slice_of(),
        ["endpoints[0].addresses: expected at least one address"],
    ),
    "an endpoint whose addresses are no list": (
        endpoints({"addresses": "10.0.0.1"}, WEB),
        slice_of(WEB_OF),
        ["endpoints[0].addresses: expected a list, got a string"],
    ),
    "an endpoint that is null": (
        endpoints(None, WEB),
        slice_of(WEB_OF),
        ["endpoints[0]: expected a mapping, got null"],
    ),
    "an address that is null": (
        endpoints({"addresses": [None, "10.0.0.1"]}),
        slice_of(endpoint("10.0.0.1")),
        ["endpoints[0].addresses[0]: expected a string, got null"],
    ),
    "two flaws of two kinds: each is where it stands": (
        endpoints({"addresses": 7}, {"addresses": ["10.0.0.1"], "hostname": "a_b"}),
        slice_of(endpoint("10.0.0.1")),
        ["endpoints[0].addresses: expected a list, got an integer", f"endpoints[1].hostname: {LABEL}, got a_b"],
    ),
    "conditions that are none count as unset": (
        endpoints({**WEB, "conditions": "ready"}, {"addresses": ["10.0.0.2"], "conditions": {"ready": "no"}}),
        slice_of(WEB_OF, endpoint("10.0.0.2")),
        [
            "endpoints[0].conditions: expected a mapping or null, got a string",
            "endpoints[1].conditions.ready: expected a boolean or null, got a string",
        ],
    ),
    "a target that cannot be": (
        endpoints({**WEB, "targetRef": {"kind": "Pod", "name": "Web_0"}}),
        slice_of(WEB_OF),
        [f"endpoints[0].targetRef.name: {SUBDOMAIN}, got Web_0"],
    ),
    "ports out of range, of a bad name, of a bad protocol": (
        endpoints(
            ports=[
                HTTP,
                {"port": 0},
                {"port": 65536},
                {"port": 10**30},
                {"port": 1, "name": "_x"},
                {"port": 1, "protocol": "tcp"},
                {"port": "http"},
                {"port": 1, "name": 5},
            ]
        ),
        slice_of(ports=(HTTP_OF,)),
        [
            "ports[6].port: expected an integer or null, got a string",
            "ports[7].name: expected a string or null, got an integer",
            "ports[1].port: expected a number from 1 to 65535, got 0",
            "ports[2].port: expected a number from 1 to 65535, got 65536",
            "ports[3].port: expected a number from 1 to 65535, got more",
            f"ports[4].name: {LABEL}, got _x",
            "ports[5].protocol: expected one of TCP, UDP, SCTP, got tcp",
        ],
    ),
    "an address type that is none: each address is of its own family": (
        endpoints(WEB, {"addresses": ["fd00::1"]}, addressType="IP"),
        slice_of(WEB_OF, endpoint("fd00::1")),
        ["addressType: expected one of IPv4, IPv6, got IP"],
    ),
    "no address type": (
        endpoints(addressType=None),
        slice_of(),
        ["addressType: expected one of IPv4, IPv6, but missing"],
    ),
    "an address type that is a number": (
        endpoints(addressType=4),
        slice_of(),
        ["addressType: expected a string or null, got an integer"],
    ),
    "a resourceVersion that is a number": (
        endpoints() | {"metadata": {**endpoints()["metadata"], "resourceVersion": 7}},
        slice_of(),
        ["metadata.resourceVersion: expected a string or null, got an integer"],
    ),
    # --- Service
    "one wrong ClusterIP of two": (
        service(clusterIPs=["10.96.0.1", "fd00::x"]),
        service_of(),
        [f"spec.clusterIPs[1]: {ADDRESS}, got fd00::x"],
    ),
    "ClusterIPs that are no list, beside one that is right": (
        service(clusterIPs="10.96.0.1"),
        service_of(),
        ["spec.clusterIPs: expected a list or null, got a string"],
    ),
    "all ClusterIPs wrong, beside one that is right": (
        service(clusterIPs=["x"]),
        service_of(),
        [f"spec.clusterIPs[0]: {ADDRESS}, got x"],
    ),
    "headless, by the one of both fields that can be read": (
        service(clusterIP="None", clusterIPs=[False]),
        service_of(cluster_ips=(), headless=True),
        ["spec.clusterIPs[0]: expected a string, got a boolean"],
    ),
    "one wrong external address": (
        service(externalIPs=["192.0.2.1", "x", "127.0.0.1", None]),
        service_of(external_ips=(packed("192.0.2.1"),)),
        [
            "spec.externalIPs[3]: expected a string, got null",
            f"spec.externalIPs[1]: {ADDRESS}, got x",
            f"spec.externalIPs[2]: {REACH}, got 127.0.0.1",
        ],
    ),
    "one wrong ingress of a load balancer": (
        {**service(), "status": {"loadBalancer": {"ingress": [{"ip": "x"}, {"ip": "192.0.2.1"}, "192.0.2.2"]}}},
        service_of(load_balancer_ips=(packed("192.0.2.1"),)),
        [
            "status.loadBalancer.ingress[2]: expected a mapping, got a string",
            f"status.loadBalancer.ingress[0].ip: {ADDRESS}, got x",
        ],
    ),
    "a status that is none": (
        {**service(), "status": "ok"},
        service_of(),
        ["status: expected a mapping or null, got a string"],
    ),
    "wrong ports": (
        service(
            ports=[
                {"port": "http"},
                {},
                {"port": 65536},
                {"port": 1, "name": "_x"},
                {"port": 1, "protocol": "tcp"},
                HTTP,
                "80",
            ]
        ),
        service_of(ports=(HTTP_OF,)),
        [
            "spec.ports[0].port: expected an integer, got a string",
            "spec.ports[1].port: expected, but missing",
            "spec.ports[6]: expected a mapping, got a string",
            "spec.ports[2].port: expected a number from 1 to 65535, got 65536",
            f"spec.ports[3].name: {LABEL}, got _x",
            "spec.ports[4].protocol: expected one of TCP, UDP, SCTP, got tcp",
        ],
    ),
    "a type that is none: an address makes it a ClusterIP": (
        service(type="Cluster"),
        service_of(),
        ["spec.type: expected one of ClusterIP, NodePort, LoadBalancer, ExternalName, got Cluster"],
    ),
    "publishNotReadyAddresses as a text": (
        service(publishNotReadyAddresses="yes"),
        service_of(),
        ["spec.publishNotReadyAddresses: expected a boolean or null, got a string"],
    ),
    # --- Pod
    "one wrong address of a pod": (
        made("Pod", status={"podIPs": [{"ip": "10.0.0.1"}, {"ip": "x"}, {"ip": 5}, None]}),
        Pod(namespace="default", name="web", addresses=(packed("10.0.0.1"),)),
        [
            "status.podIPs[2].ip: expected a string or null, got an integer",
            "status.podIPs[3]: expected a mapping, got null",
            f"status.podIPs[1].ip: {ADDRESS}, got x",
        ],
    ),
    "podIPs that are wrong, beside a podIP": (
        made("Pod", status={"podIP": "10.0.0.1", "podIPs": [{"ip": "x"}]}),
        Pod(namespace="default", name="web", addresses=(packed("10.0.0.1"),)),
        [f"status.podIPs[0].ip: {ADDRESS}, got x"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("api", [False, True], ids=["data", "octets"])
@pytest.mark.parametrize("name", FLAWED)
def test_left_out(name: str, api: bool) -> None:
    """The smallest part that is wrong is left out and named; all else is as if it had not been there."""
    check_left_out(*FLAWED[name], api=api)


def test_a_number_of_thousands_of_digits() -> None:
    """A number that Python would not even print is one flaw as well."""
    flaws = ["ports[1].port: expected a number from 1 to 65535, got more"]
    check_left_out(endpoints(ports=[HTTP, {"port": 10**5000}]), slice_of(ports=(HTTP_OF,)), flaws, api=False)


HOSTILE = [
    b'{"metadata":{"name":"web"},"spec":{"ports":[{"port":' + b"9" * 5000 + b"}]}}",
    b'{"metadata":{"name":"web"},"spec":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"ports":[{"port":"a"}]}}',
    b'{"metadata":{"name":"web"},"spec":{"ports":[{"port":"a"}],"x":"\xff"}}',
    b'{"metadata":{"name":"web"},"spec":{"ports":[{"port":1e999}]}}',
    b'{"metadata":{"name":"web"},"spec":{"ports":[{"port":NaN}]}}',
    b'{"metadata":7}',
    b"null",
    b"7",
]


@pytest.mark.parametrize("octets", HOSTILE, ids=[octets[:20].decode() + octets[-12:].hex() for octets in HOSTILE])
def test_hostile_octets(octets: bytes) -> None:
    """Octets that no server sends give no exception, and nothing is taken of them."""
    outcome = decode_object(SERVICES, Incoming("ADDED", msgspec.Raw(octets)))
    assert isinstance(outcome, Skipped)
    assert outcome.problem.isprintable()
    assert outcome.problem


LEFT_OUT = [
    (endpoints() | {"endpoints": [{"addresses": ["x"]}]}, f"endpoints[0].addresses[0]: {ADDRESS}, got x"),
    (endpoints() | {"endpoints": 5}, "endpoints: expected a list or null, got an integer"),
    (
        endpoints() | {"metadata": {"name": "web", "labels": {"kubernetes.io/service-name": 123}}},
        "metadata.labels.kubernetes.io/service-name: expected a string or null, got an integer",
    ),
    (
        service() | {"metadata": {"name": "web", "namespace": 123}},
        "metadata.namespace: expected a string or null, got an integer",
    ),
    (service() | {"metadata": {"name": 1.1}}, "metadata.name: expected a string, got a float"),
    (service() | {"metadata": "web"}, "metadata: expected a mapping, got a string"),
    (service(clusterIP=5), "spec.clusterIP: expected a string or null, got an integer"),
    (made("Pod", status={"podIPs": [{"ip": "x"}]}), f"status.podIPs[0].ip: {ADDRESS}, got x"),
    (made("Pod", status=5), "status: expected a mapping or null, got an integer"),
]


@pytest.mark.parametrize(("data", "problem"), LEFT_OUT, ids=[problem[:60] for _, problem in LEFT_OUT])
def test_what_cannot_be_left_out(data: dict[str, Any], problem: str) -> None:
    """What says which object it is, what the rest speaks of, or is the only content, takes the whole object along."""
    check_invalid(data, problem)

"""Kubernetes objects to slim ones: what is taken, what is not used, and the exact words for what does not fit."""

from importlib.resources import files
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.cluster.decode import MAX_LIST_DEPTH, Flawed, Invalid, Unused, decode, objects_of, slim
from dnsbridge.cluster.objects import (
    Endpoint,
    EndpointSlice,
    IPPool,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Service,
    ServiceCIDR,
)
from dnsbridge.cluster.raw import RAW_TYPES

LABELS = {"kubernetes.io/service-name": "web"}


def manifest(kind: str, version: str, **rest: Any) -> dict[str, Any]:
    """An object `web` in `shop`, with the given fields at its top; `metadata` is added to."""
    metadata = {"name": "web", "namespace": "shop", **rest.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def service(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A v1 Service."""
    return manifest("Service", "v1", metadata=metadata or {}, spec=spec)


def endpoint_slice(labels: dict[str, str] | None = None, **rest: Any) -> dict[str, Any]:
    """An EndpointSlice of the service `web`."""
    metadata = {"name": "web-abc12", "labels": LABELS if labels is None else labels}
    return manifest("EndpointSlice", "discovery.k8s.io/v1", metadata=metadata, **{"addressType": "IPv4", **rest})


def packed(text: str) -> bytes:
    """An address by another library than the one in use."""
    return ip_address(text).packed


IP4 = packed("10.96.0.1")
IP6 = packed("fd00::1")

GOOD: dict[str, tuple[dict[str, Any], Object]] = {
    "namespace": (
        manifest("Namespace", "v1", metadata={"name": "shop", "resourceVersion": "7"}),
        Namespace(name="shop", resource_version="7"),
    ),
    "service": (
        service(clusterIP="10.96.0.1", ports=[{"name": "http", "port": 80}, {"port": 53, "protocol": "UDP"}]),
        Service(
            namespace="shop",
            name="web",
            cluster_ips=(IP4,),
            ports=(Port("http", "TCP", 80), Port("", "UDP", 53)),
        ),
    ),
    "service, two families": (
        service(type="NodePort", clusterIP="10.96.0.1", clusterIPs=["10.96.0.1", "fd00::1"], ports=None),
        Service(namespace="shop", name="web", type="NodePort", cluster_ips=(IP4, IP6)),
    ),
    "service, headless": (
        service(clusterIP="None", publishNotReadyAddresses=True),
        Service(namespace="shop", name="web", headless=True, publish_not_ready=True),
    ),
    "service, external": (
        service(type="ExternalName", externalName="www.example.com."),
        Service(namespace="shop", name="web", type="ExternalName", external_name="www.example.com."),
    ),
    "service, external, capitals": (
        service(type="ExternalName", externalName="DB.Example.COM"),
        Service(namespace="shop", name="web", type="ExternalName", external_name="db.example.com"),
    ),
    "service, external, underscores": (
        service(type="ExternalName", externalName="_db._tcp.My_Host.example"),
        Service(namespace="shop", name="web", type="ExternalName", external_name="_db._tcp.my_host.example"),
    ),
    "service, external, an IPv4 address": (
        service(type="ExternalName", externalName="10.96.0.1"),
        Service(namespace="shop", name="web", type="ExternalName", external_address=IP4),
    ),
    "service, external, an address with a final dot": (
        service(type="ExternalName", externalName="10.96.0.1."),
        Service(namespace="shop", name="web", type="ExternalName", external_address=IP4),
    ),
    "service, external, an IPv6 address": (
        service(type="ExternalName", externalName="FD00:0::1"),
        Service(namespace="shop", name="web", type="ExternalName", external_address=IP6),
    ),
    "service, no namespace": (
        service(metadata={"namespace": None}, clusterIP="10.96.0.1"),
        Service(namespace="default", name="web", cluster_ips=(IP4,)),
    ),
    "slice": (
        endpoint_slice(
            endpoints=[
                {"addresses": ["10.0.0.1"], "hostname": "web-0", "targetRef": {"kind": "Pod", "name": "web-0"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": False}, "targetRef": {"kind": "Node", "name": "n"}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": None}},
                {"addresses": ["10.0.0.4"], "conditions": None, "hostname": None},
            ],
            ports=[{"name": "http", "port": 8080}, {"name": "none", "port": None}, {"name": None, "port": 1}],
        ),
        EndpointSlice(
            namespace="shop",
            name="web-abc12",
            service="web",
            endpoints=(
                Endpoint((packed("10.0.0.1"),), "web-0", True, "web-0"),
                Endpoint((packed("10.0.0.2"),), "", False),
                Endpoint((packed("10.0.0.3"),)),
                Endpoint((packed("10.0.0.4"),)),
            ),
            ports=(Port("http", "TCP", 8080), Port("", "TCP", 1)),
        ),
    ),
    "slice, null lists": (
        endpoint_slice(addressType="IPv6", endpoints=None, ports=None),
        EndpointSlice(namespace="shop", name="web-abc12", service="web"),
    ),
    "pod": (
        manifest("Pod", "v1", status={"phase": "Running", "podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.1"}]}),
        Pod(namespace="shop", name="web", addresses=(packed("10.0.0.1"),)),
    ),
    "pod, one address": (
        manifest("Pod", "v1", status={"podIP": "fd00::1"}),
        Pod(namespace="shop", name="web", addresses=(IP6,)),
    ),
    "pod, pending": (manifest("Pod", "v1"), Pod(namespace="shop", name="web")),
    "node": (
        manifest(
            "Node",
            "v1",
            metadata={"name": "node-1.example"},
            spec={"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24", "FD00:0::/64"]},
            status={
                "addresses": [{"type": "InternalIP", "address": "10.96.0.1"}, {"type": "Hostname", "address": "n"}]
            },
        ),
        Node(name="node-1.example", addresses=(IP4,), pod_cidrs=("10.0.0.0/24", "fd00::/64")),
    ),
    "node, one prefix": (
        manifest("Node", "v1", spec={"podCIDR": "10.0.0.0/24"}),
        Node(name="web", pod_cidrs=("10.0.0.0/24",)),
    ),
    "service CIDR": (
        manifest("ServiceCIDR", "networking.k8s.io/v1beta1", spec={"cidrs": ["10.96.0.0/16"]}),
        ServiceCIDR(name="web", cidrs=("10.96.0.0/16",)),
    ),
    "pool": (
        manifest("IPPool", "projectcalico.org/v3", spec={"cidr": "10.244.0.0/16"}),
        IPPool(name="web", cidr="10.244.0.0/16"),
    ),
}

UNUSED: dict[str, dict[str, Any]] = {
    "another kind": manifest("Deployment", "apps/v1"),
    "the same kind of another group": manifest("Service", "serving.knative.dev/v1", spec={}),
    "a slice of Kubernetes 1.16": manifest("EndpointSlice", "discovery.k8s.io/v1alpha1"),
    "a pod that succeeded": manifest("Pod", "v1", status={"phase": "Succeeded"}),
    "a pod that failed": manifest("Pod", "v1", status={"phase": "Failed"}),
    "a slice of no service": endpoint_slice(labels={}),
    "a slice of names": endpoint_slice(addressType="FQDN", endpoints=[{"addresses": ["a.example"]}]),
}

LABEL = "expected a DNS label of a-z, 0-9 and `-`, at most 63 octets"
SUBDOMAIN = "expected DNS labels of a-z, 0-9 and `-` with dots between, at most 253 octets"
HOST = "spec.externalName: expected a DNS name or an IP address"
PREFIX = "expected a prefix such as 10.96.0.0/16 without host bits"

BAD: list[tuple[object, str]] = [
    (3, "object (unnamed): expected a mapping with apiVersion, kind and metadata"),
    ({"apiVersion": "v1"}, "object (unnamed): kind: expected a string"),
    ({"kind": "Service", "metadata": {"name": "web"}}, "Service default/web: apiVersion: expected a string"),
    ({"kind": "Service", "apiVersion": "v1"}, "Service default/(unnamed): metadata: expected, but missing"),
    (
        {"kind": "List", "apiVersion": "v1", "items": 3},
        "List (unnamed): items: expected a list of objects, nested at most 4 deep",
    ),
    (service(metadata={"name": True}), "Service shop/(unnamed): metadata.name: expected a string, got a boolean"),
    (service(metadata={"name": "Web"}), f"Service shop/Web: metadata.name: {LABEL}, got Web"),
    (service(metadata={"name": "a" * 64}), f"Service shop/{'a' * 64}: metadata.name: {LABEL}, got {'a' * 64}"),
    (service(metadata={"name": "a\nb"}), f"Service shop/'a\\nb': metadata.name: {LABEL}, got 'a\\nb'"),
    (
        service(metadata={"namespace": "a.b"}, clusterIP="None"),
        f"Service a.b/web: metadata.namespace: {LABEL}, got a.b",
    ),
    (manifest("Service", "v1", spec=None), "Service shop/web: spec: expected a mapping, got null"),
    (
        service(ports=[{"port": 80}]),
        "Service shop/web: spec.clusterIP: expected the service's address, as `kubectl get service -o yaml` prints it",
    ),
    (
        service(type="Cluster"),
        "Service shop/web: spec.type: expected one of ClusterIP, NodePort, LoadBalancer, ExternalName, got Cluster",
    ),
    (service(clusterIP="10.0.0.256"), "Service shop/web: spec.clusterIP: expected an IP address, got 10.0.0.256"),
    (service(clusterIP="10.0.0.01"), "Service shop/web: spec.clusterIP: expected an IP address, got 10.0.0.01"),
    (
        service(clusterIPs=["fe80::1%eth0"]),
        "Service shop/web: spec.clusterIPs[0]: expected an IP address, got fe80::1%eth0",
    ),
    (
        service(clusterIPs=["::ffff:10.0.0.1"]),
        "Service shop/web: spec.clusterIPs[0]: expected an IP address that is not IPv4-mapped, got ::ffff:10.0.0.1",
    ),
    (service(type="ExternalName"), f"Service shop/web: {HOST}, got ''"),
    (service(type="ExternalName", externalName="a..b"), f"Service shop/web: {HOST}, got a..b"),
    (service(type="ExternalName", externalName="[fd00::1]"), f"Service shop/web: {HOST}, got [fd00::1]"),
    (service(type="ExternalName", externalName="fe80::1%eth0"), f"Service shop/web: {HOST}, got fe80::1%eth0"),
    (
        service(type="ExternalName", externalName="::ffff:10.0.0.1"),
        "Service shop/web: spec.externalName: expected an IP address that is not IPv4-mapped, got ::ffff:10.0.0.1",
    ),
    (
        service(type="ExternalName", externalName=10.1),
        "Service shop/web: spec.externalName: expected a string or null, got a float",
    ),
    (
        endpoint_slice(labels={"kubernetes.io/service-name": "A"}),
        f"EndpointSlice shop/web-abc12: metadata.labels[kubernetes.io/service-name]: {LABEL}, got A",
    ),
    (
        endpoint_slice(endpoints=[{"addresses": ["fd00::1"]}]),
        "EndpointSlice shop/web-abc12: endpoints[0].addresses[0]: fd00::1 is no IPv4 address, which addressType "
        "promises",
    ),
    (
        endpoint_slice(endpoints=[{"addresses": []}]),
        "EndpointSlice shop/web-abc12: endpoints[0].addresses: expected at least one address",
    ),
    (
        manifest("Pod", "v1", status={"podIPs": [{"ip": "x"}]}),
        "Pod shop/web: status.podIPs[0].ip: expected an IP address, got x",
    ),
    (manifest("Pod", "v1", metadata={"name": "a..b"}), f"Pod shop/a..b: metadata.name: {SUBDOMAIN}, got a..b"),
    (
        manifest("ServiceCIDR", "networking.k8s.io/v1", spec={"cidrs": ["10.0.0.0"]}),
        f"ServiceCIDR web: spec.cidrs[0]: {PREFIX}, got 10.0.0.0",
    ),
    (
        manifest("IPPool", "crd.projectcalico.org/v1", spec={"cidr": "10.0.0.0/255.0.0.0"}),
        f"IPPool web: spec.cidr: {PREFIX}, got 10.0.0.0/255.0.0.0",
    ),
]


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    """An object of a kind that is used gives its slim copy."""
    data, expected = GOOD[name]
    assert decode(data) == expected


@pytest.mark.parametrize("name", GOOD)
def test_octets(name: str) -> None:
    """The same object as an API server's JSON gives the same slim copy."""
    data, expected = GOOD[name]
    raw = msgspec.json.decode(msgspec.json.encode(data), type=RAW_TYPES[data["apiVersion"], data["kind"]])
    assert slim(raw) == expected


@pytest.mark.parametrize("name", UNUSED)
def test_unused(name: str) -> None:
    """An object that nothing comes from is told apart from a wrong one."""
    assert isinstance(decode(UNUSED[name]), Unused)


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad(data: object, message: str) -> None:
    """An object is left out whose identity or only content does not fit, with the field's path and what is expected."""
    outcome = decode(data)
    assert isinstance(outcome, Invalid)
    assert str(outcome) == message


def test_lists() -> None:
    """Lists are flattened, typed ones give their items kind and version, and depth is bounded."""
    web = service(clusterIP="None")
    bare = {"metadata": {"name": "api"}, "spec": {"clusterIP": "None"}}
    nested = {
        "kind": "List",
        "apiVersion": "v1",
        "items": [web, {"kind": "ServiceList", "apiVersion": "v1", "items": [bare]}],
    }
    assert objects_of(nested) == [web, {"apiVersion": "v1", "kind": "Service", **bare}]
    assert objects_of(None) == []
    assert objects_of({"kind": "PodList", "items": None}) == []
    assert objects_of(web) == [web]
    deep: dict[str, Any] = web
    for _ in range(MAX_LIST_DEPTH + 1):
        deep = {"kind": "List", "apiVersion": "v1", "items": [deep]}
    assert isinstance(decode(objects_of(deep)[0]), Invalid)


def test_example() -> None:
    """The example cluster decodes without a complaint, and its addresses lie where its prefixes say."""
    text = (files("dnsbridge") / "example" / "cluster.yaml").read_text()
    outcomes = [decode(item) for document in yaml.safe_load_all(text) for item in objects_of(document)]
    assert [str(outcome) for outcome in outcomes if isinstance(outcome, Invalid)] == []
    assert [outcome.name for outcome in outcomes if isinstance(outcome, Namespace)] == ["shop", "data"]
    services = {outcome.name: outcome for outcome in outcomes if isinstance(outcome, Service)}
    assert sorted(services) == ["api", "docs", "kafka", "web"]
    owned = [ip_network(cidr) for outcome in outcomes if isinstance(outcome, ServiceCIDR) for cidr in outcome.cidrs]
    for address in (ip_address(octets) for each in services.values() for octets in each.cluster_ips):
        assert any(address in prefix for prefix in owned)
    pods = {octets for outcome in outcomes if isinstance(outcome, Pod) for octets in outcome.addresses}
    blocks = [ip_network(cidr) for outcome in outcomes if isinstance(outcome, Node) for cidr in outcome.pod_cidrs]
    assert all(any(ip_address(octets) in block for block in blocks) for octets in pods)
    slices = [outcome for outcome in outcomes if isinstance(outcome, EndpointSlice)]
    assert {octets for each in slices for endpoint in each.endpoints for octets in endpoint.addresses} == pods


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["v1", "None", "10.0.0.1", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["name", "namespace", "clusterIP", "clusterIPs", "ports", "port", "type", "cidr", "cidrs", "endpoints", "addresses",
     "addressType", "items", "labels", "podIPs", "ip", "podCIDR", "hostname", "conditions"]
)  # fmt: skip
OBJECT_LIKE = st.dictionaries(FIELDS, ANYTHING | st.dictionaries(FIELDS, ANYTHING, max_size=3), max_size=4)


@given(ANYTHING)
def test_any_data(data: object) -> None:
    """Whatever the data is, the outcome is one of the union."""
    for item in objects_of(data):
        assert isinstance(decode(item), Object | Flawed | Unused | Invalid)


@given(st.sampled_from(sorted(RAW_TYPES)), OBJECT_LIKE, OBJECT_LIKE, OBJECT_LIKE)
def test_any_object(kind: tuple[str, str], metadata: object, spec: object, rest: dict[str, Any]) -> None:
    """Whatever an object of a used kind holds, the outcome is one of the union, and a message is one line."""
    data = {"status": spec, **rest, "apiVersion": kind[0], "kind": kind[1], "metadata": metadata, "spec": spec}
    outcome = decode(data)
    assert isinstance(outcome, Object | Flawed | Unused | Invalid)
    said = [outcome] if isinstance(outcome, Invalid) else outcome.flaws if isinstance(outcome, Flawed) else ()
    assert all(str(each).isprintable() for each in said)

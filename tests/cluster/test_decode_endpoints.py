"""Endpoints of every age to slim ones: v1 Endpoints, v1beta1 slices, an old annotation; and what is not used."""

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from dnsbridge.cluster.decode import Invalid, Unused, decode, slim
from dnsbridge.cluster.objects import Endpoint, Endpoints, EndpointSlice, Object, Port, Service, Subset
from dnsbridge.cluster.raw import RAW_TYPES

TOLERATE = "service.alpha.kubernetes.io/tolerate-unready-endpoints"
LABEL = "expected a DNS label of a-z, 0-9 and `-`, at most 63 octets"


def manifest(kind: str, version: str, **rest: Any) -> dict[str, Any]:
    """An object `web` in `shop`, with the given fields at its top; `metadata` is added to."""
    metadata = {"name": "web", "namespace": "shop", **rest.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def service(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A v1 Service."""
    return manifest("Service", "v1", metadata=metadata or {}, spec=spec)


def endpoint_slice(labels: dict[str, str] | None = None, **rest: Any) -> dict[str, Any]:
    """An EndpointSlice of the service `web`."""
    metadata = {"name": "web-abc12", "labels": {"kubernetes.io/service-name": "web"} if labels is None else labels}
    return manifest("EndpointSlice", "discovery.k8s.io/v1", metadata=metadata, **{"addressType": "IPv4", **rest})


def endpoints(metadata: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """Endpoints of the service `web`."""
    return manifest("Endpoints", "v1", metadata=metadata or {}, **rest)


def packed(text: str) -> bytes:
    """An address by another library than the one in use."""
    return ip_address(text).packed


IP6 = packed("fd00::1")

GOOD: dict[str, tuple[dict[str, Any], Object]] = {
    "slice of v1beta1: topology, no nodeName": (
        {
            **endpoint_slice(
                endpoints=[
                    {
                        "addresses": ["10.0.0.1"],
                        "conditions": {"ready": False},
                        "hostname": "web-0",
                        "targetRef": {"kind": "Pod", "name": "web-0", "namespace": "shop"},
                        "topology": {"kubernetes.io/hostname": "node-1", "topology.kubernetes.io/zone": "a"},
                    }
                ],
                ports=[{"name": "", "port": 80, "protocol": "TCP"}],
            ),
            "apiVersion": "discovery.k8s.io/v1beta1",
        },
        EndpointSlice(
            namespace="shop",
            name="web-abc12",
            service="web",
            endpoints=(Endpoint((packed("10.0.0.1"),), "web-0", False, "web-0"),),
            ports=(Port("", "TCP", 80),),
        ),
    ),
    "Endpoints as kube-controller-manager 1.9 writes them": (
        endpoints(
            metadata={"labels": {"app": "web"}, "selfLink": "/api/v1/namespaces/shop/endpoints/web", "uid": "0"},
            subsets=[
                {
                    "addresses": [
                        {
                            "ip": "10.0.0.1",
                            "hostname": "web-0",
                            "nodeName": "node-1",
                            "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0", "resourceVersion": "7"},
                        }
                    ],
                    "notReadyAddresses": [
                        {"ip": "10.0.0.2", "nodeName": "node-2", "targetRef": {"kind": "Pod", "name": "web-1"}}
                    ],
                    "ports": [
                        {"name": "http", "port": 8080, "protocol": "TCP"},
                        {"name": "dns", "port": 53, "protocol": "UDP"},
                    ],
                },
                {"notReadyAddresses": None, "addresses": [{"ip": "fd00::1"}], "ports": [{"port": 81}]},
                {"addresses": [{"ip": "10.0.0.3", "targetRef": {"kind": "Node", "name": "n"}}]},
            ],
        ),
        Endpoints(
            namespace="shop",
            name="web",
            subsets=(
                Subset(
                    (
                        Endpoint((packed("10.0.0.1"),), "web-0", True, "web-0"),
                        Endpoint((packed("10.0.0.2"),), "", False, "web-1"),
                    ),
                    (Port("http", "TCP", 8080), Port("dns", "UDP", 53)),
                ),
                Subset((Endpoint((IP6,)),), (Port("", "TCP", 81),)),
                Subset((Endpoint((packed("10.0.0.3"),)),)),
            ),
        ),
    ),
    "service whose unready endpoints count, before publishNotReadyAddresses": (
        service(metadata={"annotations": {TOLERATE: "true", "other": "x"}}, clusterIP="None"),
        Service(namespace="shop", name="web", headless=True, publish_not_ready=True),
    ),
    "service whose unready endpoints count, unquoted in YAML": (
        service(metadata={"annotations": {TOLERATE: True}}, clusterIP="None"),
        Service(namespace="shop", name="web", headless=True, publish_not_ready=True),
    ),
    "service whose unready endpoints do not count": (
        service(metadata={"annotations": {TOLERATE: "false"}}, clusterIP="None"),
        Service(namespace="shop", name="web", headless=True),
    ),
}

NOT_COUNTED = {
    "Endpoints of a service without pods": endpoints(),
    "Endpoints with null subsets": endpoints(subsets=None),
    "Endpoints whose subset is empty": endpoints(subsets=[{"ports": [{"port": 80}]}]),
    "a lock of kube-scheduler 1.9": endpoints(
        metadata={
            "name": "kube-scheduler",
            "namespace": "kube-system",
            "annotations": {
                "control-plane.alpha.kubernetes.io/leader": '{"holderIdentity":"m1","leaseDurationSeconds":15}'
            },
        },
        subsets=[],
    ),
}

BAD: list[tuple[object, str]] = [
    (
        endpoints(subsets=[{"notReadyAddresses": [{"ip": "web-0"}]}]),
        "Endpoints shop/web: subsets[0].notReadyAddresses[0].ip: expected an IP address, got web-0",
    ),
    (
        endpoints(subsets=[{"addresses": ["10.0.0.1"]}]),
        "Endpoints shop/web: subsets[0].addresses[0]: expected a mapping, got a string",
    ),
]
"""Endpoints whose only content is wrong; of others the parts that are right serve (see test_flaws)."""

EXPECTED_TO_COUNT: dict[str, tuple[dict[str, Any], str]] = {
    "a slice of no service": (
        endpoint_slice(labels={}),
        "metadata.labels: kubernetes.io/service-name is missing, so nobody knows whose endpoints these are",
    ),
    "a slice of names": (
        endpoint_slice(addressType="FQDN", endpoints=[{"addresses": ["a.example"]}]),
        "addressType: FQDN has no addresses, so there is nothing to answer",
    ),
    "a slice of Kubernetes 1.16": (
        manifest("EndpointSlice", "discovery.k8s.io/v1alpha1"),
        "apiVersion: discovery.k8s.io/v1alpha1 is not read; write discovery.k8s.io/v1 or discovery.k8s.io/v1beta1",
    ),
    "another kind": (manifest("Deployment", "apps/v1"), ""),
    "a pod that succeeded": (manifest("Pod", "v1", status={"phase": "Succeeded"}), ""),
}
"""Objects that are not used, with the problem; empty where nobody expects them to count."""


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    """An object gives its slim copy, as plain data and as an API server's JSON."""
    data, expected = GOOD[name]
    assert decode(data) == expected
    raw = msgspec.json.decode(msgspec.json.encode(data), type=RAW_TYPES[data["apiVersion"], data["kind"]])
    assert slim(raw) == expected


@pytest.mark.parametrize("name", NOT_COUNTED)
def test_not_counted(name: str) -> None:
    """Endpoints without an address give nothing, and are nothing to tell people of."""
    outcome = decode(NOT_COUNTED[name])
    assert isinstance(outcome, Unused)
    assert (outcome.counted, outcome.problem) == (False, "")


@pytest.mark.parametrize("name", EXPECTED_TO_COUNT)
def test_expected_to_count(name: str) -> None:
    """What its author may expect to count says why it does not."""
    data, problem = EXPECTED_TO_COUNT[name]
    outcome = decode(data)
    assert isinstance(outcome, Unused)
    assert (outcome.counted, outcome.problem) == (True, problem)


def test_a_kind_of_another_group() -> None:
    """A kind that is used, but of another API group, is called with its group."""
    outcome = decode(manifest("Service", "serving.knative.dev/v1", spec={}))
    assert isinstance(outcome, Unused)
    assert outcome.key.kind == "Service.serving.knative.dev"


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad(data: object, message: str) -> None:
    """An object whose only content does not fit is left out, with the field's path and what is expected."""
    outcome = decode(data)
    assert isinstance(outcome, Invalid)
    assert str(outcome) == message

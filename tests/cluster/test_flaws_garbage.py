"""One field of an object replaced by garbage: every other endpoint, port and address is still there."""

from copy import deepcopy
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from dnsbridge.cluster.decode import Flawed, decode
from dnsbridge.cluster.objects import EndpointSlice, Object, Port, Service
from tests.support.flaws import made, packed

ENDPOINTS = [f"10.0.0.{host}" for host in range(1, 5)]
PORTS = [Port(f"p{number}", "TCP", number) for number in range(1, 4)]
SLICE = made(
    "EndpointSlice",
    "discovery.k8s.io/v1",
    {"namespace": "shop", "resourceVersion": "7", "labels": {"kubernetes.io/service-name": "web"}},
    addressType="IPv4",
    endpoints=[
        {
            "addresses": [address],
            "hostname": f"web-{number}",
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": f"web-{number}"},
        }
        for number, address in enumerate(ENDPOINTS)
    ],
    ports=[{"name": port.name, "protocol": "TCP", "port": port.number} for port in PORTS],
)
SERVICE = {
    **made("Service", metadata={"namespace": "shop", "resourceVersion": "7"}),
    "spec": {
        "type": "LoadBalancer",
        "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1", "fd00::1"],
        "externalIPs": ["192.0.2.1", "192.0.2.2"],
        "ports": [{"name": port.name, "protocol": "TCP", "port": port.number} for port in PORTS],
        "publishNotReadyAddresses": False,
    },
    "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.3", "ipMode": "VIP"}, {"ip": "192.0.2.4"}]}},
}
IDENTITY = {("apiVersion",), ("kind",), ("metadata",), ("metadata", "name"), ("metadata", "namespace")}
IDENTITY |= {("metadata", "labels"), ("metadata", "labels", "kubernetes.io/service-name"), ("spec",)}
Path = tuple[str | int, ...]


def places(data: object, path: Path = ()) -> list[Path]:
    """Every field and item of an object."""
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    below = [found for step, value in steps for found in places(value, (*path, step))]
    return [path, *below] if path and path not in IDENTITY else below


def replaced(data: dict[str, Any], path: Path, garbage: object) -> dict[str, Any]:
    """The object with something else at a place."""
    changed = deepcopy(data)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = garbage
    return changed


GARBAGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["10.0.0.256", "a.b", "", "fd00::2", "127.0.0.1", "-", "FQDNs", 70000, 0, 1.10, 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(places(SLICE)), GARBAGE)
@example(("endpoints", 0, "hostname"), "test.hostname")
@example(("addressType",), None)
def test_garbage_in_a_slice(path: Path, garbage: object) -> None:
    """Whatever stands in one field of a slice, every other endpoint and port is still there."""
    outcome = decode(replaced(SLICE, path, garbage))
    if path in (("endpoints",), ("addressType",)) and not isinstance(outcome, Object | Flawed):
        return  # all endpoints were replaced; or it says that it holds names
    assert isinstance(outcome, Object | Flawed), outcome
    found = outcome.object if isinstance(outcome, Flawed) else outcome
    assert isinstance(found, EndpointSlice)
    if path[0] != "endpoints" or len(path) > 1:
        addresses = {address for each in found.endpoints for address in each.addresses}
        hit = path[1] if path[0] == "endpoints" else None
        assert addresses >= {packed(address) for number, address in enumerate(ENDPOINTS) if number != hit}
    if path[0] != "ports" or len(path) > 1:
        hit = path[1] if path[0] == "ports" else None
        assert set(found.ports) >= {port for number, port in enumerate(PORTS) if number != hit}


@given(st.sampled_from(places(SERVICE)), GARBAGE)
def test_garbage_in_a_service(path: Path, garbage: object) -> None:
    """Whatever stands in one field of a service, every other port and address is still there."""
    outcome = decode(replaced(SERVICE, path, garbage))
    if path == ("spec", "type") and garbage == "ExternalName":
        return
    assert isinstance(outcome, Object | Flawed), outcome
    found = outcome.object if isinstance(outcome, Flawed) else outcome
    assert isinstance(found, Service)
    if path[:2] != ("spec", "clusterIPs"):
        assert found.cluster_ips == (packed("10.96.0.1"), packed("fd00::1"))
    elif len(path) == 3:
        assert found.headless or set(found.cluster_ips) & {packed("10.96.0.1"), packed("fd00::1")}
    if path != ("spec", "ports"):
        hit = path[2] if path[:2] == ("spec", "ports") else None
        assert set(found.ports) >= {port for number, port in enumerate(PORTS) if number != hit}
    if path != ("spec", "externalIPs"):
        hit = path[2] if path[:2] == ("spec", "externalIPs") else None
        others = {packed(f"192.0.2.{number + 1}") for number in (0, 1) if number != hit}
        assert set(found.external_ips) >= others

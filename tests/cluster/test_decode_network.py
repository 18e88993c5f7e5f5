"""The objects that prefixes come from: what is taken of each, what is not used, and what is said of wrong ones."""

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.cluster.decode import Flawed, Invalid, Unused, decode, slim
from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    CalicoNode,
    CiliumNode,
    FlannelConfiguration,
    IPAMBlock,
    IPPool,
    Node,
    Object,
    Service,
)
from dnsbridge.cluster.raw import RAW_TYPES

CALICO = "crd.projectcalico.org/v1"


def manifest(kind: str, version: str = CALICO, **rest: Any) -> dict[str, Any]:
    """An object `web` with the given fields at its top; `metadata` is added to."""
    return {"apiVersion": version, "kind": kind, **rest, "metadata": {"name": "web", **rest.get("metadata", {})}}


def packed(text: str) -> bytes:
    """An address by another library than the one in use."""
    return ip_address(text).packed


def affinity(**spec: Any) -> dict[str, Any]:
    """A confirmed BlockAffinity."""
    return manifest("BlockAffinity", spec={"cidr": "10.0.0.0/26", "node": "a", "state": "confirmed", **spec})


def block(**spec: Any) -> dict[str, Any]:
    """An IPAMBlock of node a with a pod of its own and one of node b."""
    owners = [{"handle_id": "h", "secondary": {"node": name, "pod": "p", "namespace": "n"}} for name in "ab"]
    return manifest(
        "IPAMBlock",
        spec={
            "cidr": "10.0.0.0/30",
            "affinity": "host:a",
            "allocations": [None, 0, 1, 1],
            "attributes": [*owners, {"handle_id": "x", "secondary": None}],
            "strictAffinity": False,
            "unallocated": [],
            **spec,
        },
    )


def flannel(text: str, name: str = "kube-flannel-cfg") -> dict[str, Any]:
    """flannel's ConfigMap."""
    return manifest(
        "ConfigMap", "v1", metadata={"name": name, "namespace": "kube-flannel"}, data={"net-conf.json": text}
    )


FULL_NODE = manifest(
    "Node",
    "v1",
    metadata={
        "labels": {"node-role.kubernetes.io/gateway": "", "a": "b"},
        "annotations": {
            "projectcalico.org/IPv4Address": "10.0.0.5/24",
            "projectcalico.org/IPv6Address": "fd00::5/64",
            "projectcalico.org/IPv4IPIPTunnelAddr": "10.233.98.0",
            "flannel.alpha.coreos.com/backend-type": "VXLAN",
            "flannel.alpha.coreos.com/public-ip": "10.0.0.6",
            "something.else": "x",
        },
    },
    spec={"podCIDR": "10.1.0.0/24", "unschedulable": True},
    status={
        "addresses": [{"type": "InternalIP", "address": "10.0.0.5"}, {"type": "ExternalIP", "address": "192.0.2.5"}],
        "conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
    },
)

GOOD: dict[str, tuple[dict[str, Any], Object]] = {
    "node": (
        FULL_NODE,
        Node(
            name="web",
            addresses=(packed("10.0.0.5"),),
            external_addresses=(packed("192.0.2.5"),),
            pod_cidrs=("10.1.0.0/24",),
            labels=(("a", "b"), ("node-role.kubernetes.io/gateway", "")),
            calico_addresses=(packed("10.0.0.5"), packed("fd00::5")),
            tunnel="ipip",
            flannel_backend="vxlan",
            flannel_addresses=(packed("10.0.0.6"),),
        ),
    ),
    "node, not known to be well": (
        manifest("Node", "v1", status={"conditions": [{"type": "Ready", "status": "Unknown"}]}),
        Node(name="web", ready=False),
    ),
    "node, annotations that are none": (
        manifest(
            "Node",
            "v1",
            metadata={
                "annotations": {
                    "projectcalico.org/IPv4Address": "autodetect",
                    "flannel.alpha.coreos.com/public-ip": "10.0.0.6/x",
                    "projectcalico.org/IPv6VXLANTunnelAddr": "fd00::1",
                }
            },
        ),
        Node(name="web", tunnel="vxlan"),
    ),
    "service": (
        manifest(
            "Service",
            "v1",
            spec={"clusterIP": "10.96.0.1", "externalIPs": ["172.25.254.100"], "type": "LoadBalancer"},
            status={
                "loadBalancer": {
                    "ingress": [
                        {"ip": "192.0.2.1", "ipMode": "VIP"},
                        {"ip": "192.0.2.2", "ipMode": "Proxy"},
                        {"hostname": "lb.example"},
                        {"ip": "192.0.2.3"},
                    ]
                }
            },
        ),
        Service(
            namespace="default",
            name="web",
            type="LoadBalancer",
            cluster_ips=(packed("10.96.0.1"),),
            external_ips=(packed("172.25.254.100"),),
            load_balancer_ips=(packed("192.0.2.1"), packed("192.0.2.3")),
        ),
    ),
    "pool": (
        manifest(
            "IPPool", spec={"cidr": "10.0.0.0/8", "ipipMode": "CrossSubnet", "vxlanMode": "Never", "disabled": True}
        ),
        IPPool(name="web", cidr="10.0.0.0/8", ipip="CrossSubnet", disabled=True),
    ),
    "affinity": (affinity(deleted="false"), BlockAffinity(name="web", cidr="10.0.0.0/26", node="a")),
    "affinity, as the API server of Calico has it": (
        manifest(
            "BlockAffinity",
            "projectcalico.org/v3",
            spec={"cidr": "fd00::/122", "node": "a.b", "state": "confirmed", "deleted": False, "type": "host"},
        ),
        BlockAffinity(name="web", cidr="fd00::/122", node="a.b"),
    ),
    "block": (
        block(),
        IPAMBlock(
            name="web", cidr="10.0.0.0/30", node="a", borrowed=((packed("10.0.0.2"), "b"), (packed("10.0.0.3"), "b"))
        ),
    ),
    "block of nobody": (
        block(affinity=None, allocations=[0, 2]),
        IPAMBlock(name="web", cidr="10.0.0.0/30", borrowed=((packed("10.0.0.0"), "a"),)),
    ),
    "announced": (
        manifest(
            "BGPConfiguration",
            spec={
                "serviceClusterIPs": [{"cidr": "10.233.0.0/18"}],
                "serviceExternalIPs": [{"cidr": "192.0.2.0/24"}],
                "serviceLoadBalancerIPs": [{"cidr": "198.51.100.0/24"}],
                "nodeToNodeMeshEnabled": False,
            },
        ),
        BGPConfiguration(
            name="web",
            service_cluster_ips=("10.233.0.0/18",),
            service_external_ips=("192.0.2.0/24",),
            service_load_balancer_ips=("198.51.100.0/24",),
            mesh=False,
        ),
    ),
    "announced, nothing": (manifest("BGPConfiguration"), BGPConfiguration(name="web")),
    "peer": (
        manifest("BGPPeer", spec={"peerIP": "10.0.0.254", "asNumber": 65200, "nodeSelector": "all()"}),
        BGPPeer(name="web", address=packed("10.0.0.254"), asn=65200, node_selector="all()"),
    ),
    "peer, with port and a dotted AS": (
        manifest("BGPPeer", spec={"peerIP": "[fd00::1]:1179", "asNumber": "1.10", "node": "a"}),
        BGPPeer(name="web", address=packed("fd00::1"), asn=65546, node="a"),
    ),
    "peer, IPv4 with port": (
        manifest("BGPPeer", spec={"peerIP": "10.0.0.1:1179", "asNumber": "64513"}),
        BGPPeer(name="web", address=packed("10.0.0.1"), asn=64513),
    ),
    "peer, by selector": (manifest("BGPPeer", spec={"peerSelector": "rr == 'yes'"}), BGPPeer(name="web")),
    "calico's own node": (
        manifest(
            "Node",
            "projectcalico.org/v3",
            spec={
                "bgp": {"ipv4Address": "10.73.13.1/24", "ipv6Address": "fd00::1", "ipv4IPIPTunnelAddr": "10.1.0.1"},
                "addresses": [{"address": "10.73.13.1/24", "type": "CalicoNodeIP"}, {"address": "x", "type": "?"}],
            },
        ),
        CalicoNode(name="web", addresses=(packed("10.73.13.1"), packed("fd00::1"))),
    ),
    "calico's own node, for its policies alone": (manifest("Node", "projectcalico.org/v3"), CalicoNode(name="web")),
    "cilium": (
        manifest(
            "CiliumNode",
            "cilium.io/v2",
            spec={
                "addresses": [{"type": "InternalIP", "ip": "10.0.0.5"}, {"type": "CiliumInternalIP", "ip": "10.1.0.1"}],
                "ipam": {"podCIDRs": ["10.1.0.0/24"]},
            },
        ),
        CiliumNode(name="web", addresses=(packed("10.0.0.5"),), pod_cidrs=("10.1.0.0/24",)),
    ),
    "cilium, new": (manifest("CiliumNode", "cilium.io/v2", spec={"ipam": {}}), CiliumNode(name="web")),
    "flannel": (
        flannel('{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "DirectRouting": true, "MTU": 8950}}'),
        FlannelConfiguration(
            namespace="kube-flannel",
            name="kube-flannel-cfg",
            networks=("10.244.0.0/16",),
            backend="vxlan",
            direct_routing=True,
            mtu=8950,
        ),
    ),
    "flannel, its own default": (
        flannel('{"Network": "10.244.0.0/16", "IPv6Network": "fd00::/56"}'),
        FlannelConfiguration(
            namespace="kube-flannel", name="kube-flannel-cfg", networks=("10.244.0.0/16", "fd00::/56"), backend="udp"
        ),
    ),
}

UNUSED: dict[str, dict[str, Any]] = {
    "an affinity on its way": affinity(state="pending"),
    "an affinity that goes": affinity(state="pendingDeletion"),
    "a deleted affinity": affinity(deleted="true"),
    "a deleted affinity, as a boolean": affinity(deleted=True),
    "an affinity of no node": affinity(type="virtual"),
    "a deleted block": block(deleted=True),
    "a block of no node": block(affinity="virtual:virtual-load-balancer"),
    "another ConfigMap": flannel("{}", name="coredns"),
    "an empty ConfigMap": manifest("ConfigMap", "v1", metadata={"name": "kube-flannel-cfg"}),
}

PREFIX = "expected a prefix such as 10.96.0.0/16 without host bits"
BAD: list[tuple[dict[str, Any], str]] = [
    (affinity(cidr="::ffff:10.0.0.0/122"), f"BlockAffinity web: spec.cidr: {PREFIX}, got ::ffff:10.0.0.0/122"),
    (affinity(cidr="10.0.0.1/26"), f"BlockAffinity web: spec.cidr: {PREFIX}, got 10.0.0.1/26"),
    (
        affinity(node="A\n"),
        "BlockAffinity web: spec.node: expected DNS labels of a-z, 0-9 and `-` with dots between, at most 253 octets, "
        "got 'A\\n'",
    ),
    (affinity(node=None), "BlockAffinity web: spec.node: expected a string, got null"),
    (block(cidr="10.0.0.0"), f"IPAMBlock web: spec.cidr: {PREFIX}, got 10.0.0.0"),
    (manifest("BGPPeer", spec={"peerIP": "switch"}), "BGPPeer web: spec.peerIP: expected an IP address, got switch"),
    (
        manifest("CiliumNode", "cilium.io/v2", spec={"ipam": {"podCIDRs": ["10.0.0.1/8"]}}),
        f"CiliumNode web: spec.ipam.podCIDRs[0]: {PREFIX}, got 10.0.0.1/8",
    ),
    (
        flannel("{"),
        "ConfigMap kube-flannel/kube-flannel-cfg: data[net-conf.json]: expected flannel's configuration in JSON",
    ),
    (
        flannel('{"Backend": ' + "[" * 100_000),
        "ConfigMap kube-flannel/kube-flannel-cfg: data[net-conf.json]: expected flannel's configuration in JSON",
    ),
    (
        flannel('{"x": ' + "[" * 100_000),
        "ConfigMap kube-flannel/kube-flannel-cfg: data[net-conf.json]: expected flannel's configuration in JSON",
    ),
    (
        flannel('{"Network": "10.244.0.1/16"}'),
        f"ConfigMap kube-flannel/kube-flannel-cfg: data[net-conf.json].Network: {PREFIX}, got 10.244.0.1/16",
    ),
]


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    """An object gives its slim copy, as plain data and as an API server's JSON."""
    data, expected = GOOD[name]
    assert decode(data) == expected
    raw = msgspec.json.decode(msgspec.json.encode(data), type=RAW_TYPES[data["apiVersion"], data["kind"]])
    assert slim(raw) == expected


@pytest.mark.parametrize("name", UNUSED)
def test_unused(name: str) -> None:
    """An object that says nothing of routes now is told apart from a wrong one."""
    assert isinstance(decode(UNUSED[name]), Unused)


@pytest.mark.parametrize(("data", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_bad(data: dict[str, Any], message: str) -> None:
    """An object is left out whose identity or only content does not fit, with the field's path and what is expected."""
    outcome = decode(data)
    assert isinstance(outcome, Invalid)
    assert str(outcome) == message


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**33) | st.sampled_from(["10.0.0.0/26", "a", "host:a", "", "::/0"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["cidr", "node", "ip"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    "cidr node state deleted affinity allocations attributes serviceClusterIPs peerIP asNumber addresses ipam podCIDRs "
    "labels annotations"
)


@given(st.sampled_from(sorted(RAW_TYPES)), st.dictionaries(st.sampled_from(FIELDS.split()), JUNK, max_size=6))
def test_anything(kind: tuple[str, str], fields: dict[str, Any]) -> None:
    """Whatever an object holds, it is taken, as a whole or in part, not used or left out."""
    version, name = kind
    outcome = decode({"apiVersion": version, "kind": name, "metadata": {"name": "a", **fields}, "spec": fields})
    assert isinstance(outcome, Object | Flawed | Unused | Invalid)


def test_an_address_that_is_null() -> None:
    """A null among the addresses of a Calico node is left out alone."""
    node = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "spec": {"addresses": [None, {"address": "10.0.0.1", "type": "InternalIP"}]},
    }
    found = decode(node)
    assert isinstance(found, Flawed)
    assert isinstance(found.object, CalicoNode)
    assert found.object.addresses == (bytes([10, 0, 0, 1]),)

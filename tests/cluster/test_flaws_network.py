"""One wrong field costs one field: nodes, and the objects that prefixes come from."""

from typing import Any

import pytest

from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    CiliumNode,
    ClusterConfiguration,
    FlannelConfiguration,
    IPAMBlock,
    IPPool,
    Node,
    Object,
    ServiceCIDR,
)
from tests.support.flaws import ADDRESS, CALICO, PREFIX, SUBDOMAIN, check_invalid, check_left_out, made, packed


def node(metadata: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """A Node."""
    return made("Node", metadata=metadata, **rest)


def calico(kind: str, **spec: Any) -> dict[str, Any]:
    """An object of Calico."""
    return made(kind, CALICO, spec=spec)


def block(**spec: Any) -> dict[str, Any]:
    """An IPAMBlock of node a with two pods of node b."""
    owners = [{"secondary": {"node": name}} for name in "ab"]
    said = {"cidr": "10.0.0.0/30", "affinity": "host:a", "allocations": [None, 0, 1, 1], "attributes": owners}
    return calico("IPAMBlock", **{**said, **spec})


def block_of(*borrowed: str, owner: str = "a") -> IPAMBlock:
    """What such a block gives: addresses and their nodes, as in `10.0.0.2 b`."""
    pairs = [each.split() for each in borrowed]
    lent = tuple((packed(address), name) for address, name in pairs)
    return IPAMBlock(name="web", cidr="10.0.0.0/30", node=owner, borrowed=lent)


def flannel(text: str) -> dict[str, Any]:
    """flannel's ConfigMap."""
    metadata = {"name": "kube-flannel-cfg", "namespace": "kube-flannel"}
    return made("ConfigMap", metadata=metadata, data={"net-conf.json": text})


def flannel_of(**fields: Any) -> FlannelConfiguration:
    """What it gives."""
    named = {"namespace": "kube-flannel", "name": "kube-flannel-cfg", "backend": "vxlan"}
    return FlannelConfiguration(**{**named, "networks": ("10.244.0.0/16",), **fields})


def kubeadm(subnets: str) -> dict[str, Any]:
    """kubeadm's ConfigMap."""
    metadata = {"name": "kubeadm-config", "namespace": "kube-system"}
    return made("ConfigMap", metadata=metadata, data={"ClusterConfiguration": f"networking:\n{subnets}"})


FLAWED: dict[str, tuple[dict[str, Any], Object, list[str]]] = {
    "one wrong address of a node": (
        node(status={"addresses": [{"type": "InternalIP", "address": "x"}, {"type": "InternalIP"}, {
            "type": "ExternalIP", "address": "192.0.2.1"}]}),
        Node(name="web", external_addresses=(packed("192.0.2.1"),)),
        ["status.addresses[1].address: expected, but missing", f"status.addresses[0].address: {ADDRESS}, got x"],
    ),
    "one wrong prefix of a node": (
        node(spec={"podCIDRs": ["10.0.0.1/24", "10.0.0.0/24"]}),
        Node(name="web", pod_cidrs=("10.0.0.0/24",)),
        [f"spec.podCIDRs[0]: {PREFIX}, got 10.0.0.1/24"],
    ),
    "the one prefix of a node, which has more to say": (
        node(spec={"podCIDR": "10.0.0.1/24"}, status={"addresses": [{"type": "InternalIP", "address": "10.0.0.5"}]}),
        Node(name="web", addresses=(packed("10.0.0.5"),)),
        [f"spec.podCIDR: {PREFIX}, got 10.0.0.1/24"],
    ),
    "a label of a node that is a number": (
        node({"labels": {"a": 5, "b": "c"}}),
        Node(name="web", labels=(("b", "c"),)),
        ["metadata.labels[a]: expected a string, got an integer"],
    ),
    "a condition of a node that YAML makes a boolean: not known to be well": (
        node(status={"conditions": [{"type": "Ready", "status": True}]}),
        Node(name="web", ready=False),
        ["status.conditions[0].status: expected a string, got a boolean"],
    ),
    "an annotation of a node that is a number": (
        node({"annotations": {"flannel.alpha.coreos.com/backend-type": 5,
                              "flannel.alpha.coreos.com/public-ip": "10.0.0.6"}}),
        Node(name="web", flannel_addresses=(packed("10.0.0.6"),)),
        ["metadata.annotations.flannel.alpha.coreos.com/backend-type: expected a string or null, got an integer"],
    ),
    # --- prefixes
    "one wrong prefix of services": (
        made("ServiceCIDR", "networking.k8s.io/v1", spec={"cidrs": ["10.96.0.0", "fd00::/108", 10]}),
        ServiceCIDR(name="web", cidrs=("fd00::/108",)),
        ["spec.cidrs[2]: expected a string, got an integer", f"spec.cidrs[0]: {PREFIX}, got 10.96.0.0"],
    ),
    "modes of a pool that are none": (
        calico("IPPool", cidr="10.0.0.0/8", ipipMode="on", vxlanMode=True, disabled="no"),
        IPPool(name="web", cidr="10.0.0.0/8"),
        [
            "spec.disabled: expected a boolean or null, got a string",
            "spec.vxlanMode: expected a string or null, got a boolean",
            "spec.ipipMode: expected one of Never, Always, CrossSubnet, got on",
        ],
    ),
    "an allocation of a block that is a text: the places of the others stay": (
        block(allocations=["x", 0, 1, 1]),
        block_of("10.0.0.2 b", "10.0.0.3 b"),
        ["spec.allocations[0]: expected an integer or null, got a string"],
    ),
    "allocations with numbers that nobody has": (
        block(allocations=[3, -1, 1]),
        block_of("10.0.0.2 b"),
        [f"spec.allocations[{at}]: expected the number of one of spec.attributes" for at in (0, 1)],
    ),
    "more allocations than addresses": (
        block(allocations=[1] * 6),
        block_of(*(f"10.0.0.{host} b" for host in range(4))),
        ["spec.allocations[4]: expected at most one for each address of 10.0.0.0/30"],
    ),
    "an attribute that is none: the places of the others stay": (
        block(attributes=["x", {"secondary": {"node": "b"}}]),
        block_of("10.0.0.2 b", "10.0.0.3 b"),
        ["spec.attributes[0]: expected a mapping, got a string"],
    ),
    "an attribute with a node that cannot be": (
        block(attributes=[{"secondary": {"node": "B_"}}, {"secondary": {"node": "b"}}]),
        block_of("10.0.0.2 b", "10.0.0.3 b"),
        [f"spec.attributes[0].secondary.node: {SUBDOMAIN}, got B_"],
    ),
    "a block's owner that cannot be: each address goes to its pod's node": (
        block(affinity="host:A_"),
        block_of("10.0.0.1 a", "10.0.0.2 b", "10.0.0.3 b", owner=""),
        [f"spec.affinity: {SUBDOMAIN}, got A_"],
    ),
    "one wrong prefix that is announced": (
        calico("BGPConfiguration", serviceClusterIPs=[{"cidr": "all"}, {"cidr": "10.233.0.0/18"}, {"cidr": 5}]),
        BGPConfiguration(name="web", service_cluster_ips=("10.233.0.0/18",)),
        [
            "spec.serviceClusterIPs[2].cidr: expected a string or null, got an integer",
            f"spec.serviceClusterIPs[0].cidr: {PREFIX}, got all",
        ],
    ),
    "a peer's AS number that cannot be": (
        calico("BGPPeer", peerIP="10.0.0.254", asNumber=2**32),
        BGPPeer(name="web", address=packed("10.0.0.254")),
        ["spec.asNumber: expected a number from 0 to 4294967295"],
    ),
    "a peer's AS number that is none": (
        calico("BGPPeer", peerIP="10.0.0.254", asNumber="9" * 5000),
        BGPPeer(name="web", address=packed("10.0.0.254")),
        ["spec.asNumber: expected an AS number such as 64513 or 1.10"],
    ),
    "a peer's AS number that YAML makes a float": (
        calico("BGPPeer", peerIP="10.0.0.254", asNumber=1.1),
        BGPPeer(name="web", address=packed("10.0.0.254")),
        ["spec.asNumber: expected an integer or a string or null, got a float"],
    ),
    "one wrong prefix and one wrong address of Cilium": (
        made("CiliumNode", "cilium.io/v2", spec={
            "addresses": [{"type": "InternalIP", "ip": "x"}, {"type": "InternalIP", "ip": "10.0.0.5"}],
            "ipam": {"podCIDRs": ["10.1.0.0/24", "10.0.0.1/8"]}}),
        CiliumNode(name="web", addresses=(packed("10.0.0.5"),), pod_cidrs=("10.1.0.0/24",)),
        [f"spec.addresses[0].ip: {ADDRESS}, got x", f"spec.ipam.podCIDRs[1]: {PREFIX}, got 10.0.0.1/8"],
    ),
    "flannel's MTU as a text": (
        flannel('{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "MTU": "1450"}}'),
        flannel_of(),
        ["data[net-conf.json].Backend.MTU: expected an integer or null, got a string"],
    ),
    "flannel's MTU out of range": (
        flannel('{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "MTU": -1}}'),
        flannel_of(),
        ["data[net-conf.json].Backend.MTU: expected a number from 0 to 65535"],
    ),
    "one wrong network of flannel": (
        flannel('{"Network": "10.244.0.0/16", "IPv6Network": "fd00::1/64", "Backend": {"Type": "vxlan"}}'),
        flannel_of(),
        [f"data[net-conf.json].IPv6Network: {PREFIX}, got fd00::1/64"],
    ),
    "one wrong subnet of kubeadm": (
        kubeadm("  serviceSubnet: 10.96.0.0/16,fd00::1/108\n  podSubnet: 10.244.0.0/16\n"),
        ClusterConfiguration(
            namespace="kube-system",
            name="kubeadm-config",
            service_cidrs=("10.96.0.0/16",),
            pod_cidrs=("10.244.0.0/16",),
        ),
        [f"networking.serviceSubnet[1]: {PREFIX}, got fd00::1/108"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("api", [False, True], ids=["data", "octets"])
@pytest.mark.parametrize("name", FLAWED)
def test_left_out(name: str, api: bool) -> None:
    """The smallest part that is wrong is left out and named; all else is as if it had not been there."""
    check_left_out(*FLAWED[name], api=api)


LEFT_OUT = [
    (calico("IPPool", cidr="10.0.0.1/8"), f"spec.cidr: {PREFIX}, got 10.0.0.1/8"),
    (calico("BGPPeer", nodeSelector=5), "spec.nodeSelector: expected a string or null, got an integer"),
    (calico("BGPPeer", node=["a"]), "spec.node: expected a string or null, got a list"),
    (
        calico("BlockAffinity", cidr="10.0.0.0/26", node="a", state=5),
        "spec.state: expected a string or null, got an integer",
    ),
    (
        calico("BlockAffinity", cidr="10.0.0.0/26", node="a", state="confirmed", type=5),
        "spec.type: expected a string or null, got an integer",
    ),
    (flannel('{"Network": "10.244.0.1/16"}'), f"data[net-conf.json].Network: {PREFIX}, got 10.244.0.1/16"),
]


@pytest.mark.parametrize(("data", "problem"), LEFT_OUT, ids=[problem[:60] for _, problem in LEFT_OUT])
def test_what_cannot_be_left_out(data: dict[str, Any], problem: str) -> None:
    """What says which object it is, what the rest speaks of, or is the only content, takes the whole object along."""
    check_invalid(data, problem)

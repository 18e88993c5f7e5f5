"""What a place needs of one cluster or several: a table of changes to a small cluster, and what they do to the plan."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    CiliumNode,
    ClusterConfiguration,
    FlannelConfiguration,
    IPAMBlock,
    IPPool,
    Node,
    Object,
    Service,
    ServiceCIDR,
)
from dnsbridge.cluster.selector import Selector, parse
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.gateways import MAX_NEXT_HOPS
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Wanted
from dnsbridge.routes.pictures.from_objects import AUTO, MAX_CLUSTER_IPS, picture_of
from dnsbridge.routes.wanted import wanted
from dnsbridge.zone.reverse import Prefixes
from tests.routes.support import host, lines

NEAR = host("eth0 10.0.0.99/24")
GATEWAY = (("node-role.kubernetes.io/gateway", ""),)


def packed(*texts: str) -> tuple[bytes, ...]:
    """Addresses."""
    return tuple(ip_address(text).packed for text in texts)


def node(number: int, *addresses: str, **more: Any) -> Node:
    """A node with a pod CIDR of its own."""
    cidrs = more.pop("pod_cidrs", (f"10.244.{number}.0/24",))
    return Node(name=f"n{number}", addresses=packed(*(addresses or (f"10.0.0.{number}",))), pod_cidrs=cidrs, **more)


SERVICES = ServiceCIDR(name="kubernetes", cidrs=("10.96.0.0/16",))
FAR = node(7, "10.9.0.7")
CLUSTER: list[Object] = [node(1), node(2), SERVICES]


def plan(
    *objects: Object,
    at: Host = NEAR,
    said: Prefixes = AUTO,
    **choice: Any,
) -> list[str]:
    """The plan as text: prefixes with the last octets of their next hops, notes with their severity."""
    return shown(wanted([picture_of("dev", objects, said)], Choice(**choice), at))


def shown(found: Wanted) -> list[str]:
    """The same of a wanted set."""
    routes = [
        f"{route.prefix} {','.join(str(hop.address).rpartition('.')[2] for hop in route.next_hops)}"
        for route in found.routes
    ]
    return [*routes, *(f"{note.severity}: {note}" for note in found.notes if note.severity != "info")]


PLAIN = ["10.96.0.0/16 1,2", "10.244.1.0/24 1", "10.244.2.0/24 2"]
NAME_ONE = "name a gateway on its links, with --gateway ADDR (routes.gateways.addresses)"
NO_GATEWAY = f"no node has the label that makes a gateway (node-role.kubernetes.io/gateway=); {NAME_ONE}"

CASES: dict[str, tuple[list[str], list[str]]] = {
    "nodes": (plan(*CLUSTER), PLAIN),
    "a node not Ready": (
        plan(node(1), node(2, ready=False), SERVICES),
        ["10.96.0.0/16 1", "10.244.1.0/24 1", "warning: dev: not Ready: n2; 1 prefix left out until then"],
    ),
    "a family that no node has": (
        plan(*CLUSTER, ServiceCIDR(name="more", cidrs=("fd00:10:96::/112",))),
        [*PLAIN, "warning: dev: no route to fd00:10:96::/112: no node and no gateway has an IPv6 address"],
    ),
    "a family that a gateway has": (
        plan(*CLUSTER, ServiceCIDR(name="more", cidrs=("fd00:10:96::/112",)), gateways=(ip_address("fd00::1"),)),
        [*PLAIN, "error: dev: no route to fd00:10:96::/112: none of its Ready nodes is on this "
         f"host's links, and the gateways (fd00::1) are not on this host's links; {NAME_ONE}",
         "warning: dev: no gateway has an IPv4 address; services are reached through its nodes instead"],
    ),
    "a node elsewhere, no gateway": (
        plan(*CLUSTER, FAR),
        [*PLAIN, f"error: dev: no route to 10.244.7.0/24: n7 not on this host's links, and {NO_GATEWAY}"],
    ),
    "a node elsewhere, a gateway": (
        plan(node(1), node(2, labels=GATEWAY), SERVICES, FAR),
        ["10.96.0.0/16 2", "10.244.1.0/24 1", "10.244.2.0/24 2", "10.244.7.0/24 2"],
    ),
    "a node elsewhere, nodes asked for": (
        plan(node(1), node(2, labels=GATEWAY), SERVICES, FAR, via="nodes"),
        [*PLAIN, "error: dev: no route to 10.244.7.0/24: n7 not on this host's links; "
         "set routes.via to auto or gateways"],
    ),
    "for a router that can recurse": (
        plan(*CLUSTER, FAR, recurse=True, at=host("eth0 192.0.2.1/24")),
        ["10.96.0.0/16 1,2,7", "10.244.1.0/24 1", "10.244.2.0/24 2", "10.244.7.0/24 7"],
    ),
    "for a place that is not known": (plan(*CLUSTER, at=Host()), PLAIN),
    "a router's routes, worked out on a node": (plan(*CLUSTER, recurse=True, at=host("eth0 10.0.0.1/24")),
        ["10.96.0.0/16 2", "10.244.2.0/24 2", "error: dev: no route to 10.244.1.0/24: n1 not on this host's links, "
         f"and {NO_GATEWAY}"]),
    "gateways": (
        plan(node(1, labels=GATEWAY), node(2, labels=GATEWAY), node(3), SERVICES, via="gateways"),
        ["10.96.0.0/16 1,2", "10.244.1.0/24 1,2", "10.244.2.0/24 1,2", "10.244.3.0/24 1,2"],
    ),
    "a gateway not Ready": (
        plan(node(1, labels=GATEWAY), node(2, labels=GATEWAY, ready=False), SERVICES, via="gateways"),
        ["10.96.0.0/16 1", "10.244.1.0/24 1", "10.244.2.0/24 1"],
    ),
    "a gateway that is silent": (
        plan(
            node(1, labels=GATEWAY),
            node(2, labels=GATEWAY),
            SERVICES,
            via="gateways",
            silent=frozenset({ip_address("10.0.0.1")}),
        ),
        ["10.96.0.0/16 2", "10.244.1.0/24 2", "10.244.2.0/24 2"],
    ),
    "all gateways not Ready": (
        plan(node(1, labels=GATEWAY, ready=False), node(2), SERVICES, via="gateways"),
        ["error: dev: no route to 10.96.0.0/16, 10.244.1.0/24, 10.244.2.0/24: none of the gateways is Ready and "
         f"answers: n1; {NAME_ONE}"],
    ),
    "no gateway": (
        plan(*CLUSTER, via="gateways"),
        [f"error: dev: no route to 10.96.0.0/16, 10.244.1.0/24, 10.244.2.0/24: {NO_GATEWAY}"],
    ),
    "gateways by address": (
        plan(*CLUSTER, via="gateways", gateways=(ip_address("10.0.0.50"), ip_address("10.0.0.51"))),
        ["10.96.0.0/16 50,51", "10.244.1.0/24 50,51", "10.244.2.0/24 50,51"],
    ),
    "gateways by address, one a node that is not Ready": (
        plan(
            node(1, ready=False),
            SERVICES,
            via="gateways",
            gateways=(ip_address("10.0.0.1"), ip_address("10.0.0.51")),
        ),
        ["10.96.0.0/16 51", "10.244.1.0/24 51"],
    ),
    "gateways by address, elsewhere": (
        plan(SERVICES, via="gateways", gateways=(ip_address("10.9.0.1"),)),
        ["error: dev: no route to 10.96.0.0/16: the gateways (10.9.0.1) are not on this host's links; "
         f"{NAME_ONE}"],
    ),
    "another selector": (
        plan(node(1, labels=(("role", "edge"),)), node(2), SERVICES, via="gateways", selector=parse("role in (edge)")),
        ["10.96.0.0/16 1", "10.244.1.0/24 1", "10.244.2.0/24 1"],
    ),
    "two families": (
        plan(
            node(1, "10.0.0.1", "fd00::1", pod_cidrs=("10.244.1.0/24", "fd00:244:1::/64")),
            ServiceCIDR(name="k", cidrs=("10.96.0.0/16", "fd00:96::/112")),
            at=host("eth0 10.0.0.99/24 fd00::99/64"),
        ),
        ["10.96.0.0/16 1", "10.244.1.0/24 1", "fd00:96::/112 fd00::1", "fd00:244:1::/64 fd00::1"],
    ),
    "a node without an address of a family": (
        plan(node(1, pod_cidrs=("fd00:244:1::/64",)), SERVICES),
        ["10.96.0.0/16 1", "warning: dev: no route to fd00:244:1::/64: no node and no gateway has an IPv6 address"],
    ),
    "one node without an address of a family": (
        plan(node(1, pod_cidrs=("fd00:244:1::/64",)), node(2, "10.0.0.2", "fd00::2"), SERVICES,
             at=host("eth0 10.0.0.99/24 fd01::99/64")),
        ["10.96.0.0/16 1,2", "10.244.2.0/24 2", "error: dev: no route to fd00:244:1::/64: its node has no IPv6 address "
         f"that can be a next hop; {NAME_ONE}"],
    ),
    "a family that this host does not have": (
        plan(node(1, "10.0.0.1", "fd00::1", pod_cidrs=("10.244.1.0/24", "fd00:244:1::/64")),
             ServiceCIDR(name="k", cidrs=("10.96.0.0/16", "fd00:96::/112")), at=host("eth0 10.0.0.99/24 fe80::99/64")),
        ["10.96.0.0/16 1", "10.244.1.0/24 1",
         "warning: dev: no route to fd00:96::/112, fd00:244:1::/64: this host has no IPv6 address"],
    ),
    "nodes at addresses that are nobody's": (
        plan(node(1, "127.0.0.1"), node(2, "10.0.0.255"), node(3, "224.0.0.1"), node(4), SERVICES,
             at=host("lo 127.0.0.1/8", "eth0 10.0.0.99/24")),
        ["10.96.0.0/16 4", "10.244.4.0/24 4",
         f"error: dev: no route to 10.244.2.0/24: n2 not on this host's links, and {NO_GATEWAY}",
         "error: dev: no route to 10.244.1.0/24, 10.244.3.0/24: its node has no IPv4 address that can be a next hop; "
         + NAME_ONE],
    ),
    "two nodes at one address": (
        plan(node(1), node(2, "10.0.0.1"), SERVICES),
        ["10.96.0.0/16 1", "10.244.1.0/24 1", "10.244.2.0/24 1", "warning: dev: n1, n2 all say that they are at "
         "10.0.0.1, so packets for one go to another; see --node-ip of kubelet"],
    ),
    "a cluster of which nothing is known": (
        plan(),
        ["warning: dev: nothing is known that needs a route, neither pods of a node nor a service; see what is read of "
         "it"],
    ),
    "no node Ready": (
        plan(node(1, ready=False), SERVICES),
        ["warning: dev: not Ready: n1; 1 prefix left out until then",
         f"error: dev: no route to 10.96.0.0/16: none of its nodes is Ready, and {NO_GATEWAY}"],
    ),
    "a gateway that is not on link, nodes that are": (
        plan(*CLUSTER, gateways=(ip_address("10.9.0.1"),)),
        [*PLAIN, "warning: dev: the gateways (10.9.0.1) are not on this host's links; services are reached through its "
         "nodes instead"],
    ),
    "this host as its gateway": (
        plan(SERVICES, via="gateways", gateways=(ip_address("10.0.0.99"),)),
        [f"error: dev: no route to 10.96.0.0/16: the gateway 10.0.0.99 is this host itself; {NAME_ONE}"],
    ),
    "a gateway's link-local address": (
        plan(ServiceCIDR(name="s", cidrs=("fd00:96::/112",)), via="gateways", gateways=(ip_address("fe80::1%eth0"),)),
        ["fd00:96::/112 fe80::1"],
    ),
    "a gateway's link-local address, on no interface": (
        plan(ServiceCIDR(name="s", cidrs=("fd00:96::/112",)), via="gateways",
             gateways=(ip_address("fe80::1"),), at=host("eth0 fe80::99/64")),
        ["error: dev: no route to fd00:96::/112: the gateway fe80::1 may be on any link; say on which, as in "
         f"fe80::1%eth0; {NAME_ONE}"],
    ),
    "an office of 10.0.0.0/8 around an overlay": (
        plan(node(1, flannel_backend="vxlan"), SERVICES, at=host("eth0 10.0.0.99/8 mtu=1450")),
        ["10.96.0.0/16 1", "10.244.1.0/24 1"],
    ),

    "the address on link of several": (
        plan(node(1, "10.9.0.1", "10.0.0.1"), SERVICES),
        ["10.96.0.0/16 1", "10.244.1.0/24 1"],
    ),
    "this host is a node": (plan(*CLUSTER, at=host("eth0 10.0.0.1/24")), []),
    "this host takes part in the pod network": (
        plan(*CLUSTER, FlannelConfiguration(namespace="f", name="f", networks=("10.244.0.0/16",), backend="vxlan"),
             at=host("eth0 10.0.0.99/24", "flannel.1 10.244.40.0/32")),
        [],
    ),
    "a bridge of containers that is no part of it": (
        plan(*CLUSTER, at=host("eth0 10.0.0.99/24", "cni0 10.88.0.1/16")),
        PLAIN,
    ),
    "pods of two blocks on link": (
        plan(*CLUSTER, at=host("eth0 10.0.0.99/24", "eth1 10.244.0.9/16")),
        ["10.96.0.0/16 1,2"],
    ),
    "the cluster's DNS, where no prefix covers it": (
        plan(Service(namespace="kube-system", name="kube-dns", cluster_ips=packed("10.97.0.10")), *CLUSTER),
        [PLAIN[0], "10.97.0.10/32 1,2", *PLAIN[1:]],
    ),
    "no prefix of ClusterIPs known": (
        plan(node(1), Service(namespace="a", name="b", cluster_ips=packed("10.96.0.7")),
             Service(namespace="kube-system", name="kube-dns", cluster_ips=packed("10.96.0.10"))),
        ["10.96.0.7/32 1", "10.96.0.10/32 1", "10.244.1.0/24 1", "warning: dev: no source says which prefix ClusterIPs "
         "are in, so each gets a route; set routes.service_cidrs"],
    ),
    "kubeadm's prefix": (
        plan(node(1), ClusterConfiguration(name="kubeadm-config", service_cidrs=("10.96.0.0/12",))),
        ["10.96.0.0/12 1", "10.244.1.0/24 1"],
    ),
    "two sources of ClusterIPs disagree": (
        plan(node(1), SERVICES, ClusterConfiguration(name="kubeadm-config", service_cidrs=("10.112.0.0/12",))),
        ["10.96.0.0/16 1", "10.244.1.0/24 1", "warning: dev: ServiceCIDRs and kubeadm's ConfigMap disagree about "
         "ClusterIPs (10.96.0.0/16, 10.112.0.0/12); ServiceCIDRs are taken"],
    ),
    "configured prefixes": (
        plan(*CLUSTER, said=Prefixes((ip_network("10.100.0.0/16"),), None)),
        ["10.100.0.0/16 1,2", *PLAIN[1:], "warning: dev: routes.service_cidrs and ServiceCIDRs disagree about "
         "ClusterIPs (10.100.0.0/16, 10.96.0.0/16); routes.service_cidrs are taken"],
    ),
    "no services wanted": (plan(*CLUSTER, said=Prefixes((), None)), PLAIN[1:]),
    "configured pods, through gateways as one": (
        plan(
            node(1, labels=GATEWAY),
            node(2),
            SERVICES,
            via="gateways",
            said=Prefixes(None, (ip_network("10.244.0.0/16"),)),
        ),
        ["10.96.0.0/16 1", "10.244.0.0/16 1"],
    ),
    "configured pods, nodes where on link": (
        plan(node(1, labels=GATEWAY), node(2), FAR, SERVICES, said=Prefixes(None, (ip_network("10.244.0.0/16"),))),
        ["10.96.0.0/16 1", "10.244.0.0/16 1", "10.244.2.0/24 2"],
    ),
    "configured pods, a block outside": (
        plan(*CLUSTER, said=Prefixes(None, (ip_network("10.244.2.0/23"),))),
        ["10.96.0.0/16 1,2", "10.244.2.0/24 2", "warning: dev: 10.244.1.0/24: outside routes.pod_cidrs, left out"],
    ),
    "configured pods, nothing known of nodes": (
        plan(SERVICES, said=Prefixes(None, (ip_network("10.244.0.0/16"),)), gateways=(ip_address("10.0.0.50"),)),
        ["10.96.0.0/16 50", "10.244.0.0/16 50"],
    ),
    "two nodes with one pod CIDR": (
        plan(node(1), node(2, pod_cidrs=("10.244.1.0/24",)), SERVICES),
        ["10.96.0.0/16 1,2", "error: 10.244.1.0/24: is the pod CIDR of n1, n2 alike; it is left out until one of them "
         "has another"],
    ),
    "Calico: blocks, borrowed addresses, podCIDRs that nobody uses": (
        plan(
            *CLUSTER,
            IPPool(name="p", cidr="10.233.0.0/16"),
            BlockAffinity(name="a", cidr="10.233.1.0/26", node="n1"),
            IPAMBlock(name="a", cidr="10.233.1.0/26", node="n1", borrowed=((packed("10.233.1.9")[0], "n2"),)),
            IPAMBlock(name="b", cidr="10.233.2.0/26", node="n2"),
        ),
        ["10.96.0.0/16 1,2", "10.233.1.0/26 1", "10.233.1.9/32 2", "10.233.2.0/26 2",
         "warning: dev: Node.spec.podCIDRs and Calico disagree about 2 of 2 nodes "
         "(n1: 10.244.1.0/24, 10.233.1.0/26); Calico is right"],
    ),
    "Calico: two affinities of one block": (
        plan(
            *CLUSTER,
            BlockAffinity(name="a", cidr="10.244.1.0/26", node="n1"),
            BlockAffinity(name="b", cidr="10.244.1.0/26", node="n2"),
        ),
        ["10.96.0.0/16 1,2",
         "error: 10.244.1.0/26: BlockAffinities give it to n1, n2; it is left out until they agree"],
    ),
    "Calico: an affinity and its block disagree": (
        plan(
            node(1, pod_cidrs=()),
            node(2, pod_cidrs=()),
            BlockAffinity(name="a", cidr="10.244.1.0/26", node="n1"),
            IPAMBlock(name="a", cidr="10.244.1.0/26", node="n2"),
        ),
        ["10.244.1.0/26 1",
         "warning: dev: BlockAffinities and IPAMBlocks disagree about 10.244.1.0/26 "
         "(of n1, or of n2); the BlockAffinities are taken"],
    ),
    "Calico: a block of a node that is gone": (
        plan(*CLUSTER, BlockAffinity(name="a", cidr="10.244.1.0/26", node="old")),
        ["10.96.0.0/16 1,2", "warning: dev: pods are said to be at old, but there is no such Node; those prefixes are "
         "left out"],
    ),
    "Calico: announced ClusterIPs that do not cover": (
        plan(*CLUSTER, BGPConfiguration(name="default", service_cluster_ips=("10.96.0.0/24",)), BGPPeer(name="p")),
        [*PLAIN, "warning: dev: Calico announces 10.96.0.0/24 as serviceClusterIPs, which does not cover 10.96.0.0/16"],
    ),
    "Cilium: its own pod CIDRs": (
        plan(*CLUSTER, CiliumNode(name="n1", pod_cidrs=("10.0.64.0/24",))),
        ["10.0.64.0/24 1", "10.96.0.0/16 1,2",
         "warning: dev: Node.spec.podCIDRs and Cilium disagree about 1 of 2 nodes "
         "(n1: 10.244.1.0/24, 10.0.64.0/24); Cilium is right"],
    ),
    "flannel: a backend that differs": (
        plan(
            node(1, flannel_backend="vxlan"),
            node(2, flannel_backend="host-gw"),
            SERVICES,
            FlannelConfiguration(namespace="f", name="c", networks=("10.244.0.0/23",), backend="host-gw"),
        ),
        [*PLAIN, "warning: dev: ConfigMap f/c says that flannel's backend is host-gw, and n1 another; restart flannel "
         "there", "warning: dev: the pod CIDRs of n2 are outside flannel's network 10.244.0.0/23"],
    ),
    "flannel: a public address of its own": (
        plan(node(1, "10.9.0.1", flannel_backend="vxlan", flannel_addresses=packed("10.0.0.1")), SERVICES,
             at=host("eth0 10.0.0.99/24 mtu=1450")),
        ["10.96.0.0/16 1", "10.244.1.0/24 1"],
    ),
    "an external address of two services": (
        plan(
            *CLUSTER,
            Service(namespace="a", name="b", external_ips=packed("192.0.2.1"), headless=True),
            Service(namespace="a", name="c", external_ips=packed("192.0.2.1"), headless=True),
            external=frozenset({"external_ip"}),
        ),
        [*PLAIN, "192.0.2.1/32 1,2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    """What a cluster and a place give, in one look."""
    found, expected = CASES[name]
    assert found == expected


def test_too_many_services_without_a_prefix() -> None:
    """Where each ClusterIP needs a route of its own there is a bound, and passing it is an error."""
    many = [Service(namespace="a", name=f"s{n}", cluster_ips=packed(f"10.96.{n // 200}.{n % 200}")) for n in range(300)]
    found = plan(node(1), *many)
    assert sum(line.startswith("10.96.") for line in found) == MAX_CLUSTER_IPS
    assert found[-1].startswith("error: dev: no source says which prefix ClusterIPs are in")


def test_many_nodes_serve() -> None:
    """A route has so many next hops and no more; one node that goes changes one of them, and no other route."""
    nodes = [node(number) for number in range(1, 41)]
    before, after = (
        plan(*nodes, SERVICES),
        plan(*nodes[:2], structs.replace(nodes[2], ready=False), *nodes[3:], SERVICES),
    )
    hops = [set(lines[0].split()[1].split(",")) for lines in (before, after)]
    assert [len(each) for each in hops] == [MAX_NEXT_HOPS] * 2
    assert hops[0] - hops[1] == {"3"}
    assert set(before[1:]) - set(after[1:]) == {"10.244.3.0/24 3"}


TWO = [
    picture_of("a", [node(1), SERVICES]),
    picture_of("b", [Node(name="m", addresses=packed("10.0.0.8"), pod_cidrs=("10.245.0.0/24",)), SERVICES]),
]
OVERLAP = "cluster a claims 10.96.0.0/16 (ServiceCIDR kubernetes), and cluster b the same (ServiceCIDR kubernetes); "


def test_clusters_that_overlap() -> None:
    """Of two clusters that claim a prefix neither has it, and that is an error; the rest of both is routed."""
    assert shown(wanted(TWO, Choice(), NEAR)) == [
        "10.244.1.0/24 1",
        "10.245.0.0/24 8",
        f"error: 10.96.0.0/16: {OVERLAP}neither is routed: give one of them a higher precedence",
    ]


def test_precedence() -> None:
    """The cluster of higher precedence has the prefix, and a warning says so."""
    assert shown(wanted([TWO[0], structs.replace(TWO[1], precedence=5)], Choice(), NEAR)) == [
        "10.96.0.0/16 8",
        "10.244.1.0/24 1",
        "10.245.0.0/24 8",
        f"warning: 10.96.0.0/16: {OVERLAP}b has the higher precedence and is routed, a is not",
    ]


def test_a_prefix_within_another_clusters() -> None:
    """A smaller prefix inside a larger one of another cluster is an overlap as well."""
    inside = picture_of("c", [node(3, pod_cidrs=("10.96.7.0/24",)), ServiceCIDR(name="s", cidrs=("10.97.0.0/16",))])
    found = shown(wanted([TWO[0], inside], Choice(), NEAR))
    assert found[:2] == ["10.97.0.0/16 3", "10.244.1.0/24 1"]
    assert len(found) == 3
    assert found[2].startswith("error: 10.96.7.0/24: cluster a claims 10.96.0.0/16")


def test_prefixes_within_each_other() -> None:
    """All of those that an overlap touches are left out; what is beside them stays, and one's own in one's own."""
    one = node(1, pod_cidrs=("10.244.0.0/16", "10.244.1.0/24", "10.243.0.0/16"))
    other = node(2, pod_cidrs=("10.244.1.64/26", "10.245.0.0/16"))
    found = wanted([picture_of("dev", [one]), picture_of("test", [other])], Choice(), NEAR)
    assert [str(route.prefix) for route in found.routes] == ["10.243.0.0/16", "10.245.0.0/16"]
    errors = [note for note in found.notes if note.severity == "error"]
    assert [note.subject for note in errors] == ["10.244.1.64/26"] * 2


def test_default_choice_is_the_documented_selector() -> None:
    """The label of gateways is the one that the settings have by default."""
    assert Choice().selector == parse("node-role.kubernetes.io/gateway=")
    assert isinstance(Choice().selector, Selector)


NODES = st.builds(
    lambda number, ready, far, gateway: node(
        number, f"10.{9 if far else 0}.0.{number}", ready=ready, labels=GATEWAY if gateway else ()
    ),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(NODES, unique_by=lambda each: each.name), st.sampled_from(["auto", "nodes", "gateways"]))
def test_every_plan(nodes: list[Node], via: Any) -> None:
    """Whatever the nodes: each prefix once and in order, next hops Ready and on link, nothing lost without a word."""
    found = wanted([picture_of("dev", [*nodes, SERVICES])], Choice(via=via), NEAR)
    prefixes = [route.prefix for route in found.routes]
    assert prefixes == sorted(set(prefixes))
    usable = {ip_address(each.addresses[0]) for each in nodes if each.ready and each.addresses[0][1] == 0}
    for route in found.routes:
        assert route.next_hops
        assert {hop.address for hop in route.next_hops} <= usable
    missing = {cidr for each in nodes for cidr in each.pod_cidrs} - {str(prefix) for prefix in prefixes}
    said = [note for note in found.notes if note.severity != "info"]
    assert bool(missing) <= bool(said)
    assert list(lines(found))

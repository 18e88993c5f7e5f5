"""Calico's pools and blocks of which not all is known: what gateways lead to, and what is said without one."""

from ipaddress import ip_address, ip_network

import pytest
from msgspec import structs

from dnsbridge.cluster.objects import BlockAffinity, CalicoNode, IPAMBlock, IPPool
from dnsbridge.zone.reverse import Prefixes
from tests.routes.test_wanted import CLUSTER, GATEWAY, NO_GATEWAY, PLAIN, SERVICES, node, packed, plan

POOL = IPPool(name="default-ipv4-ippool", cidr="192.168.0.0/16")
AFFINITY = BlockAffinity(name="a", cidr="10.244.1.0/26", node="n1")

CASES: dict[str, tuple[list[str], list[str]]] = {
    "a pool without any block, a gateway": (
        plan(node(1, labels=GATEWAY, pod_cidrs=()), SERVICES, POOL),
        ["10.96.0.0/16 1", "192.168.0.0/16 1"],
    ),
    "a pool without any block, no gateway": (
        plan(node(1, pod_cidrs=()), SERVICES, POOL),
        ["10.96.0.0/16 1", "error: dev: no route to 192.168.0.0/16: no source says which nodes have it and where they "
         f"are, and {NO_GATEWAY}"],
    ),
    "a pool without any block, nodes asked for": (
        plan(node(1, labels=GATEWAY, pod_cidrs=()), SERVICES, POOL, via="nodes"),
        ["10.96.0.0/16 1", "error: dev: no route to 192.168.0.0/16: no source says which nodes have it and where they "
         "are, and via is nodes"],
    ),
    "a pool beside pod CIDRs that Calico does not use": (
        plan(node(1, labels=GATEWAY), SERVICES, POOL),
        ["10.96.0.0/16 1", "10.244.1.0/24 1", "192.168.0.0/16 1"],
    ),
    "a pool that pod CIDRs are from": (
        plan(*CLUSTER, IPPool(name="p", cidr="10.244.0.0/16")), PLAIN,
    ),
    "a second pool without a block, a gateway": (
        plan(node(1, labels=GATEWAY, pod_cidrs=()), SERVICES, POOL, AFFINITY),
        ["10.96.0.0/16 1", "10.244.1.0/26 1", "192.168.0.0/16 1"],
    ),
    "a second pool without a block, no gateway": (
        plan(node(1, pod_cidrs=()), SERVICES, POOL, AFFINITY),
        ["10.96.0.0/16 1", "10.244.1.0/26 1"],
    ),
    "a pool that is disabled": (
        plan(node(1, labels=GATEWAY), SERVICES, structs.replace(POOL, disabled=True)),
        ["10.96.0.0/16 1", "10.244.1.0/24 1"],
    ),
    "pools of its policies beside flannel": (
        plan(node(1, labels=GATEWAY, flannel_backend="host-gw"), SERVICES, POOL),
        ["10.96.0.0/16 1", "10.244.1.0/24 1"],
    ),
    "a pool, and prefixes that the settings name": (
        plan(node(1, labels=GATEWAY, pod_cidrs=()), SERVICES, POOL,
             said=Prefixes(pods=(ip_network("192.168.0.0/17"),))),
        ["10.96.0.0/16 1", "192.168.0.0/17 1"],
    ),
    "blocks of which nobody is known, a gateway": (
        plan(node(1, labels=GATEWAY, pod_cidrs=()), SERVICES, IPAMBlock(name="b", cidr="10.244.9.0/26")),
        ["10.96.0.0/16 1", "10.244.9.0/26 1"],
    ),
    "blocks without any node, a gateway by address": (
        plan(AFFINITY, via="gateways", gateways=(ip_address("10.0.0.9"),)),
        ["10.244.1.0/26 9"],
    ),
    "nodes as Calico has them": (
        plan(CalicoNode(name="n1", addresses=packed("10.0.0.1")), AFFINITY),
        ["10.244.1.0/26 1"],
    ),
    "nodes as Calico has them, and Kubernetes": (
        plan(CalicoNode(name="n1", addresses=packed("10.0.0.7")), node(1, pod_cidrs=()), AFFINITY),
        ["10.244.1.0/26 7"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    """A pool without a block is routed as a whole or missed with a word, and nodes may be those that Calico names."""
    found, expected = CASES[name]
    assert found == expected

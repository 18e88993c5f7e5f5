"""Whatever the objects of a cluster or two say: the wanted set is in order, and the same however the objects come."""

from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dnsbridge.cluster.objects import (
    BlockAffinity,
    CalicoNode,
    CiliumNode,
    FlannelConfiguration,
    IPAMBlock,
    IPPool,
    Node,
    Object,
    Service,
    ServiceCIDR,
)
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.host import Host, Protected
from dnsbridge.routes.model import Route, in_order
from dnsbridge.routes.pictures.from_objects import picture_of
from dnsbridge.routes.wanted import wanted
from dnsbridge.zone.reverse import Prefixes
from tests.routes.support import host
from tests.support.properties import examples

GATEWAY = (("node-role.kubernetes.io/gateway", ""),)
NAMES = st.sampled_from(["n1", "n2", "n3", "n4"])
CIDRS = [f"10.0.{at}.0/26" for at in range(4)] + [
    "10.0.0.0/22",
    "10.1.0.0/24",
    "0.0.0.0/0",
    "127.0.0.0/24",
    "fd00:1::/64",
]
ADDRESSES = ["127.0.0.1", "10.0.0.9", "10.0.0.10", "10.0.1.9", "10.9.0.7", "fd00::7"]


def packed(text: str) -> bytes:
    """An address."""
    return ip_address(text).packed


cidrs = st.sampled_from(CIDRS)
addresses = st.sampled_from(list(map(packed, ADDRESSES)))
few = st.lists(addresses, max_size=2, unique=True).map(tuple)
versions = st.integers(1, 3).map(str)
OBJECTS: list[st.SearchStrategy[Object]] = [
    st.builds(
        Node,
        name=NAMES,
        resource_version=versions,
        addresses=few,
        pod_cidrs=st.lists(cidrs, max_size=2, unique=True).map(tuple),
        ready=st.sampled_from([True, True, False]),
        labels=st.sampled_from([(), (), GATEWAY]),
        flannel_backend=st.sampled_from(["", "vxlan", "host-gw"]),
    ),
    st.builds(BlockAffinity, name=st.sampled_from("abcd"), cidr=cidrs, node=NAMES, resource_version=versions),
    st.builds(
        IPAMBlock,
        name=st.sampled_from("abcd"),
        cidr=cidrs,
        node=NAMES | st.just(""),
        borrowed=st.lists(st.tuples(addresses, NAMES), max_size=2).map(tuple),
    ),
    st.builds(CalicoNode, name=NAMES, addresses=few),
    st.builds(CiliumNode, name=NAMES, addresses=few, pod_cidrs=st.lists(cidrs, max_size=2, unique=True).map(tuple)),
    st.builds(Service, namespace=st.just("a"), name=st.sampled_from("ab"), cluster_ips=few, external_ips=few),
    st.builds(Service, namespace=st.just("kube-system"), name=st.just("kube-dns"), cluster_ips=few),
    st.builds(ServiceCIDR, name=st.sampled_from("ab"), cidrs=cidrs.map(lambda cidr: (cidr,))),
    st.builds(
        IPPool, name=st.just("p"), cidr=cidrs, vxlan=st.sampled_from(["Never", "Always"]), disabled=st.booleans()
    ),
    st.builds(
        FlannelConfiguration, name=st.just("f"), networks=cidrs.map(lambda cidr: (cidr,)), backend=st.just("vxlan")
    ),
]
PLACES = [
    host("eth0 10.0.0.99/24"),
    host("eth0 10.0.0.99/16 fd00::99/64 mtu=1500", "cni0 10.1.0.1/25"),
    structs.replace(host("eth0 10.9.0.99/24"), protected=(Protected(ip_address("10.0.2.3"), "the API server"),)),
    Host(),
]
CHOICES = st.builds(
    Choice,
    via=st.sampled_from(["auto", "nodes", "gateways"]),
    gateways=st.sampled_from([(), (), (ip_address("10.0.0.50"),), (ip_address("fe80::1%eth0"),)]),
    external=st.just(frozenset({"external_ip"})),
    recurse=st.sampled_from([False, False, True]),
)
SAID = [Prefixes(), Prefixes(None, (ip_network("10.0.0.0/23"),))]


@examples(100)
@given(
    st.lists(st.lists(st.one_of(OBJECTS), max_size=25, unique_by=lambda each: each.key), min_size=1, max_size=2),
    st.sampled_from(PLACES),
    CHOICES,
    st.sampled_from(SAID),
    st.integers(0, 1),
    st.randoms(use_true_random=False),
)
def test_the_order_of_objects_says_nothing(
    clusters: list[list[Object]], place: Host, choice: Choice, said: Prefixes, precedence: int, random: Random
) -> None:
    """One route for each prefix, in order."""
    found = routes(clusters, place, choice, said, precedence)
    assert found == in_order(found)
    assert len({route.prefix for route in found}) == len(found)
    for objects in clusters:
        random.shuffle(objects)
    assert ways(routes(clusters, place, choice, said, precedence)) == ways(found)


def routes(
    clusters: list[list[Object]], place: Host, choice: Choice, said: Prefixes, precedence: int
) -> tuple[Route, ...]:
    """What is wanted; each cluster has the precedence of its place, times `precedence`."""
    pictures = [picture_of(f"c{at}", objects, said, at * precedence) for at, objects in enumerate(clusters)]
    return wanted(pictures, choice, place).routes


def ways(found: tuple[Route, ...]) -> list[Any]:
    """What a router sees of routes."""
    return [route.same_way for route in found]

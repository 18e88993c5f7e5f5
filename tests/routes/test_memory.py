"""What is remembered changes no result: objects come, change and go, and each time all is worked out anew as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import Any
from unittest.mock import patch

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
    Key,
    Node,
    Object,
    Service,
    ServiceCIDR,
)
from dnsbridge.routes import memory as memories
from dnsbridge.routes import ordered
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.host import Host, Protected
from dnsbridge.routes.memory import Memory
from dnsbridge.routes.model import in_order
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
STEPS = st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.one_of(OBJECTS)), min_size=1, max_size=25)
"""Which cluster, whether the object goes, and the object."""
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


@contextmanager
def bounds(few: bool) -> Iterator[None]:
    """Bounds so small that all ways are gone, or those of large clusters."""
    with (
        patch.object(memories, "MAX_PLACES", 2 if few else memories.MAX_PLACES),
        patch.object(memories, "STRIDE", 2 if few else memories.STRIDE),
        patch.object(ordered, "PATCHED", 3 if few else ordered.PATCHED),
    ):
        yield


@examples(300)
@given(
    st.integers(1, 2),
    STEPS,
    st.lists(st.tuples(st.sampled_from(PLACES), CHOICES), min_size=1, max_size=2),
    st.sampled_from(SAID),
    st.integers(0, 1),
    st.booleans(),
)
def test_the_same_as_from_scratch(
    clusters: int, steps: Any, asked: list[tuple[Host, Choice]], said: Prefixes, precedence: int, few: bool
) -> None:
    """Routes and notes, after each change; also where the host and what is asked for are not what they were."""
    with bounds(few):
        held: list[dict[Key, Object]] = [{} for _ in range(clusters)]
        drawn, remembered = [Memory() for _ in range(clusters)], Memory()
        for number, (cluster, gone, obj) in enumerate(steps):
            mine = held[cluster % clusters]
            if gone:
                mine.pop(obj.key, None)
            else:
                mine[obj.key] = obj
            named = [(f"c{at}", each, said, at * precedence) for at, each in enumerate(held)]
            place, choice = asked[number * len(asked) // len(steps)]
            pictures = [picture_of(*rest, memory=drawn[at]) for at, rest in enumerate(_lists(named))]
            found = wanted(pictures, choice, place, remembered)
            expected = wanted([picture_of(*rest) for rest in _lists(named)], choice, place)
            assert found == expected
            assert found.routes == in_order(found.routes)
            assert len({route.prefix for route in found.routes}) == len(found.routes)


def _lists(named: Any) -> Iterator[tuple[str, list[Object], Prefixes, int]]:
    for name, objects, said, precedence in named:
        yield name, list(objects.values()), said, precedence


def test_what_has_not_changed_is_the_same_object() -> None:
    """Of many nodes one is not Ready, then one is gone: the routes to all others are those of before."""
    objects: dict[Key, Object] = {}
    for number in range(1, 200):
        node = Node(name=f"n{number}", addresses=(packed(f"10.0.0.{number}"),))
        block = BlockAffinity(name=f"b{number}", cidr=f"10.244.{number}.0/26", node=node.name)
        objects |= {node.key: node, block.key: block}
    drawn, remembered = Memory(), Memory()

    def routes() -> dict[str, int]:
        picture = picture_of("dev", list(objects.values()), memory=drawn)
        found = wanted([picture], Choice(), host("eth0 10.0.0.250/24"), remembered)
        return {str(route.prefix): id(route) for route in found.routes}

    before = routes()
    assert routes() == before
    first, second = list(objects.values())[20:24:2]
    assert isinstance(first, Node)
    objects[first.key] = structs.replace(first, ready=False)
    lost = routes()
    assert set(before.items()) - set(lost.items()) == {("10.244.11.0/26", before["10.244.11.0/26"])}
    del objects[second.key]
    assert set(lost.items()) - set(routes().items()) == {("10.244.12.0/26", lost["10.244.12.0/26"])}

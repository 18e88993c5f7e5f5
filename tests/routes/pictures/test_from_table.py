"""What a node's table says of its cluster: each shape of line, alone and beside others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.routes.pictures.from_table import Table, picture_of_tables
from dnsbridge.routes.tables.reading import Text, read
from tests.routes.support import of_text

ETH0 = "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5\n"

CASES: dict[str, tuple[str, list[str]]] = {
    "a block of this node": ("blackhole 10.244.1.0/26 proto bird", ["10.244.1.0/26 10.0.0.5"]),
    "a block of this node, by Felix": ("blackhole 10.244.1.0/26 proto 80", ["10.244.1.0/26 10.0.0.5"]),
    "its pods vanish in it": (
        "blackhole 10.244.1.0/26 proto bird\n10.244.1.3 dev cali123 scope link\n10.244.1.4 dev cali456 scope link",
        ["10.244.1.0/26 10.0.0.5"],
    ),
    "a pod with a borrowed address": (
        "10.244.2.0/26 via 10.0.0.6 dev eth0 proto bird\n10.244.2.9 dev cali123 scope link",
        ["10.244.2.0/26 10.0.0.6", "10.244.2.9/32 10.0.0.5"],
    ),
    "an address of ours that another borrowed": (
        "blackhole 10.244.1.0/26 proto bird\n10.244.1.9 via 10.0.0.6 dev eth0 proto bird",
        ["10.244.1.0/26 10.0.0.5", "10.244.1.9/32 10.0.0.6"],
    ),
    "the pods of a bridge": (
        "10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1",
        ["10.244.1.0/24 10.0.0.5"],
    ),
    "another node's": ("10.244.2.0/24 via 10.0.0.6 dev eth0 proto bird", ["10.244.2.0/24 10.0.0.6"]),
    "another node's, IPIP": ("10.244.2.0/26 via 10.9.0.6 dev tunl0 proto bird onlink", ["10.244.2.0/26 10.9.0.6"]),
    "another node's, host-gw": ("10.244.2.0/24 via 10.0.0.6 dev eth0", ["10.244.2.0/24 10.0.0.6"]),
    "another node's, Cilium without a tunnel": (
        "10.244.2.0/24 via 10.0.0.6 dev eth0 proto kernel",
        ["10.244.2.0/24 10.0.0.6"],
    ),
    "another node's, in a VXLAN": ("10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink", ["10.244.2.0/24 ?"]),
    "another node's, in Calico's VXLAN": ("10.244.2.0/26 via 10.244.2.1 dev vxlan.calico onlink", ["10.244.2.0/26 ?"]),
    "Cilium's own and another's": (
        "10.1.0.0/24 via 10.1.0.7 dev cilium_host proto kernel src 10.1.0.7\n"
        "10.1.1.0/24 via 10.1.0.7 dev cilium_host proto kernel src 10.1.0.7 mtu 1450\n"
        "10.1.0.7 dev cilium_host proto kernel scope link",
        ["10.1.0.0/24 10.0.0.5", "10.1.1.0/24 ?"],
    ),
    "several next hops": (
        "10.96.0.0/12 proto bird\n nexthop via 10.0.0.6 dev eth0 weight 1\n nexthop via 10.0.0.7 dev eth0 weight 1",
        ["10.96.0.0/12 10.0.0.6 10.0.0.7"],
    ),
    "old flannel's pods on docker0": (
        "40.15.26.0/24 via 40.15.26.0 dev flannel.1 onlink\n"
        "40.15.43.0/24 dev docker0 proto kernel scope link src 40.15.43.1",
        ["40.15.26.0/24 ?", "40.15.43.0/24 10.0.0.5"],
    ),
    "old flannel's pods on docker0, host-gw": (
        "40.15.26.0/24 via 10.0.0.6 dev eth0\n40.15.43.0/24 dev docker0 proto kernel scope link src 40.15.43.1",
        ["40.15.26.0/24 10.0.0.6", "40.15.43.0/24 10.0.0.5"],
    ),
    "old flannel's pods on docker0, of which none runs": (
        "40.15.26.0/24 via 40.15.26.0 dev flannel.1 onlink\n"
        "40.15.43.0/24 dev docker0 proto kernel scope link src 40.15.43.1 linkdown",
        ["40.15.26.0/24 ?", "40.15.43.0/24 10.0.0.5"],
    ),
    "Docker's own beside flannel's blocks": (
        "40.15.26.0/24 via 40.15.26.0 dev flannel.1 onlink\n"
        "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1",
        ["40.15.26.0/24 ?", "info: table: not the cluster's, left out: 172.17.0.0/16 dev docker0; name them in "
         "routes.pod_cidrs if they are pods'"],
    ),
    "Docker's own in flannel's network": (
        "172.16.0.0/12 dev flannel.1\n172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1",
        ["172.16.0.0/12", "info: table: not the cluster's, left out: 172.17.0.0/16 dev docker0; name them in "
         "routes.pod_cidrs if they are pods'"],
    ),
    "Docker's own of another length or elsewhere": (
        "40.15.26.0/24 via 40.15.26.0 dev flannel.1 onlink\n"
        "10.99.1.0/24 dev docker0 proto kernel scope link src 10.99.1.1\n"
        "40.15.64.0/20 dev docker0 proto kernel scope link src 40.15.64.1",
        ["40.15.26.0/24 ?", "info: table: not the cluster's, left out: 10.99.1.0/24 dev docker0, 40.15.64.0/20 dev "
         "docker0; name them in routes.pod_cidrs if they are pods'"],
    ),
    "a bridge of pods without any pod": (
        "10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1 linkdown",
        ["10.244.1.0/24 10.0.0.5"],
    ),
    "a tunnel that the route makes": (
        "10.244.6.0/24 encap ip id 0 src 0.0.0.0 dst 10.0.0.6 ttl 0 tos 0 dev tun0 scope link",
        ["10.244.6.0/24 10.0.0.6"],
    ),
    "a tunnel without a next hop": ("10.244.0.0/16 dev flannel0", ["10.244.0.0/16"]),
    "a link that is down": (
        "10.244.2.0/24 via 10.0.0.6 dev eth0 proto bird linkdown\n10.244.3.0/24 via 10.0.0.7 dev eth0 dead",
        ["warning: table: left out while the link of their next hop is down: 10.244.2.0/24 via 10.0.0.6 dev eth0 proto "
         "bird, 10.244.3.0/24 via 10.0.0.7 dev eth0"],
    ),
    "one of two next hops is dead": (
        "10.96.0.0/12 proto bird\n nexthop via 10.0.0.6 dev eth0 weight 1\n"
        " nexthop via 10.0.0.7 dev eth0 weight 1 dead linkdown",
        ["10.96.0.0/12 10.0.0.6", "warning: table: left out while the link of their next hop is down: 10.96.0.0/12 via "
         "10.0.0.7 dev eth0"],
    ),
    "another routing table": (
        "10.244.2.0/24 via 10.0.0.6 dev eth0 table 220 proto bird",
        ["info: table: in routing tables that not all packets use, left out: 10.244.2.0/24 table 220"],
    ),
    "what every host has": (
        "fe80::/64 dev cali123 proto kernel metric 256 pref medium\nff00::/8 dev eth0 metric 256\n"
        "169.254.0.0/16 dev eth0 scope link metric 1002\n10.9.0.0/24 dev eth1 proto kernel scope link src 10.9.0.5\n"
        "local 10.0.0.5 dev eth0 table local proto kernel scope host src 10.0.0.5",
        [],
    ),
    "pods of a node that are on no bridge": (
        "10.244.0.2 dev veth1234 scope host",
        ["info: table: not the cluster's, left out: 10.244.0.2/32 dev veth1234; name them in routes.pod_cidrs if they "
         "are pods'"],
    ),
    "the default route": ("default via 10.0.0.1 dev eth0 proto bird", []),
    "routes of others": (
        "10.1.0.0/16 via 10.0.0.1 dev eth0 proto static\n10.2.0.0/16 via 10.0.0.1 dev eth0 proto dhcp metric 100\n"
        "10.3.0.0/16 via 10.0.0.1 dev eth0 proto ospf\nblackhole 10.0.0.0/8 proto static\n"
        "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown\n"
        "unreachable 10.4.0.0/16 proto bird\nlocal 10.5.0.1 dev lo proto kernel scope host src 10.5.0.1",
        ["info: table: not the cluster's, left out: 10.1.0.0/16 proto static, 10.2.0.0/16 proto dhcp, 10.3.0.0/16 "
         "proto ospf and 3 more; name them in routes.pod_cidrs if they are pods'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_lines(name: str) -> None:
    """Whose these prefixes are; ? where the table does not say its address."""
    text, expected = CASES[name]
    assert shown(ETH0 + text) == expected


def shown(text: str, services: str = "", pods: str = "") -> list[str]:
    """Blocks with the addresses of their nodes, and notes."""
    picture = of_text(text, services, pods)
    where = {node.name: " ".join(str(address) for address in node.addresses) or "?" for node in picture.nodes}
    blocks = [
        f"{block.prefix} {' '.join(where[name] for name in block.nodes)}".rstrip()
        for block in sorted(picture.blocks, key=lambda block: block.prefix)
    ]
    return [*blocks, *(f"{note.severity}: {note}" for note in picture.notes)]


THROUGH: dict[str, tuple[str, list[str]]] = {
    "a static route": ("10.1.0.0/16 via 10.0.0.6 dev eth0 proto static", ["10.1.0.0/16"]),
    "a route of another routing daemon": ("10.1.0.0/16 via 10.0.0.6 dev eth0 proto bgp metric 20", ["10.1.0.0/16"]),
    "several next hops": (
        "10.1.0.0/16 proto static\n nexthop via 10.0.0.6 dev eth0\n nexthop via 10.0.0.7 dev eth0",
        ["10.1.0.0/16"],
    ),
    "a next hop of IPv6": ("10.1.0.0/16 via inet6 fe80::2 dev eth0 proto static", ["10.1.0.0/16"]),
    "a tunnel that the route makes": ("10.244.6.0/24 encap ip id 0 dst 10.0.0.6 dev tun0", ["10.244.6.0/24"]),
    "a tunnel of MPLS": ("10.244.6.0/24 encap mpls 100 via 10.0.0.6 dev eth0 proto static", ["10.244.6.0/24"]),
    "a tunnel": ("10.244.6.0/24 dev tun0 scope link", ["10.244.6.0/24"]),
    "IPIP": ("10.244.6.0/26 via 10.9.0.6 dev tunl0 proto bird onlink", ["10.244.6.0/26"]),
    "flannel": ("10.244.6.0/24 via 10.244.6.0 dev flannel.1 onlink", ["10.244.6.0/24"]),
    "Calico's VXLAN": ("10.244.6.0/26 via 10.244.6.1 dev vxlan.calico onlink", ["10.244.6.0/26"]),
    "Cilium": ("10.1.1.0/24 via 10.1.0.7 dev cilium_host proto kernel src 10.1.0.7", ["10.1.1.0/24"]),
    "UG of route -n": ("10.1.0.0 10.0.0.6 255.255.0.0 UG 0 0 0 eth0", ["10.1.0.0/16"]),
    "UG of route -n, by IPv6": ("10.1.0.0 0.0.0.0 255.255.0.0 UG 0 0 0 eth0", ["10.1.0.0/16"]),
    "the subnet of a VPN": ("10.8.0.0/24 dev tun0 proto kernel scope link src 10.8.0.1", []),
    "what DHCP gave": ("10.1.0.0/16 via 10.0.0.6 dev eth0 proto dhcp metric 100", []),
    "behind the router": ("default via 10.0.0.1 dev eth0\n10.1.0.0/16 via 10.0.0.1 dev eth0 proto static", []),
    "the default route": ("default via 10.0.0.6 dev eth0 proto bird\n0.0.0.0 10.0.0.6 0.0.0.0 UG 0 0 0 eth0", []),
    "a dead one": ("10.1.0.0/16 via 10.0.0.6 dev eth0 proto static dead", []),
    "nowhere": ("unreachable 10.1.0.0/16\nprohibit 10.2.0.0/16 proto static\nblackhole 10.3.0.0/16 proto static", []),
}


@pytest.mark.parametrize("name", THROUGH)
def test_through_a_gateway(name: str) -> None:
    """What a gateway reaches by a next hop or a tunnel counts; what it does not is left out with a word."""
    text, expected = THROUGH[name]
    picture = of_text(ETH0 + text, through=True)
    assert [str(block.prefix) for block in picture.blocks] == expected
    assert bool(picture.notes) is (not expected and name != "the default route")


def test_prefixes_that_are_named() -> None:
    """Where the settings name the pods' prefixes, these count, whoever made the route; and no others do."""
    text = ETH0 + "10.1.0.0/24 via 10.0.0.6 dev eth0 proto static\n10.2.0.0/24 via 10.0.0.7 dev eth0 proto bird"
    assert shown(text, pods="10.1.0.0/16") == [
        "10.1.0.0/16",
        "10.1.0.0/24 10.0.0.6",
        "info: table: outside routes.pod_cidrs, left out: 10.2.0.0/24",
    ]


def test_services_are_no_pods() -> None:
    """A route to a prefix of ClusterIPs is the services', which every node serves."""
    picture = of_text(ETH0 + "10.96.0.0/12 via 10.0.0.6 dev eth0 proto bird", services="10.96.0.0/12")
    assert picture.blocks == ()
    assert [str(each.prefix) for each in picture.services] == ["10.96.0.0/12"]


def test_a_table_without_an_own_address() -> None:
    """A table that does not say whose it is: what is behind its node has no way."""
    assert shown("blackhole 10.244.1.0/26 proto bird") == [
        "10.244.1.0/26 ?",
        "warning: table: the table does not say its node's own address (`proto kernel scope link src ADDRESS`)",
    ]


def test_the_address_on_the_link_of_the_others() -> None:
    """Of a node's several addresses the first is the one from which it reaches other nodes."""
    links = "".join(f"10.{n}.0.0/24 dev eth{n} proto kernel scope link src 10.{n}.0.5\n" for n in range(3))
    found = shown(links + "blackhole 10.244.1.0/26 proto bird\n10.244.2.0/26 via 10.1.0.6 dev eth1 proto bird")
    assert found == ["10.244.1.0/26 10.1.0.5 10.0.0.5 10.2.0.5", "10.244.2.0/26 10.1.0.6"]


def test_two_tables() -> None:
    """Two nodes' tables are one cluster: what one hides the other says, and a disagreement is reported."""
    one = of_text(ETH0 + "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink\n10.244.3.0/24 via 10.0.0.7 dev eth0")
    assert [node.name for node in one.nodes if node.addresses] == ["10.0.0.5", "10.0.0.7"]
    both = picture_of_tables("dev", [_table(1), _table(2)])
    where = {str(block.prefix): block.nodes for block in both.blocks}
    assert where["10.244.2.0/24"] == ("10.0.0.6",)
    assert both.gateways == ("10.0.0.5", "10.0.0.6")
    assert [note.subject for note in both.notes] == ["10.244.3.0/24"]


def _table(number: int) -> Table:
    texts = {
        1: ETH0 + "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink\n10.244.3.0/24 via 10.0.0.7 dev eth0",
        2: "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.6\n"
        "10.244.2.0/24 dev cni0 proto kernel scope link src 10.244.2.1\n10.244.3.0/24 via 10.0.0.8 dev eth0",
    }
    found = read(texts[number])
    assert isinstance(found, Text)
    return Table(f"table{number}", tuple(found.hosts[0].routes))


LINES = st.sampled_from(sorted({line for text, _ in CASES.values() for line in text.splitlines()}))


@given(st.lists(LINES, max_size=12), st.booleans())
def test_any_lines_together(found: list[str], named: bool) -> None:
    """Whatever lines stand together: each prefix is one block, none is the default's, and every node is known."""
    text = ETH0 + "\n".join(line for line in found if not line.startswith(" "))
    picture = of_text(text, "10.96.0.0/12", "10.244.0.0/16" if named else "")
    prefixes = [block.prefix for block in picture.blocks]
    assert len(prefixes) == len(set(prefixes))
    assert all(prefix.prefixlen for prefix in prefixes)
    assert {name for block in picture.blocks for name in block.nodes} <= {node.name for node in picture.nodes}

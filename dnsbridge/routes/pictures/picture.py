"""A cluster as routes see it: which nodes have which prefixes, who serves its services, which sources disagree.

    Picture      one cluster
    Node         a node: its addresses, whether it is Ready, its labels
    Block        a prefix of pods and the nodes that have it; no nodes: only the prefix is known
    Declared     a prefix of ClusterIPs, or one address of a service, and the object that says so

A picture comes from a cluster's objects (see from_objects) or from a node's kernel table (see from_table). It says
nothing about the place where routes are wanted (see next_hops).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Note, Prefix


class Node(Struct, frozen=True, gc=False):
    """A node of a cluster."""

    name: str
    addresses: tuple[IPAddress, ...] = ()
    """Addresses outside the overlay, first the one that its network provider uses."""
    ready: bool = True
    labels: Mapping[str, str] = {}


class Block(Struct, frozen=True, gc=False):
    """A prefix of pods."""

    prefix: Prefix
    nodes: tuple[str, ...]
    """The names of the nodes that have it: one, or several from a router's table with several next hops; none where
    only gateways know the way."""
    origin: str


def by_owners(blocks: Iterable[Block]) -> dict[tuple[tuple[str, ...], int], list[Block]]:
    """Blocks by the names of their nodes and the version of their prefix, in their original order."""
    found: dict[tuple[tuple[str, ...], int], list[Block]] = {}
    for block in blocks:
        found.setdefault((block.nodes, block.prefix.version), []).append(block)
    return found


class Declared(Struct, frozen=True, gc=False):
    """A prefix or an address that every node serves, by kube-proxy or its replacement."""

    prefix: Prefix
    origin: str


class External(Struct, frozen=True, gc=False):
    """An address of a service beside its ClusterIPs."""

    prefix: Prefix
    source: str
    """`load_balancer` (status.loadBalancer) or `external_ip` (spec.externalIPs), as in the setting routes.external."""
    origin: str


class Picture(Struct, frozen=True):
    """One cluster."""

    cluster: str = ""
    precedence: int = 0
    """Of two clusters that claim a prefix, the one with the higher number has it."""
    network: str = ""
    """The kind of its pod network, for people: `Calico, BGP`, `flannel, VXLAN`."""
    mtu: int = 0
    """Octets of the largest packet that its overlay carries on Ethernet; 0: there is no overlay."""
    nodes: tuple[Node, ...] = ()
    gateways: tuple[str, ...] = ()
    """Nodes whose own tables the picture comes from: they know the way to every prefix."""
    blocks: tuple[Block, ...] = ()
    pools: tuple[Prefix, ...] = ()
    """The prefixes that blocks are taken from, as far as known; not routed themselves."""
    spare: tuple[Declared, ...] = ()
    """Pools that no block is taken from yet: gateways lead there; without gateways nobody misses a route."""
    services: tuple[Declared, ...] = ()
    """Prefixes of ClusterIPs; where none is known, the ClusterIPs themselves."""
    dns: tuple[Declared, ...] = ()
    """The ClusterIPs of the cluster's DNS."""
    external: tuple[External, ...] = ()
    pods: tuple[IPAddress, ...] = ()
    """Some addresses of pods that are in no block."""
    notes: tuple[Note, ...] = ()


@lru_cache(1 << 16)
def prefix_of(text: str) -> Prefix:
    """The prefix of a canonical text. Cached: parsing one costs more than all else that happens to a block."""
    return ip_network(text)


@lru_cache(1 << 16)
def address_of(packed: bytes) -> IPAddress:
    """The address of 4 or 16 octets, cached likewise."""
    return ip_address(packed)


def host_prefix(address: IPAddress) -> Prefix:
    """The prefix of one address alone."""
    return prefix_of(f"{address}/{address.max_prefixlen}")

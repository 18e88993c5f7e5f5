"""The ways that lead to a cluster from one place: its nodes on this host's links, and its gateways.

    node     the address of a node by which packets reach it, by family; none where it is not on link
    nodes    all Ready nodes that are reached so
    gateways those of them that are gateways: by address, by label, or because the picture is of their own table

A place of which nothing is known (a Host without interfaces), or a router that can recurse, reaches every address.
"""

from collections.abc import Iterable

from msgspec import Struct

from dnsbridge.cluster.selector import Selector
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.grouped import some
from dnsbridge.routes.host import Host
from dnsbridge.routes.memory import Memory
from dnsbridge.routes.model import IPAddress, NextHop
from dnsbridge.routes.picture import Node, Picture

MAX_NEXT_HOPS = 16
"""Next hops of one route, the first by address: as many as most hardware takes, and when one goes only one comes."""


_Hop = tuple[int, NextHop]
"""A next hop, and its address as a number: there may be thousands to put in order."""


class Reached(Struct, frozen=True):
    """A node, and how it is reached."""

    node: Node
    hops: "tuple[_Hop | None, _Hop | None]"
    """Which next hop it is for prefixes of IPv4, and of IPv6."""
    here: IPAddress | None
    """This host's own address, if the node is this host."""
    gateway: bool
    """Whether its labels make it one."""

    def hop(self, version: int) -> "_Hop | None":
        """Which next hop it is for a family."""
        return self.hops[version == 6]


class Ways:
    """The ways to one cluster."""

    def __init__(self, picture: Picture, choice: Choice, host: Host, memory: Memory) -> None:
        self.everywhere = choice.recurse or not host.interfaces
        """Every address is taken as reachable."""
        self._choice = choice
        own = frozenset(own.ip for interface in host.interfaces for own in interface.addresses)
        self._place = _Place(host, own, self.everywhere)
        self._picture = picture
        self.nodes = memory.each(_reached, picture.nodes, self._place, choice.selector)
        self.by_name = {each.node.name: each for each in self.nodes}
        self._labelled = [each for each in self.nodes if each.gateway]
        self._to_nodes: dict[int, tuple[NextHop, ...]] = {}
        self._to_gateways: dict[int, tuple[NextHop, ...] | str] = {}

    def to_nodes(self, version: int) -> tuple[NextHop, ...]:
        """All Ready nodes that are reached, so many as a route may have."""
        if version not in self._to_nodes:
            self._to_nodes[version] = first_of(each.hop(version) for each in self.nodes if each.node.ready)
        return self._to_nodes[version]

    def to_gateways(self, version: int) -> tuple[NextHop, ...] | str:
        """The gateways that can be used now, or why there is none."""
        if version not in self._to_gateways:
            self._to_gateways[version] = self._find_gateways(version)
        return self._to_gateways[version]

    def _find_gateways(self, version: int) -> tuple[NextHop, ...] | str:
        if self._choice.gateways:
            return self._to_configured(version)
        if self._labelled:
            return self._to_labelled(version)
        own_tables = [each for name in self._picture.gateways if (each := self.by_name.get(name))]
        if own_tables:
            names = [each.node.name for each in own_tables]
            hops = first_of(each.hop(version) for each in own_tables)
            return hops or f"the node of the table ({some(names)}) is not on this host's links"
        return f"no node has the label that makes a gateway ({self._choice.selector.text})"

    def explicit_gateways(self) -> bool:
        """Whether somebody said which nodes are gateways."""
        return bool(self._choice.gateways or self._labelled)

    def _to_configured(self, version: int) -> tuple[NextHop, ...] | str:
        unready = {address for node in self._picture.nodes if not node.ready for address in node.addresses}
        fitting = [address for address in self._choice.gateways if address.version == version]
        up = [address for address in fitting if address not in unready | self._choice.silent]
        if not fitting:
            return f"no gateway has an IPv{version} address"
        if not up:
            return f"none of the gateways is Ready and answers: {some(fitting)}"
        hops = first_of(_first((address,), version, self._place) for address in up)
        return hops or f"the gateways ({some(up)}) are not on this host's links"

    def _to_labelled(self, version: int) -> tuple[NextHop, ...] | str:
        labelled = self._labelled
        up = [each for each in labelled if each.node.ready and not self._choice.silent.intersection(each.node.addresses)]
        if not up:
            return f"none of the gateways is Ready and answers: {some([each.node.name for each in labelled])}"
        fitting = [each for each in up if any(address.version == version for address in each.node.addresses)]
        if not fitting:
            return f"no gateway has an IPv{version} address: {some([each.node.name for each in up])}"
        hops = first_of(each.hop(version) for each in fitting)
        return hops or f"the gateways ({some([each.node.name for each in fitting])}) are not on this host's links"


class _Place(Struct, frozen=True):
    """Where routes are wanted."""

    host: Host
    own: frozenset[IPAddress]
    everywhere: bool


def _reached(node: Node, place: _Place, selector: Selector) -> Reached:
    here = next((address for address in node.addresses if address in place.own), None)
    hops = _first(node.addresses, 4, place), _first(node.addresses, 6, place)
    return Reached(node, hops, here, selector.fits(node.labels))


def _first(addresses: Iterable[IPAddress], version: int, place: _Place) -> _Hop | None:
    fitting = [address for address in addresses if address.version == version and address not in place.own]
    for address in fitting:
        if place.host.on_link(address):
            return int(address), NextHop(address)
    return (int(fitting[0]), NextHop(fitting[0])) if fitting and place.everywhere else None


def first_of(hops: Iterable[_Hop | None]) -> tuple[NextHop, ...]:
    """The first of them by address, of one family, so many as a route may have."""
    by_number = dict([hop for hop in hops if hop])
    return tuple([by_number[number] for number in sorted(by_number)[:MAX_NEXT_HOPS]])

"""The next hops to a cluster from one place: its nodes on this host's links, and its gateways.

    node     the address that reaches a node, by family; none where the node is not on link
    nodes    all Ready nodes on link
    gateways the gateways on link: by address, by label, or because the picture comes from their own tables

A place that nothing is known about (a Host without interfaces), or a router that can recurse, reaches every address.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address

from msgspec import Struct

from dnsbridge.cluster.selector import Selector
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import IPAddress, NextHop
from dnsbridge.routes.notes import some
from dnsbridge.routes.pictures.picture import Node, Picture

MAX_NEXT_HOPS = 16
"""Next hops of one route, the first by address: most hardware takes as many, and when one goes, only one comes."""


_Hop = tuple[int, NextHop]
"""A next hop's address as a number, since there may be thousands to sort; and the next hop."""


class Reached(Struct, frozen=True, gc=False):
    """A node, and how it is reached."""

    node: Node
    hops: "tuple[_Hop | None, _Hop | None]"
    """The node as a next hop for IPv4 prefixes, and for IPv6 prefixes."""
    here: IPAddress | None
    """This host's own address, if the node is this host."""
    gateway: bool
    """Whether its labels make it a gateway."""

    def hop(self, version: int) -> "_Hop | None":
        """The node as a next hop for a family."""
        return self.hops[version == 6]


class Ways:
    """The ways to one cluster."""

    def __init__(self, picture: Picture, choice: Choice, host: Host) -> None:
        self.everywhere = choice.recurse or not host.interfaces
        """Every address is taken as reachable."""
        self._choice = choice
        own = [own for interface in host.interfaces for own in interface.addresses]
        # Neither a host's own address nor a subnet's broadcast address leads anywhere.
        broadcast = frozenset([each.network.broadcast_address for each in own if each.network.prefixlen < 31])
        self._place = _Place(host, frozenset([each.ip for each in own]), broadcast, self.everywhere)
        self._picture = picture
        self.nodes = [_reached(node, self._place, choice.selector) for node in picture.nodes]
        self.by_name = {each.node.name: each for each in self.nodes}
        self._labelled = [each for each in self.nodes if each.gateway]
        self._to_nodes: dict[int, tuple[NextHop, ...]] = {}
        self._to_gateways: dict[int, tuple[NextHop, ...] | str] = {}

    def addresses(self, name: str, version: int) -> list[IPAddress]:
        """The addresses of a node that others could send packets to, wherever they are."""
        reached = self.by_name.get(name)
        addresses = reached.node.addresses if reached else ()
        return [each for each in addresses if each.version == version and can_be_next_hop(each)]

    def shared(self) -> list[tuple[IPAddress, list[str]]]:
        """Addresses that several nodes claim, and the names of those nodes."""
        return _shared(self.nodes)

    def to_nodes(self, version: int) -> tuple[NextHop, ...]:
        """All Ready nodes that can be reached, up to MAX_NEXT_HOPS."""
        if version not in self._to_nodes:
            self._to_nodes[version] = first_of([each.hops[version == 6] for each in self.nodes if each.node.ready])
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
        """Whether somebody named gateways, by address or by label."""
        return bool(self._choice.gateways or self._labelled)

    def _to_configured(self, version: int) -> tuple[NextHop, ...] | str:
        unready = {address for node in self._picture.nodes if not node.ready for address in node.addresses}
        fitting = [address for address in self._choice.gateways if address.version == version]
        up = [address for address in fitting if address not in unready | self._choice.silent]
        if not fitting:
            return f"no gateway has an IPv{version} address"
        if not up:
            return f"none of the gateways is Ready and answers: {some(fitting)}"
        hops = first_of(self._to_gateway(address) for address in up)
        if hops:
            return hops
        if any(address in self._place.own for address in up):
            return f"the gateway {some(up)} is this host itself"
        unscoped = [address for address in up if isinstance(address, IPv6Address) and address.is_link_local]
        if unscoped and not any(each.scope_id for each in unscoped):
            return f"the gateway {unscoped[0]} may be on any link; say on which, as in {unscoped[0]}%eth0"
        return f"the gateways ({some(up)}) are not on this host's links"

    def _to_gateway(self, address: IPAddress) -> _Hop | None:
        """The next hop of a named gateway; a link-local one with its interface (RFC 4007 section 11)."""
        if not (isinstance(address, IPv6Address) and address.scope_id):
            return _first((address,), address.version, self._place)
        devices = [interface.name for interface in self._place.host.interfaces]
        there = not devices or address.scope_id in devices
        return (int(address), NextHop(IPv6Address(int(address)), address.scope_id)) if there else None

    def _to_labelled(self, version: int) -> tuple[NextHop, ...] | str:
        labelled, silent = self._labelled, self._choice.silent
        up = [each for each in labelled if each.node.ready and not silent.intersection(each.node.addresses)]
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
    broadcast: frozenset[IPAddress]
    everywhere: bool


def _reached(node: Node, place: _Place, selector: Selector) -> Reached:
    # Every host has 127.0.0.1, so that address does not make a node this host.
    here = next((address for address in node.addresses if address in place.own and can_be_next_hop(address)), None)
    hops = _first(node.addresses, 4, place), _first(node.addresses, 6, place)
    return Reached(node, hops, here, selector.fits(node.labels))


def _first(addresses: Iterable[IPAddress], version: int, place: _Place) -> _Hop | None:
    fitting = [
        address
        for address in addresses
        if address.version == version and address not in place.own and can_be_next_hop(address)
    ]
    for address in fitting:
        if address not in place.broadcast and place.host.on_link(address):
            return int(address), NextHop(address)
    return (int(fitting[0]), NextHop(fitting[0])) if fitting and place.everywhere else None


def _shared(nodes: Sequence[Reached]) -> list[tuple[IPAddress, list[str]]]:
    names: dict[int, list[str]] = {}
    hops: dict[int, IPAddress] = {}
    for each in nodes:
        for hop in each.hops:
            if hop and hop[1].address:
                names.setdefault(hop[0], []).append(each.node.name)
                hops[hop[0]] = hop[1].address
    return [(hops[number], sorted(of)) for number, of in names.items() if len(of) > 1]


def can_be_next_hop(address: IPAddress) -> bool:
    """Whether others can use an address as a node's or a router's, without naming a link."""
    number = int(address)
    if address.version == 4:
        first = number >> 24
        return first not in (0, 127) and first >> 4 != 0xE and number != 0xFFFFFFFF  # RFC 1122 section 3.2.1.3
    first, mapped = number >> 112, number >> 32 == 0xFFFF  # RFC 4291 section 2.4, 2.5.5.2
    return number > 1 and first < 0xFF00 and first & 0xFFC0 != 0xFE80 and not mapped


def first_of(hops: Iterable[_Hop | None]) -> tuple[NextHop, ...]:
    """The first next hops by address, all of one family, up to MAX_NEXT_HOPS."""
    by_number = dict([hop for hop in hops if hop])
    return tuple([by_number[number] for number in sorted(by_number)[:MAX_NEXT_HOPS]])

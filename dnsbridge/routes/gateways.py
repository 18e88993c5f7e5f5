"""The ways that lead to a cluster from one place: its nodes on this host's links, and its gateways.

    node     the address of a node by which packets reach it, by family; none where it is not on link
    nodes    all Ready nodes that are reached so
    gateways those of them that are gateways: by address, by label, or because the picture is of their own table

A place of which nothing is known (a Host without interfaces), or a router that can recurse, reaches every address.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address

from dnsbridge.routes.choice import Choice
from dnsbridge.routes.grouped import some
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import IPAddress, NextHop, hop_order
from dnsbridge.routes.picture import Node, Picture

MAX_NEXT_HOPS = 16
"""Next hops of one route, the first by address: as many as most hardware takes, and when one goes only one comes."""


class Ways:
    """The ways to one cluster."""

    def __init__(self, picture: Picture, choice: Choice, host: Host) -> None:
        self.everywhere = choice.recurse or not host.interfaces
        """Every address is taken as reachable."""
        self._choice = choice
        self._host = host
        own = [own for interface in host.interfaces for own in interface.addresses]
        # Neither a host's own address nor a subnet's broadcast address leads anywhere.
        self._own = frozenset([each.ip for each in own])
        self._broadcast = frozenset([each.network.broadcast_address for each in own if each.network.prefixlen < 31])
        self._picture = picture
        self._by_name = {node.name: node for node in picture.nodes}
        self._node_hops: dict[tuple[str, int], NextHop | None] = {}

    def node(self, name: str) -> Node | None:
        """The node of a name."""
        return self._by_name.get(name)

    def to_node(self, node: Node, version: int) -> NextHop | None:
        """The next hop that a node is, for prefixes of a family."""
        key = node.name, version
        if key not in self._node_hops:
            self._node_hops[key] = self._first(node.addresses, version)
        return self._node_hops[key]

    def addresses(self, name: str, version: int) -> list[IPAddress]:
        """The addresses of a node that others could send packets to, wherever they are."""
        node = self._by_name.get(name)
        return [each for each in node.addresses if each.version == version and can_be_next_hop(each)] if node else []

    def shared(self) -> list[tuple[IPAddress, list[str]]]:
        """Next hops that several nodes say to be, and those nodes."""
        names: dict[IPAddress, list[str]] = {}
        for (name, _), hop in self._node_hops.items():
            if hop and hop.address:
                names.setdefault(hop.address, []).append(name)
        return [(address, sorted(of)) for address, of in names.items() if len(of) > 1]

    def to_nodes(self, version: int) -> tuple[NextHop, ...]:
        """All Ready nodes that are reached, so many as a route may have."""
        return _of(self.to_node(node, version) for node in self._picture.nodes if node.ready)

    def to_gateways(self, version: int) -> tuple[NextHop, ...] | str:
        """The gateways that can be used now, or why there is none."""
        if self._choice.gateways:
            return self._to_configured(version)
        labelled = self._labelled()
        if labelled:
            return self._to_labelled(labelled, version)
        own_tables = [node for name in self._picture.gateways if (node := self.node(name))]
        if own_tables:
            hops = _of(self.to_node(node, version) for node in own_tables)
            return (
                hops
                or f"the node of the table ({some([node.name for node in own_tables])}) is not on this host's links"
            )
        return f"no node has the label that makes a gateway ({self._choice.selector.text})"

    def explicit_gateways(self) -> bool:
        """Whether somebody said which nodes are gateways."""
        return bool(self._choice.gateways or self._labelled())

    def _to_configured(self, version: int) -> tuple[NextHop, ...] | str:
        unready = {address for node in self._picture.nodes if not node.ready for address in node.addresses}
        fitting = [address for address in self._choice.gateways if address.version == version]
        up = [address for address in fitting if address not in unready | self._choice.silent]
        if not fitting:
            return f"no gateway has an IPv{version} address"
        if not up:
            return f"none of the gateways is Ready and answers: {some(fitting)}"
        hops = _of(self._to_gateway(address) for address in up)
        if hops:
            return hops
        if any(address in self._own for address in up):
            return f"the gateway {some(up)} is this host itself"
        unscoped = [address for address in up if isinstance(address, IPv6Address) and address.is_link_local]
        if unscoped and not any(each.scope_id for each in unscoped):
            return f"the gateway {unscoped[0]} may be on any link; say on which, as in {unscoped[0]}%eth0"
        return f"the gateways ({some(up)}) are not on this host's links"

    def _to_gateway(self, address: IPAddress) -> NextHop | None:
        """A gateway that was named; a link-local one with its interface (RFC 4007 section 11)."""
        if not (isinstance(address, IPv6Address) and address.scope_id):
            return self._first((address,), address.version)
        devices = [interface.name for interface in self._host.interfaces]
        there = not devices or address.scope_id in devices
        return NextHop(IPv6Address(int(address)), address.scope_id) if there else None

    def _to_labelled(self, labelled: list[Node], version: int) -> tuple[NextHop, ...] | str:
        up = [node for node in labelled if node.ready and not self._choice.silent.intersection(node.addresses)]
        if not up:
            return f"none of the gateways is Ready and answers: {some([node.name for node in labelled])}"
        fitting = [node for node in up if any(address.version == version for address in node.addresses)]
        if not fitting:
            return f"no gateway has an IPv{version} address: {some([node.name for node in up])}"
        hops = _of(self.to_node(node, version) for node in fitting)
        return hops or f"the gateways ({some([node.name for node in fitting])}) are not on this host's links"

    def _labelled(self) -> list[Node]:
        selector = self._choice.selector
        return [node for node in self._picture.nodes if selector.fits(node.labels)]

    def _first(self, addresses: Iterable[IPAddress], version: int) -> NextHop | None:
        fitting = [
            address
            for address in addresses
            if address.version == version and address not in self._own and can_be_next_hop(address)
        ]
        for address in fitting:
            if address not in self._broadcast and self._host.on_link(address):
                return NextHop(address)
        return NextHop(fitting[0]) if fitting and self.everywhere else None


def can_be_next_hop(address: IPAddress) -> bool:
    """Whether an address can be a node's or a router's, as others see it, without the name of a link."""
    number = int(address)
    if address.version == 4:
        first = number >> 24
        return first not in (0, 127) and first >> 4 != 0xE and number != 0xFFFFFFFF  # RFC 1122 section 3.2.1.3
    first, mapped = number >> 112, number >> 32 == 0xFFFF  # RFC 4291 section 2.4, 2.5.5.2
    return number > 1 and first < 0xFF00 and first & 0xFFC0 != 0xFE80 and not mapped


def _of(hops: Iterable[NextHop | None]) -> tuple[NextHop, ...]:
    return tuple(sorted({hop for hop in hops if hop}, key=hop_order)[:MAX_NEXT_HOPS])

"""The picture of a cluster from the kernel tables of its nodes or gateways.

    blackhole P proto bird                     a block of this node, which absorbs its pods' /32s
    P dev cni0 proto kernel src A              the same (flannel, bridge)
    P dev docker0 proto kernel src A           the same where flannel's blocks are beside it, else Docker's
    P via A dev cilium_host, A in P            the same (Cilium)
    A dev caliXXXX scope link                  a pod of this node, by itself where no block of this node holds it
    P via X dev eth0 proto bird                a block of node X, which shares a link with this node
    P via X dev tunl0 proto bird onlink        the same, X is the node's address outside the tunnel (IPIP)
    P encap ip ... dst X ... dev tun0          the same
    P via T dev flannel.1 onlink               a block of a node whose address the table does not show, T is inside
    P dev flannel.1                            pods behind a tunnel, of nodes that the table does not name
    P proto kernel scope link src A            A is this node's own address

The default route is never a block, and neither are prefixes that every host has: its own links, link-local, multicast.
A next hop that is dead, or whose link is down, does not count. A bridge of pods counts: without pods it has no carrier.

Other programs' routes are not the cluster's: static routes, DHCP's, other routing daemons'. Where routes lead through a
gateway, they count if the gateway has a next hop or a tunnel for them, except routes from DHCP and routes through the
next hop of the default route. Where the settings name the prefixes of pods or services, the settings decide.
"""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_network

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, NextHop, Note, Prefix, Severity, covers, hop_order, order
from dnsbridge.routes.notes import some
from dnsbridge.routes.pictures.calico import IPIP_MTU, VXLAN_MTU
from dnsbridge.routes.pictures.from_objects import AUTO, SETTING_PODS, SETTING_SERVICES
from dnsbridge.routes.pictures.kernel_table import WITHOUT_NEXT_HOP, TableRoute
from dnsbridge.routes.pictures.picture import Block, Declared, Node, Picture
from dnsbridge.zone.reverse import Prefixes

PROVIDERS = ("bird", "12", "80", "", "boot")
"""Protocols that pod networks use: Calico's BIRD, Calico's Felix, and boot, which `ip route` prints with `-d` only."""
OF_THE_HOST = ("dhcp", "16", "ra", "9", "redirect", "1")
"""Protocols that tell a host its own way out."""
VXLAN_DEVICES = ("flannel.", "flannel-v6.", "vxlan.calico", "vxlan-v6.calico", "cilium_vxlan")
OVERLAY_DEVICES = (
    *VXLAN_DEVICES,
    *(
        "tunl0",
        "cilium_host",
        "flannel0",
        "flannel-wg",
        "wireguard.cali",
        "wg-v6.cali",
        "antrea-gw0",
        "ovn-k8s-mp0",
        "weave",
    ),
)
"""Tunnels that pod networks make, and interfaces that lead into them."""
TUNNEL_DEVICES = ("tun", "wg", "gre", "ipip", "ip6tnl", "sit", "vti", "vxlan", "geneve", "kilo")
"""Tunnels that any program may have made."""
OWN_POD_DEVICES = ("cali", "cni0", "cbr0", "lxc", "kube-bridge")
"""Interfaces of a node's own pods."""
INNER_DEVICES = (*OWN_POD_DEVICES, "cilium_", "veth", "docker", "virbr", "kube-ipvs", "nodelocaldns")
"""Interfaces that no other node is on."""
_BESIDE = 16
"""Two blocks of IPv4 of one length that share this many leading bits belong to one pod network."""


class Table(Struct, frozen=True):
    """One table and where it comes from."""

    name: str
    """For people: a file's name, or `this host's table`."""
    routes: tuple[TableRoute, ...]
    host: str = ""
    """The host of the table, where a prompt names it."""

    @property
    def title(self) -> str:
        """For people, the file and the host."""
        return f"{self.name} ({self.host})" if self.host else self.name


def picture_of_tables(
    cluster: str, tables: Sequence[Table], said: Prefixes = AUTO, *, through: bool = False
) -> Picture:
    """The picture of the cluster whose nodes have these tables; `said` is what the settings say about its prefixes.

    `through`: routes lead through gateways, whose tables these are.
    """
    read = _Read(said, through)
    for table in tables:
        read.take(table)
    services = tuple(Declared(prefix, SETTING_SERVICES) for prefix in said.services or ())
    blocks = {
        prefix: block
        for prefix, block in read.blocks.items()
        if not any(covers(each.prefix, prefix) for each in services)
    }
    kept = _without_pods(blocks)
    known = {block.prefix for block in kept}
    kept += tuple(Block(prefix, (), SETTING_PODS) for prefix in said.pods or () if prefix not in known)
    tunnels = sorted(read.tunnels)
    words = " and ".join(tunnels)
    return Picture(
        cluster=cluster,
        network=f"as in {some(list(dict.fromkeys(table.name for table in tables)))}{f', {words}' if tunnels else ''}",
        mtu=min((IPIP_MTU if tunnel == "IPIP" else VXLAN_MTU for tunnel in tunnels), default=0),
        nodes=tuple(read.nodes.values()),
        gateways=tuple(dict.fromkeys(read.owners)),
        blocks=kept,
        services=services,
        notes=tuple(read.notes),
    )


class _Left(Struct):
    """The routes of a table that were left out, by reason."""

    foreign: list[str] = []
    """Not the cluster's."""
    nowhere: list[str] = []
    """Not the cluster's, and leading nowhere: of less interest."""
    down: list[str] = []
    """Their link, or the link of one of their next hops, is down."""
    elsewhere: list[str] = []
    """In a routing table of their own."""
    outside: list[str] = []
    """Outside what the settings name."""

    def notes(self, table: str) -> list[Note]:
        """The notes about them."""
        found = []
        if self.foreign or self.nowhere:
            foreign = some([*self.foreign, *self.nowhere])
            text = f"not the cluster's, left out: {foreign}; name them in {SETTING_PODS} if they are pods'"
            found.append(Note(Severity.INFO, table, text))
        if self.outside:
            text = f"outside {SETTING_PODS}, left out: {some(self.outside)}"
            found.append(Note(Severity.INFO, table, text))
        if self.elsewhere:
            text = f"in routing tables that not all packets use, left out: {some(self.elsewhere)}"
            found.append(Note(Severity.INFO, table, text))
        if self.down:
            text = f"left out while the link of their next hop is down: {some(self.down)}"
            found.append(Note(Severity.WARNING, table, text))
        return found


class _Read:
    """What the tables so far say."""

    def __init__(self, said: Prefixes, through: bool) -> None:
        self._said = said
        self._through = through
        self._declared = (*(said.pods or ()), *(said.services or ()))
        self._pods: list[Prefix] = []
        """IPv6 addresses of the pods of the table's node."""
        self.blocks: dict[Prefix, Block] = {}
        self.nodes: dict[str, Node] = {}
        self.owners: list[str] = []
        """The nodes whose tables these are."""
        self.notes: list[Note] = []
        self.tunnels: set[str] = set()

    def take(self, table: Table) -> None:
        """Take one more table."""
        addresses = _own_addresses(table)
        own = Node(str(addresses[0]) if addresses else table.title, addresses)
        self.owners.append(own.name)
        self.nodes[own.name] = own
        left = _Left()
        bridges = []
        self._pods = [
            each.prefix
            for each in table.routes
            if each.prefix.version == 6 and each.next_hops and _is_of_own_pods(each)
        ]
        routers = {hop.address for route in table.routes if route.is_default for hop in route.next_hops}
        for route in table.routes:
            if route.is_default or _is_of_every_host(route):
                continue
            if route.table:
                left.elsewhere.append(f"{route.prefix} table {route.table}")
            elif self._said.pods is not None and not self._is_declared(route):
                left.outside.append(str(route.prefix))
            elif _is_bridge_of_docker(route):
                bridges.append(route)
            elif route.next_hops and route.next_hops == route.down and not _is_of_own_pods(route):
                left.down.append(route.text)
            else:
                self._take_route(route, table.name, own, routers, left)
        for route in bridges:
            if self._is_declared(route) or self._is_of_flannel(route.prefix):
                self._add(Block(route.prefix, (own.name,), f"{table.name}:{route.line} {route.text}"))
            else:
                left.foreign.append(_short(route))
        self.notes += left.notes(table.title)
        if not (addresses or self._through) and any(own.name in block.nodes for block in self.blocks.values()):
            text = "the table does not say its node's own address (`proto kernel scope link src ADDRESS`)"
            self.notes.append(Note(Severity.WARNING, table.title, text))

    def _take_route(self, route: TableRoute, name: str, own: Node, routers: set[IPAddress | None], left: _Left) -> None:
        names = self._nodes_of(route, own, routers)
        if names is None:
            (left.nowhere if route.type in WITHOUT_NEXT_HOP else left.foreign).append(_short(route))
        else:
            left.down += [f"{route.prefix} {hop}" for hop in route.down if hop.address]
            self._add(Block(route.prefix, names, f"{name}:{route.line} {route.text}"))

    def _is_declared(self, route: TableRoute) -> bool:
        return any(covers(prefix, route.prefix) for prefix in self._declared)

    def _is_of_flannel(self, prefix: Prefix) -> bool:
        """Whether other nodes' blocks are beside a prefix, which makes it a block of this node."""
        if any(covers(pool, prefix) for pool in _DOCKER_POOLS if prefix.prefixlen == _DOCKER_LENGTHS[pool]):
            return False  # Docker's own default
        blocks = self.blocks.values()
        if any(not each.nodes and covers(each.prefix, prefix) and each.prefix != prefix for each in blocks):
            return True  # the whole network is routed into flannel's tunnel
        lengths = (prefix.version, prefix.prefixlen)
        peers = [each.prefix for each in blocks if (each.prefix.version, each.prefix.prefixlen) == lengths]
        if prefix.prefixlen < _BESIDE:
            return False
        return any(covers(each.supernet(new_prefix=_BESIDE), prefix) for each in peers)

    def _nodes_of(self, route: TableRoute, own: Node, routers: set[IPAddress | None]) -> tuple[str, ...] | None:
        """The nodes that a route leads to; empty: the route does not say; None: the route is not the cluster's."""
        declared = self._is_declared(route)
        of_pods = route.protocol in PROVIDERS or declared
        if route.type == "blackhole":
            return (own.name,) if of_pods else None
        if route.type in WITHOUT_NEXT_HOP:
            # `route -6 -n` shows a block of this node like any route that leads nowhere.
            return (own.name,) if not route.protocol and any(covers(route.prefix, pod) for pod in self._pods) else None
        hops = [hop for hop in route.next_hops if hop not in route.down] or list(route.next_hops)
        vias = sorted((hop for hop in hops if hop.address), key=hop_order)
        device = hops[0].device if hops else ""
        overlay = device.startswith(OVERLAY_DEVICES)
        if not vias:
            if device.startswith(OWN_POD_DEVICES) or (declared and device.startswith(INNER_DEVICES)):
                return (own.name,)
            anybodys = self._through and device.startswith(TUNNEL_DEVICES) and route.protocol != "kernel"
            return () if overlay or route.beyond or anybodys else None
        by_cilium = route.protocol == "kernel" and len(vias) == 1
        if not (of_pods or overlay or route.beyond or by_cilium or self._counts_through(route, vias, routers)):
            return None
        if device.startswith("cilium_host") and vias[0].address in route.prefix:
            return (own.name,)
        if overlay:
            self.tunnels.add("IPIP" if device.startswith("tunl0") else "VXLAN")
        names = [self._node_at(hop, route, own) for hop in vias]
        return tuple(dict.fromkeys(names))

    def _counts_through(self, route: TableRoute, vias: Sequence[NextHop], routers: set[IPAddress | None]) -> bool:
        """Whether another program's route counts because routes to the cluster lead through this gateway."""
        return (
            self._through and route.protocol not in OF_THE_HOST and not routers.issuperset(hop.address for hop in vias)
        )

    def _node_at(self, hop: NextHop, route: TableRoute, own: Node) -> str:
        """The node behind a next hop. An address inside a VXLAN or Cilium's network is of no use outside."""
        if hop.address in own.addresses:
            return own.name
        inside = hop.device.startswith((*OVERLAY_DEVICES, *INNER_DEVICES)) and not hop.device.startswith("tunl0")
        hidden = inside and not route.beyond
        if hop.device.startswith("cilium"):
            name = f"the node of {route.prefix}"  # all next hops are this node's own
        else:
            name = f"{hop.address} in {hop.device}" if hidden else str(hop.address)
        address = () if hidden or hop.address is None else (hop.address,)
        self.nodes.setdefault(name, Node(name, address))
        return name

    def _add(self, block: Block) -> None:
        held = self.blocks.get(block.prefix)
        if held is None or self._is_hidden(held):
            self.blocks[block.prefix] = block  # another table may know more
        elif held.nodes != block.nodes and not self._is_hidden(block):
            text = f"{held.origin} and {block.origin} disagree about its node; the former is taken"
            self.notes.append(Note(Severity.WARNING, str(block.prefix), text))

    def _is_hidden(self, block: Block) -> bool:
        return not any(self.nodes[name].addresses for name in block.nodes)


_DOCKER_LENGTHS: dict[Prefix, int] = {ip_network("172.16.0.0/12"): 16, ip_network("192.168.0.0/16"): 20}
"""Docker's default-address-pools, and the length of the subnets that it takes from each."""
_DOCKER_POOLS = tuple(_DOCKER_LENGTHS)


def _is_of_every_host(route: TableRoute) -> bool:
    """Whether hosts without a cluster have such a route too: then people need no note about it."""
    prefix = route.prefix
    if route.type not in ("unicast", *WITHOUT_NEXT_HOP):
        return True  # local, broadcast, multicast
    if prefix.is_link_local or prefix.is_multicast or prefix.is_loopback:
        return True  # also on a pod's interface, as fe80::/64 is
    if not route.next_hops or route.beyond or any(hop.address for hop in route.next_hops):
        return False
    device = route.next_hops[0].device
    if device.startswith(OVERLAY_DEVICES) and prefix.prefixlen == prefix.max_prefixlen:
        return True  # the node's own address in the overlay
    own_link = route.protocol == "kernel" or route.source or not (route.protocol or route.scope)  # the last: net-tools
    return bool(own_link) and not device.startswith((*INNER_DEVICES, *OVERLAY_DEVICES, *TUNNEL_DEVICES))


def _is_of_own_pods(route: TableRoute) -> bool:
    return not any(hop.address for hop in route.next_hops) and route.next_hops[0].device.startswith(OWN_POD_DEVICES)


def _is_bridge_of_docker(route: TableRoute) -> bool:
    return (
        route.type == "unicast"
        and len(route.next_hops) == 1
        and route.next_hops[0].address is None
        and route.next_hops[0].device == "docker0"
    )


def _short(route: TableRoute) -> str:
    """A route that is left out, for a note."""
    if route.protocol and route.protocol not in ("kernel", "boot"):
        return f"{route.prefix} proto {route.protocol}"
    device = route.next_hops[0].device if route.next_hops else ""
    return f"{route.prefix} dev {device}" if device else f"{route.type} {route.prefix}"


def _own_addresses(table: Table) -> tuple[IPAddress, ...]:
    """The addresses of a table's node outside the pod network; first the one on the link of the most next hops."""
    links = Counter(
        hop.device for route in table.routes if not route.is_default for hop in route.next_hops if hop.address
    )
    found: dict[IPAddress, int] = {}
    for route in table.routes:
        # busybox does not print protocols.
        if route.source and route.protocol in ("kernel", "") and route.scope == "link":
            hop = route.next_hops[0] if route.next_hops else NextHop()
            if not hop.address and not hop.device.startswith((*INNER_DEVICES, *OVERLAY_DEVICES)):
                found.setdefault(route.source, links[hop.device])
    return tuple(sorted(found, key=lambda address: -found[address]))


def _without_pods(blocks: dict[Prefix, Block]) -> tuple[Block, ...]:
    """The blocks that no other block of the same node contains: the pods of a blackholed block are dropped."""
    kept: list[Block] = []
    above: list[Block] = []
    for prefix in sorted(blocks, key=order):
        while above and not covers(above[-1].prefix, prefix):
            above.pop()
        block = blocks[prefix]
        if above and above[-1].nodes == block.nodes:
            continue
        above.append(block)
        kept.append(block)
    return tuple(kept)

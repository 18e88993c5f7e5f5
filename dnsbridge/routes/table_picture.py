"""From a node's kernel table to the picture of its cluster.

    blackhole P proto bird                     a block of this node; its pods' /32s vanish in it
    P dev cni0 proto kernel src A              the same (flannel, bridge)
    P via A dev cilium_host, A in P            the same (Cilium)
    A dev caliXXXX scope link                  a pod of this node, by itself where no block of its own holds it
    P via X dev eth0 proto bird                a block of node X, which the table shares a link with
    P via X dev tunl0 proto bird onlink        the same, X is the node's address outside the tunnel (IPIP)
    P via T dev flannel.1 onlink               a block of a node whose address the table does not say, T is inside
    P proto kernel scope link src A            A is this node's own address

The default route never is a block, nor is what other programs put there: static routes, DHCP's, other routing daemons'.
Where the settings say which prefixes are pods' or services', that decides instead of the program.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from dnsbridge.routes.calico import IPIP_MTU, VXLAN_MTU
from dnsbridge.routes.grouped import some
from dnsbridge.routes.kernel_table import TableRoute
from dnsbridge.routes.model import IPAddress, NextHop, Note, Prefix, Severity, covers, hop_order, order
from dnsbridge.routes.picture import Block, Declared, Node, Picture
from dnsbridge.routes.sources import AUTO, SETTING_PODS, SETTING_SERVICES
from dnsbridge.zone.reverse import Prefixes

PROVIDERS = ("bird", "12", "80", "")
"""Protocols that pod networks use: Calico's BIRD, Calico's Felix, and boot, which `ip route` does not print."""
VXLAN_DEVICES = ("flannel.", "flannel-v6.", "vxlan.calico", "vxlan-v6.calico", "cilium_vxlan")
OVERLAY_DEVICES = (*VXLAN_DEVICES, "tunl0", "cilium_host", "flannel-wg", "wireguard.cali", "wg-v6.cali")
OWN_POD_DEVICES = ("cali", "cni0", "lxc", "kube-bridge")
"""Interfaces that a node's own pods are on."""
INNER_DEVICES = (*OWN_POD_DEVICES, "cilium_", "veth", "docker", "virbr", "kube-ipvs", "nodelocaldns")
"""Interfaces that no other node is on."""


class Table(Struct, frozen=True):
    """One table and where it comes from."""

    name: str
    """For people: a file's name, or `this host`."""
    routes: tuple[TableRoute, ...]


def picture_of_tables(cluster: str, tables: Sequence[Table], said: Prefixes = AUTO) -> Picture:
    """The picture of the cluster whose nodes have these tables; `said` is what the settings say of its prefixes."""
    read = _Read(said)
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
        network=f"as in {some([table.name for table in tables])}{f', {words}' if tunnels else ''}",
        mtu=min((IPIP_MTU if tunnel == "IPIP" else VXLAN_MTU for tunnel in tunnels), default=0),
        nodes=tuple(read.nodes.values()),
        gateways=tuple(dict.fromkeys(read.owners)),
        blocks=kept,
        services=services,
        notes=tuple(read.notes),
    )


class _Read:
    """What the tables so far have said."""

    def __init__(self, said: Prefixes) -> None:
        self._said = said
        self._declared = (*(said.pods or ()), *(said.services or ()))
        self.blocks: dict[Prefix, Block] = {}
        self.nodes: dict[str, Node] = {}
        self.owners: list[str] = []
        """The nodes that the tables are of."""
        self.notes: list[Note] = []
        self.tunnels: set[str] = set()

    def take(self, table: Table) -> None:
        """One table more."""
        addresses = _own_addresses(table)
        own = Node(str(addresses[0]) if addresses else table.name, addresses)
        self.owners.append(own.name)
        self.nodes[own.name] = own
        if not addresses:
            text = "the table does not say its node's own address (`proto kernel scope link src ADDRESS`)"
            self.notes.append(Note(Severity.WARNING, table.name, text))
        left_out = []
        for route in table.routes:
            if route.is_default or route.type not in ("unicast", "blackhole"):
                continue
            if self._said.pods is not None and not self._is_declared(route):
                continue
            names = self._nodes_of(route, own)
            if names:
                self._add(Block(route.prefix, names, f"{table.name}:{route.line} {route.text}"))
            elif names is None:
                left_out.append(f"{route.prefix} proto {route.protocol}")
        if left_out:
            text = f"not a pod network's, left out: {some(left_out)}; name them in {SETTING_PODS} if they are pods'"
            self.notes.append(Note(Severity.INFO, table.name, text))

    def _is_declared(self, route: TableRoute) -> bool:
        return any(covers(prefix, route.prefix) for prefix in self._declared)

    def _nodes_of(self, route: TableRoute, own: Node) -> tuple[str, ...] | None:
        """The nodes that have what a route leads to; none where that is no pods' (None: and worth a word)."""
        of_pods = route.protocol in PROVIDERS or self._is_declared(route)
        if route.type == "blackhole":
            return (own.name,) if of_pods else ()
        vias = sorted((hop for hop in route.next_hops if hop.address), key=hop_order)
        device = route.next_hops[0].device if route.next_hops else ""
        if not vias:
            return (own.name,) if device.startswith(OWN_POD_DEVICES) else ()
        tunnel = device.startswith(OVERLAY_DEVICES)
        by_cilium = route.protocol == "kernel" and len(vias) == 1
        if not (of_pods or tunnel or by_cilium):
            return None
        if device.startswith("cilium_host") and vias[0].address in route.prefix:
            return (own.name,)
        if tunnel:
            self.tunnels.add("IPIP" if device.startswith("tunl0") else "VXLAN")
        names = [self._node_at(hop, route.prefix, own) for hop in vias]
        return tuple(dict.fromkeys(names))

    def _node_at(self, hop: NextHop, prefix: Prefix, own: Node) -> str:
        """The node that a next hop is. In a VXLAN or Cilium's network its address there is of no use outside."""
        if hop.address in own.addresses:
            return own.name
        hidden = hop.device.startswith(OVERLAY_DEVICES) and not hop.device.startswith("tunl0")
        if hop.device.startswith("cilium"):
            name = f"the node of {prefix}"  # all next hops are this node's own
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


def _own_addresses(table: Table) -> tuple[IPAddress, ...]:
    """Those of the node that a table is of, outside the pod network; the one from which it reaches others first."""
    links = Counter(
        hop.device for route in table.routes if not route.is_default for hop in route.next_hops if hop.address
    )
    found: dict[IPAddress, int] = {}
    for route in table.routes:
        if route.source and route.protocol == "kernel" and route.scope == "link":
            hop = route.next_hops[0] if route.next_hops else NextHop()
            if not hop.address and not hop.device.startswith((*INNER_DEVICES, *OVERLAY_DEVICES)):
                found.setdefault(route.source, links[hop.device])
    return tuple(sorted(found, key=lambda address: -found[address]))


def _without_pods(blocks: dict[Prefix, Block]) -> tuple[Block, ...]:
    """Blocks without those that another one of the same node holds: the pods of a blackholed block."""
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

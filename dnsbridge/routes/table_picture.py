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
from typing import NamedTuple

from msgspec import Struct

from dnsbridge.routes.calico import IPIP_MTU, VXLAN_MTU, covers
from dnsbridge.routes.grouped import some
from dnsbridge.routes.kernel_table import TableRoute
from dnsbridge.routes.model import IPAddress, Note, Prefix, Severity, hop_order, order
from dnsbridge.routes.picture import Block, Declared, Node, Picture
from dnsbridge.routes.sources import AUTO, SETTING_SERVICES
from dnsbridge.zone.reverse import Prefixes

PROVIDERS = ("bird", "12", "80", "")
"""Protocols that pod networks use: Calico's BIRD, Calico's Felix, and boot, which `ip route` does not print."""
VXLAN_DEVICES = ("flannel.", "flannel-v6.", "vxlan.calico", "vxlan-v6.calico", "cilium_vxlan")
OVERLAY_DEVICES = (*VXLAN_DEVICES, "tunl0", "cilium_host", "flannel-wg", "wireguard.cali", "wg-v6.cali")
POD_DEVICES = ("cali", "cni0", "lxc", "cilium_", "veth", "kube-bridge", "docker", "virbr", "kube-ipvs", "nodelocaldns")


class Table(Struct, frozen=True):
    """One table and where it comes from."""

    name: str
    """For people: a file's name, or `this host`."""
    routes: tuple[TableRoute, ...]


class _Own(NamedTuple):
    """What a table says of the node that it is of."""

    name: str
    addresses: tuple[IPAddress, ...]


def picture_of_tables(cluster: str, tables: Sequence[Table], said: Prefixes = AUTO) -> Picture:
    """The picture of the cluster whose nodes have these tables; `said` is what the settings say of its prefixes."""
    blocks: dict[Prefix, Block] = {}
    nodes: dict[str, Node] = {}
    owners: list[str] = []
    notes: list[Note] = []
    tunnels: set[str] = set()
    for table in tables:
        own = _own(table)
        owners.append(own.name)
        nodes[own.name] = Node(own.name, own.addresses)
        if not own.addresses:
            text = "the table does not say its node's own address (`proto kernel scope link src ADDRESS`)"
            notes.append(Note(Severity.WARNING, table.name, text))
        left_out: list[str] = []
        for route in table.routes:
            if route.is_default or route.type not in ("unicast", "blackhole"):
                continue
            found = _block(route, own, table, said, nodes, tunnels, left_out)
            if found is None:
                continue
            held = blocks.get(found.prefix)
            if held is None:
                blocks[found.prefix] = found
            elif held.nodes != found.nodes and not (own.name in owners and _unknown(found, nodes)):
                if _unknown(held, nodes):
                    blocks[found.prefix] = found
                    continue
                text = f"{held.origin} and {found.origin} disagree about its node; the former is taken"
                notes.append(Note(Severity.WARNING, str(found.prefix), text))
        if left_out:
            text = f"not a pod network's, left out: {some(left_out)}; name them in routes.pod_cidrs if they are pods'"
            notes.append(Note(Severity.INFO, table.name, text))
    services = tuple(Declared(prefix, SETTING_SERVICES) for prefix in said.services or ())
    within = tuple(each.prefix for each in services)
    served = [block for block in blocks.values() if any(covers(prefix, block.prefix) for prefix in within)]
    kept = _without_pods({prefix: block for prefix, block in blocks.items() if block not in served})
    known = {block.prefix for block in kept}
    if said.pods:
        kept += tuple(Block(prefix, (), "routes.pod_cidrs") for prefix in said.pods if prefix not in known)
    return Picture(
        cluster=cluster,
        network=f"as in {some([table.name for table in tables])}"
        + (f", {' and '.join(sorted(tunnels))}" if tunnels else ""),
        mtu=min((IPIP_MTU if tunnel == "IPIP" else VXLAN_MTU for tunnel in tunnels), default=0),
        nodes=tuple(nodes.values()),
        gateways=tuple(dict.fromkeys(owners)),
        blocks=kept,
        services=services,
        notes=tuple(notes),
    )


def _unknown(block: Block, nodes: dict[str, Node]) -> bool:
    """Whether nobody knows where the node of a block is."""
    return not any(nodes[name].addresses for name in block.nodes)


def _own(table: Table) -> _Own:
    """The node that a table is of: its addresses on links outside the pod network, the one to other nodes first."""
    links = Counter(
        hop.device for route in table.routes if not route.is_default for hop in route.next_hops if hop.address
    )
    found: dict[IPAddress, int] = {}
    for route in table.routes:
        device = route.next_hops[0].device if route.next_hops else ""
        if (
            route.source
            and route.protocol == "kernel"
            and route.scope in ("link", "")
            and not device.startswith((*POD_DEVICES, *OVERLAY_DEVICES))
            and not route.next_hops[0].address
        ):
            found.setdefault(route.source, links[device])
    addresses = tuple(sorted(found, key=lambda address: -found[address]))
    return _Own(str(addresses[0]) if addresses else table.name, addresses)


def _block(
    route: TableRoute,
    own: _Own,
    table: Table,
    said: Prefixes,
    nodes: dict[str, Node],
    tunnels: set[str],
    left_out: list[str],
) -> Block | None:
    """The block that a route is; None if it is none. Nodes that it names are put beside the others."""
    origin = f"{table.name}:{route.line} {route.text}"
    declared = (*(said.pods or ()), *(said.services or ()))
    inside = any(covers(prefix, route.prefix) for prefix in declared)
    if said.pods is not None and not inside:
        return None
    if route.type == "blackhole":
        return Block(route.prefix, (own.name,), origin) if inside or route.protocol in PROVIDERS else None
    vias = sorted((hop for hop in route.next_hops if hop.address), key=hop_order)
    device = route.next_hops[0].device if route.next_hops else ""
    if not vias:
        # Connected: a bridge of pods, or one pod.
        mine = device.startswith(("cali", "cni0", "lxc", "kube-bridge")) and route.prefix.version
        return Block(route.prefix, (own.name,), origin) if mine else None
    overlay = device.startswith(OVERLAY_DEVICES)
    if not (inside or overlay or route.protocol in PROVIDERS or (route.protocol == "kernel" and len(vias) == 1)):
        left_out.append(f"{route.prefix} proto {route.protocol}")
        return None
    if device.startswith("cilium_host") and vias[0].address in route.prefix:
        return Block(route.prefix, (own.name,), origin)
    names = []
    for hop in vias:
        address = hop.address
        assert address
        # Inside a VXLAN or Cilium's network a next hop is an address of the overlay itself.
        hidden = overlay and not device.startswith("tunl0")
        name = f"{address} in {device}" if hidden else str(address)
        if hidden and device.startswith("cilium"):
            name = f"the node of {route.prefix}"
        if address in own.addresses:
            name = own.name
        nodes.setdefault(name, Node(name, () if hidden else (address,)))
        names.append(name)
    if device.startswith("tunl0"):
        tunnels.add("IPIP")
    elif overlay:
        tunnels.add("VXLAN")
    return Block(route.prefix, tuple(dict.fromkeys(names)), origin)


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

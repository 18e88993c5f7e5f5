"""Calico's objects: which node has which block of pods, how packets are carried, what is announced.

BlockAffinity   the node of a block
IPAMBlock       the same, and the addresses in it that pods of other nodes borrowed, each a /32 (/128) of its own;
                a block with no known node and no borrowed address is reached only by gateways
IPPool          ipipMode, vxlanMode: Never, Always, CrossSubnet (a tunnel only between nodes of two subnets)
BGPConfiguration, BGPPeer   what is announced beside the blocks, and to whom
"""

from collections.abc import Sequence

from dnsbridge.cluster.objects import BGPConfiguration, BGPPeer, BlockAffinity, IPAMBlock, IPPool, Node
from dnsbridge.routes.model import Note, Prefix, Severity, covers
from dnsbridge.routes.notes import some
from dnsbridge.routes.pictures.picture import Block, Declared, address_of, host_prefix, prefix_of
from dnsbridge.routes.pictures.provider import ByClass, Provided

IPIP_MTU = 1480
VXLAN_MTU = 1450
"""What is left of Ethernet's 1,500 octets."""


def pods(objects: ByClass, cluster: str) -> Provided | None:
    """What Calico says; None where there is no Calico. Without blocks, pod addresses come from Node.spec.podCIDRs."""
    pools, affinities, blocks = objects.of(IPPool), objects.of(BlockAffinity), objects.of(IPAMBlock)
    if not (pools or affinities or blocks):
        return None
    network, mtu = _encapsulation(pools, objects.of(Node))
    declared = tuple([Declared(prefix_of(pool.cidr), f"IPPool {pool.name}") for pool in pools if not pool.disabled])
    if not (affinities or blocks):
        return Provided(network, mtu, pools=declared)
    found, notes = _blocks(affinities, blocks, cluster)
    return Provided(network, mtu, found, notes, declared)


def _encapsulation(pools: Sequence[IPPool], nodes: Sequence[Node]) -> tuple[str, int]:
    """The encapsulation's name and MTU. Pools say what will be used; the nodes' tunnels count only without pools."""
    tunnels = {("IPIP", pool.ipip) for pool in pools} | {("VXLAN", pool.vxlan) for pool in pools}
    if not pools:
        tunnels = {(node.tunnel.upper(), "Always") for node in nodes if node.tunnel}
    used = sorted({(name, mode) for name, mode in tunnels if mode != "Never"})
    if not used:
        return "Calico, no encapsulation", 0
    words = [name if mode == "Always" else f"{name} between subnets" for name, mode in used]
    return f"Calico, {' and '.join(words)}", min(IPIP_MTU if name == "IPIP" else VXLAN_MTU for name, _ in used)


def _lent(block: IPAMBlock) -> tuple[Block, ...]:
    """The addresses in a block that pods of other nodes borrowed."""
    origin = f"IPAMBlock {block.name}"
    return tuple(Block(host_prefix(address_of(packed)), (node,), origin) for packed, node in block.borrowed)


def _blocks(
    affinities: Sequence[BlockAffinity], blocks: Sequence[IPAMBlock], cluster: str
) -> tuple[tuple[Block, ...], tuple[Note, ...]]:
    notes: list[Note] = []
    owners: dict[str, Block] = {}
    disputed: dict[str, list[str]] = {}
    for affinity in affinities:
        own = Block(prefix_of(affinity.cidr), (affinity.node,), f"BlockAffinity {affinity.name}")
        held = owners.setdefault(affinity.cidr, own)
        if held.nodes != own.nodes:
            disputed.setdefault(affinity.cidr, list(held.nodes)).append(affinity.node)
    strays: list[str] = []
    for block in blocks:
        node = block.node
        known = owners.get(block.cidr)
        if not node:
            if known is None and not block.borrowed:
                owners[block.cidr] = Block(prefix_of(block.cidr), (), f"IPAMBlock {block.name}")
            continue
        if known is None or not known.nodes or (block.cidr in disputed and node in disputed.pop(block.cidr)):
            owners[block.cidr] = Block(prefix_of(block.cidr), (node,), f"IPAMBlock {block.name}")
        elif known.nodes[0] != node and block.cidr not in disputed:
            strays.append(f"{block.cidr} (of {known.nodes[0]}, or of {node})")
    for cidr, nodes in disputed.items():
        del owners[cidr]
        text = f"BlockAffinities give it to {some(sorted(nodes))}; it is left out until they agree"
        notes.append(Note(Severity.ERROR, cidr, text))
    if strays:
        text = f"BlockAffinities and IPAMBlocks disagree about {some(sorted(strays))}; the BlockAffinities are taken"
        notes.append(Note(Severity.WARNING, cluster, text))
    return (*owners.values(), *[lent for block in blocks for lent in _lent(block)]), tuple(notes)


def announced(objects: ByClass) -> tuple[str, ...]:
    """The ClusterIP prefixes that the nodes announce."""
    configured = objects.of(BGPConfiguration)
    return tuple(sorted({cidr for each in configured for cidr in each.service_cluster_ips}))


def of_announcing(objects: ByClass, cluster: str, services: Sequence[Prefix]) -> list[Note]:
    """Notes about what Calico announces, compared with the cluster's ClusterIP prefixes (`services`)."""
    peers = [peer for peer in objects.of(BGPPeer) if peer.address]
    if not peers and not objects.of(BGPConfiguration):
        return []
    notes = []
    told = [_peer(peer) for peer in peers]
    if told:
        text = f"its nodes announce their pods over BGP to {some(told)}"
        notes.append(Note(Severity.INFO, cluster, text))
    said = announced(objects)
    if not said:
        wanted = f": [{{cidr: {services[0]}}}]" if services else ""
        text = (
            "pods are reachable over BGP and ClusterIPs are not announced: Calico's BGPConfiguration has no "
            f"serviceClusterIPs; add serviceClusterIPs{wanted}, or let the routes of dnsbridge lead to them"
        )
        notes.append(Note(Severity.WARNING, cluster, text))
    missing = unannounced(objects, services)
    if said and missing:
        text = f"Calico announces {some(said)} as serviceClusterIPs, which does not cover {some(missing)}"
        notes.append(Note(Severity.WARNING, cluster, text))
    return notes


def unannounced(objects: ByClass, services: Sequence[Prefix]) -> list[Prefix]:
    """The prefixes of ClusterIPs that its nodes announce to nobody; none where they announce nothing over BGP."""
    if not objects.of(BGPConfiguration) and not any(peer.address for peer in objects.of(BGPPeer)):
        return []
    prefixes = [prefix_of(cidr) for cidr in announced(objects)]
    return [service for service in services if not any(covers(prefix, service) for prefix in prefixes)]


def _peer(peer: BGPPeer) -> str:
    who = peer.node or (f"those with {peer.node_selector[:100]}" if peer.node_selector else "all")
    return f"{address_of(peer.address)} ({f'AS {peer.asn}, ' if peer.asn else ''}from {who})"

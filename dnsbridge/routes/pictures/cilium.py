"""Cilium's objects: the pod CIDRs of CiliumNodes, which may differ from the Nodes' pod CIDRs (cluster-pool IPAM)."""

from dnsbridge.cluster.objects import CiliumNode
from dnsbridge.routes.pictures.picture import Block, prefix_of
from dnsbridge.routes.pictures.provider import ByClass, Provided


def pods(objects: ByClass) -> Provided | None:
    """What Cilium says; None where there is no Cilium. Without blocks, Node.spec.podCIDRs count."""
    nodes = objects.of(CiliumNode)
    if not nodes:
        return None
    blocks = tuple(block for node in nodes for block in _blocks(node))
    return Provided("Cilium", blocks=blocks or None)


def _blocks(node: CiliumNode) -> tuple[Block, ...]:
    return tuple(Block(prefix_of(cidr), (node.name,), f"CiliumNode {node.name}") for cidr in node.pod_cidrs)

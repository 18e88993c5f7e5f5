"""What Cilium says: the pod CIDRs of its CiliumNodes, which need not be those of the Nodes (cluster-pool IPAM)."""

from dnsbridge.cluster.objects import CiliumNode
from dnsbridge.routes.grouped import Grouped, Pods
from dnsbridge.routes.picture import Block, prefix_of


def pods(objects: Grouped) -> Pods | None:
    """What Cilium says; None where there is no Cilium. Without blocks it takes those of Node.spec.podCIDRs."""
    nodes = objects.of(CiliumNode)
    if not nodes:
        return None
    blocks = tuple(
        Block(prefix_of(cidr), (node.name,), f"CiliumNode {node.name}") for node in nodes for cidr in node.pod_cidrs
    )
    return Pods("Cilium", blocks=blocks or None)

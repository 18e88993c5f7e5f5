"""What flannel says: each node has a /24 in Node.spec.podCIDRs, and the backend decides how packets get there.

vxlan      a tunnel; with DirectRouting only between subnets
host-gw    no tunnel: all nodes share one layer 2
wireguard, udp, ipip ...   tunnels of other kinds
"""

from dnsbridge.cluster.objects import FlannelConfiguration, Node
from dnsbridge.routes.model import Note, Prefix, Severity, covers
from dnsbridge.routes.notes import some
from dnsbridge.routes.pictures.picture import prefix_of
from dnsbridge.routes.pictures.provider import ByClass, Provided

_MTU = {"vxlan": 1450, "host-gw": 0, "wireguard": 1420, "ipip": 1480, "udp": 1472}
"""By backend, on Ethernet: FLANNEL_MTU in flannel's subnet.env, which no object shows."""
_WORDS = {"vxlan": "VXLAN", "wireguard": "WireGuard", "ipip": "IPIP", "udp": "UDP"}


def pods(objects: ByClass, cluster: str) -> Provided | None:
    """What flannel says; None where there is no flannel."""
    configured = objects.of(FlannelConfiguration)
    nodes = [node for node in objects.of(Node) if node.flannel_backend]
    if not configured and not nodes:
        return None
    said = configured[0] if configured else None
    backend = said.backend if said else nodes[0].flannel_backend
    direct = bool(said and said.direct_routing and backend == "vxlan")
    word = _WORDS.get(backend, backend)
    network = f"flannel, {word} between subnets" if direct else f"flannel, {word}"
    notes = []
    others = sorted(node.name for node in nodes if node.flannel_backend != backend)
    if others:
        where = f"ConfigMap {said.namespace}/{said.name}" if said else f"Node {nodes[0].name}"
        text = f"{where} says that flannel's backend is {backend}, and {some(others)} another; restart flannel there"
        notes.append(Note(Severity.WARNING, cluster, text))
    if said and said.networks:
        within = tuple(prefix_of(cidr) for cidr in said.networks)
        strays = sorted(node.name for node in nodes if _outside(node, within))
        if strays:
            text = f"the pod CIDRs of {some(strays)} are outside flannel's network {some(said.networks)}"
            notes.append(Note(Severity.WARNING, cluster, text))
    mtu = said.mtu if said and said.mtu else _MTU.get(backend, 0)
    return Provided(network, mtu, notes=tuple(notes))


def _outside(node: Node, within: tuple[Prefix, ...]) -> bool:
    return not all(any(covers(network, prefix_of(cidr)) for network in within) for cidr in node.pod_cidrs)

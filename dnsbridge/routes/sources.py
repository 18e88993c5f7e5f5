"""From a cluster's objects to its picture.

    pods       the blocks of Calico, else the pod CIDRs of CiliumNodes, else Node.spec.podCIDRs
    services   the settings, else ServiceCIDRs, else kubeadm's ConfigMap, else what Calico announces, else each
               ClusterIP
    external   status.loadBalancer and spec.externalIPs of services
    DNS        the ClusterIPs of kube-system/kube-dns

Where two of these disagree, the one named first is taken, and a note says so.
"""

from collections.abc import Iterable

from dnsbridge.cluster.objects import (
    CiliumNode,
    ClusterConfiguration,
    EndpointSlice,
    FlannelConfiguration,
    IPPool,
    Object,
    Pod,
    Service,
    ServiceCIDR,
)
from dnsbridge.cluster.objects import Node as NodeObject
from dnsbridge.routes import calico, cilium, flannel
from dnsbridge.routes.calico import covers
from dnsbridge.routes.grouped import Grouped, Pods, some
from dnsbridge.routes.model import IPAddress, Note, Prefix, Severity, order
from dnsbridge.routes.picture import Block, Declared, External, Node, Picture, address_of, host_prefix, prefix_of
from dnsbridge.zone.reverse import Prefixes

AUTO = Prefixes()
"""Settings that leave all prefixes to the objects."""
MAX_CLUSTER_IPS = 256
"""Services that are routed one by one where nobody says which prefix they are in."""
MAX_PODS = 1000
"""Addresses of pods that are looked at where no block is known."""
SETTING_SERVICES, SETTING_PODS = "routes.service_cidrs", "routes.pod_cidrs"


def picture_of(cluster: str, objects: Iterable[Object], said: Prefixes = AUTO, precedence: int = 0) -> Picture:
    """The picture of a cluster with these objects; `said` is what the settings say of its prefixes."""
    grouped = Grouped(objects)
    nodes = _nodes(grouped)
    provider = _provider(grouped, cluster)
    notes = list(provider.notes)
    blocks = _within(_blocks(grouped, provider, cluster, notes), said, cluster, notes)
    services = _services(grouped, said, cluster, notes)
    notes += calico.of_announcing(grouped, cluster, [each.prefix for each in services if each.prefix.num_addresses > 1])
    known = {node.name for node in nodes}
    strangers = sorted({name for block in blocks for name in block.nodes} - known)
    if strangers:
        text = f"pods are said to be at {some(strangers)}, but there is no such Node; those prefixes are left out"
        notes.append(Note(Severity.WARNING, cluster, text))
    return Picture(
        cluster=cluster,
        precedence=precedence,
        network=provider.network,
        mtu=provider.mtu,
        nodes=nodes,
        blocks=blocks,
        pools=_pools(grouped, said),
        services=services,
        dns=_dns(grouped),
        external=tuple(_external(grouped)),
        pods=() if blocks else _pods(grouped),
        notes=tuple(notes),
    )


def _nodes(objects: Grouped) -> tuple[Node, ...]:
    of_cilium = {node.name: node.addresses for node in objects.of(CiliumNode)}
    found = []
    for node in objects.of(NodeObject):
        packed = (
            *node.calico_addresses,
            *node.flannel_addresses,
            *of_cilium.pop(node.name, ()),
            *node.addresses,
            *node.external_addresses,
        )
        addresses = tuple([address_of(each) for each in dict.fromkeys(packed)])
        found.append(Node(node.name, addresses, node.ready, dict(node.labels)))
    return tuple(found)


def _provider(objects: Grouped, cluster: str) -> Pods:
    """Who gives the pods their addresses. Pools of Calico beside flannel are those of its policies alone (Canal)."""
    of_calico = calico.pods(objects, cluster)
    if of_calico and of_calico.blocks is not None:
        return of_calico
    return cilium.pods(objects) or flannel.pods(objects, cluster) or of_calico or Pods("")


def _blocks(objects: Grouped, provider: Pods, cluster: str, notes: list[Note]) -> tuple[Block, ...]:
    """The provider's, else those of the nodes."""
    of_nodes: dict[str, Block] = {}
    disputed: dict[str, list[str]] = {}
    for node in objects.of(NodeObject):
        for cidr in node.pod_cidrs:
            if cidr in of_nodes:
                disputed.setdefault(cidr, [of_nodes[cidr].nodes[0]]).append(node.name)
            else:
                of_nodes[cidr] = Block(prefix_of(cidr), (node.name,), f"Node {node.name}")
    if provider.blocks is None:
        for cidr, names in disputed.items():
            del of_nodes[cidr]
            text = f"is the pod CIDR of {some(sorted(names))} alike; it is left out until one of them has another"
            notes.append(Note(Severity.ERROR, cidr, text))
        return tuple(of_nodes.values())
    _compare(of_nodes.values(), provider.network.partition(",")[0], provider.blocks, cluster, notes)
    return provider.blocks


def _compare(
    of_nodes: Iterable[Block], provider: str, blocks: tuple[Block, ...], cluster: str, notes: list[Note]
) -> None:
    """Say where a node's pods are not in its own podCIDRs: what Kubernetes gave is not what the provider uses."""
    given: dict[str, list[Prefix]] = {}
    for block in of_nodes:
        given.setdefault(block.nodes[0], []).append(block.prefix)
    apart = {
        block.nodes[0]: block.prefix
        for block in blocks
        if (mine := given.get(block.nodes[0])) and not any(covers(prefix, block.prefix) for prefix in mine)
    }
    if apart:
        name = min(apart)
        text = (
            f"Node.spec.podCIDRs and {provider} disagree about {len(apart)} of {len(given)} nodes "
            f"({name}: {given[name][0]}, {apart[name]}); {provider} is right"
        )
        notes.append(Note(Severity.WARNING, cluster, text))


def _within(blocks: tuple[Block, ...], said: Prefixes, cluster: str, notes: list[Note]) -> tuple[Block, ...]:
    """The blocks within what the settings say, and that itself, which gateways can lead to."""
    if said.pods is None:
        return blocks
    kept = tuple(block for block in blocks if any(covers(prefix, block.prefix) for prefix in said.pods))
    outside = [block.prefix for block in blocks if not any(covers(prefix, block.prefix) for prefix in said.pods)]
    if outside:
        text = f"{some(outside)}: outside {SETTING_PODS}, left out"
        notes.append(Note(Severity.WARNING, cluster, text))
    have = {block.prefix for block in kept}
    return kept + tuple(Block(prefix, (), SETTING_PODS) for prefix in said.pods if prefix not in have)


def _pools(objects: Grouped, said: Prefixes) -> tuple[Prefix, ...]:
    found = {pool.cidr for pool in objects.of(IPPool)}
    found.update(cidr for each in objects.of(FlannelConfiguration) for cidr in each.networks)
    found.update(cidr for each in objects.of(ClusterConfiguration) for cidr in each.pod_cidrs)
    return tuple(sorted({*map(prefix_of, found), *(said.pods or ())}, key=order))


def _services(objects: Grouped, said: Prefixes, cluster: str, notes: list[Note]) -> tuple[Declared, ...]:
    """The prefixes of ClusterIPs, from the first source that knows any."""
    sources: dict[str, list[Declared]] = {
        SETTING_SERVICES: [Declared(prefix, SETTING_SERVICES) for prefix in said.services or ()],
        "ServiceCIDRs": [
            Declared(prefix_of(cidr), f"ServiceCIDR {each.name}")
            for each in objects.of(ServiceCIDR)
            for cidr in each.cidrs
        ],
        "kubeadm's ConfigMap": [
            Declared(prefix_of(cidr), f"ConfigMap {each.namespace}/{each.name}")
            for each in objects.of(ClusterConfiguration)
            for cidr in each.service_cidrs
        ],
        "Calico's BGPConfiguration": [
            Declared(prefix_of(cidr), "BGPConfiguration") for cidr in calico.announced(objects)
        ],
    }
    if said.services == ():
        return ()
    known = {name: found for name, found in sources.items() if found}
    if not known:
        return _cluster_ips(objects, cluster, notes)
    (first, taken), *others = known.items()
    prefixes = sorted({each.prefix for each in taken}, key=order)
    for other, found in others:
        apart = [each.prefix for each in found if not any(covers(prefix, each.prefix) for prefix in prefixes)]
        if apart and other != "Calico's BGPConfiguration":  # whose words are compared the other way round
            text = f"{first} and {other} disagree about ClusterIPs ({some(prefixes)}, {some(apart)}); "
            notes.append(Note(Severity.WARNING, cluster, f"{text}{first} are taken"))
    return tuple({each.prefix: each for each in taken}.values())


def _cluster_ips(objects: Grouped, cluster: str, notes: list[Note]) -> tuple[Declared, ...]:
    """Every ClusterIP by itself."""
    services = sorted(objects.of(Service), key=lambda service: (service.namespace, service.name))
    found = [
        Declared(host_prefix(address_of(packed)), f"Service {service.namespace}/{service.name}")
        for service in services
        if not _is_dns(service)
        for packed in service.cluster_ips
    ]
    if found:
        left = f", the first {MAX_CLUSTER_IPS} of them" if len(found) > MAX_CLUSTER_IPS else ""
        text = f"no source says which prefix ClusterIPs are in, so each gets a route{left}; set {SETTING_SERVICES}"
        severity = Severity.ERROR if left else Severity.WARNING
        notes.append(Note(severity, cluster, text))
    return tuple(found[:MAX_CLUSTER_IPS])


def _is_dns(service: Service) -> bool:
    return service.name == "kube-dns" and service.namespace == "kube-system"


def _dns(objects: Grouped) -> tuple[Declared, ...]:
    return tuple(
        Declared(host_prefix(address_of(packed)), f"Service {service.namespace}/{service.name}")
        for service in objects.of(Service)
        if _is_dns(service)
        for packed in service.cluster_ips
    )


def _external(objects: Grouped) -> Iterable[External]:
    for service in objects.of(Service):
        for source, addresses in (
            ("load_balancer", service.load_balancer_ips),
            ("external_ip", service.external_ips),
        ):
            for packed in addresses:
                origin = f"Service {service.namespace}/{service.name}"
                yield External(host_prefix(address_of(packed)), source, origin)


def _pods(objects: Grouped) -> tuple[IPAddress, ...]:
    found: dict[bytes, None] = {}
    for pod in objects.of(Pod):
        found.update(dict.fromkeys(pod.addresses))
        if len(found) >= MAX_PODS:
            break
    for each in objects.of(EndpointSlice):
        if len(found) >= MAX_PODS:
            break
        for endpoint in each.endpoints:
            if endpoint.pod:
                found.update(dict.fromkeys(endpoint.addresses))
    return tuple([address_of(packed) for packed in found])

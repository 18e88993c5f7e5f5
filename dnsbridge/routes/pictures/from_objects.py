"""The picture of a cluster from its objects.

    pods       the blocks of Calico, else the pod CIDRs of CiliumNodes, else Node.spec.podCIDRs; a pool of Calico that
               holds none of these is routed as a whole, by gateways
    services   the settings, else ServiceCIDRs, else kubeadm's ConfigMap, else what Calico announces, else each
               ClusterIP
    external   status.loadBalancer and spec.externalIPs of services
    DNS        the ClusterIPs of kube-system/kube-dns

Where two of these disagree, the one named first is taken, and a note says so.
"""

from collections.abc import Iterable, Sequence

from dnsbridge.cluster.objects import (
    CalicoNode,
    CiliumNode,
    ClusterConfiguration,
    Endpoints,
    EndpointSlice,
    FlannelConfiguration,
    IPPool,
    Object,
    Pod,
    Service,
    ServiceCIDR,
    Subset,
)
from dnsbridge.cluster.objects import Node as NodeObject
from dnsbridge.routes.model import IPAddress, Note, Prefix, Severity, covers, order
from dnsbridge.routes.notes import some
from dnsbridge.routes.pictures import calico, cilium, flannel
from dnsbridge.routes.pictures.picture import (
    Block,
    Declared,
    External,
    Node,
    Picture,
    address_of,
    host_prefix,
    prefix_of,
)
from dnsbridge.routes.pictures.provider import ByClass, Provided
from dnsbridge.zone.reverse import Prefixes

AUTO = Prefixes()
"""Settings that leave all prefixes to the objects."""
MAX_CLUSTER_IPS = 256
"""ClusterIPs that are routed one by one where no source names their prefix."""
MAX_PODS = 1000
"""Pod addresses that are looked at where no block is known."""
SETTING_SERVICES, SETTING_PODS = "routes.service_cidrs", "routes.pod_cidrs"


def picture_of(
    cluster: str,
    objects: Iterable[Object],
    said: Prefixes = AUTO,
    precedence: int = 0,
) -> Picture:
    """The picture of a cluster with these objects; `said` is what the settings say about its prefixes."""
    grouped = ByClass(objects)
    nodes = _nodes(grouped)
    provider = _provider(grouped, cluster)
    notes = list(provider.notes)
    blocks = _blocks(grouped, provider, cluster, notes)
    if not nodes:
        blocks = _without_nodes(blocks, cluster, notes)
    spare = _spare(provider.pools, blocks, said)
    if not provider.blocks:
        blocks += tuple([Block(each.prefix, (), each.origin) for each in spare])
        spare = ()
    blocks = _within(blocks, said, cluster, notes)
    services = _services(grouped, said, cluster, notes)
    notes += calico.of_announcing(grouped, cluster, [each.prefix for each in services if each.prefix.num_addresses > 1])
    return Picture(
        cluster=cluster,
        precedence=precedence,
        network=provider.network,
        mtu=provider.mtu,
        nodes=nodes,
        blocks=blocks,
        pools=_pools(grouped, said),
        spare=spare,
        services=services,
        dns=_dns(grouped.of(Service)),
        external=_external(grouped.of(Service)),
        pods=() if blocks else _pods(grouped),
        notes=tuple(notes),
    )


def _nodes(objects: ByClass) -> tuple[Node, ...]:
    of_cilium = {node.name: node.addresses for node in objects.of(CiliumNode)}
    nodes = objects.of(NodeObject)
    of_calico = {node.name: node for node in objects.of(CalicoNode)}
    given = {name: node.addresses for name, node in of_calico.items()} | of_cilium
    addresses = [given.get(node.name, ()) for node in nodes] if given else [()] * len(nodes)
    found = tuple([_node(*each) for each in zip(nodes, addresses, strict=True)])
    names = {node.name for node in nodes} if of_calico else ()
    return (*found, *(_of_calico(node) for node in of_calico.values() if node.name not in names))


def _of_calico(node: CalicoNode) -> Node:
    """A node that only Calico's objects know."""
    return Node(node.name, tuple([address_of(each) for each in node.addresses]), labels=dict(node.labels))


def _node(node: NodeObject, given: tuple[bytes, ...]) -> Node:
    """A node; `given` are its addresses in the network provider's own object."""
    packed = (
        *node.calico_addresses,
        *node.flannel_addresses,
        *given,
        *node.addresses,
        *node.external_addresses,
    )
    addresses = tuple([address_of(each) for each in dict.fromkeys(packed)])
    return Node(node.name, addresses, node.ready, dict(node.labels))


def _provider(objects: ByClass, cluster: str) -> Provided:
    """The provider of pod addresses. Calico's pools beside flannel serve Calico's policies alone (Canal)."""
    of_calico = calico.pods(objects, cluster)
    if of_calico and of_calico.blocks is not None:
        return of_calico
    return cilium.pods(objects) or flannel.pods(objects, cluster) or of_calico or Provided("")


def _blocks(objects: ByClass, provider: Provided, cluster: str, notes: list[Note]) -> tuple[Block, ...]:
    """The provider's blocks, else the pod CIDRs of the nodes."""
    given = [block for node in objects.of(NodeObject) for block in _given(node)]
    if provider.blocks is None:
        blocks, disputes = _undisputed(given)
        notes += disputes
        return blocks
    _compare(given, provider.network.partition(",")[0], provider.blocks, cluster, notes)
    return provider.blocks


def _given(node: NodeObject) -> tuple[Block, ...]:
    return tuple(Block(prefix_of(cidr), (node.name,), f"Node {node.name}") for cidr in node.pod_cidrs)


def _undisputed(given: Sequence[Block]) -> tuple[tuple[Block, ...], tuple[Note, ...]]:
    """The pod CIDRs that one node has alone, and a note for each of the others."""
    found: dict[Prefix, Block] = {}
    disputed: dict[Prefix, list[str]] = {}
    for block in given:
        held = found.setdefault(block.prefix, block)
        if held is not block:
            disputed.setdefault(block.prefix, [held.nodes[0]]).append(block.nodes[0])
    notes = []
    for prefix, names in disputed.items():
        del found[prefix]
        text = f"is the pod CIDR of {some(sorted(names))} alike; it is left out until one of them has another"
        notes.append(Note(Severity.ERROR, str(prefix), text))
    return tuple(found.values()), tuple(notes)


def _compare(
    given: Sequence[Block],
    provider: str,
    blocks: tuple[Block, ...],
    cluster: str,
    notes: list[Note],
) -> None:
    """Note the nodes whose pods are outside their podCIDRs: the provider does not use what Kubernetes gave."""
    if not given:
        return
    mine: dict[str, list[Prefix]] = {}
    for block in given:
        mine.setdefault(block.nodes[0], []).append(block.prefix)
    apart: dict[str, Prefix] = {}
    for block in blocks:
        own = mine.get(block.nodes[0]) if block.nodes else None
        if own and not any(covers(prefix, block.prefix) for prefix in own):
            name = block.nodes[0]
            apart[name] = min(apart.get(name, block.prefix), block.prefix, key=order)
    if apart:
        name = min(apart)
        text = (
            f"Node.spec.podCIDRs and {provider} disagree about {len(apart)} of {len(mine)} nodes "
            f"({name}: {mine[name][0]}, {apart[name]}); {provider} is right"
        )
        notes.append(Note(Severity.WARNING, cluster, text))


def _within(
    blocks: tuple[Block, ...],
    said: Prefixes,
    cluster: str,
    notes: list[Note],
) -> tuple[Block, ...]:
    """The blocks within the prefixes of the settings, and these prefixes themselves, which gateways can lead to."""
    if said.pods is None:
        return blocks
    kept, outside = list[Block](), list[Prefix]()
    for block in blocks:
        if any(covers(prefix, block.prefix) for prefix in said.pods):
            kept.append(block)
        else:
            outside.append(block.prefix)
    if outside:
        text = f"{some(outside)}: outside {SETTING_PODS}, left out"
        notes.append(Note(Severity.WARNING, cluster, text))
    have = {block.prefix for block in kept}
    return (*kept, *[Block(prefix, (), SETTING_PODS) for prefix in said.pods if prefix not in have])


def _pools(objects: ByClass, said: Prefixes) -> tuple[Prefix, ...]:
    found = {pool.cidr for pool in objects.of(IPPool)}
    found.update(cidr for each in objects.of(FlannelConfiguration) for cidr in each.networks)
    found.update(cidr for each in objects.of(ClusterConfiguration) for cidr in each.pod_cidrs)
    return tuple(sorted({*map(prefix_of, found), *(said.pods or ())}, key=order))


def _without_nodes(blocks: tuple[Block, ...], cluster: str, notes: list[Note]) -> tuple[Block, ...]:
    """The blocks without their nodes, since no node's address is known: only gateways can lead to them."""
    names = sorted({name for block in blocks for name in block.nodes})
    if names:
        text = f"no source says at which addresses {some(names)} are; add `kubectl get nodes -o yaml`, or `calicoctl`'s"
        notes.append(Note(Severity.INFO, cluster, text))
    return tuple([Block(block.prefix, (), block.origin) for block in blocks])


def _spare(pools: tuple[Declared, ...], blocks: tuple[Block, ...], said: Prefixes) -> tuple[Declared, ...]:
    """The pools that hold no block; none where the settings name pod prefixes, which are routed instead."""
    if said.pods is not None:
        return ()
    return tuple(
        [
            pool
            for pool in pools
            if not any(covers(pool.prefix, block.prefix) or covers(block.prefix, pool.prefix) for block in blocks)
        ]
    )


def _services(
    objects: ByClass,
    said: Prefixes,
    cluster: str,
    notes: list[Note],
) -> tuple[Declared, ...]:
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
        services, noted = _cluster_ips(objects.of(Service), cluster)
        notes += noted
        return services
    (first, taken), *others = known.items()
    prefixes = sorted({each.prefix for each in taken}, key=order)
    for other, found in others:
        apart = [each.prefix for each in found if not any(covers(prefix, each.prefix) for prefix in prefixes)]
        if apart and other != "Calico's BGPConfiguration":  # of_announcing compares the other way round
            text = f"{first} and {other} disagree about ClusterIPs ({some(prefixes)}, {some(apart)}); "
            notes.append(Note(Severity.WARNING, cluster, f"{text}{first} are taken"))
    return tuple({each.prefix: each for each in taken}.values())


def _cluster_ips(services: Sequence[Service], cluster: str) -> tuple[tuple[Declared, ...], tuple[Note, ...]]:
    """Every ClusterIP by itself."""
    found = [
        Declared(host_prefix(address_of(packed)), f"Service {service.namespace}/{service.name}")
        for service in sorted(services, key=lambda service: (service.namespace, service.name))
        if not _is_dns(service)
        for packed in service.cluster_ips
    ]
    notes = []
    if found:
        left = f", the first {MAX_CLUSTER_IPS} of them" if len(found) > MAX_CLUSTER_IPS else ""
        text = f"no source says which prefix ClusterIPs are in, so each gets a route{left}; set {SETTING_SERVICES}"
        severity = Severity.ERROR if left else Severity.WARNING
        notes.append(Note(severity, cluster, text))
    return tuple(found[:MAX_CLUSTER_IPS]), tuple(notes)


def _is_dns(service: Service) -> bool:
    return service.name == "kube-dns" and service.namespace == "kube-system"


def _dns(services: Sequence[Service]) -> tuple[Declared, ...]:
    return tuple(
        Declared(host_prefix(address_of(packed)), f"Service {service.namespace}/{service.name}")
        for service in services
        if _is_dns(service)
        for packed in service.cluster_ips
    )


def _external(services: Sequence[Service]) -> tuple[External, ...]:
    return tuple(
        External(host_prefix(address_of(packed)), source, f"Service {service.namespace}/{service.name}")
        for service in services
        for source, addresses in (
            ("load_balancer", service.load_balancer_ips),
            ("external_ip", service.external_ips),
        )
        for packed in addresses
    )


def _pods(objects: ByClass) -> tuple[IPAddress, ...]:
    found: dict[bytes, None] = {}
    for pod in objects.of(Pod):
        found.update(dict.fromkeys(pod.addresses))
        if len(found) >= MAX_PODS:
            break
    subsets: list[EndpointSlice | Subset] = [*objects.of(EndpointSlice)]
    for each in objects.of(Endpoints):
        subsets += each.subsets
    for held in subsets:
        if len(found) >= MAX_PODS:
            break
        for endpoint in held.endpoints:
            if endpoint.pod:
                found.update(dict.fromkeys(endpoint.addresses))
    return tuple([address_of(packed) for packed in found])

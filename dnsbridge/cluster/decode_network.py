"""The objects that prefixes come from: nodes, Kubernetes' own prefixes, and those of Calico, flannel and Cilium.

Each function takes a raw object and gives the slim one, or Unused; it raises UnfitError (see decode).
"""

import re
from ipaddress import ip_network

import msgspec
from msgspec import Struct

from dnsbridge.cluster.checks import SUBDOMAIN, UnfitError, canonical_prefix, check, explain, one_of, packed_address
from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    CiliumNode,
    ClusterConfiguration,
    FlannelConfiguration,
    IPAMBlock,
    IPPool,
    Key,
    Node,
    ServiceCIDR,
)
from dnsbridge.cluster.raw import (
    RawAnnounced,
    RawBGPConfiguration,
    RawBGPConfigurationSpec,
    RawBGPPeer,
    RawBGPPeerSpec,
    RawBlockAffinity,
    RawCiliumNode,
    RawCiliumNodeSpec,
    RawConfigMap,
    RawFlannel,
    RawFlannelBackend,
    RawIPAMBlock,
    RawIPPool,
    RawMetadata,
    RawNode,
    RawNodeAnnotations,
    RawNodeMetadata,
    RawNodeSpec,
    RawNodeStatus,
    RawServiceCIDR,
)

_MODES = ("Never", "Always", "CrossSubnet")
_PREFIX_LENGTHS = re.compile(r"/[0-9]{1,3}$")
_PORT = re.compile(r"^\[([^\]]*)\](?::[0-9]+)?$|^([0-9.]+):[0-9]+$")
FLANNEL_NAMES = ("kube-flannel-cfg", "flannel-cfg")
"""How flannel's ConfigMap is called, in whatever namespace."""

MAX_ALLOCATIONS = 1 << 16
"""Addresses of a block; Calico's largest has 4,096."""
MAX_ASN = (1 << 32) - 1


class Unused(Struct, frozen=True):
    """An object that nothing comes from; one held under this key before is gone."""

    key: Key
    """Its kind has the API group behind it (`Service.serving.knative.dev`) where only the group makes it unused."""
    problem: str = ""
    """Why it gives nothing though its author may well expect it to; empty where nobody does."""
    counted: bool = True
    """Whether it is worth telling people of."""


def node(raw: RawNode) -> Node:
    """A node."""
    name, version = _identity(raw.metadata)
    spec, status = raw.spec or RawNodeSpec(), raw.status or RawNodeStatus()
    cidrs = spec.pod_cidrs or ([spec.pod_cidr] if spec.pod_cidr else [])
    noted = raw.metadata.annotations or RawNodeAnnotations()
    addresses: dict[str, list[bytes]] = {"InternalIP": [], "ExternalIP": []}
    for index, entry in enumerate(status.addresses or ()):
        if entry.type in addresses:
            addresses[entry.type].append(packed_address(entry.address, f"status.addresses[{index}].address"))
    if noted.ipv4_ipip_tunnel:
        tunnel = "ipip"
    else:
        tunnel = "vxlan" if noted.ipv4_vxlan_tunnel or noted.ipv6_vxlan_tunnel else ""
    return Node(
        name=name,
        resource_version=version,
        addresses=tuple(addresses["InternalIP"]),
        external_addresses=tuple(addresses["ExternalIP"]),
        pod_cidrs=tuple(
            canonical_prefix(text, "spec.podCIDRs" if spec.pod_cidrs else "spec.podCIDR") for text in cidrs
        ),
        ready=all(each.status == "True" for each in status.conditions or () if each.type == "Ready"),
        labels=tuple(sorted((raw.metadata.labels or {}).items())),
        calico_addresses=_noted(noted.ipv4_address, noted.ipv6_address),
        tunnel=tunnel,
        flannel_backend=(noted.flannel_backend or "").lower(),
        flannel_addresses=_noted(noted.flannel_address, noted.flannel_ipv6_address),
    )


def _noted(*texts: str | None) -> tuple[bytes, ...]:
    """The addresses of annotations, which may have a prefix length; no API server checks them."""
    found = []
    for text in texts:
        try:
            found.append(packed_address(_PREFIX_LENGTHS.sub("", text or ""), "annotation"))
        except UnfitError:
            continue
    return tuple(found)


def config_map(raw: RawConfigMap, key: Key) -> ClusterConfiguration | FlannelConfiguration | Unused:
    """kubeadm's ConfigMap or flannel's."""
    text = raw.data.cluster_configuration if raw.data else None
    if text and (key.namespace, key.name) == ("kube-system", "kubeadm-config"):
        return _cluster_configuration(text, key, raw.metadata.resource_version or "")
    text = raw.data.flannel if raw.data else None
    if text and key.name in FLANNEL_NAMES:
        return _flannel(text, key, raw.metadata.resource_version or "")
    return Unused(key)


def _cluster_configuration(text: str, key: Key, version: str) -> ClusterConfiguration:
    found = {}
    for setting in ("serviceSubnet", "podSubnet"):
        written = re.search(rf"^\s+{setting}:\s*[\"']?([0-9A-Fa-f.:/,]+)[\"']?\s*$", text, re.MULTILINE)
        cidrs = written[1].split(",") if written else []
        found[setting] = tuple([canonical_prefix(cidr, f"networking.{setting}") for cidr in cidrs])
    return ClusterConfiguration(
        namespace=key.namespace,
        name=key.name,
        resource_version=version,
        service_cidrs=found["serviceSubnet"],
        pod_cidrs=found["podSubnet"],
    )


def _flannel(text: str, key: Key, version: str) -> FlannelConfiguration:
    try:
        said = msgspec.json.decode(text, type=RawFlannel)
    except msgspec.ValidationError as error:
        raise UnfitError(f"data[net-conf.json]: {explain(str(error))}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise UnfitError("data[net-conf.json]: expected flannel's configuration in JSON") from None
    backend = said.backend or RawFlannelBackend()
    networks = (("Network", said.network), ("IPv6Network", said.ipv6_network))
    return FlannelConfiguration(
        namespace=key.namespace,
        name=key.name,
        resource_version=version,
        networks=tuple(canonical_prefix(cidr, f"data[net-conf.json].{name}") for name, cidr in networks if cidr),
        backend=(backend.type or "udp").lower(),
        direct_routing=bool(backend.direct_routing),
        mtu=_within(backend.mtu or 0, 65535, "data[net-conf.json].Backend.MTU"),
    )


def service_cidr(raw: RawServiceCIDR) -> ServiceCIDR:
    """A prefix of ClusterIPs."""
    name, version = _identity(raw.metadata)
    cidrs = tuple(canonical_prefix(text, "spec.cidrs") for text in raw.spec.cidrs or ())
    return ServiceCIDR(name=name, resource_version=version, cidrs=cidrs)


def ip_pool(raw: RawIPPool) -> IPPool:
    """A pool of Calico."""
    name, version = _identity(raw.metadata)
    return IPPool(
        name=name,
        resource_version=version,
        cidr=canonical_prefix(raw.spec.cidr, "spec.cidr"),
        ipip=one_of(raw.spec.ipip_mode or "Never", _MODES, "spec.ipipMode"),
        vxlan=one_of(raw.spec.vxlan_mode or "Never", _MODES, "spec.vxlanMode"),
        disabled=bool(raw.spec.disabled),
    )


def block_affinity(raw: RawBlockAffinity, key: Key) -> BlockAffinity | Unused:
    """Who has a block of Calico. Only a confirmed one counts; `virtual` ones are no nodes'."""
    spec = raw.spec
    deleted = spec.deleted is True or spec.deleted == "true"
    if deleted or spec.state != "confirmed" or spec.type not in (None, "", "host"):
        return Unused(key)
    name, version = _identity(raw.metadata)
    check(SUBDOMAIN, spec.node, "spec.node")
    return BlockAffinity(
        name=name, resource_version=version, cidr=canonical_prefix(spec.cidr, "spec.cidr"), node=spec.node
    )


def ipam_block(raw: RawIPAMBlock, key: Key) -> IPAMBlock | Unused:
    """The addresses of a block, of which those lent to other nodes count."""
    spec = raw.spec
    if spec.deleted:
        return Unused(key)
    name, version = _identity(raw.metadata)
    cidr = canonical_prefix(spec.cidr, "spec.cidr")
    kind, _, owner = (spec.affinity or "").partition(":")
    if kind == "host":
        check(SUBDOMAIN, owner, "spec.affinity")
    elif kind:
        return Unused(key)
    network = ip_network(cidr)
    allocations, attributes = spec.allocations or [], spec.attributes or []
    if len(allocations) > min(network.num_addresses, MAX_ALLOCATIONS):
        raise UnfitError(f"spec.allocations: expected at most one for each address of {cidr}")
    owners = [each.secondary.node if each.secondary else None for each in attributes]
    for each in set(owners) - {None, owner}:
        check(SUBDOMAIN, each or "", "spec.attributes.secondary.node")
    borrowed = []
    for ordinal, attribute in enumerate(allocations):
        if attribute is None:
            continue
        if not 0 <= attribute < len(owners):
            raise UnfitError(f"spec.allocations[{ordinal}]: expected the number of one of spec.attributes")
        borrower = owners[attribute]
        if borrower and borrower != owner:
            borrowed.append((network[ordinal].packed, borrower))
    return IPAMBlock(name=name, resource_version=version, cidr=cidr, node=owner, borrowed=tuple(borrowed))


def bgp_configuration(raw: RawBGPConfiguration) -> BGPConfiguration:
    """What Calico's nodes announce."""
    name, version = _identity(raw.metadata)
    spec = raw.spec or RawBGPConfigurationSpec()
    return BGPConfiguration(
        name=name,
        resource_version=version,
        service_cluster_ips=_announced(spec.service_cluster_ips, "spec.serviceClusterIPs"),
        service_external_ips=_announced(spec.service_external_ips, "spec.serviceExternalIPs"),
        service_load_balancer_ips=_announced(spec.service_load_balancer_ips, "spec.serviceLoadBalancerIPs"),
        mesh=spec.node_to_node_mesh_enabled is not False,
    )


def _announced(said: list[RawAnnounced] | None, path: str) -> tuple[str, ...]:
    return tuple(canonical_prefix(each.cidr, path) for each in said or () if each.cidr)


def bgp_peer(raw: RawBGPPeer) -> BGPPeer:
    """A router that Calico's nodes announce to."""
    name, version = _identity(raw.metadata)
    spec = raw.spec or RawBGPPeerSpec()
    with_port = _PORT.fullmatch(spec.peer_ip or "")
    address = (with_port[1] or with_port[2] or "") if with_port else spec.peer_ip
    return BGPPeer(
        name=name,
        resource_version=version,
        address=packed_address(address, "spec.peerIP") if address else b"",
        asn=_as_number(spec.as_number or 0),
        node=spec.node or "",
        node_selector=spec.node_selector or "",
    )


def _as_number(said: int | str) -> int:
    if isinstance(said, str):
        high, dot, low = said.rpartition(".")
        halves = (high or "0", low) if dot or said else ("0", "0")
        if not all(half.isascii() and half.isdecimal() and len(half) <= 10 for half in halves):
            raise UnfitError("spec.asNumber: expected an AS number such as 64513 or 1.10")
        said = (int(halves[0]) << 16) + int(halves[1])
    return _within(said, MAX_ASN, "spec.asNumber")


def cilium_node(raw: RawCiliumNode) -> CiliumNode:
    """A node as Cilium has it."""
    name, version = _identity(raw.metadata)
    spec = raw.spec or RawCiliumNodeSpec()
    return CiliumNode(
        name=name,
        resource_version=version,
        addresses=tuple(
            packed_address(each.ip, f"spec.addresses[{index}].ip")
            for index, each in enumerate(spec.addresses or ())
            if each.type == "InternalIP" and each.ip
        ),
        pod_cidrs=tuple(
            canonical_prefix(text, "spec.ipam.podCIDRs") for text in (spec.ipam.pod_cidrs if spec.ipam else None) or ()
        ),
    )


def _within(number: int, largest: int, path: str) -> int:
    if not 0 <= number <= largest:
        raise UnfitError(f"{path}: expected a number from 0 to {largest}")
    return number


def _identity(metadata: RawMetadata | RawNodeMetadata) -> tuple[str, str]:
    """Name and resourceVersion of an object of the whole cluster."""
    check(SUBDOMAIN, metadata.name, "metadata.name")
    return metadata.name, metadata.resource_version or ""

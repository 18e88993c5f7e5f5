"""Decoding the objects that prefixes come from: Kubernetes' own and those of Calico, flannel and Cilium.

Each function takes a raw object and gives the slim one, or Unused. A wrong part becomes a flaw and is left out; if it
identifies the object, or is the only content, the function raises UnfitError (see decode).
"""

import re
from collections.abc import Sequence
from ipaddress import ip_network

import msgspec
from msgspec import Struct

from dnsbridge.cluster.by_parts import convert_by_parts
from dnsbridge.cluster.checks import SUBDOMAIN, canonical_prefix, check, one_of, packed_address
from dnsbridge.cluster.flaws import Flaw, UnfitError, attempt, each, require
from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    CalicoNode,
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
    RawAllocationAttribute,
    RawAnnounced,
    RawBGPConfiguration,
    RawBGPConfigurationSpec,
    RawBGPPeer,
    RawBGPPeerSpec,
    RawBlockAffinity,
    RawCalicoNode,
    RawCalicoNodeBGP,
    RawCalicoNodeSpec,
    RawCiliumAddress,
    RawCiliumNode,
    RawCiliumNodeSpec,
    RawCondition,
    RawConfigMap,
    RawFlannel,
    RawFlannelBackend,
    RawIPAMBlock,
    RawIPPool,
    RawMetadata,
    RawNode,
    RawNodeAddress,
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
"""Names of flannel's ConfigMap, in any namespace."""

MAX_ALLOCATIONS = 1 << 16
"""Addresses of a block; Calico's largest has 4,096."""
MAX_ASN = (1 << 32) - 1


class Unused(Struct, frozen=True):
    """An object that yields nothing; an object held under this key before is gone."""

    key: Key
    """If only the API group makes the object unused, the kind includes the group (`Service.serving.knative.dev`)."""
    problem: str = ""
    """Why the object yields nothing though its author may well expect it to; empty if nobody does."""
    counted: bool = True
    """Whether the object is worth reporting to people."""


def node(raw: RawNode, flaws: list[Flaw]) -> Node:
    """A node."""
    name, version = _identity(raw.metadata)
    spec, status = raw.spec or RawNodeSpec(), raw.status or RawNodeStatus()
    cidrs = each(flaws, "spec.podCIDRs", spec.pod_cidrs, canonical_prefix)
    if not cidrs and spec.pod_cidr:
        cidr = attempt(flaws, "", canonical_prefix, spec.pod_cidr, "spec.podCIDR")
        cidrs = (cidr,) if cidr else ()
    noted = raw.metadata.annotations or RawNodeAnnotations()
    addresses = each(flaws, "status.addresses", status.addresses, _node_address)
    conditions: Sequence[RawCondition | None] = status.conditions or ()
    if noted.ipv4_ipip_tunnel:
        tunnel = "ipip"
    else:
        tunnel = "vxlan" if noted.ipv4_vxlan_tunnel or noted.ipv6_vxlan_tunnel else ""
    return Node(
        name=name,
        resource_version=version,
        addresses=tuple(address for kind, address in addresses if kind == "InternalIP"),
        external_addresses=tuple(address for kind, address in addresses if kind == "ExternalIP"),
        pod_cidrs=cidrs,
        ready=all(said.status == "True" for said in conditions if said and said.type == "Ready"),
        labels=tuple(sorted((raw.metadata.labels or {}).items())),
        calico_addresses=_noted(noted.ipv4_address, noted.ipv6_address),
        tunnel=tunnel,
        flannel_backend=(noted.flannel_backend or "").lower(),
        flannel_addresses=_noted(noted.flannel_address, noted.flannel_ipv6_address),
    )


def _node_address(raw: RawNodeAddress) -> tuple[str, bytes] | None:
    return (raw.type, packed_address(raw.address, "address")) if raw.type in ("InternalIP", "ExternalIP") else None


def _noted(*texts: str | None) -> tuple[bytes, ...]:
    """The addresses in annotations, with or without prefix length; no API server checks them: bad ones are skipped."""
    found = []
    for text in texts:
        try:
            found.append(packed_address(_PREFIX_LENGTHS.sub("", text or ""), "annotation"))
        except UnfitError:
            continue
    return tuple(found)


def config_map(raw: RawConfigMap, key: Key, flaws: list[Flaw]) -> ClusterConfiguration | FlannelConfiguration | Unused:
    """kubeadm's ConfigMap or flannel's."""
    text = raw.data.cluster_configuration if raw.data else None
    if text and (key.namespace, key.name) == ("kube-system", "kubeadm-config"):
        return _cluster_configuration(text, key, raw.metadata.resource_version or "", flaws)
    text = raw.data.flannel if raw.data else None
    if text and key.name in FLANNEL_NAMES:
        return _flannel(text, key, raw.metadata.resource_version or "", flaws)
    return Unused(key)


def _cluster_configuration(text: str, key: Key, version: str, flaws: list[Flaw]) -> ClusterConfiguration:
    found = {}
    for setting in ("serviceSubnet", "podSubnet"):
        written = re.search(rf"^\s+{setting}:\s*[\"']?([0-9A-Fa-f.:/,]+)[\"']?\s*$", text, re.MULTILINE)
        cidrs = written[1].split(",") if written else []
        found[setting] = each(flaws, f"networking.{setting}", cidrs, canonical_prefix)
    require((*found["serviceSubnet"], *found["podSubnet"]), flaws, "networking.")
    return ClusterConfiguration(
        namespace=key.namespace,
        name=key.name,
        resource_version=version,
        service_cidrs=found["serviceSubnet"],
        pod_cidrs=found["podSubnet"],
    )


def _flannel(text: str, key: Key, version: str, flaws: list[Flaw]) -> FlannelConfiguration:
    path = "data[net-conf.json]"
    try:
        said = convert_by_parts(msgspec.json.decode(text), RawFlannel, flaws, path)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise UnfitError(path, "expected flannel's configuration in JSON") from None
    backend = said.backend or RawFlannelBackend()
    named = (("Network", said.network), ("IPv6Network", said.ipv6_network))
    networks = [attempt(flaws, "", canonical_prefix, cidr, f"{path}.{name}") for name, cidr in named if cidr]
    found = tuple(cidr for cidr in networks if cidr)
    require(found, flaws, path)
    return FlannelConfiguration(
        namespace=key.namespace,
        name=key.name,
        resource_version=version,
        networks=found,
        backend=(backend.type or "udp").lower(),
        direct_routing=bool(backend.direct_routing),
        mtu=attempt(flaws, 0, _within, backend.mtu or 0, 65535, f"{path}.Backend.MTU"),
    )


def service_cidr(raw: RawServiceCIDR, flaws: list[Flaw]) -> ServiceCIDR:
    """A prefix of ClusterIPs."""
    name, version = _identity(raw.metadata)
    cidrs = each(flaws, "spec.cidrs", raw.spec.cidrs, canonical_prefix)
    require(cidrs, flaws, "spec.cidrs")
    return ServiceCIDR(name=name, resource_version=version, cidrs=cidrs)


def ip_pool(raw: RawIPPool, flaws: list[Flaw]) -> IPPool:
    """A Calico pool."""
    name, version = _identity(raw.metadata)
    return IPPool(
        name=name,
        resource_version=version,
        cidr=canonical_prefix(raw.spec.cidr, "spec.cidr"),
        ipip=attempt(flaws, "Never", one_of, raw.spec.ipip_mode or "Never", _MODES, "spec.ipipMode"),
        vxlan=attempt(flaws, "Never", one_of, raw.spec.vxlan_mode or "Never", _MODES, "spec.vxlanMode"),
        disabled=bool(raw.spec.disabled),
    )


def block_affinity(raw: RawBlockAffinity, key: Key) -> BlockAffinity | Unused:
    """The node that has a Calico block. Only a confirmed affinity counts; a `virtual` one belongs to no node."""
    spec = raw.spec
    deleted = spec.deleted is True or spec.deleted == "true"
    if deleted or spec.state != "confirmed" or spec.type not in (None, "", "host"):
        return Unused(key)
    name, version = _identity(raw.metadata)
    check(SUBDOMAIN, spec.node, "spec.node")
    return BlockAffinity(
        name=name, resource_version=version, cidr=canonical_prefix(spec.cidr, "spec.cidr"), node=spec.node
    )


def ipam_block(raw: RawIPAMBlock, key: Key, flaws: list[Flaw]) -> IPAMBlock | Unused:
    """A Calico block and those of its addresses that are lent to other nodes."""
    spec = raw.spec
    if spec.deleted:
        return Unused(key)
    name, version = _identity(raw.metadata)
    cidr = canonical_prefix(spec.cidr, "spec.cidr")
    kind, _, owner = (spec.affinity or "").partition(":")
    if kind == "host":
        owner = attempt(flaws, "", check, SUBDOMAIN, owner, "spec.affinity")
    elif kind:
        return Unused(key)
    network = ip_network(cidr)
    allocations = spec.allocations or []
    most = min(network.num_addresses, MAX_ALLOCATIONS)
    if len(allocations) > most:
        flaws.append(Flaw(f"spec.allocations[{most}]", f"expected at most one for each address of {cidr}"))
    owners = _borrowers(spec.attributes or [], flaws)
    borrowed = []
    for ordinal, attribute in enumerate(allocations[:most]):
        if attribute is None:
            continue
        if not 0 <= attribute < len(owners):
            flaws.append(Flaw(f"spec.allocations[{ordinal}]", "expected the number of one of spec.attributes"))
            continue
        borrower = owners[attribute]
        if borrower and borrower != owner:
            borrowed.append((network[ordinal].packed, borrower))
    return IPAMBlock(name=name, resource_version=version, cidr=cidr, node=owner, borrowed=tuple(borrowed))


def _borrowers(attributes: Sequence[RawAllocationAttribute | None], flaws: list[Flaw]) -> list[str]:
    """The node of each attribute; empty if there is none or its name is invalid."""
    found = []
    for index, listed in enumerate(attributes):
        node = (listed.secondary.node or "") if listed and listed.secondary else ""
        path = f"spec.attributes[{index}].secondary.node"
        found.append(attempt(flaws, "", check, SUBDOMAIN, node, path) if node else "")
    return found


def bgp_configuration(raw: RawBGPConfiguration, flaws: list[Flaw]) -> BGPConfiguration:
    """What Calico's nodes announce."""
    name, version = _identity(raw.metadata)
    spec = raw.spec or RawBGPConfigurationSpec()
    return BGPConfiguration(
        name=name,
        resource_version=version,
        service_cluster_ips=each(flaws, "spec.serviceClusterIPs", spec.service_cluster_ips, _announced),
        service_external_ips=each(flaws, "spec.serviceExternalIPs", spec.service_external_ips, _announced),
        service_load_balancer_ips=each(
            flaws, "spec.serviceLoadBalancerIPs", spec.service_load_balancer_ips, _announced
        ),
        mesh=spec.node_to_node_mesh_enabled is not False,
    )


def _announced(raw: RawAnnounced) -> str | None:
    return canonical_prefix(raw.cidr, "cidr") if raw.cidr else None


def bgp_peer(raw: RawBGPPeer, flaws: list[Flaw]) -> BGPPeer:
    """A router that Calico's nodes announce to."""
    name, version = _identity(raw.metadata)
    spec = raw.spec or RawBGPPeerSpec()
    with_port = _PORT.fullmatch(spec.peer_ip or "")
    address = (with_port[1] or with_port[2] or "") if with_port else spec.peer_ip
    return BGPPeer(
        name=name,
        resource_version=version,
        address=packed_address(address, "spec.peerIP") if address else b"",
        asn=attempt(flaws, 0, _as_number, spec.as_number or 0),
        node=spec.node or "",
        node_selector=spec.node_selector or "",
    )


def _as_number(said: int | str) -> int:
    if isinstance(said, str):
        high, dot, low = said.rpartition(".")
        halves = (high or "0", low) if dot or said else ("0", "0")
        if not all(half.isascii() and half.isdecimal() and len(half) <= 10 for half in halves):
            raise UnfitError("spec.asNumber", "expected an AS number such as 64513 or 1.10")
        said = (int(halves[0]) << 16) + int(halves[1])
    return _within(said, MAX_ASN, "spec.asNumber")


def calico_node(raw: RawCalicoNode) -> CalicoNode:
    """Calico's own Node. An address that does not parse counts as absent, as in the annotations of a Node."""
    name, version = _identity(raw.metadata)
    spec = raw.spec or RawCalicoNodeSpec()
    bgp = spec.bgp or RawCalicoNodeBGP()
    others = [each.address for each in filter(None, spec.addresses or ())]  # None: left out before (see by_parts)
    return CalicoNode(
        name=name,
        resource_version=version,
        addresses=tuple(dict.fromkeys(_noted(bgp.ipv4_address, bgp.ipv6_address, *others))),
        labels=tuple(sorted((raw.metadata.labels or {}).items())),
    )


def cilium_node(raw: RawCiliumNode, flaws: list[Flaw]) -> CiliumNode:
    """Cilium's own node object."""
    name, version = _identity(raw.metadata)
    spec = raw.spec or RawCiliumNodeSpec()
    addresses = each(flaws, "spec.addresses", spec.addresses, _cilium_address)
    cidrs = each(flaws, "spec.ipam.podCIDRs", spec.ipam.pod_cidrs if spec.ipam else None, canonical_prefix)
    require((*addresses, *cidrs), flaws, "spec")
    return CiliumNode(name=name, resource_version=version, addresses=addresses, pod_cidrs=cidrs)


def _cilium_address(raw: RawCiliumAddress) -> bytes | None:
    return packed_address(raw.ip, "ip") if raw.type == "InternalIP" and raw.ip else None


def _within(number: int, largest: int, path: str) -> int:
    if not 0 <= number <= largest:
        raise UnfitError(path, f"expected a number from 0 to {largest}")
    return number


def _identity(metadata: RawMetadata | RawNodeMetadata) -> tuple[str, str]:
    """Name and resourceVersion of a cluster-scoped object."""
    check(SUBDOMAIN, metadata.name, "metadata.name")
    return metadata.name, metadata.resource_version or ""

"""Kubernetes' own objects as typed structs: the fields that are used, under the API's names.

Both inputs use them: `msgspec.convert` for plain data from manifests, `msgspec.json` for an API server's octets. They
give types only; cluster.decode checks values. A list that the API may print as null is optional. Data with a wrong type
somewhere is converted part by part (see by_parts): a list then has None for an item that was left out, and a field that
was left out has its default. No default can stand for a `Decisive` field.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

DECISIVE = "decisive"
Decisive = Meta(extra={DECISIVE: True})
"""If this field is wrong, the whole struct is, though the field may be absent: it says what the rest is about."""


class RawLabels(Struct):
    """The one label that names use."""

    service_name: str | None = field(default=None, name="kubernetes.io/service-name")


class RawAnnotations(Struct):
    """The one annotation that names use."""

    tolerate_unready: str | bool | None = field(
        default=None, name="service.alpha.kubernetes.io/tolerate-unready-endpoints"
    )


class RawMetadata(Struct, rename="camel"):
    """`ObjectMeta` of apimachinery."""

    name: str
    namespace: Annotated[str | None, Decisive] = None
    resource_version: str | None = None
    labels: RawLabels | None = None


class RawNamespace(Struct):
    """`v1.Namespace`."""

    metadata: RawMetadata


class RawServicePort(Struct):
    """`v1.ServicePort`."""

    port: int
    name: Annotated[str | None, Decisive] = None
    protocol: Annotated[str | None, Decisive] = None


class RawServiceSpec(Struct, rename="camel"):
    """`v1.ServiceSpec`."""

    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    external_name: str | None = None
    ports: list[RawServicePort] | None = None
    publish_not_ready_addresses: bool | None = None
    external_ips: list[str] | None = field(default=None, name="externalIPs")


class RawIngress(Struct, rename="camel"):
    """`v1.LoadBalancerIngress`."""

    ip: str | None = None
    ip_mode: str | None = None


class RawLoadBalancer(Struct):
    """`v1.LoadBalancerStatus`."""

    ingress: list[RawIngress] | None = None


class RawServiceStatus(Struct, rename="camel"):
    """`v1.ServiceStatus`."""

    load_balancer: RawLoadBalancer | None = None


class RawServiceMetadata(Struct, rename="camel"):
    """`ObjectMeta` of a service."""

    name: str
    namespace: Annotated[str | None, Decisive] = None
    resource_version: str | None = None
    annotations: RawAnnotations | None = None


class RawService(Struct):
    """`v1.Service`."""

    metadata: RawServiceMetadata
    spec: RawServiceSpec
    status: RawServiceStatus | None = None


class RawConditions(Struct):
    """`discovery.k8s.io/v1.EndpointConditions`."""

    ready: bool | None = None


class RawTarget(Struct):
    """`v1.ObjectReference`."""

    kind: str | None = None
    name: str | None = None


class RawEndpoint(Struct, rename="camel"):
    """`discovery.k8s.io/v1.Endpoint`."""

    addresses: list[str]
    conditions: RawConditions | None = None
    hostname: str | None = None
    target_ref: RawTarget | None = None


class RawEndpointPort(Struct):
    """`discovery.k8s.io/v1.EndpointPort`."""

    name: Annotated[str | None, Decisive] = None
    protocol: Annotated[str | None, Decisive] = None
    port: int | None = None


class RawEndpointSlice(Struct, rename="camel"):
    """`discovery.k8s.io/v1.EndpointSlice`; v1beta1 has the same fields, as far as they are used."""

    metadata: RawMetadata
    address_type: str | None = None
    endpoints: list[RawEndpoint] | None = None
    ports: list[RawEndpointPort] | None = None


class RawEndpointAddress(Struct, rename="camel"):
    """`v1.EndpointAddress`."""

    ip: str
    hostname: str | None = None
    target_ref: RawTarget | None = None


class RawSubset(Struct, rename="camel"):
    """`v1.EndpointSubset`."""

    addresses: list[RawEndpointAddress] | None = None
    not_ready_addresses: list[RawEndpointAddress] | None = None
    ports: list[RawEndpointPort] | None = None


class RawEndpoints(Struct):
    """`v1.Endpoints`."""

    metadata: RawMetadata
    subsets: list[RawSubset] | None = None


class RawPodAddress(Struct):
    """`v1.PodIP`."""

    ip: str | None = None


class RawPodStatus(Struct, rename="camel"):
    """`v1.PodStatus`."""

    phase: str | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: list[RawPodAddress] | None = field(default=None, name="podIPs")


class RawPod(Struct):
    """`v1.Pod`."""

    metadata: RawMetadata
    status: RawPodStatus | None = None


class RawNodeSpec(Struct):
    """`v1.NodeSpec`."""

    pod_cidr: str | None = field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")


class RawNodeAddress(Struct):
    """`v1.NodeAddress`."""

    type: str
    address: str


class RawCondition(Struct):
    """`v1.NodeCondition`."""

    type: str
    status: str = "Unknown"


class RawNodeStatus(Struct):
    """`v1.NodeStatus`."""

    addresses: list[RawNodeAddress] | None = None
    conditions: list[RawCondition] | None = None


class RawNodeAnnotations(Struct):
    """Annotations that network providers put on a node."""

    ipv4_address: str | None = field(default=None, name="projectcalico.org/IPv4Address")
    ipv6_address: str | None = field(default=None, name="projectcalico.org/IPv6Address")
    ipv4_ipip_tunnel: str | None = field(default=None, name="projectcalico.org/IPv4IPIPTunnelAddr")
    ipv4_vxlan_tunnel: str | None = field(default=None, name="projectcalico.org/IPv4VXLANTunnelAddr")
    ipv6_vxlan_tunnel: str | None = field(default=None, name="projectcalico.org/IPv6VXLANTunnelAddr")
    flannel_backend: str | None = field(default=None, name="flannel.alpha.coreos.com/backend-type")
    flannel_address: str | None = field(default=None, name="flannel.alpha.coreos.com/public-ip")
    flannel_ipv6_address: str | None = field(default=None, name="flannel.alpha.coreos.com/public-ipv6")


class RawNodeMetadata(Struct, rename="camel"):
    """`ObjectMeta` of a node; its labels tell the node's role."""

    name: str
    namespace: str | None = None
    resource_version: str | None = None
    labels: dict[str, str] | None = None
    annotations: RawNodeAnnotations | None = None


class RawNode(Struct):
    """`v1.Node`."""

    metadata: RawNodeMetadata
    spec: RawNodeSpec | None = None
    status: RawNodeStatus | None = None


class RawServiceCIDRSpec(Struct):
    """`networking.k8s.io/v1.ServiceCIDRSpec`."""

    cidrs: list[str] | None = None


class RawServiceCIDR(Struct):
    """`networking.k8s.io/v1.ServiceCIDR`."""

    metadata: RawMetadata
    spec: RawServiceCIDRSpec


class RawIPPoolSpec(Struct, rename="camel"):
    """Calico's `IPPoolSpec`."""

    cidr: str
    disabled: bool | None = None
    ipip_mode: str | None = None
    vxlan_mode: str | None = None


class RawIPPool(Struct):
    """Calico's `IPPool`."""

    metadata: RawMetadata
    spec: RawIPPoolSpec


class RawBlockAffinitySpec(Struct):
    """Calico's `BlockAffinitySpec`."""

    cidr: str
    node: str
    state: str | None = None
    deleted: str | bool | None = None
    """A string in crd.projectcalico.org/v1."""
    type: Annotated[str | None, Decisive] = None


class RawBlockAffinity(Struct):
    """Calico's `BlockAffinity`."""

    metadata: RawMetadata
    spec: RawBlockAffinitySpec


class RawAllocationOwner(Struct):
    """The owner in an allocation's attributes: the node of its pod."""

    node: str | None = None


class RawAllocationAttribute(Struct):
    """Calico's `AllocationAttribute`."""

    secondary: RawAllocationOwner | None = None


class RawIPAMBlockSpec(Struct):
    """Calico's `IPAMBlockSpec`."""

    cidr: str
    affinity: str | None = None
    allocations: list[int | None] | None = None
    attributes: list[RawAllocationAttribute] | None = None
    deleted: bool | None = None


class RawIPAMBlock(Struct):
    """Calico's `IPAMBlock`."""

    metadata: RawMetadata
    spec: RawIPAMBlockSpec


class RawAnnounced(Struct):
    """Calico's `ServiceClusterIPBlock` and similar types."""

    cidr: str | None = None


class RawBGPConfigurationSpec(Struct, rename="camel"):
    """Calico's `BGPConfigurationSpec`."""

    service_cluster_ips: list[RawAnnounced] | None = field(default=None, name="serviceClusterIPs")
    service_external_ips: list[RawAnnounced] | None = field(default=None, name="serviceExternalIPs")
    service_load_balancer_ips: list[RawAnnounced] | None = field(default=None, name="serviceLoadBalancerIPs")
    node_to_node_mesh_enabled: bool | None = None


class RawBGPConfiguration(Struct):
    """Calico's `BGPConfiguration`."""

    metadata: RawMetadata
    spec: RawBGPConfigurationSpec | None = None


class RawBGPPeerSpec(Struct, rename="camel"):
    """Calico's `BGPPeerSpec`."""

    peer_ip: Annotated[str | None, Decisive] = field(default=None, name="peerIP")
    as_number: int | str | None = None
    """A string if it is written with a dot."""
    node: Annotated[str | None, Decisive] = None
    node_selector: Annotated[str | None, Decisive] = None


class RawBGPPeer(Struct):
    """Calico's `BGPPeer`."""

    metadata: RawMetadata
    spec: Annotated[RawBGPPeerSpec | None, Decisive] = None


class RawCalicoNodeBGP(Struct):
    """Calico's `NodeBGPSpec`."""

    ipv4_address: str | None = field(default=None, name="ipv4Address")
    ipv6_address: str | None = field(default=None, name="ipv6Address")


class RawCalicoNodeSpec(Struct):
    """Calico's `NodeSpec`."""

    bgp: RawCalicoNodeBGP | None = None
    addresses: list[RawNodeAddress] | None = None


class RawCalicoNode(Struct):
    """Calico's own `Node`, which `calicoctl` prints and etcd holds."""

    metadata: RawNodeMetadata
    spec: RawCalicoNodeSpec | None = None


class RawCiliumAddress(Struct):
    """Cilium's `NodeAddress`."""

    type: str | None = None
    ip: str | None = None


class RawCiliumIpam(Struct):
    """Cilium's `IPAMSpec`."""

    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")


class RawCiliumNodeSpec(Struct):
    """Cilium's `NodeSpec`."""

    addresses: list[RawCiliumAddress] | None = None
    ipam: RawCiliumIpam | None = None


class RawCiliumNode(Struct):
    """Cilium's `CiliumNode`."""

    metadata: RawMetadata
    spec: RawCiliumNodeSpec | None = None


class RawConfigMapData(Struct):
    """The entries that are used: kubeadm's `ClusterConfiguration` in YAML, and flannel's configuration in JSON."""

    cluster_configuration: str | None = field(default=None, name="ClusterConfiguration")
    flannel: str | None = field(default=None, name="net-conf.json")


class RawFlannelBackend(Struct):
    """`Backend` of flannel's configuration."""

    type: str | None = field(default=None, name="Type")
    direct_routing: bool | None = field(default=None, name="DirectRouting")
    mtu: int | None = field(default=None, name="MTU")


class RawFlannel(Struct):
    """flannel's `net-conf.json`."""

    network: str | None = field(default=None, name="Network")
    ipv6_network: str | None = field(default=None, name="IPv6Network")
    backend: RawFlannelBackend | None = field(default=None, name="Backend")


class RawConfigMap(Struct):
    """`v1.ConfigMap`."""

    metadata: RawMetadata
    data: RawConfigMapData | None = None


Raw = (
    RawNamespace
    | RawService
    | RawEndpointSlice
    | RawEndpoints
    | RawPod
    | RawNode
    | RawServiceCIDR
    | RawIPPool
    | RawBlockAffinity
    | RawIPAMBlock
    | RawBGPConfiguration
    | RawBGPPeer
    | RawCalicoNode
    | RawCiliumNode
    | RawConfigMap
)

_CALICO: dict[str, type[Raw]] = {
    "IPPool": RawIPPool,
    "BlockAffinity": RawBlockAffinity,
    "IPAMBlock": RawIPAMBlock,
    "BGPConfiguration": RawBGPConfiguration,
    "BGPPeer": RawBGPPeer,
}
RAW_TYPES: dict[tuple[str, str], type[Raw]] = {
    ("v1", "Namespace"): RawNamespace,
    ("v1", "Service"): RawService,
    ("discovery.k8s.io/v1", "EndpointSlice"): RawEndpointSlice,
    ("discovery.k8s.io/v1beta1", "EndpointSlice"): RawEndpointSlice,
    ("v1", "Endpoints"): RawEndpoints,
    ("v1", "Pod"): RawPod,
    ("v1", "Node"): RawNode,
    ("networking.k8s.io/v1", "ServiceCIDR"): RawServiceCIDR,
    ("networking.k8s.io/v1beta1", "ServiceCIDR"): RawServiceCIDR,
    ("projectcalico.org/v3", "Node"): RawCalicoNode,
    ("cilium.io/v2", "CiliumNode"): RawCiliumNode,
    ("v1", "ConfigMap"): RawConfigMap,
    **{
        (version, kind): raw
        for version in ("crd.projectcalico.org/v1", "projectcalico.org/v3")
        for kind, raw in _CALICO.items()
    },
}
"""The struct of each (apiVersion, kind) that is used."""

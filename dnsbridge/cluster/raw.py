"""Kubernetes' own objects as typed structs: the fields that are used, under the API's names.

They serve both ways in: `msgspec.convert` for plain data from manifests, and `msgspec.json` for an API server's octets.
They say what the types are, no more; a list that the API may print as null is optional. Values: cluster.decode.
"""

from msgspec import Struct, field


class RawLabels(Struct):
    """The one label that is used."""

    service_name: str | None = field(default=None, name="kubernetes.io/service-name")


class RawMetadata(Struct, rename="camel"):
    """`ObjectMeta` of apimachinery."""

    name: str
    namespace: str | None = None
    resource_version: str | None = None
    labels: RawLabels | None = None


class RawNamespace(Struct):
    """`v1.Namespace`."""

    metadata: RawMetadata


class RawServicePort(Struct):
    """`v1.ServicePort`."""

    port: int
    name: str | None = None
    protocol: str | None = None


class RawServiceSpec(Struct, rename="camel"):
    """`v1.ServiceSpec`."""

    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    external_name: str | None = None
    ports: list[RawServicePort] | None = None
    publish_not_ready_addresses: bool | None = None


class RawService(Struct):
    """`v1.Service`."""

    metadata: RawMetadata
    spec: RawServiceSpec


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

    name: str | None = None
    protocol: str | None = None
    port: int | None = None


class RawEndpointSlice(Struct, rename="camel"):
    """`discovery.k8s.io/v1.EndpointSlice`."""

    metadata: RawMetadata
    address_type: str
    endpoints: list[RawEndpoint] | None = None
    ports: list[RawEndpointPort] | None = None


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


class RawNodeStatus(Struct):
    """`v1.NodeStatus`."""

    addresses: list[RawNodeAddress] | None = None


class RawNode(Struct):
    """`v1.Node`."""

    metadata: RawMetadata
    spec: RawNodeSpec | None = None
    status: RawNodeStatus | None = None


class RawServiceCIDRSpec(Struct):
    """`networking.k8s.io/v1.ServiceCIDRSpec`."""

    cidrs: list[str] | None = None


class RawServiceCIDR(Struct):
    """`networking.k8s.io/v1.ServiceCIDR`."""

    metadata: RawMetadata
    spec: RawServiceCIDRSpec


class RawIPPoolSpec(Struct):
    """Calico's `IPPoolSpec`."""

    cidr: str
    disabled: bool | None = None


class RawIPPool(Struct):
    """Calico's `IPPool`."""

    metadata: RawMetadata
    spec: RawIPPoolSpec


class RawConfigMapData(Struct):
    """The one entry that is used: kubeadm's `ClusterConfiguration`, a YAML text."""

    cluster_configuration: str | None = field(default=None, name="ClusterConfiguration")


class RawConfigMap(Struct):
    """`v1.ConfigMap`."""

    metadata: RawMetadata
    data: RawConfigMapData | None = None


Raw = RawNamespace | RawService | RawEndpointSlice | RawPod | RawNode | RawServiceCIDR | RawIPPool | RawConfigMap

RAW_TYPES: dict[tuple[str, str], type[Raw]] = {
    ("v1", "Namespace"): RawNamespace,
    ("v1", "Service"): RawService,
    ("discovery.k8s.io/v1", "EndpointSlice"): RawEndpointSlice,
    ("v1", "Pod"): RawPod,
    ("v1", "Node"): RawNode,
    ("networking.k8s.io/v1", "ServiceCIDR"): RawServiceCIDR,
    ("networking.k8s.io/v1beta1", "ServiceCIDR"): RawServiceCIDR,
    ("crd.projectcalico.org/v1", "IPPool"): RawIPPool,
    ("projectcalico.org/v3", "IPPool"): RawIPPool,
    ("v1", "ConfigMap"): RawConfigMap,
}
"""Which (apiVersion, kind) are used."""

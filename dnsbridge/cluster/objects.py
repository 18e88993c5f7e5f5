"""Slim, frozen copies of the Kubernetes objects that names and routes come from.

Only the fields that something here uses. Nothing above this floor knows Kubernetes' own JSON.

    Namespace       v1
    Service         v1                    ports, ClusterIPs, ExternalName
    EndpointSlice   discovery.k8s.io/v1   endpoints x ports of one service and one family
    Pod             v1                    its addresses (`pods: verified`)
    Node            v1                    its addresses and pod CIDRs
    ServiceCIDR     networking.k8s.io/v1  prefixes of ClusterIPs
    ClusterConfiguration   kubeadm's, in the v1 ConfigMap kube-system/kubeadm-config
    IPPool          crd.projectcalico.org/v1, projectcalico.org/v3   prefixes of pods

None can be part of a cycle, so the garbage collector need not walk them (`gc=False`): a cluster has many.

Addresses are packed: 4 octets (IPv4) or 16 (IPv6), so a family is a length. Names are the API's text,
lower-case by its own validation.
"""

from typing import ClassVar

from msgspec import Struct


class Key(Struct, frozen=True, order=True, gc=False):
    """What identifies an object within a cluster; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Object(Struct, frozen=True, kw_only=True, gc=False):
    """What every object has (`metadata` of apimachinery's ObjectMeta)."""

    kind: ClassVar[str]
    namespace: str = ""
    name: str
    resource_version: str = ""

    @property
    def key(self) -> Key:
        """The identity of the object within its cluster."""
        return Key(self.kind, self.namespace, self.name)


class Namespace(Object, frozen=True, kw_only=True):
    """A namespace: its existence makes `NS.svc.Z` and `NS.pod.Z` exist."""

    kind = "Namespace"


class Port(Struct, frozen=True, gc=False):
    """A port of a Service or an EndpointSlice; `name` is empty when it has none."""

    name: str
    protocol: str
    """TCP, UDP or SCTP."""
    number: int


class Service(Object, frozen=True, kw_only=True):
    """A service (`v1.ServiceSpec`)."""

    kind = "Service"
    type: str = "ClusterIP"
    """ClusterIP, NodePort, LoadBalancer or ExternalName."""
    cluster_ips: tuple[bytes, ...] = ()
    """Packed; empty for headless and ExternalName services."""
    headless: bool = False
    external_name: str = ""
    ports: tuple[Port, ...] = ()
    publish_not_ready: bool = False
    """`publishNotReadyAddresses`: endpoints count as ready whatever they say."""


class Endpoint(Struct, frozen=True, gc=False):
    """One endpoint of a slice (`discovery.k8s.io/v1.Endpoint`)."""

    addresses: tuple[bytes, ...]
    hostname: str = ""
    ready: bool = True
    """`conditions.ready`; true when it is unset."""
    pod: str = ""
    """`targetRef.name` when the target is a Pod."""


class EndpointSlice(Object, frozen=True, kw_only=True):
    """Endpoints x ports of the service named by the label `kubernetes.io/service-name`."""

    kind = "EndpointSlice"
    service: str
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()


class Pod(Object, frozen=True, kw_only=True):
    """A pod that has not ended, by its addresses (`status.podIPs`)."""

    kind = "Pod"
    addresses: tuple[bytes, ...] = ()


class Node(Object, frozen=True, kw_only=True):
    """A node (`spec.podCIDRs`, `status.addresses` of type InternalIP)."""

    kind = "Node"
    addresses: tuple[bytes, ...] = ()
    pod_cidrs: tuple[str, ...] = ()


class ServiceCIDR(Object, frozen=True, kw_only=True):
    """Prefixes that ClusterIPs are taken from (`spec.cidrs`)."""

    kind = "ServiceCIDR"
    cidrs: tuple[str, ...] = ()


class IPPool(Object, frozen=True, kw_only=True):
    """A Calico pool of pod addresses (`spec.cidr`); disabled ones are left out when decoding."""

    kind = "IPPool"
    cidr: str


class ClusterConfiguration(Object, frozen=True, kw_only=True):
    """What kubeadm was told of the cluster's networks (`networking.serviceSubnet`, `networking.podSubnet`)."""

    kind = "ConfigMap"
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()

"""Slim, frozen copies of the Kubernetes objects that names and routes come from.

Only the fields that something here uses. Nothing above this floor knows Kubernetes' own JSON.

    Namespace       v1
    Service         v1                    ports, ClusterIPs, ExternalName, external addresses
    EndpointSlice   discovery.k8s.io/v1, v1beta1   endpoints x ports of one service and one family
    Endpoints       v1                    the same of a service that has no EndpointSlice (Kubernetes 1.18 and earlier)
    Pod             v1                    its addresses (`pods: verified`)
    Node            v1                    its addresses and pod CIDRs, readiness, labels, what its network notes there
    ServiceCIDR     networking.k8s.io/v1  prefixes of ClusterIPs
    ClusterConfiguration   kubeadm's, in the v1 ConfigMap kube-system/kubeadm-config
    FlannelConfiguration   flannel's, in the v1 ConfigMap kube-flannel-cfg
    IPPool, BlockAffinity, IPAMBlock, BGPConfiguration, BGPPeer
                    crd.projectcalico.org/v1, projectcalico.org/v3   Calico: who has which addresses, what is announced
    CalicoNode      projectcalico.org/v3  the `Node` of calicoctl: addresses, where Calico keeps its data in etcd
    CiliumNode      cilium.io/v2          addresses and pod CIDRs, as Cilium has them

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
    """A port of a Service, an EndpointSlice or a Subset; `name` is empty when it has none."""

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
    """Of an ExternalName service: the name, in lower case; empty where an address stands there."""
    external_address: bytes = b""
    """Of an ExternalName service whose `externalName` is an address: that one."""
    ports: tuple[Port, ...] = ()
    publish_not_ready: bool = False
    """`publishNotReadyAddresses`, or its forerunner, the annotation `tolerate-unready-endpoints`: endpoints count as
    ready whatever they say."""
    external_ips: tuple[bytes, ...] = ()
    load_balancer_ips: tuple[bytes, ...] = ()
    """Of `status.loadBalancer.ingress`, those that the nodes serve (ipMode is not Proxy)."""


class Endpoint(Struct, frozen=True, gc=False):
    """One endpoint (`discovery.k8s.io/v1.Endpoint`, `v1.EndpointAddress`)."""

    addresses: tuple[bytes, ...]
    hostname: str = ""
    ready: bool = True
    """`conditions.ready`, true when it is unset; an address of `notReadyAddresses` is not ready."""
    pod: str = ""
    """`targetRef.name` when the target is a Pod."""


class EndpointSlice(Object, frozen=True, kw_only=True):
    """Endpoints x ports of the service named by the label `kubernetes.io/service-name`."""

    kind = "EndpointSlice"
    service: str
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()


class Subset(Struct, frozen=True, gc=False):
    """Endpoints x ports (`v1.EndpointSubset`); the families may be mixed."""

    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()


class Endpoints(Object, frozen=True, kw_only=True):
    """The endpoints of the service of the same name."""

    kind = "Endpoints"
    subsets: tuple[Subset, ...] = ()


class Pod(Object, frozen=True, kw_only=True):
    """A pod that has not ended, by its addresses (`status.podIPs`)."""

    kind = "Pod"
    addresses: tuple[bytes, ...] = ()


class Node(Object, frozen=True, kw_only=True):
    """A node. An annotation that does not read as its program writes it counts as absent."""

    kind = "Node"
    addresses: tuple[bytes, ...] = ()
    """`status.addresses` of type InternalIP."""
    external_addresses: tuple[bytes, ...] = ()
    """`status.addresses` of type ExternalIP."""
    pod_cidrs: tuple[str, ...] = ()
    ready: bool = True
    """The condition Ready is True, or there is none."""
    labels: tuple[tuple[str, str], ...] = ()
    calico_addresses: tuple[bytes, ...] = ()
    """Annotations `projectcalico.org/IPv4Address` and `IPv6Address`: where its BGP speaker is."""
    tunnel: str = ""
    """`ipip` or `vxlan`, by Calico's annotation with the tunnel's own address (`IPv4IPIPTunnelAddr` ...)."""
    flannel_backend: str = ""
    """Annotation `flannel.alpha.coreos.com/backend-type`: `vxlan`, `host-gw`, `wireguard` ..."""
    flannel_addresses: tuple[bytes, ...] = ()
    """Annotations `flannel.alpha.coreos.com/public-ip` and `public-ipv6`."""


class ServiceCIDR(Object, frozen=True, kw_only=True):
    """Prefixes that ClusterIPs are taken from (`spec.cidrs`)."""

    kind = "ServiceCIDR"
    cidrs: tuple[str, ...] = ()


class ClusterConfiguration(Object, frozen=True, kw_only=True):
    """What kubeadm was told of the cluster's networks (`networking.serviceSubnet`, `networking.podSubnet`)."""

    kind = "ConfigMap"
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()


class FlannelConfiguration(Object, frozen=True, kw_only=True):
    """What flannel was told of the pods' network (`net-conf.json`)."""

    kind = "ConfigMap"
    networks: tuple[str, ...] = ()
    """`Network` and `IPv6Network`."""
    backend: str = ""
    """`Backend.Type`, in lower case: `vxlan`, `host-gw` ..."""
    direct_routing: bool = False
    """`Backend.DirectRouting`: no tunnel between nodes that share a subnet."""
    mtu: int = 0
    """`Backend.MTU`; 0 where it is not said."""


class IPPool(Object, frozen=True, kw_only=True):
    """A Calico pool of pod addresses."""

    kind = "IPPool"
    cidr: str
    ipip: str = "Never"
    """`ipipMode`: Never, Always or CrossSubnet."""
    vxlan: str = "Never"
    """`vxlanMode`, likewise."""
    disabled: bool = False
    """No addresses are given out of it any more; those that were stay."""


class BlockAffinity(Object, frozen=True, kw_only=True):
    """A block of a Calico pool that belongs to a node; those that are no more, or not yet, are left out in decoding."""

    kind = "BlockAffinity"
    cidr: str
    node: str


class IPAMBlock(Object, frozen=True, kw_only=True):
    """The addresses of a block that Calico gave to pods of other nodes than the block's own."""

    kind = "IPAMBlock"
    cidr: str
    node: str = ""
    """By `affinity`; empty when it belongs to no node."""
    borrowed: tuple[tuple[bytes, str], ...] = ()
    """Address and the node of its pod."""


class BGPConfiguration(Object, frozen=True, kw_only=True):
    """What Calico's nodes announce beside blocks of pods."""

    kind = "BGPConfiguration"
    service_cluster_ips: tuple[str, ...] = ()
    service_external_ips: tuple[str, ...] = ()
    service_load_balancer_ips: tuple[str, ...] = ()
    mesh: bool = True
    """`nodeToNodeMeshEnabled`: every node has a session with every other."""


class BGPPeer(Object, frozen=True, kw_only=True):
    """A router that nodes of Calico announce to."""

    kind = "BGPPeer"
    address: bytes = b""
    """`peerIP` without its port; empty where peers are nodes (`peerSelector`)."""
    asn: int = 0
    node: str = ""
    node_selector: str = ""
    """In Calico's own grammar; this and `node` empty: every node."""


class CalicoNode(Object, frozen=True, kw_only=True):
    """A node as Calico has it (projectcalico.org/v3): of the same name as the `v1.Node`, and another object."""

    kind = "CalicoNode"
    addresses: tuple[bytes, ...] = ()
    """`spec.bgp`, where its BGP speaker is, then `spec.addresses`."""
    labels: tuple[tuple[str, str], ...] = ()


class CiliumNode(Object, frozen=True, kw_only=True):
    """A node as Cilium has it (`spec.addresses` of type InternalIP, `spec.ipam.podCIDRs`)."""

    kind = "CiliumNode"
    addresses: tuple[bytes, ...] = ()
    pod_cidrs: tuple[str, ...] = ()

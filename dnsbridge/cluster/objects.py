"""Slim, frozen copies of the Kubernetes objects that names and routes come from.

They have only the fields that are used. No package above this one knows Kubernetes' own JSON.

    Namespace       v1
    Service         v1                    ports, ClusterIPs, ExternalName, external addresses
    EndpointSlice   discovery.k8s.io/v1, v1beta1   endpoints x ports of one service and one family
    Endpoints       v1                    the same for a service without EndpointSlices (Kubernetes 1.18 and earlier)
    Pod             v1                    its addresses (`pods: verified`)
    Node            v1                    addresses, pod CIDRs, readiness, labels, annotations of the network provider
    ServiceCIDR     networking.k8s.io/v1  prefixes of ClusterIPs
    ClusterConfiguration   kubeadm's, in the v1 ConfigMap kube-system/kubeadm-config
    FlannelConfiguration   flannel's, in the v1 ConfigMap kube-flannel-cfg
    IPPool, BlockAffinity, IPAMBlock, BGPConfiguration, BGPPeer
                    crd.projectcalico.org/v1, projectcalico.org/v3   Calico: who has which addresses, what is announced
    CalicoNode      projectcalico.org/v3  calicoctl's `Node`: addresses, if Calico keeps its data in etcd
    CiliumNode      cilium.io/v2          Cilium's addresses and pod CIDRs of a node

A cluster has many objects, and none is part of a cycle, so the garbage collector need not walk them (`gc=False`).

Addresses are packed: 4 octets (IPv4) or 16 (IPv6), so the length tells the family. Names are the API's text, which its
validation keeps in lower case.
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
    """The fields of every object (`metadata`, apimachinery's ObjectMeta)."""

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
    """`externalName` of an ExternalName service, in lower case; empty if it is an address."""
    external_address: bytes = b""
    """`externalName` of an ExternalName service, packed, if it is an address."""
    ports: tuple[Port, ...] = ()
    publish_not_ready: bool = False
    """`publishNotReadyAddresses`, or the older annotation `tolerate-unready-endpoints`: all endpoints are ready."""
    external_ips: tuple[bytes, ...] = ()
    load_balancer_ips: tuple[bytes, ...] = ()
    """The addresses in `status.loadBalancer.ingress` that the nodes serve (ipMode is not Proxy)."""


class Endpoint(Struct, frozen=True, gc=False):
    """One endpoint (`discovery.k8s.io/v1.Endpoint`, `v1.EndpointAddress`)."""

    addresses: tuple[bytes, ...]
    hostname: str = ""
    ready: bool = True
    """`conditions.ready`, true if unset; an address in `notReadyAddresses` is not ready."""
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
    """A node. An annotation that does not parse counts as absent."""

    kind = "Node"
    addresses: tuple[bytes, ...] = ()
    """`status.addresses` of type InternalIP."""
    external_addresses: tuple[bytes, ...] = ()
    """`status.addresses` of type ExternalIP."""
    pod_cidrs: tuple[str, ...] = ()
    ready: bool = True
    """Whether the condition Ready is True, or absent."""
    labels: tuple[tuple[str, str], ...] = ()
    calico_addresses: tuple[bytes, ...] = ()
    """Annotations `projectcalico.org/IPv4Address` and `IPv6Address`: the addresses of its BGP speaker."""
    tunnel: str = ""
    """`ipip` or `vxlan`, if Calico annotates an address of such a tunnel (`IPv4IPIPTunnelAddr` ...); else empty."""
    flannel_backend: str = ""
    """Annotation `flannel.alpha.coreos.com/backend-type`: `vxlan`, `host-gw`, `wireguard` ..."""
    flannel_addresses: tuple[bytes, ...] = ()
    """Annotations `flannel.alpha.coreos.com/public-ip` and `public-ipv6`."""


class ServiceCIDR(Object, frozen=True, kw_only=True):
    """Prefixes that ClusterIPs are taken from (`spec.cidrs`)."""

    kind = "ServiceCIDR"
    cidrs: tuple[str, ...] = ()


class ClusterConfiguration(Object, frozen=True, kw_only=True):
    """kubeadm's settings of the cluster's networks (`networking.serviceSubnet`, `networking.podSubnet`)."""

    kind = "ConfigMap"
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()


class FlannelConfiguration(Object, frozen=True, kw_only=True):
    """flannel's settings of the pod network (`net-conf.json`)."""

    kind = "ConfigMap"
    networks: tuple[str, ...] = ()
    """`Network` and `IPv6Network`."""
    backend: str = ""
    """`Backend.Type`, in lower case: `vxlan`, `host-gw` ..."""
    direct_routing: bool = False
    """`Backend.DirectRouting`: no tunnel between nodes that share a subnet."""
    mtu: int = 0
    """`Backend.MTU`; 0 if unset."""


class IPPool(Object, frozen=True, kw_only=True):
    """A Calico pool of pod addresses."""

    kind = "IPPool"
    cidr: str
    ipip: str = "Never"
    """`ipipMode`: Never, Always or CrossSubnet."""
    vxlan: str = "Never"
    """`vxlanMode`, likewise."""
    disabled: bool = False
    """No new addresses are assigned from the pool; assigned addresses stay."""


class BlockAffinity(Object, frozen=True, kw_only=True):
    """A block of a Calico pool that belongs to a node; decoding leaves out deleted and unconfirmed affinities."""

    kind = "BlockAffinity"
    cidr: str
    node: str


class IPAMBlock(Object, frozen=True, kw_only=True):
    """The addresses of a block that Calico gave to pods of other nodes than the block's own."""

    kind = "IPAMBlock"
    cidr: str
    node: str = ""
    """The node in `affinity`; empty if the block belongs to no node."""
    borrowed: tuple[tuple[bytes, str], ...] = ()
    """Each address, and the node of its pod."""


class BGPConfiguration(Object, frozen=True, kw_only=True):
    """The prefixes that Calico's nodes announce besides pod blocks."""

    kind = "BGPConfiguration"
    service_cluster_ips: tuple[str, ...] = ()
    service_external_ips: tuple[str, ...] = ()
    service_load_balancer_ips: tuple[str, ...] = ()
    mesh: bool = True
    """`nodeToNodeMeshEnabled`: every node has a session with every other."""


class BGPPeer(Object, frozen=True, kw_only=True):
    """A router that Calico's nodes announce to."""

    kind = "BGPPeer"
    address: bytes = b""
    """`peerIP` without its port; empty where peers are nodes (`peerSelector`)."""
    asn: int = 0
    node: str = ""
    node_selector: str = ""
    """In Calico's own grammar; if both this and `node` are empty, every node."""


class CalicoNode(Object, frozen=True, kw_only=True):
    """Calico's own Node (projectcalico.org/v3): a separate object with the same name as the `v1.Node`."""

    kind = "CalicoNode"
    addresses: tuple[bytes, ...] = ()
    """`spec.bgp` (the addresses of its BGP speaker), then `spec.addresses`."""
    labels: tuple[tuple[str, str], ...] = ()


class CiliumNode(Object, frozen=True, kw_only=True):
    """Cilium's own node object (`spec.addresses` of type InternalIP, `spec.ipam.podCIDRs`)."""

    kind = "CiliumNode"
    addresses: tuple[bytes, ...] = ()
    pod_cidrs: tuple[str, ...] = ()

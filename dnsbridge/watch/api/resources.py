"""The API resources that are watched, and the raw type that an object of each is decoded into.

resource           needed for                                required
services           names                                     yes
endpointslices     names of endpoints                        yes (v1; for older servers see `older`)
endpoints          names of endpoints in older clusters      yes, where they are read
namespaces         whether NS.svc.Z exists                   no: a service shows its namespace as well
pods               `pods: verified`                          yes, if that is set; else not read
servicecidrs       prefixes of ClusterIPs                    no (Kubernetes 1.33 and later)
nodes              prefixes of pods; routes                  no
ippools            prefixes of pods; routes                  no (Calico)
configmaps         kubeadm's ClusterConfiguration: prefixes  no

Only where routes are worked out, and none of them required:

blockaffinities    the node of each block of pods            (Calico)
ipamblocks         addresses that nodes lent each other      (Calico)
bgpconfigurations  prefixes that nodes announce              (Calico)
bgppeers           routers that nodes announce to            (Calico)
ciliumnodes        the node of each prefix of pods           (Cilium)
configmaps         flannel's net-conf.json
"""

from urllib.parse import quote

import msgspec

from dnsbridge.cluster.objects import Key
from dnsbridge.cluster.raw import (
    Raw,
    RawBGPConfiguration,
    RawBGPPeer,
    RawBlockAffinity,
    RawCiliumNode,
    RawConfigMap,
    RawEndpoints,
    RawEndpointSlice,
    RawIPAMBlock,
    RawIPPool,
    RawNamespace,
    RawNode,
    RawPod,
    RawService,
    RawServiceCIDR,
)


class Resource(msgspec.Struct, frozen=True):
    """One resource of the API."""

    plural: str
    kind: str
    group_version: str
    raw: type[Raw]
    required: bool = False
    """Whether the cluster counts as synced only once this resource is read."""
    namespace: str = ""
    """Only this namespace; empty for all."""
    name: str = ""
    """Only the object of this name; empty for all."""
    quiet: bool = False
    """Nothing is logged when reading it is forbidden: most clusters do not have it."""
    labels: str = ""
    """Label selector."""
    fields: str = ""
    """Field selector."""
    older: "tuple[tuple[Resource, ...], ...]" = ()
    """The resources to read instead if the server says that it does not offer this one; the newest API first."""

    @property
    def label(self) -> str:
        """The name in metrics."""
        return f"{self.plural}/{self.name}" if self.name else self.plural

    @property
    def path(self) -> str:
        """The path of its list."""
        root = "/api/v1" if self.group_version == "v1" else f"/apis/{self.group_version}"
        return f"{root}/namespaces/{self.namespace}/{self.plural}" if self.namespace else f"{root}/{self.plural}"

    def query(self, **parameters: str | int) -> str:
        """Path and query string of a request, the selectors included."""
        if self.labels:
            parameters["labelSelector"] = self.labels
        named = f"metadata.name={self.name}" if self.name else ""
        if fields := self.fields or named:
            parameters["fieldSelector"] = fields
        pairs = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
        return f"{self.path}?{pairs}"

    def rule(self) -> str:
        """The rule that a role must grant (`rbac.authorization.k8s.io/v1.PolicyRule`), as text."""
        group = self.group_version.rpartition("/")[0]
        return f'apiGroups: ["{group}"], resources: ["{self.plural}"], verbs: ["list", "watch"]'

    def holds(self, key: Key) -> bool:
        """Whether the object with this key belongs to this resource."""
        return key.kind == self.kind and self.namespace in ("", key.namespace) and self.name in ("", key.name)


SERVICES = Resource("services", "Service", "v1", RawService, required=True)
ENDPOINTS = Resource("endpoints", "Endpoints", "v1", RawEndpoints, required=True)
BETA_ENDPOINT_SLICES = Resource(
    "endpointslices", "EndpointSlice", "discovery.k8s.io/v1beta1", RawEndpointSlice, required=True
)
# Kubernetes 1.17 and 1.18 offer EndpointSlices, but do not make one for every Endpoints object: Endpoints written by
# hand are mirrored from 1.19 on, and 1.17 makes no slices at all by default. So both are read; if a service has a
# slice, the slice counts.
ENDPOINT_SLICES = Resource(
    "endpointslices",
    "EndpointSlice",
    "discovery.k8s.io/v1",
    RawEndpointSlice,
    required=True,
    older=((BETA_ENDPOINT_SLICES, ENDPOINTS), (ENDPOINTS,)),
)
NAMESPACES = Resource("namespaces", "Namespace", "v1", RawNamespace)
PODS = Resource("pods", "Pod", "v1", RawPod, required=True)
PREFIXES = (
    Resource("servicecidrs", "ServiceCIDR", "networking.k8s.io/v1", RawServiceCIDR),
    Resource("nodes", "Node", "v1", RawNode),
    Resource("ippools", "IPPool", "crd.projectcalico.org/v1", RawIPPool),
    Resource("configmaps", "ConfigMap", "v1", RawConfigMap, namespace="kube-system", name="kubeadm-config"),
)
_CALICO = "crd.projectcalico.org/v1"
ROUTES = (
    Resource("blockaffinities", "BlockAffinity", _CALICO, RawBlockAffinity),
    Resource("ipamblocks", "IPAMBlock", _CALICO, RawIPAMBlock),
    Resource("bgpconfigurations", "BGPConfiguration", _CALICO, RawBGPConfiguration),
    Resource("bgppeers", "BGPPeer", _CALICO, RawBGPPeer),
    Resource("ciliumnodes", "CiliumNode", "cilium.io/v2", RawCiliumNode),
    Resource(
        "configmaps", "ConfigMap", "v1", RawConfigMap, namespace="kube-flannel", name="kube-flannel-cfg", quiet=True
    ),
    Resource(
        "configmaps", "ConfigMap", "v1", RawConfigMap, namespace="kube-system", name="kube-flannel-cfg", quiet=True
    ),
)

"""The resources that the server knows: one table, from which paths, discovery and defaults follow."""

from typing import Any

from msgspec import Struct

Object = dict[str, Any]
"""An object of the API as plain data."""


class Resource(Struct, frozen=True, eq=False):
    """One row of the table; compared by identity."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    custom: bool = False
    """Of a CustomResourceDefinition: items of lists carry kind and apiVersion, strategic patches are refused."""
    generation: bool = False
    """The server counts `metadata.generation`."""
    stored_as: "Resource | None" = None
    """The resource that this is another version of: both have the same objects."""

    @property
    def api_version(self) -> str:
        """As objects carry it: `v1` or `GROUP/VERSION`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As messages name it: `services` or `endpointslices.discovery.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        """The kind of a list of them."""
        return f"{self.kind}List"

    @property
    def head(self) -> bytes:
        """The opening of a full object's JSON, with the comma before its metadata."""
        if self.custom:
            return f'{{"apiVersion":"{self.api_version}","kind":"{self.kind}",'.encode()
        return f'{{"kind":"{self.kind}","apiVersion":"{self.api_version}",'.encode()


NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False, ("ns",))
SERVICES = Resource("", "v1", "services", "Service", True, ("svc",))
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", True, ("ep",))
PODS = Resource("", "v1", "pods", "Pod", True, ("po",))
NODES = Resource("", "v1", "nodes", "Node", False, ("no",))
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap", True, ("cm",))
ENDPOINTSLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, generation=True)
BETA_ENDPOINTSLICES = Resource(
    "discovery.k8s.io", "v1beta1", "endpointslices", "EndpointSlice", True, generation=True, stored_as=ENDPOINTSLICES
)
SERVICECIDRS = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", True)


def _custom(group: str, version: str, plural: str, kind: str) -> Resource:
    return Resource(group, version, plural, kind, False, custom=True, generation=True)


RESOURCES = (
    NAMESPACES,
    SERVICES,
    ENDPOINTS,
    PODS,
    NODES,
    CONFIGMAPS,
    ENDPOINTSLICES,
    SERVICECIDRS,
    LEASES,
    _custom("crd.projectcalico.org", "v1", "ippools", "IPPool"),
    _custom("crd.projectcalico.org", "v1", "blockaffinities", "BlockAffinity"),
    _custom("crd.projectcalico.org", "v1", "ipamblocks", "IPAMBlock"),
    _custom("crd.projectcalico.org", "v1", "bgpconfigurations", "BGPConfiguration"),
    _custom("crd.projectcalico.org", "v1", "bgppeers", "BGPPeer"),
    _custom("cilium.io", "v2", "ciliumnodes", "CiliumNode"),
)

SERVED = (*RESOURCES, BETA_ENDPOINTSLICES)
"""With those that are other versions of these."""

BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in SERVED}
BY_KIND = {(resource.api_version, resource.kind): resource for resource in SERVED}
BY_PLURAL = {resource.plural: resource for resource in RESOURCES}

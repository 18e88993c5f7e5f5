"""From Kubernetes' own objects to the slim ones of cluster.objects.

    objects_of(document)   a document                            -> its objects, lists flattened
    decode(data)           plain data, as YAML or JSON gave it   -> Object | Unused | Invalid
    slim(raw)              a struct of cluster.raw               -> Object | Unused | Invalid

An object that fails one check is left out as a whole. The checks are those of the API server's validation that names
and routes depend on, because manifests have never met it.
"""

from collections.abc import Mapping
from typing import assert_never

from msgspec import Struct, ValidationError, convert

from dnsbridge.cluster import decode_endpoints
from dnsbridge.cluster import decode_network as network
from dnsbridge.cluster.checks import (
    LABEL,
    SUBDOMAIN,
    UnfitError,
    check,
    check_external_name,
    explain,
    one_of,
    packed_address,
    quoted,
)
from dnsbridge.cluster.decode_network import Unused
from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    CiliumNode,
    ClusterConfiguration,
    Endpoint,
    Endpoints,
    EndpointSlice,
    IPAMBlock,
    IPPool,
    Key,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Service,
    ServiceCIDR,
)
from dnsbridge.cluster.raw import (
    RAW_TYPES,
    Raw,
    RawBGPConfiguration,
    RawBGPPeer,
    RawBlockAffinity,
    RawCiliumNode,
    RawConfigMap,
    RawEndpoint,
    RawEndpoints,
    RawEndpointSlice,
    RawIngress,
    RawIPAMBlock,
    RawIPPool,
    RawMetadata,
    RawNamespace,
    RawNode,
    RawPod,
    RawPodStatus,
    RawService,
    RawServiceCIDR,
    RawServiceMetadata,
)

__all__ = [
    "DEFAULT_NAMESPACE",
    "MAX_LIST_DEPTH",
    "Decoded",
    "Invalid",
    "Unused",
    "decode",
    "is_list",
    "key_of",
    "objects_of",
    "slim",
]

_KINDS: dict[type[Raw], type[Object]] = {
    RawNamespace: Namespace,
    RawService: Service,
    RawEndpointSlice: EndpointSlice,
    RawEndpoints: Endpoints,
    RawPod: Pod,
    RawNode: Node,
    RawServiceCIDR: ServiceCIDR,
    RawIPPool: IPPool,
    RawBlockAffinity: BlockAffinity,
    RawIPAMBlock: IPAMBlock,
    RawBGPConfiguration: BGPConfiguration,
    RawBGPPeer: BGPPeer,
    RawCiliumNode: CiliumNode,
    RawConfigMap: ClusterConfiguration,
}
_NAMESPACED = {"Service", "EndpointSlice", "Endpoints", "Pod", "ConfigMap"}
_CLUSTER_SCOPED = {each.kind for each in _KINDS.values()} - _NAMESPACED

DEFAULT_NAMESPACE = "default"
"""Where an object without a namespace goes, as with `kubectl apply`."""

MAX_LIST_DEPTH = 4
"""How deep lists of lists are flattened; `kubectl` prints one level."""


_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_ADDRESS_TYPES = ("IPv4", "IPv6")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TRUE = (True, "1", "t", "T", "true", "True", "TRUE")
"""What counts as true in an annotation (Go's strconv.ParseBool)."""
_NO_SERVICE = "metadata.labels: kubernetes.io/service-name is missing, so nobody knows whose endpoints these are"
_FQDN = "addressType: FQDN has no addresses, so there is nothing to answer"


class Invalid(Struct, frozen=True):
    """An object that is left out as a whole, with the reason."""

    key: Key
    """As far as it could be read; what is missing reads `(unnamed)`."""
    problem: str
    """The field's path, and what is expected there."""

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}"


Decoded = Object | Unused | Invalid


def objects_of(document: object) -> list[object]:
    """The objects of a document: the items of `kind: List`, `ServiceList` and so on, or the document itself.

    Items of a typed list may lack kind and apiVersion (as in an API server's answer): they get them from the list.
    An empty document has none. Lists nested over MAX_LIST_DEPTH deep are left for `decode` to refuse.
    """
    found: list[object] = []
    _flatten(document, MAX_LIST_DEPTH, found)
    return found


def _flatten(document: object, depth: int, found: list[object]) -> None:
    if document is None:
        return
    if not depth or not is_list(document):
        found.append(document)
        return
    assert isinstance(document, dict)
    item_kind = document["kind"].removesuffix("List")
    given = {"apiVersion": document.get("apiVersion"), "kind": item_kind} if item_kind else {}
    for item in document["items"] or ():
        _flatten(given | item if isinstance(item, dict) else item, depth - 1, found)


def is_list(document: object) -> bool:
    """Whether a document is a list of objects; one whose items are null is an empty list."""
    return (
        isinstance(document, dict)
        and isinstance(kind := document.get("kind"), str)
        and kind.endswith("List")
        and "items" in document
        and (document["items"] is None or isinstance(document["items"], list))
    )


def decode(data: object) -> Decoded:
    """The slim object of one Kubernetes object as plain data. Never raises."""
    if not isinstance(data, dict):
        return Invalid(_key("object", None, None), "expected a mapping with apiVersion, kind and metadata")
    kind, version, metadata = data.get("kind"), data.get("apiVersion"), data.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    if not isinstance(kind, str) or not kind:
        return Invalid(_key("object", names.get("namespace"), names.get("name")), "kind: expected a string")
    key = _key(kind, names.get("namespace"), names.get("name"))
    if not isinstance(version, str) or not version:
        return Invalid(key, "apiVersion: expected a string")
    if kind.endswith("List") and "items" in data:
        return Invalid(key, f"items: expected a list of objects, nested at most {MAX_LIST_DEPTH} deep")
    raw_type = RAW_TYPES.get((version, kind))
    if raw_type is None:
        return _unused(key, kind, version)
    try:
        raw = convert(data, raw_type)
    except ValidationError as error:
        return Invalid(key, explain(str(error)))
    return slim(raw)


def key_of(data: Mapping[str, object]) -> Key:
    """The key of an object of which nothing else is read."""
    metadata = data.get("metadata")
    names = metadata if isinstance(metadata, Mapping) else {}
    return _key(str(data.get("kind")), names.get("namespace"), names.get("name"))


def _unused(key: Key, kind: str, version: str) -> Unused:
    """An object of an apiVersion and kind that is not read."""
    group = _group(version)
    read = [other for other, of in RAW_TYPES if of == kind]
    same = [other for other in read if _group(other) == group]
    if same:
        return Unused(key, f"apiVersion: {quoted(version)} is not read; write {' or '.join(same)}")
    return Unused(Key(quoted(f"{kind}.{group}"), key.namespace, key.name) if read and group else key)


def _group(version: str) -> str:
    """The API group of an apiVersion; empty for Kubernetes' first."""
    return version.rpartition("/")[0]


def slim(raw: Raw) -> Decoded:
    """The slim object of a raw one whose types are right. Never raises."""
    key = _key(_KINDS[type(raw)].kind, raw.metadata.namespace, raw.metadata.name)
    try:
        match raw:
            case RawNamespace():
                check(LABEL, raw.metadata.name, "metadata.name")
                return Namespace(name=raw.metadata.name, resource_version=raw.metadata.resource_version or "")
            case RawService():
                return _service(raw, key)
            case RawEndpointSlice():
                return _endpoint_slice(raw, key)
            case RawEndpoints():
                return decode_endpoints.endpoints(raw, key)
            case RawPod():
                return _pod(raw, key)
            case RawNode():
                return network.node(raw)
            case RawServiceCIDR():
                return network.service_cidr(raw)
            case RawIPPool():
                return network.ip_pool(raw)
            case RawBlockAffinity():
                return network.block_affinity(raw, key)
            case RawIPAMBlock():
                return network.ipam_block(raw, key)
            case RawBGPConfiguration():
                return network.bgp_configuration(raw)
            case RawBGPPeer():
                return network.bgp_peer(raw)
            case RawCiliumNode():
                return network.cilium_node(raw)
            case RawConfigMap():
                return network.config_map(raw, key)
            case _:
                assert_never(raw)
    except UnfitError as error:
        return Invalid(key, str(error))


def _service(raw: RawService, key: Key) -> Service:
    check(LABEL, raw.metadata.name, "metadata.name")
    _check_namespace(raw.metadata)
    spec = raw.spec
    kind = one_of(spec.type or "ClusterIP", _SERVICE_TYPES, "spec.type")
    field_name, texts = ("clusterIPs", spec.cluster_ips) if spec.cluster_ips else ("clusterIP", [spec.cluster_ip or ""])
    headless = "None" in texts
    addresses: tuple[bytes, ...] = ()
    external_name = ""
    if kind == "ExternalName":
        headless = False
        external_name = spec.external_name or ""
        check_external_name(external_name)
    elif not headless:
        addresses = tuple(packed_address(text, f"spec.{field_name}") for text in texts if text)
        if not addresses:
            raise UnfitError(
                "spec.clusterIP: expected the service's address, as `kubectl get service -o yaml` prints it"
            )
    ports = tuple(
        _port(port.name, port.protocol, port.port, f"spec.ports[{index}]")
        for index, port in enumerate(spec.ports or ())
    )
    external_ips = tuple(packed_address(text, "spec.externalIPs") for text in spec.external_ips or ())
    status = raw.status.load_balancer if raw.status else None
    return Service(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        type=kind,
        cluster_ips=addresses,
        headless=headless,
        external_name=external_name,
        ports=ports,
        publish_not_ready=bool(spec.publish_not_ready_addresses) or _tolerates_unready(raw.metadata),
        external_ips=external_ips,
        load_balancer_ips=_ingress(status.ingress if status else None),
    )


def _tolerates_unready(metadata: RawServiceMetadata) -> bool:
    return metadata.annotations is not None and metadata.annotations.tolerate_unready in _TRUE


def _ingress(raw: list[RawIngress] | None) -> tuple[bytes, ...]:
    """The addresses at which a load balancer leads to a service's nodes; those of a proxy are not the cluster's."""
    served = [each.ip for each in raw or () if each.ip and each.ip_mode != "Proxy"]
    return tuple(packed_address(ip, "status.loadBalancer.ingress") for ip in served)


def _endpoint_slice(raw: RawEndpointSlice, key: Key) -> EndpointSlice | Unused:
    service = raw.metadata.labels.service_name if raw.metadata.labels else None
    if not service:
        return Unused(key, _NO_SERVICE)
    if raw.address_type == "FQDN":
        return Unused(key, _FQDN)
    check(SUBDOMAIN, raw.metadata.name, "metadata.name")
    _check_namespace(raw.metadata)
    check(LABEL, service, "metadata.labels[kubernetes.io/service-name]")
    octets = 4 if one_of(raw.address_type, _ADDRESS_TYPES, "addressType") == "IPv4" else 16
    endpoints = []
    for index, endpoint in enumerate(raw.endpoints or ()):
        try:
            endpoints.append(_endpoint(endpoint, raw.address_type, octets))
        except UnfitError as error:
            raise UnfitError(f"endpoints[{index}].{error}") from None
    ports = tuple(
        _port(port.name, port.protocol, port.port, f"ports[{index}]")
        for index, port in enumerate(raw.ports or ())
        if port.port is not None
    )
    return EndpointSlice(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        service=service,
        endpoints=tuple(endpoints),
        ports=ports,
    )


def _endpoint(raw: RawEndpoint, family: str, octets: int) -> Endpoint:
    """One endpoint, whose addresses have so many octets; what is wrong is said with the path inside it."""
    addresses = tuple([packed_address(text, "addresses") for text in raw.addresses])
    if not addresses:
        raise UnfitError("addresses: expected at least one address")
    for text, address in zip(raw.addresses, addresses, strict=True):
        if len(address) != octets:
            raise UnfitError(f"addresses: {text} is no {family} address, which addressType promises")
    hostname = raw.hostname or ""
    if hostname:
        check(LABEL, hostname, "hostname")
    pod = ""
    if raw.target_ref and raw.target_ref.kind == "Pod" and raw.target_ref.name:
        pod = raw.target_ref.name
        check(SUBDOMAIN, pod, "targetRef.name")
    ready = raw.conditions is None or raw.conditions.ready is not False
    return Endpoint(addresses, hostname, ready, pod)


def _pod(raw: RawPod, key: Key) -> Pod | Unused:
    status = raw.status or RawPodStatus()
    if status.phase in ("Succeeded", "Failed"):
        return Unused(key)
    check(SUBDOMAIN, raw.metadata.name, "metadata.name")
    _check_namespace(raw.metadata)
    if status.pod_ips:
        addresses = tuple(packed_address(entry.ip, "status.podIPs") for entry in status.pod_ips if entry.ip)
    else:
        addresses = (packed_address(status.pod_ip, "status.podIP"),) if status.pod_ip else ()
    return Pod(
        namespace=key.namespace,
        name=raw.metadata.name,
        resource_version=raw.metadata.resource_version or "",
        addresses=addresses,
    )


def _check_namespace(metadata: RawMetadata | RawServiceMetadata) -> None:
    check(LABEL, metadata.namespace or DEFAULT_NAMESPACE, "metadata.namespace")


def _port(name: str | None, protocol: str | None, number: int, path: str) -> Port:
    if name:
        check(LABEL, name, f"{path}.name")
    if not 1 <= number <= 65535:
        raise UnfitError(
            f"{path}.port: expected a number from 1 to 65535, got {number if abs(number) < 10**9 else 'more'}"
        )
    return Port(name or "", one_of(protocol or "TCP", _PROTOCOLS, f"{path}.protocol"), number)


def _key(kind: str, namespace: object, name: object) -> Key:
    """The key of an object of which nothing is checked yet; its texts are safe to show."""
    held_namespace = ""
    if kind not in _CLUSTER_SCOPED and isinstance(namespace, str):
        held_namespace = quoted(namespace) if namespace else ""
    if kind in _NAMESPACED:
        held_namespace = held_namespace or DEFAULT_NAMESPACE
    return Key(quoted(kind), held_namespace, quoted(name) if isinstance(name, str) and name else "(unnamed)")

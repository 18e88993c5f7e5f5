"""Decoding Kubernetes' own objects to the slim objects of cluster.objects.

    objects_of(document)   a document                            -> its objects, lists flattened
    decode(data)           plain data from YAML or JSON          -> Decoded
    decode_as(data, type)  plain data of a known type            -> Decoded
    slim(raw)              a struct of cluster.raw               -> Decoded

    Decoded = Object       a slim object
            | Flawed       a slim object without its wrong parts
            | Unused       an object that yields nothing
            | Invalid      an object whose identity, or only content, is wrong

The checks repeat the part of the API server's validation that names and routes depend on, because manifests have not
passed it. One wrong type makes msgspec refuse the whole object; only then is it converted by parts (see by_parts).
"""

from collections.abc import Mapping
from typing import assert_never

from msgspec import Struct, ValidationError, convert

from dnsbridge.cluster import decode_endpoints
from dnsbridge.cluster import decode_network as network
from dnsbridge.cluster import decode_service as named
from dnsbridge.cluster.by_parts import convert_by_parts
from dnsbridge.cluster.checks import quoted
from dnsbridge.cluster.decode_network import Unused
from dnsbridge.cluster.decode_service import DEFAULT_NAMESPACE
from dnsbridge.cluster.flaws import Flaw, UnfitError
from dnsbridge.cluster.objects import (
    BGPConfiguration,
    BGPPeer,
    BlockAffinity,
    CalicoNode,
    CiliumNode,
    ClusterConfiguration,
    Endpoints,
    EndpointSlice,
    IPAMBlock,
    IPPool,
    Key,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
    ServiceCIDR,
)
from dnsbridge.cluster.raw import (
    RAW_TYPES,
    Raw,
    RawBGPConfiguration,
    RawBGPPeer,
    RawBlockAffinity,
    RawCalicoNode,
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

__all__ = [
    "DEFAULT_NAMESPACE",
    "MAX_LIST_DEPTH",
    "Decoded",
    "Flawed",
    "Invalid",
    "Unused",
    "decode",
    "decode_as",
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
    RawCalicoNode: CalicoNode,
    RawCiliumNode: CiliumNode,
    RawConfigMap: ClusterConfiguration,
}
_NAMESPACED = {"Service", "EndpointSlice", "Endpoints", "Pod", "ConfigMap"}
_CLUSTER_SCOPED = {each.kind for each in _KINDS.values()} - _NAMESPACED

MAX_LIST_DEPTH = 4
"""How deep lists of lists are flattened; `kubectl` prints one level."""


class Invalid(Struct, frozen=True):
    """An object that is left out as a whole, with the reason."""

    key: Key
    """As far as it could be read; a missing name is `(unnamed)`."""
    problem: str
    """The field's path, and what is expected there."""

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}"


class Flawed(Struct, frozen=True):
    """An object that can be used, without its wrong parts."""

    object: Object
    flaws: tuple[Flaw, ...]
    """At least one, in no particular order."""


Decoded = Object | Flawed | Unused | Invalid


def objects_of(document: object) -> list[object]:
    """The objects of a document: the items of `kind: List`, `ServiceList` and so on, or the document itself.

    Items of a typed list may lack kind and apiVersion (as in an API server's answer): they get them from the list.
    An empty document has no objects. Lists nested over MAX_LIST_DEPTH deep are left for `decode` to refuse.
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
    """Whether a document is a list of objects; `items: null` is an empty list."""
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
    return decode_as(data, raw_type)


def decode_as(data: object, raw_type: type[Raw]) -> Decoded:
    """The slim object of plain data that should have this type. Never raises."""
    try:
        raw = convert(data, raw_type)
    except ValidationError:
        return _decode_by_parts(data, raw_type)
    return slim(raw)


def key_of(data: Mapping[str, object]) -> Key:
    """The key of an object that is read for its key only."""
    metadata = data.get("metadata")
    names = metadata if isinstance(metadata, Mapping) else {}
    return _key(str(data.get("kind")), names.get("namespace"), names.get("name"))


def _unused(key: Key, kind: str, version: str) -> Unused:
    """An object whose apiVersion and kind are not read."""
    group = _group(version)
    read = [other for other, of in RAW_TYPES if of == kind]
    same = [other for other in read if _group(other) == group]
    if same:
        return Unused(key, f"apiVersion: {quoted(version)} is not read; write {' or '.join(same)}")
    return Unused(Key(quoted(f"{kind}.{group}"), key.namespace, key.name) if read and group else key)


def _group(version: str) -> str:
    """The API group of an apiVersion; empty for the core group."""
    return version.rpartition("/")[0]


def _decode_by_parts(data: object, raw_type: type[Raw]) -> Decoded:
    flaws: list[Flaw] = []
    try:
        raw: Raw = convert_by_parts(data, raw_type, flaws)
    except UnfitError as error:
        metadata = data.get("metadata") if isinstance(data, dict) else None
        names = metadata if isinstance(metadata, dict) else {}
        return Invalid(_key(_KINDS[raw_type].kind, names.get("namespace"), names.get("name")), str(error))
    return slim(raw, flaws)


def slim(raw: Raw, known: list[Flaw] | None = None) -> Decoded:
    """The slim object of a raw one; `known` has the flaws found in its types. Never raises."""
    key = _key(_KINDS[type(raw)].kind, raw.metadata.namespace, raw.metadata.name)
    flaws = known or []
    try:
        found = _slim(raw, key, flaws)
        if not flaws:
            return found
        if isinstance(found, Unused):
            # The part that could not be read may be the one that makes the object useful.
            return Invalid(key, str(flaws[0]))
        return Flawed(found, tuple(flaws))
    except UnfitError as error:
        return Invalid(key, str(error))


def _slim(raw: Raw, key: Key, flaws: list[Flaw]) -> Object | Unused:
    match raw:
        case RawNamespace():
            return named.namespace(raw)
        case RawService():
            return named.service(raw, key, flaws)
        case RawEndpointSlice():
            return decode_endpoints.endpoint_slice(raw, key, flaws)
        case RawEndpoints():
            return decode_endpoints.endpoints(raw, key, flaws)
        case RawPod():
            return named.pod(raw, key, flaws)
        case RawNode():
            return network.node(raw, flaws)
        case RawServiceCIDR():
            return network.service_cidr(raw, flaws)
        case RawIPPool():
            return network.ip_pool(raw, flaws)
        case RawBlockAffinity():
            return network.block_affinity(raw, key)
        case RawIPAMBlock():
            return network.ipam_block(raw, key, flaws)
        case RawBGPConfiguration():
            return network.bgp_configuration(raw, flaws)
        case RawBGPPeer():
            return network.bgp_peer(raw, flaws)
        case RawCalicoNode():
            return network.calico_node(raw)
        case RawCiliumNode():
            return network.cilium_node(raw, flaws)
        case RawConfigMap():
            return network.config_map(raw, key, flaws)
        case _:
            assert_never(raw)


def _key(kind: str, namespace: object, name: object) -> Key:
    """The key of an object that is not checked yet; the key's texts are safe to show."""
    held_namespace = ""
    if kind not in _CLUSTER_SCOPED and isinstance(namespace, str):
        held_namespace = quoted(namespace) if namespace else ""
    if kind in _NAMESPACED:
        held_namespace = held_namespace or DEFAULT_NAMESPACE
    return Key(quoted(kind), held_namespace, quoted(name) if isinstance(name, str) and name else "(unnamed)")

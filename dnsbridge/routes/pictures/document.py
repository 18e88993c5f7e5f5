"""GET /routes: what a dnsbridge serves to hosts that have no cluster credentials, as one JSON document.

    {"version": 1,
     "clusters": [{"cluster": "dev", "fresh": true, "nodes": [...], "blocks": [...], "services": [...], ...}],
     "routes": [{"prefix": "10.244.1.0/24", "next_hops": [{"address": "10.0.0.12"}], "kind": "pod", ...}],
     "status": {...}}

`clusters` are pictures (see picture): which nodes have which prefixes, and at which addresses. A host that pulls works
its own next hops out from them, since only that host knows its links. `routes` are the routes that the server's own
place needs, for people and other programs. A received document is checked against the types and bounds below.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from dnsbridge.routes.model import IPAddress, NextHop, Note, Prefix, Route, Severity
from dnsbridge.routes.pictures.picture import Block, Declared, External, Node, Picture

VERSION = 1
MAX_OCTETS = 64 << 20
"""Of a document."""
_Text = Annotated[str, Meta(max_length=1000, pattern=r"\A[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*\Z")]
"""Printed in plans and logs: no control characters, which could command a terminal or begin a new line."""
_MAX_NODES, _MAX_PREFIXES, _FEW = 50_000, 500_000, 1000


class _Node(Struct, omit_defaults=True, gc=False):
    name: _Text
    addresses: Annotated[tuple[_Text, ...], Meta(max_length=_FEW)] = ()
    ready: bool = True
    labels: Annotated[dict[_Text, _Text], Meta(max_length=_FEW)] = {}


class _Block(Struct, omit_defaults=True, gc=False):
    prefix: _Text
    nodes: Annotated[tuple[_Text, ...], Meta(max_length=_FEW)] = ()
    origin: _Text = ""


class _Declared(Struct, omit_defaults=True, gc=False):
    prefix: _Text
    origin: _Text = ""


class _External(Struct, omit_defaults=True, gc=False):
    prefix: _Text
    source: _Text
    origin: _Text = ""


class _Note(Struct, omit_defaults=True):
    severity: Severity
    subject: _Text
    text: _Text


class _Cluster(Struct, omit_defaults=True):
    cluster: _Text
    fresh: bool
    precedence: int = 0
    network: _Text = ""
    mtu: Annotated[int, Meta(ge=0, le=1 << 16)] = 0
    nodes: Annotated[tuple[_Node, ...], Meta(max_length=_MAX_NODES)] = ()
    gateways: Annotated[tuple[_Text, ...], Meta(max_length=_FEW)] = ()
    blocks: Annotated[tuple[_Block, ...], Meta(max_length=_MAX_PREFIXES)] = ()
    pools: Annotated[tuple[_Text, ...], Meta(max_length=_FEW)] = ()
    spare: Annotated[tuple[_Declared, ...], Meta(max_length=_FEW)] = ()
    services: Annotated[tuple[_Declared, ...], Meta(max_length=_MAX_PREFIXES)] = ()
    dns: Annotated[tuple[_Declared, ...], Meta(max_length=_FEW)] = ()
    external: Annotated[tuple[_External, ...], Meta(max_length=_MAX_PREFIXES)] = ()
    pods: Annotated[tuple[_Text, ...], Meta(max_length=_MAX_PREFIXES)] = ()
    notes: Annotated[tuple[_Note, ...], Meta(max_length=_FEW)] = ()


class _Document(Struct):
    version: int
    clusters: Annotated[tuple[_Cluster, ...], Meta(max_length=_FEW)]


class Told(Struct, frozen=True):
    """One cluster as a server describes it."""

    picture: Picture
    fresh: bool
    """Whether the server's own picture is complete and recent; if not, it withdraws nothing."""


class Unusable(Exception):
    """Why a document cannot be used, in one line."""


_decoder = msgspec.json.Decoder(_Document)


def encode(clusters: Sequence[Told], routes: Sequence[Route]) -> bytes:
    """The document without its status (see `with_status`): the part that decides whether it has changed."""
    return _object({"version": VERSION}, {"clusters": map(_cluster, clusters), "routes": map(_route, routes)})


def _object(few: Any, many: Mapping[str, Iterable[bytes]]) -> bytes:
    """A JSON object: `few` as it is, then arrays of elements that are encoded already.

    Each element is encoded by itself: questions wait while one value is encoded, and the document of a large cluster
    as one value would take as long as hundreds of answers.
    """
    octets = bytearray(msgspec.json.encode(few)[:-1])
    for name, elements in many.items():
        octets += b',"%s":[' % name.encode()
        begin = len(octets)
        for element in elements:
            octets += element
            octets += b","
        if len(octets) > begin:
            octets.pop()
        octets += b"]"
    octets += b"}"
    return bytes(octets)


def with_status(document: bytes, status: Any) -> bytes:
    """The whole document."""
    return document[:-1] + b',"status":' + msgspec.json.encode(status) + b"}"


def decode(octets: bytes) -> tuple[Told, ...]:
    """The clusters of a document. Raises Unusable."""
    if len(octets) > MAX_OCTETS:
        raise Unusable(f"over {MAX_OCTETS} octets")
    try:
        document = _decoder.decode(octets)
        if document.version != VERSION:
            raise Unusable(f"its version is {document.version}, not {VERSION}; update the older of the two")
        return tuple([_told(each) for each in document.clusters])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Unusable(f"not what GET /routes of a dnsbridge gives: {' '.join(str(error).split())[:200]}") from None


def shown(route: Route) -> dict[str, Any]:
    """A route for JSON, without devices: they are the server's own and mean nothing elsewhere."""
    return {
        "prefix": str(route.prefix),
        "next_hops": [_hop(hop) for hop in route.next_hops if hop.address],
        "kind": route.kind.value,
        "origin": route.origin,
        "cluster": route.cluster,
    }


def _hop(hop: NextHop) -> dict[str, Any]:
    return {"address": str(hop.address), "weight": hop.weight}


def _route(route: Route) -> bytes:
    return msgspec.json.encode(shown(route))


def _cluster(told: Told) -> bytes:
    picture = told.picture
    few = _Cluster(
        picture.cluster,
        told.fresh,
        picture.precedence,
        picture.network,
        picture.mtu,
        gateways=picture.gateways,
        pools=tuple(map(str, picture.pools)),
        spare=tuple([_Declared(str(each.prefix), each.origin) for each in picture.spare]),
        dns=tuple([_Declared(str(each.prefix), each.origin) for each in picture.dns]),
        notes=tuple([_Note(note.severity, note.subject, note.text) for note in picture.notes]),
    )
    encoded = msgspec.json.encode
    many = {
        "nodes": (encoded(_Node(n.name, tuple(map(str, n.addresses)), n.ready, dict(n.labels))) for n in picture.nodes),
        "blocks": (encoded(_Block(str(block.prefix), block.nodes, block.origin)) for block in picture.blocks),
        "services": (encoded(_Declared(str(each.prefix), each.origin)) for each in picture.services),
        "external": (encoded(_External(str(each.prefix), each.source, each.origin)) for each in picture.external),
        "pods": (encoded(str(pod)) for pod in picture.pods),
    }
    return _object(few, many)


def _told(said: _Cluster) -> Told:
    picture = Picture(
        said.cluster,
        said.precedence,
        said.network,
        said.mtu,
        tuple([Node(n.name, tuple(map(_address, n.addresses)), n.ready, n.labels) for n in said.nodes]),
        said.gateways,
        tuple([Block(_prefix(block.prefix), block.nodes, block.origin) for block in said.blocks]),
        tuple(map(_prefix, said.pools)),
        tuple([Declared(_prefix(each.prefix), each.origin) for each in said.spare]),
        tuple([Declared(_prefix(each.prefix), each.origin) for each in said.services]),
        tuple([Declared(_prefix(each.prefix), each.origin) for each in said.dns]),
        tuple([External(_prefix(each.prefix), each.source, each.origin) for each in said.external]),
        tuple(map(_address, said.pods)),
        tuple([Note(note.severity, note.subject, note.text) for note in said.notes]),
    )
    return Told(picture, said.fresh)


def _prefix(text: str) -> Prefix:
    return ip_network(text)


def _address(text: str) -> IPAddress:
    found = ip_address(text)
    if "%" in text:
        raise ValueError(f"{text!r} has a scope, which means nothing elsewhere")
    return found

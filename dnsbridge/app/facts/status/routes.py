"""The way from this host to the clusters' addresses, as values that a picture is drawn from."""

import socket
from collections.abc import Iterable, Sequence

from dnsbridge.app.companion.wanted import choice_of
from dnsbridge.app.facts.status.document import RouteNode, RoutePrefix, Routes, State
from dnsbridge.app.server.reach import pushed_elsewhere, wanted_here
from dnsbridge.config import Settings
from dnsbridge.resolvers.cluster.reach import Reach
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Kind, Prefix, Route, Severity
from dnsbridge.routes.pictures.document import Told
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.wanted import wanted

MAX_NODES = 60
"""Nodes that a picture can show; those with a trouble come first."""
MAX_PREFIXES = 240
MAX_NOTES = 10
_NOTED = (Severity.WARNING, Severity.ERROR)


def drawn(told: Sequence[Told], settings: Settings, host: Host, reach: Reach | None, problem: str) -> Routes:
    """The routes of this host. `reach` is where its kernel's routes lead; None: they cannot be read (`problem`).

    For a thread: thousands of nodes take a while.
    """
    pictures = [each.picture for each in told]
    found = wanted(pictures, choice_of(settings), host)
    if reach and pushed_elsewhere(settings):
        reach = Reach(reach.reached | {route.prefix for route in found.routes}, reach.nowhere)
    routes = {(route.cluster, route.prefix): route for route in found.routes}
    names = {(p.cluster, str(address)): node.name for p in pictures for node in p.nodes for address in node.addresses}
    without: State = "unrouted" if wanted_here(settings) else "unwanted"
    prefixes = [
        RoutePrefix(
            str(prefix),
            picture.cluster,
            kind.value,
            origin,
            list(nodes),
            _via(routes.get((picture.cluster, prefix)), names),
            _state(prefix, reach, without),
        )
        for picture in pictures
        for prefix, kind, origin, nodes in _prefixes(picture, settings)
    ]
    nodes = _nodes(pictures, prefixes)
    troubled = {node for each in prefixes if each.state == "unrouted" for node in each.nodes}
    nodes.sort(key=lambda node: (not node.gateway, node.ready, node.name not in troubled))
    kept = nodes[:MAX_NODES]
    held = {(node.cluster, node.name) for node in kept}
    shown = [each for each in prefixes if not each.nodes or any((each.cluster, node) in held for node in each.nodes)]
    shown.sort(key=lambda each: each.state != "unrouted")
    own = [str(address.ip) for each in host.interfaces for address in each.addresses if not address.ip.is_loopback]
    return Routes(
        socket.gethostname(),
        [each for each in own if not each.startswith("fe80:")][:8],
        sorted(kept, key=lambda node: (not node.gateway, node.cluster, node.name)),
        shown[:MAX_PREFIXES],
        len(nodes) - len(kept),
        len(prefixes) - len(shown[:MAX_PREFIXES]),
        [str(note) for note in found.notes if note.severity in _NOTED][:MAX_NOTES],
        problem,
    )


def _prefixes(picture: Picture, settings: Settings) -> Iterable[tuple[Prefix, Kind, str, tuple[str, ...]]]:
    """Every prefix of a cluster once: of services, then of pods."""
    seen: set[Prefix] = set()
    found: list[tuple[Prefix, Kind, str, tuple[str, ...]]] = []
    found += [(each.prefix, Kind.SERVICE, each.origin, ()) for each in picture.services]
    found += [(each.prefix, Kind.DNS, each.origin, ()) for each in picture.dns if not found]
    found += [
        (each.prefix, Kind.EXTERNAL, each.origin, ())
        for each in picture.external
        if each.source in settings.routes.external
    ]
    found += [(each.prefix, Kind.POD, each.origin, each.nodes) for each in picture.blocks]
    for one in found:
        if one[0] not in seen:
            seen.add(one[0])
            yield one


def _via(route: Route | None, names: dict[tuple[str, str], str]) -> list[str]:
    if route is None:
        return []
    hops = [(str(hop.address), hop.device) for hop in route.next_hops]
    return [names.get((route.cluster, address), address) if address != "None" else device for address, device in hops]


def _state(prefix: Prefix, reach: Reach | None, without: State) -> State:
    if reach is None:
        return "unknown"
    ends = (prefix.network_address.packed, prefix.broadcast_address.packed)
    return "routed" if all(map(reach.leads_to, ends)) else without


def _nodes(pictures: Sequence[Picture], prefixes: Sequence[RoutePrefix]) -> list[RouteNode]:
    """All nodes, and gateways that are none."""
    known = {(picture.cluster, node.name) for picture in pictures for node in picture.nodes}
    gateways = {(each.cluster, via) for each in prefixes if each.nodes for via in each.via if via not in each.nodes}
    found = [
        RouteNode(
            node.name,
            picture.cluster,
            str(node.addresses[0]) if node.addresses else "",
            node.ready,
            (picture.cluster, node.name) in gateways or node.name in picture.gateways,
        )
        for picture in pictures
        for node in picture.nodes
    ]
    return found + [RouteNode(name, cluster, name, True, True) for cluster, name in sorted(gateways - known)]

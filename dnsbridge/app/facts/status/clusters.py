"""The clusters and zones of a running server, for the status page. Nothing here walks a cluster's objects."""

import time
from collections.abc import Mapping

from dnsbridge.app.answering.parts import Bridged, Parts
from dnsbridge.app.facts.status.document import Cluster, Reading, Zone
from dnsbridge.app.sources import place_of
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.config import Settings
from dnsbridge.watch.api.source import ApiSource
from dnsbridge.wire import name as names
from dnsbridge.zone.reverse import networks

MAX_PREFIXES = 50
"""Prefixes of a cluster that are listed: Calico and nodes may have thousands."""


def shown_clusters(parts: Parts, unrouted: Mapping[str, int]) -> list[Cluster]:
    """All clusters, in order of precedence."""
    return [_cluster(each, unrouted.get(each.cluster.name)) for each in parts.clusters]


def _cluster(bridged: Bridged, unrouted: int | None) -> Cluster:
    cluster, source = bridged.cluster, bridged.feed.source
    index, said = cluster.index, cluster.prefixes
    zone, *aliases = map(_text, cluster.suffixes)
    services = index.service_networks if said.services is None else said.services
    pods = index.pod_networks if said.pods is None else said.pods
    alive_at = source.last_read_at if source.synced else 0.0
    return Cluster(
        cluster.name,
        zone,
        aliases,
        place_of(source),
        cluster.freshness.value,
        max(0, round(time.monotonic() - alive_at)) if alive_at else None,
        len(index.objects),
        list(map(str, services[:MAX_PREFIXES])),
        list(map(str, pods[:MAX_PREFIXES])),
        unrouted,
        _problem(bridged),
        _reading(source) if isinstance(source, ApiSource) else [],
    )


def _problem(bridged: Bridged) -> str:
    source, freshness = bridged.feed.source, bridged.cluster.freshness
    if isinstance(source, ApiSource):
        needed = [each for each in source.reflectors if each.problem and each.resource.required]
        said = "; ".join(f"{each.resource.label}: {each.problem}" for each in needed)
        if said:
            return said
        if freshness is Freshness.UNSYNCED:
            return "; ".join(source.missing()) or "not read yet"
    elif freshness is Freshness.UNSYNCED:
        return "no file could be read; see the log"
    return "no sign of life from its source" if freshness is Freshness.STALE else ""


def _reading(source: ApiSource) -> list[Reading]:
    return [
        Reading(
            each.resource.label,
            each.progress.read,
            each.progress.left,
            each.listed or each.absent,
            "" if each.listed or each.absent else each.waits_for,
        )
        for each in source.reflectors
    ]


def shown_zones(parts: Parts, settings: Settings) -> list[Zone]:
    """All zones: those of clusters in order of precedence, then the forward zones."""
    found = []
    for bridged in parts.clusters:
        cluster = bridged.cluster
        for position, suffix in enumerate(cluster.suffixes):
            found.append(Zone(_text(suffix), "alias" if position else "cluster", cluster.name, []))
        for network in networks(cluster.index, cluster.prefixes)[:MAX_PREFIXES]:
            found.append(Zone(str(network), "reverse", cluster.name, []))
    for forward in settings.forward:
        running = parts.zones.forwards.get(forward.zone)
        if running or forward.upstreams:
            found.append(Zone(forward.zone, "forward", "", list(map(str, running.upstreams)) if running else []))
    return found


def _text(zone: bytes) -> str:
    return names.to_text(zone).rstrip(".")

"""What the clusters' objects say of a name: its record, the service behind it, and names that are like it."""

import asyncio
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from dnsbridge.app.answering.parts import Bridged, Parts
from dnsbridge.app.facts.lookup import Explanation, explain, question
from dnsbridge.app.sources import place_of
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.doctor.facts import Record, Service, Source
from dnsbridge.routes.pictures import calico
from dnsbridge.routes.pictures.from_objects import picture_of
from dnsbridge.routes.pictures.provider import ByClass
from dnsbridge.watch.manifests.source import ManifestSource
from dnsbridge.wire import name as names
from dnsbridge.zone import master
from dnsbridge.zone.service import ServiceNames, subsets_of

MAX_NAMES = 20_000
"""Names of a cluster that are compared with one that it does not have."""
LIKE = 3
"""Names that are shown."""


def sources(parts: Parts) -> Iterator[Source]:
    """How the clusters are read."""
    for bridged in parts.clusters:
        source, freshness = bridged.feed.source, bridged.cluster.freshness
        missing = "" if isinstance(source, ManifestSource) else "; ".join(source.missing())
        problem = f"not read: {missing}" if freshness is Freshness.UNSYNCED else ""
        yield Source(bridged.cluster.name, place_of(source), freshness is Freshness.FRESH, problem)


async def record(parts: Parts, name: str) -> Record:
    """What there is by that name."""
    first, *others = [await _explained(parts, name, rtype) for rtype in ("A", "AAAA")]
    addresses = [each.data for found in (first, *others) for each in found.records if each.type in ("A", "AAAA")]
    objects = [f"{each.kind} {each.namespace}/{each.name}" for each in first.objects]
    owner = next((each for each in parts.clusters if each.cluster.name == first.cluster), None)
    # Comparing thousands of names takes long, and a server answers meanwhile.
    nearest = await asyncio.to_thread(_nearest, owner, name) if owner and first.rcode == "NXDOMAIN" else ()
    source = first.source if first.source in ("cluster", "coredns", "forward") else "none"
    return Record(
        first.rcode,
        source,  # type: ignore[arg-type]  # narrowed in the line above
        first.cluster,
        first.because,
        tuple(objects),
        tuple(dict.fromkeys(addresses)),
        nearest,
        _zone(owner, name) if owner else "",
    )


def _zone(owner: Bridged, name: str) -> str:
    """The zone or alias of a cluster that a name is below."""
    wire = names.from_text(name).lower()
    found = next((each for each in owner.cluster.suffixes if names.is_below(wire, each)), b"")
    return names.to_text(found).rstrip(".") if found else ""


async def _explained(parts: Parts, name: str, rtype: str) -> Explanation:
    query = question(name, rtype)
    assert not isinstance(query, str)
    return await explain(parts, query)


def service(parts: Parts, name: str) -> Service | None:
    """The service that a name is of, or below; also one that has no names since no endpoint is ready."""
    wire = names.from_text(name).lower()
    for bridged in parts.clusters:
        for suffix in bridged.cluster.suffixes:
            if not names.is_below(wire, suffix):
                continue
            labels = names.labels(wire[: len(wire) - len(suffix)])
            if len(labels) >= 3 and labels[-1] == b"svc":
                held = bridged.cluster.index.namespaces.get(labels[-2])
                found = held.services.get(labels[-3]) if held else None
                return _service(found) if found else None
    return None


def unannounced(parts: Parts, cluster: str) -> str:
    """The first prefix of ClusterIPs that a cluster's Calico does not announce, where it announces pods."""
    feed = next((each for each in parts.feeds if each.name == cluster), None)
    if feed is None:
        return ""
    picture = picture_of(feed.name, feed.index.objects.values(), feed.prefixes)
    services = [each.prefix for each in picture.services if each.prefix.num_addresses > 1]
    missing = calico.unannounced(ByClass(feed.index.objects.values()), services)
    return str(missing[0]) if missing else ""


def _service(found: ServiceNames) -> Service:
    said = found.service
    endpoints = [each for subset in subsets_of(found.sources) for each in subset.endpoints]
    ready = len({each.addresses for each in endpoints if each.ready or said.publish_not_ready})
    every = len({each.addresses for each in endpoints})
    ports = said.ports if said.cluster_ips else [port for subset in subsets_of(found.sources) for port in subset.ports]
    kind = "ExternalName" if said.type == "ExternalName" else "ClusterIP" if said.cluster_ips else "headless"
    return Service(
        f"{said.namespace}/{said.name}",
        kind,  # type: ignore[arg-type]  # one of the three
        ready,
        every - ready,
        tuple(dict.fromkeys([port.number for port in ports if port.protocol == "TCP"])),
    )


def _nearest(bridged: Bridged, name: str) -> tuple[str, ...]:
    cluster = bridged.cluster
    zone = cluster.suffixes[0]
    try:
        relative = list(islice(master.owners(cluster.index, cluster.settings), MAX_NAMES))
    except RuntimeError:  # an object came while they were listed
        return ()
    there = [names.to_text(each + zone).rstrip(".") for each in relative if not each.startswith(b"\x00")]
    like = get_close_matches(name.lower(), [each for each in there if "._" not in f".{each}"], LIKE)
    return tuple(like)

"""The first lines of a server's log: what it found, and from where."""

from collections import Counter
from collections.abc import Iterator

from dnsbridge.app.parts import Bridged, Parts
from dnsbridge.config import Address, Loaded
from dnsbridge.resolvers.cluster import Freshness
from dnsbridge.watch.manifests import ManifestSource
from dnsbridge.wire.name import to_text
from dnsbridge.zone.addresses import Network

_KINDS = ("Namespace", "Service", "EndpointSlice", "Pod", "Node")


def describe(loaded: Loaded, parts: Parts) -> Iterator[str]:
    """One line for each thing that decides answers."""
    settings = loaded.settings
    for bridged in parts.clusters:
        if bridged.cluster.freshness is Freshness.UNSYNCED:
            yield f"cluster {bridged.cluster.name}: not read yet ({_source(bridged)})"
        else:
            yield from describe_cluster(bridged)
    for index, forward in enumerate(settings.forward):
        origin = loaded.origins.get(f"forward[{index}].upstreams", loaded.origins.get(f"forward[{index}]", "default"))
        servers = ", ".join(map(str, forward.upstreams))
        if servers:
            yield f"forward {forward.zone}: {servers} ({origin})"
    if "." not in parts.forwards:
        yield "forward .: no upstream, so names outside the clusters are refused; --upstream names one"
    allowed = ", ".join(map(str, settings.access.allow))
    yield f"access: {allowed} ({loaded.origins.get('access.allow', 'default')})"


def describe_cluster(bridged: Bridged) -> Iterator[str]:
    """What was found in one cluster."""
    cluster = bridged.cluster
    index = cluster.index
    kinds = Counter(key.kind for key in index.objects)
    held = ", ".join(f"{kinds[kind]} {kind}" for kind in _KINDS if kinds[kind]) or "no objects"
    start = f"cluster {cluster.name}: "
    yield f"{start}zone {_text(cluster.suffixes[0])}" + (
        f", aliases {', '.join(map(_text, cluster.suffixes[1:]))}" if len(cluster.suffixes) > 1 else ""
    )
    yield f"{start}{held} ({_source(bridged)})"
    servers = bridged.coredns.servers()
    if bridged.fallback.mode == "never":
        yield f"{start}CoreDNS is never asked (fallback: never)"
    elif servers:
        origin = "configured" if bridged.coredns.configured else "Service kube-system/kube-dns"
        shown = ", ".join(str(Address(*server)) for server in servers)
        yield f"{start}CoreDNS {shown} ({origin}), fallback: {bridged.fallback.mode}"
    else:
        yield f"{start}no CoreDNS found (Service kube-system/kube-dns), so there is no fallback"
    prefixes = cluster.prefixes
    yield f"{start}services {_networks(prefixes.services, index.service_networks, 'ServiceCIDR objects')}"
    yield f"{start}pods {_networks(prefixes.pods, index.pod_networks, 'IPPool and Node objects')}"


def _source(bridged: Bridged) -> str:
    source = bridged.source
    return f"manifests {source.path}" if isinstance(source, ManifestSource) else str(source.connection.address)


def _networks(said: tuple[Network, ...] | None, declared: tuple[Network, ...], objects: str) -> str:
    if said is not None:
        return f"{', '.join(map(str, said)) or 'none'} (configured)"
    if declared:
        return f"{', '.join(map(str, declared[:8]))}{' ...' if len(declared) > 8 else ''} ({objects})"
    return f"at their known addresses only (no {objects})"


def _text(name: bytes) -> str:
    return to_text(name).rstrip(".")

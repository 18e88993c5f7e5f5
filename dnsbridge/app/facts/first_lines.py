"""The first lines of a server's log: what it found, and from where."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from dnsbridge.app.answering.forward_zones import ForwardZones
from dnsbridge.app.answering.parts import Bridged, Parts
from dnsbridge.app.sources import place_of
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import IPPool, Node, Object, ServiceCIDR
from dnsbridge.config import Address, Forward, Loaded, ServiceAddress
from dnsbridge.wire.addresses import Network
from dnsbridge.wire.name import to_text

_KINDS = ("Namespace", "Service", "EndpointSlice", "Endpoints", "Pod", "Node")


def describe(loaded: Loaded, parts: Parts) -> Iterator[str]:
    """One line for each thing that decides answers."""
    settings = loaded.settings
    for bridged in parts.clusters:
        if bridged.cluster.freshness is Freshness.UNSYNCED:
            yield f"cluster {bridged.cluster.name}: not read yet ({place_of(bridged.feed.source)})"
        else:
            yield from describe_cluster(bridged)
    for index, forward in enumerate(settings.forward):
        origin = loaded.origins.get(f"forward[{index}].upstreams", loaded.origins.get(f"forward[{index}]", "default"))
        yield from _forward(forward, origin, parts.zones)
    if "." not in parts.zones.forwards and not _services(settings.forward, "."):
        yield "forward .: no upstream, so names outside the clusters are refused; --upstream names one"
    if settings.workers > 1:
        yield f"workers: {settings.workers} ({loaded.origins.get('workers', 'default')})"
    allowed = ", ".join(map(str, settings.access.allow))
    yield f"access: {allowed} ({loaded.origins.get('access.allow', 'default')})"


def _forward(said: Forward, origin: str, zones: ForwardZones) -> Iterator[str]:
    """The servers of a forward zone, then each of its files and Services that gives no server."""
    start = f"forward {said.zone}: "
    files = [zones.files[path] for path in said.upstreams if isinstance(path, Path)]
    services = [zones.services.by_address[each] for each in said.upstreams if isinstance(each, ServiceAddress)]
    running = zones.forwards.get(said.zone)
    if running:
        origins = [origin, *(str(file.path) for file in files if file.hosts and not origin.endswith(str(file.path)))]
        origins += [str(service.address) for service in services if service.servers]
        yield f"{start}{', '.join(map(str, running.upstreams))} ({', '.join(origins)})"
    elif said.zone != "." and files:
        yield f"{start}no upstream, so its names are refused"
    for file in files:
        if file.problem:
            yield f"{start}{file.path}: {file.problem}; changes of it are followed"
    for service in services:
        if service.problem:
            yield f"{start}{service.address}: {service.problem}; changes of the Service are followed"


def _services(said: Iterable[Forward], zone: str) -> bool:
    """Whether a zone has a Service among its upstreams."""
    return any(isinstance(each, ServiceAddress) for one in said if one.zone == zone for each in one.upstreams)


def describe_cluster(bridged: Bridged) -> Iterator[str]:
    """One cluster: its zone, objects, CoreDNS and prefixes."""
    cluster = bridged.cluster
    index = cluster.index
    kinds = Counter(key.kind for key in index.objects)
    held = ", ".join(f"{kinds[kind]} {kind}" for kind in _KINDS if kinds[kind]) or "no objects"
    start = f"cluster {cluster.name}: "
    yield f"{start}zone {_text(cluster.suffixes[0])}" + (
        f", aliases {', '.join(map(_text, cluster.suffixes[1:]))}" if len(cluster.suffixes) > 1 else ""
    )
    yield f"{start}{held} ({place_of(bridged.feed.source)})"
    servers = bridged.coredns.servers()
    if bridged.fallback.mode == "never":
        yield f"{start}CoreDNS is never asked (fallback: never)"
    elif servers:
        origin = "configured" if bridged.coredns.configured else "Service kube-system/kube-dns"
        shown = ", ".join(str(Address(*server)) for server in servers)
        yield f"{start}CoreDNS {shown} ({origin}), fallback: {bridged.fallback.mode}"
    else:
        yield f"{start}no CoreDNS found (Service kube-system/kube-dns), so there is no fallback"
    yield from describe_prefixes(bridged)


def describe_stale(bridged: Bridged) -> str:
    """What a log line says of a cluster whose source is silent: since when, and who answers now."""
    start = f"no sign of life from its source for {bridged.feed.max_staleness:g} s"
    if bridged.fallback.mode == "never":
        return f"{start}; answers are stale, and CoreDNS is never asked (fallback: never)"
    if not bridged.coredns.servers():
        return f"{start}; answers are stale, and no CoreDNS is known to ask"
    return f"{start}; CoreDNS is asked first, and where it does not answer, answers are stale"


def describe_prefixes(bridged: Bridged) -> Iterator[str]:
    """The prefixes of a cluster, and the objects that declare them."""
    cluster, index = bridged.cluster, bridged.cluster.index
    declaring = {obj.kind for obj in index.objects.values() if _declares(obj)}
    kubeadm = "ConfigMap kube-system/kubeadm-config"
    start = f"cluster {cluster.name}: "
    objects = "ServiceCIDR objects" if "ServiceCIDR" in declaring else kubeadm
    yield f"{start}services {_networks(cluster.prefixes.services, index.service_networks, objects)}"
    kinds = [kind for kind in ("IPPool", "Node") if kind in declaring]
    objects = f"{' and '.join(kinds)} objects" if kinds else kubeadm
    yield f"{start}pods {_networks(cluster.prefixes.pods, index.pod_networks, objects)}"


def _declares(obj: Object) -> bool:
    if isinstance(obj, IPPool):
        return not obj.disabled
    return isinstance(obj, ServiceCIDR) or (isinstance(obj, Node) and bool(obj.pod_cidrs))


def _networks(said: tuple[Network, ...] | None, declared: tuple[Network, ...], objects: str) -> str:
    if said is not None:
        return f"{', '.join(map(str, said)) or 'none'} (configured)"
    if declared:
        return f"{', '.join(map(str, declared[:8]))}{' ...' if len(declared) > 8 else ''} ({objects})"
    return "at their known addresses only (no object says more)"


def _text(name: bytes) -> str:
    return to_text(name).rstrip(".")

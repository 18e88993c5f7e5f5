"""Checks across settings: settings that contradict each other."""

import difflib
import ipaddress
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from dnsbridge.cluster.field_selector import parse_fields
from dnsbridge.cluster.selector import BadSelector, parse
from dnsbridge.config.problem import Problem
from dnsbridge.config.schema import Cluster, Selectors, Settings, Source
from dnsbridge.config.service_address import ServiceAddress
from dnsbridge.config.values import Address, StreamAddress


def contradictions(settings: Settings) -> Iterator[Problem]:
    """Every contradiction, by its key; the caller adds where that key was set."""
    yield from _listen(settings)
    yield from _clusters(settings)
    yield from _zones(settings.clusters)
    yield from _forward(settings)
    selector = parse(settings.routes.gateways.selector)
    if isinstance(selector, BadSelector):
        text = f"{selector.problem}; write a label selector such as node-role.kubernetes.io/gateway="
        yield Problem("", "routes.gateways.selector", text)
    yield from _log(settings)
    if not settings.access.allow:
        yield Problem("", "access.allow", "an empty list lets nobody ask; write [private] or CIDRs such as 10.0.0.0/8")


def _listen(settings: Settings) -> Iterator[Problem]:
    if not settings.listen:
        yield Problem("", "listen", "an empty list answers nobody; write addresses such as 0.0.0.0:53")
    seen: dict[Address, str] = {}
    places = [(f"listen[{index}]", address) for index, address in enumerate(settings.listen)]
    if settings.http is not None:
        places.append(("http", settings.http))
    for key, address in places:
        if address in seen:
            yield Problem("", key, f"{address} is taken by {seen[address]}; remove one or change its port")
        elif address.port:
            seen[address] = key


def _log(settings: Settings) -> Iterator[Problem]:
    queries, dnstap = settings.log.queries.to, settings.log.dnstap.to
    if not isinstance(dnstap, Path):
        return
    if settings.workers > 1:
        text = (
            f"{dnstap} is one stream, and each of {settings.workers} workers has its own; write unix:/PATH, where a"
            " reader such as fstrm_capture joins them"
        )
        yield Problem("", "log.dnstap.to", text)
    if queries == dnstap:
        yield Problem("", "log.dnstap.to", f"{dnstap} is taken by log.queries.to; change one of them")


def _clusters(settings: Settings) -> Iterator[Problem]:
    clusters = settings.clusters
    first: dict[str, int] = {}
    for index, cluster in enumerate(clusters):
        key = f"clusters[{index}]"
        if cluster.name in first:
            text = f"{cluster.name} is also the name of clusters[{first[cluster.name]}]; give each cluster its own name"
            yield Problem("", f"{key}.name", text)
        first.setdefault(cluster.name, index)
        yield from _source(cluster.source, f"{key}.source")
    if len(clusters) > 1:
        for name in ("service_cidrs", "pod_cidrs"):
            if getattr(settings.routes, name) != "auto":
                names = ", ".join(cluster.name for cluster in clusters[:5])
                text = f"a list describes the only cluster, and there are {len(clusters)} ({names}); write auto"
                yield Problem("", f"routes.{name}", text)


def _source(source: Source, key: str) -> Iterator[Problem]:
    if source.manifests is not None:
        yield from _selections(source.selectors, f"{key}.selectors")
    chosen = [name for name in ("manifests", "kubeconfig", "in_cluster") if getattr(source, name)]
    if len(chosen) > 1:
        yield Problem("", key, f"has {' and '.join(chosen)}; a cluster has one source, keep one of them")
    elif source.context is not None and chosen in (["manifests"], ["in_cluster"]):
        yield Problem(
            "", f"{key}.context", f"belongs to a kubeconfig, and the source is {chosen[0]}; remove one of them"
        )


def _selections(selectors: Selectors, key: str) -> Iterator[Problem]:
    """Selectors for manifests that do not parse; an API server checks its selectors itself."""
    for kind, (name, said) in selectors.by_kind().items():
        by_labels, by_fields = parse(said.labels or ""), parse_fields(said.fields or "", kind)
        if isinstance(by_labels, BadSelector):
            yield Problem("", f"{key}.{name}.labels", f"{by_labels.problem}; write a label selector such as app=web")
        if isinstance(by_fields, BadSelector):
            yield Problem("", f"{key}.{name}.fields", by_fields.problem)


def _zones(clusters: tuple[Cluster, ...]) -> Iterator[Problem]:
    claims: dict[tuple[str, int], int] = {}
    for index, cluster in enumerate(clusters):
        own: set[str] = set()
        for setting, zone in _claimed(cluster):
            key = f"clusters[{index}].{setting}"
            if zone in own:
                what = "the cluster's own zone" if zone == cluster.zone else "listed twice"
                yield Problem("", key, f"{zone} is {what}; remove it")
                continue
            own.add(zone)
            rival = claims.setdefault((zone, cluster.precedence), index)
            if rival != index:
                text = (
                    f"{zone} is claimed by clusters {clusters[rival].name} (clusters[{rival}]) and {cluster.name}"
                    f" (clusters[{index}]), both of precedence {cluster.precedence}; give one a higher precedence,"
                    " or different zones"
                )
                yield Problem("", key, text)


def _claimed(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """The key and the name of each zone that a cluster answers for."""
    yield "zone", cluster.zone
    for index, alias in enumerate(cluster.aliases):
        yield f"aliases[{index}]", alias


def _forward(settings: Settings) -> Iterator[Problem]:
    owners = {zone: cluster for cluster in settings.clusters for _, zone in _claimed(cluster)}
    first: dict[str, int] = {}
    for index, forward in enumerate(settings.forward):
        key = f"forward[{index}]"
        if forward.zone in first:
            text = (
                f"{forward.zone} is also the zone of forward[{first[forward.zone]}]; put the upstreams into one of them"
            )
            yield Problem("", f"{key}.zone", text)
        first.setdefault(forward.zone, index)
        labels = forward.zone.split(".")
        suffixes = (".".join(labels[start:]) for start in range(len(labels)))
        owned = next((suffix for suffix in suffixes if suffix in owners), None)
        if owned is not None:
            text = (
                f"{forward.zone} would never be asked, because cluster {owners[owned].name} answers all of {owned};"
                " remove it, or forward a zone outside the cluster"
            )
            yield Problem("", f"{key}.zone", text)
        if not forward.upstreams and forward.zone != ".":
            yield Problem(
                "", f"{key}.upstreams", f"no server to ask for {forward.zone}; write addresses such as 10.0.0.53"
            )
        if forward.ca is not None and not forward.uses_tls:
            text = (
                f"vouches for tls:// upstreams, and {forward.zone} has none; write them as tls://ADDR#NAME,"
                " or remove this line"
            )
            yield Problem("", f"{key}.ca", text)
        yield from _services(forward.upstreams, [cluster.name for cluster in settings.clusters], f"{key}.upstreams")
        for address, times in Counter(forward.upstreams).items():
            if times > 1:
                yield Problem("", f"{key}.upstreams", f"{address} is listed {times} times; remove all but one")


def _services(upstreams: tuple[object, ...], clusters: list[str], key: str) -> Iterator[Problem]:
    """Upstream Services of clusters that the settings do not have."""
    for position, service in enumerate(upstreams):
        if not isinstance(service, ServiceAddress):
            continue
        if not clusters:
            text = f"{service} is a Service, and there is no cluster; write the address of a DNS server"
            yield Problem("", f"{key}[{position}]", text)
        elif service.cluster and service.cluster not in clusters:
            near = difflib.get_close_matches(service.cluster, clusters, 1, 0.6) or clusters[:1]
            text = f"{service}: there is no cluster {service.cluster}; write {service._replace(cluster=near[0])}"
            yield Problem("", f"{key}[{position}]", text)


def upstream_is_self(settings: Settings, local_addresses: frozenset[str]) -> tuple[Problem, ...]:
    """Upstreams that are this server itself, so that every question to them would loop.

    `local_addresses` are this host's, as text. Upstreams that a file names are checked by the reader of the file.
    """
    return tuple(
        Problem("", key, f"{address} is this server's own address, a loop; write the address of another DNS server")
        for key, address in _servers(settings)
        if any(reaches(listen, address, local_addresses) for listen in settings.listen)
    )


def _servers(settings: Settings) -> Iterator[tuple[str, Address | StreamAddress]]:
    for index, forward in enumerate(settings.forward):
        for position, address in enumerate(forward.upstreams):
            if not isinstance(address, Path | ServiceAddress):
                yield f"forward[{index}].upstreams[{position}]", address
    for index, cluster in enumerate(settings.clusters):
        if not isinstance(cluster.coredns, str):
            yield f"clusters[{index}].coredns", cluster.coredns


def reaches(listen: Address, address: Address | StreamAddress, local_addresses: Collection[str]) -> bool:
    """Whether a message sent to `address` arrives at `listen`; `local_addresses` are this host's."""
    if listen.port != address.port:
        return False
    if listen.host == address.host:
        return True
    own, other = ipaddress.ip_address(listen.host), ipaddress.ip_address(address.host)
    if not own.is_unspecified or own.version != other.version:
        return False
    return other.is_loopback or str(other).partition("%")[0] in {text.partition("%")[0] for text in local_addresses}

"""From a cluster's settings to the source of its objects."""

from collections.abc import Callable

from msgspec import structs

from dnsbridge import config
from dnsbridge.app.this_machine import in_pod
from dnsbridge.cluster.changes import Change
from dnsbridge.cluster.selection import Selection, Selections, selection
from dnsbridge.config import Selector, Selectors
from dnsbridge.watch.api.connection import ApiAddress
from dnsbridge.watch.api.resources import ENDPOINT_SLICES, NAMESPACES, PODS, PREFIXES, ROUTES, SERVICES, Resource
from dnsbridge.watch.api.source import ApiSource
from dnsbridge.watch.manifests.source import ManifestSource
from dnsbridge.zone.index import Index

Source = ManifestSource | ApiSource


def place_of(source: Source) -> str:
    """Where a source reads from, for people: `manifests PATH`, or the API server's credentials."""
    return f"manifests {source.path}" if isinstance(source, ManifestSource) else str(source.connection.address)


def source_of(said: config.Cluster, index: Index, take: Callable[[list[Change]], None], routes: bool) -> Source:
    """The source of a cluster. `take` receives every change; `index` holds the objects as the changes left them.

    With `routes` an API server is also asked for the resources that only routes need.
    """
    source = said.source
    if source.manifests is not None:
        return ManifestSource(source.manifests, take, _selections(source.selectors))
    in_cluster = source.in_cluster or (source.kubeconfig is None and source.context is None and in_pod())
    address = ApiAddress(source.kubeconfig, source.context, in_cluster)
    selectors = source.selectors
    resources = [
        _selected(SERVICES, selectors.services),
        _endpoint_slices(selectors),
        _selected(NAMESPACES, selectors.namespaces),
    ]
    if said.pods == "verified":
        resources.append(_selected(PODS, selectors.pods))
    resources += [*PREFIXES, *(ROUTES if routes else ())]
    return ApiSource(said.name, address, tuple(resources), index.objects, take, source.silence)


def _selections(selectors: Selectors) -> Selections:
    """The selections for manifests; their texts have been checked with the settings."""
    found = {
        kind: selection(said.labels or "", said.fields or "", kind)
        for kind, (_, said) in selectors.by_kind().items()
        if said.labels or said.fields
    }
    return {kind: each for kind, each in found.items() if isinstance(each, Selection)}


def _endpoint_slices(selectors: Selectors) -> Resource:
    """The EndpointSlice resource, with its alternatives on older servers."""
    by_plural = {"endpointslices": selectors.endpointslices, "endpoints": selectors.endpoints}
    older = tuple(tuple(_selected(each, by_plural[each.plural]) for each in api) for api in ENDPOINT_SLICES.older)
    return structs.replace(_selected(ENDPOINT_SLICES, selectors.endpointslices), older=older)


def _selected(resource: Resource, selector: Selector) -> Resource:
    return structs.replace(resource, labels=selector.labels or "", fields=selector.fields or "")

"""How the clusters of a running server are read: GET /clusters, and the same in `config show`."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from dnsbridge.app.answering.parts import Parts
from dnsbridge.config import Effective, Loaded
from dnsbridge.watch.api.source import ApiSource

OF_MANIFESTS = "EndpointSlices, and Endpoints where a service has no slice (manifests)"
"""Files may have either kind."""


class ClusterState(Struct, frozen=True):
    """One cluster. The field names are keys of a JSON document, so they stay."""

    cluster: str
    endpoints: str
    """The API or the files that its endpoints are read from, in words."""


def cluster_states(parts: Parts) -> list[ClusterState]:
    """All clusters, in order of precedence."""
    return [
        ClusterState(
            each.cluster.name,
            (each.feed.source.endpoints or "not read yet") if isinstance(each.feed.source, ApiSource) else OF_MANIFESTS,
        )
        for each in parts.clusters
    ]


def shown_clusters(loaded: Loaded, found: Sequence[ClusterState] | str) -> Iterator[Effective]:
    """How the running server reads each cluster of the settings; nothing if no server answers."""
    states = {} if isinstance(found, str) else {each.cluster: each.endpoints for each in found}
    for index, cluster in enumerate(loaded.settings.clusters):
        if cluster.name in states:
            yield Effective(f"clusters[{index}].endpoints", states[cluster.name], "the running server")

"""Puts the HTTP side of a server together: what it shows, and where it listens."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.facts.cluster_states import cluster_states
from dnsbridge.app.facts.status.changes import RecentChanges
from dnsbridge.app.server.crew.protocol import Crew
from dnsbridge.app.server.reach import pushed_elsewhere
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.config import Address, Loaded, Settings
from dnsbridge.errors import CannotStart
from dnsbridge.routes.model import Prefix

if TYPE_CHECKING:
    from dnsbridge.app.server.routes_document import RoutesDocument
    from dnsbridge.listeners.http.server import HttpServer

log = logging.getLogger(__name__)


def unread(parts: Parts) -> list[str]:
    """The clusters that have not been read, one line each."""
    return [
        f"cluster {bridged.cluster.name}: not read yet"
        for bridged in parts.clusters
        if bridged.cluster.freshness is Freshness.UNSYNCED
    ]


def routes_document(
    settings: Settings,
    parts: Parts,
    push: Callable[[Iterable[Prefix]], None] | None,
    unrouted: Callable[[], Awaitable[Mapping[str, int]]] | None,
) -> "RoutesDocument | None":
    """The document of GET /routes, or None if nobody needs it; `push` receives the prefixes for sinks elsewhere."""
    elsewhere = push is not None and pushed_elsewhere(settings)
    if settings.http is None and not elsewhere:
        return None
    from dnsbridge.app.server.routes_document import RoutesDocument  # noqa: PLC0415  as below

    return RoutesDocument(settings, parts, push if elsewhere else None, unrouted)


async def start_http(
    loaded: Loaded,
    crew: Crew,
    parts: Parts,
    routes: "RoutesDocument | None",
    changes: RecentChanges | None,
) -> "HttpServer | None":
    """Listen where the settings say; None if nowhere, or if the default address fails. Raises CannotStart."""
    address = loaded.settings.http
    if address is None:
        return None
    from dnsbridge.app.server.page import PageFacts  # noqa: PLC0415
    from dnsbridge.app.server.routes_document import server_context  # noqa: PLC0415
    from dnsbridge.listeners.http.observed import CannotListen  # noqa: PLC0415
    from dnsbridge.listeners.http.server import HttpServer, Shown  # noqa: PLC0415  slow to load; questions come first

    def not_ready() -> list[str]:
        return [*unread(parts), *crew.not_ready()]

    tls = server_context(loaded.settings.routes.serve)
    facts = PageFacts(loaded, crew, parts, routes, changes, not_ready) if routes and changes else None
    shown = Shown(
        crew.collector,
        crew.gather,
        not_ready,
        crew.cache,
        crew.upstreams,
        partial(cluster_states, parts),
        routes,
        facts,
    )
    http = HttpServer(shown, tls)
    try:
        port = await http.start(address.host, address.port)
    except CannotListen as error:
        problem = f"cannot listen on {address} for HTTP: {error}"
        if "http" in loaded.origins:
            raise CannotStart(f"{problem}; choose another with --http, or --http '' for none") from None
        log.warning("%s; metrics are off, --http chooses another address", problem)
        await http.stop()
        return None
    log.info("metrics on %s://%s/metrics", "https" if tls else "http", Address(address.host, port))
    return http

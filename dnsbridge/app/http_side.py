"""The HTTP side of a server, put together: what it shows, and where it listens."""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from dnsbridge.app.parts import CannotStart, Parts
from dnsbridge.config import Address, Loaded
from dnsbridge.resolvers.cluster import Freshness

if TYPE_CHECKING:
    from dnsbridge.observe.http import Cache, HttpServer

log = logging.getLogger(__name__)


class Views(Struct):
    """What can be seen and done; see observe.http."""

    collector: Collector
    not_ready: Callable[[], list[str]]
    cache: "Cache"
    upstreams: Callable[[], Awaitable[Any]]
    gather: Callable[[], Awaitable[None]]


def unread(parts: Parts) -> list[str]:
    """Which clusters have not been read, in a line each."""
    return [
        f"cluster {bridged.cluster.name}: not read yet"
        for bridged in parts.clusters
        if bridged.cluster.freshness is Freshness.UNSYNCED
    ]


async def start_http(loaded: Loaded, views: Views) -> "HttpServer | None":
    """Listen where the settings say; None if that is nowhere. Raises CannotStart."""
    address = loaded.settings.http
    if address is None:
        return None
    from dnsbridge.observe.http import HttpServer  # noqa: PLC0415  aiohttp is slow to load, and questions come first

    registry = CollectorRegistry()
    registry.register(views.collector)
    http = HttpServer(registry, views.not_ready, views.cache, views.upstreams, views.gather)
    try:
        port = await http.start(address.host, address.port)
    except OSError as error:
        # The event loop has put its own words around what the system says.
        said = os.strerror(error.errno) if error.errno else str(error)
        problem = f"cannot listen on {address} for HTTP: {said.lower()}"
        if "http" in loaded.origins:
            raise CannotStart(f"{problem}; choose another with --http, or --http '' for none") from None
        log.warning("%s; metrics are off, --http chooses another address", problem)
        await http.stop()
        return None
    log.info("metrics on http://%s/metrics", Address(address.host, port))
    return http

"""A running server: sockets, sources, HTTP, signals; it says what it found and where, and ends when it is told to."""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from dnsbridge import __version__
from dnsbridge.app.admission import admission
from dnsbridge.app.cache import Cache
from dnsbridge.app.describe import describe, describe_cluster, describe_prefixes, describe_stale
from dnsbridge.app.forward_zones import second
from dnsbridge.app.metrics import PartsCollector
from dnsbridge.app.parts import CannotStart, Parts, build
from dnsbridge.app.routes_reach import ReachKeeper, pushed_elsewhere
from dnsbridge.app.routes_reach import wanted_here as reach_wanted
from dnsbridge.app.sockets import Listening, listen
from dnsbridge.app.state import Keeper
from dnsbridge.app.upstream_states import states
from dnsbridge.config import Address, Loaded, Settings
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.responder import Responder
from dnsbridge.listeners.tcp import TcpLimits, TcpListener
from dnsbridge.listeners.udp import UdpListener
from dnsbridge.observe.counters import Counters
from dnsbridge.resolvers.cluster import Freshness
from dnsbridge.watch.api_source import ApiSource

if TYPE_CHECKING:
    from dnsbridge.app.routes_served import RoutesDocument
    from dnsbridge.observe.http import HttpServer

log = logging.getLogger(__name__)

GRACE = 3.0
"""Seconds that questions in flight have when the server is told to end."""
FRESHNESS_INTERVAL = 0.5
"""Seconds between two looks at how fresh the clusters are."""
RESTART_INTERVAL = 1.0
"""Seconds before background work that failed begins again."""
OVERLAP = "%s; until then the first one answers"
SYNC_INTERVAL = 0.02
"""The same while one has not been read at all, and every moment counts."""
EXPIRY_INTERVAL = 0.2
"""Seconds between two looks at which prepared answers have expired; a TTL may be so much too long."""


def open_sockets(loaded: Loaded) -> list[Listening]:
    """Bind all addresses; one that the machine does not have is only skipped if nobody asked for it by name."""
    by_default = "listen" not in loaded.origins
    opened: list[Listening] = []
    for address in loaded.settings.listen:
        found = listen(address)
        if isinstance(found, Listening):
            opened.append(found)
        elif by_default and found.absent and (opened or address != loaded.settings.listen[-1]):
            log.warning("%s", found.problem)
        else:
            for other in opened:
                other.close()
            raise CannotStart(found.problem)
    return opened


async def serve(loaded: Loaded, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run until SIGINT or SIGTERM. Raises CannotStart; `on_ready` is called when questions are answered."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_exception)
    log.info("dnsbridge %s", __version__)
    settings = loaded.settings
    opened = open_sockets(loaded)
    addresses = tuple(each.address for each in opened)
    parts = build(settings, addresses, routes=settings.http is not None or reach_wanted(settings))
    await parts.open()
    keepers = _keepers(loaded, parts)
    for keeper in keepers:
        keeper.restore()
    parts.refresh(time.monotonic())
    for line in describe(loaded, parts):
        log.info("%s", line)
    counters = Counters()
    responder = Responder(parts.router, parts.prepared, counters, settings.tcp.idle_timeout)
    admitted = admission(settings, parts)
    udp, tcp = _listeners(settings, opened, responder, admitted)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    # What is there now stays: the collector need not walk it again and again while questions wait.
    gc.collect()
    gc.freeze()
    # A few hundred questions in flight are more new objects than the collector waits for by default.
    gc.set_threshold(10_000, 20, 50)
    for udp_listener in udp:
        udp_listener.start()
    for tcp_listener in tcp:
        await tcp_listener.start()
    works = [bridged.source.follow for bridged in parts.clusters]
    works += [keeper.keep for keeper in keepers]
    works += [partial(_watch_freshness, parts), partial(_expire, parts)]
    reach = ReachKeeper(settings, parts) if reach_wanted(settings) else None
    if reach:
        works += [reach.follow, reach.remind]
    if parts.zones.files:
        works.append(parts.zones.follow)
    routes = _routes(loaded, parts, reach)
    if routes and reach and pushed_elsewhere(settings):
        works.append(routes.follow)
    tasks = [asyncio.create_task(_kept_going(work)) for work in works]
    log.info("listening on %s (UDP and TCP)", ", ".join(map(str, addresses)))
    http = await _start_http(loaded, parts, PartsCollector(parts, counters, admitted, udp), routes)
    log.info("ready")
    on_ready()
    await ended.wait()
    ending = asyncio.gather(*(each.stop(GRACE) for each in udp), *(each.stop(GRACE) for each in tcp))
    await asyncio.sleep(0)  # each has had its first step: no new questions are taken
    log.info("ending: questions in flight are answered first, for at most %g s", GRACE)
    await ending
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for keeper in keepers:
        await keeper.save()
    if http:
        await http.stop()
    await parts.close()


def _listeners(
    settings: Settings, opened: list[Listening], responder: Responder, admission: Admission
) -> tuple[list[UdpListener], list[TcpListener]]:
    limits = TcpLimits(
        settings.tcp.connections,
        settings.tcp.connections_per_client,
        settings.tcp.idle_timeout,
        settings.tcp.queries_in_flight,
    )
    return (
        [UdpListener(each.udp, responder, admission) for each in opened],
        [TcpListener(each.tcp, responder, admission, limits) for each in opened],
    )


async def _kept_going(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what must never end; should it fail all the same, say so and begin again."""
    while True:
        try:
            await work()
        except Exception as error:
            log.error("internal error: %s: %s; going on", type(error).__name__, error)
        await asyncio.sleep(RESTART_INTERVAL)


def _keepers(loaded: Loaded, parts: Parts) -> list[Keeper]:
    state_dir = loaded.settings.state_dir
    if state_dir is None:
        return []
    return [Keeper(each, each.source, state_dir) for each in parts.clusters if isinstance(each.source, ApiSource)]


async def _watch_freshness(parts: Parts) -> None:
    claimed = [each.cluster.networks() for each in parts.clusters]
    overlap = parts.overlap()
    if overlap:
        log.error(OVERLAP, overlap)
    while True:
        unsynced = any(each.cluster.freshness is Freshness.UNSYNCED for each in parts.clusters)
        await asyncio.sleep(SYNC_INTERVAL if unsynced else FRESHNESS_INTERVAL)
        moved = parts.refresh(time.monotonic())
        for bridged in moved:
            cluster = bridged.cluster
            if cluster.freshness is Freshness.STALE:
                log.error("%s", describe_stale(bridged))
                continue
            log.info("cluster %s: %s", cluster.name, cluster.freshness.value)
            for line in describe_cluster(bridged):
                log.info("%s", line)
            gc.freeze()
        # What declares prefixes is not waited for, so they may come later than the names, and change at any time.
        before, claimed = claimed, [each.cluster.networks() for each in parts.clusters]
        if claimed != before:
            for bridged, old, new in zip(parts.clusters, before, claimed, strict=True):
                unsaid = bridged.cluster.freshness is not Freshness.UNSYNCED and not any(
                    each is bridged for each in moved
                )
                if old != new and unsaid:
                    for line in describe_prefixes(bridged):
                        log.info("%s", line)
            said, overlap = overlap, parts.overlap()
            if overlap and overlap != said:
                log.error(OVERLAP, overlap)


async def _expire(parts: Parts) -> None:
    more = False
    while True:
        await asyncio.sleep(0 if more else EXPIRY_INTERVAL)
        more = parts.prepared.expire(second())


def _routes(loaded: Loaded, parts: Parts, reach: ReachKeeper | None) -> "RoutesDocument | None":
    settings = loaded.settings
    if settings.http is None and not (reach and pushed_elsewhere(settings)):
        return None
    from dnsbridge.app.routes_served import RoutesDocument  # noqa: PLC0415  as below

    return RoutesDocument(settings, parts, reach.push if reach and pushed_elsewhere(settings) else None)


async def _start_http(
    loaded: Loaded, parts: Parts, collector: PartsCollector, routes: "RoutesDocument | None"
) -> "HttpServer | None":
    address = loaded.settings.http
    if address is None:
        return None
    from dnsbridge.app.routes_served import server_context  # noqa: PLC0415
    from dnsbridge.observe.http import HttpServer  # noqa: PLC0415  aiohttp is slow to load, and questions come first

    registry = CollectorRegistry()
    registry.register(collector)

    def not_ready() -> list[str]:
        return [
            f"cluster {bridged.cluster.name}: not read yet"
            for bridged in parts.clusters
            if bridged.cluster.freshness is Freshness.UNSYNCED
        ]

    tls = server_context(loaded.settings.routes.serve)
    http = HttpServer(registry, not_ready, Cache(parts), partial(states, parts), routes, tls)
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
    log.info("metrics on %s://%s/metrics", "https" if tls else "http", Address(address.host, port))
    return http


def _log_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.error("internal error: %s: %s: %s", context.get("message"), type(error).__name__, error)

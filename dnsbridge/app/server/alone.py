"""A running server: sockets, sources, HTTP, signals; it says what it found and where, and ends when it is told to."""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from dnsbridge import __version__
from dnsbridge.app.answering.parts import build
from dnsbridge.app.companion.reach import ReachKeeper
from dnsbridge.app.companion.reach import wanted_here as reach_wanted
from dnsbridge.app.facts.cache import Cache
from dnsbridge.app.facts.cluster_states import cluster_states
from dnsbridge.app.facts.metrics import PartsCollector
from dnsbridge.app.facts.upstream_states import State, states
from dnsbridge.app.feeds import CannotStart
from dnsbridge.app.server.admission import admission
from dnsbridge.app.server.http import Views, routes_document, start_http, unread
from dnsbridge.app.server.sockets import Listening, listen
from dnsbridge.app.server.upkeep import begin, end, expire, kept_going, watch_freshness
from dnsbridge.config import Loaded, Settings
from dnsbridge.listeners.admission import Admission
from dnsbridge.listeners.responder import Responder
from dnsbridge.listeners.tcp import TcpLimits, TcpListener
from dnsbridge.listeners.udp import UdpListener
from dnsbridge.observe.counters import Counters

log = logging.getLogger(__name__)

GRACE = 3.0
"""Seconds that questions in flight have when the server is told to end."""


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
    loop.set_exception_handler(log_exception)
    log.info("dnsbridge %s", __version__)
    settings = loaded.settings
    opened = open_sockets(loaded)
    addresses = tuple(each.address for each in opened)
    parts = build(settings, addresses)
    kept = await begin(loaded, parts)
    counters = Counters()
    responder = Responder(parts.router, parts.prepared, counters, settings.tcp.idle_timeout)
    admitted = admission(settings, parts)
    udp, tcp = listeners(settings, opened, responder, admitted)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    spare_the_collector()
    for udp_listener in udp:
        udp_listener.start()
    for tcp_listener in tcp:
        await tcp_listener.start()
    works = [bridged.feed.source.follow for bridged in parts.clusters]
    works += [keeper.keep for keeper in kept]
    works += [partial(watch_freshness, parts), partial(expire, parts)]
    reach = ReachKeeper(settings, parts) if reach_wanted(settings) else None
    if reach:
        works += [reach.follow, reach.remind]
    if parts.zones.files:
        works.append(parts.zones.follow)
    routes = routes_document(settings, parts, reach.push if reach else None)
    if routes and routes.pushes:
        works.append(routes.follow)
    tasks = [asyncio.create_task(kept_going(work)) for work in works]
    log.info("listening on %s (UDP and TCP)", ", ".join(map(str, addresses)))
    collector = PartsCollector(parts, counters, admitted, lambda: sum(each.lost for each in udp))
    collector.pauses.watch()

    async def upstreams() -> list[State]:
        return states(parts)

    async def at_hand() -> None:
        """All that is counted is in this process."""

    views = Views(
        collector, partial(unread, parts), Cache(parts), upstreams, at_hand, routes, partial(cluster_states, parts)
    )
    http = await start_http(loaded, views)
    log.info("ready")
    on_ready()
    await ended.wait()
    ending = asyncio.gather(*(each.stop(GRACE) for each in udp), *(each.stop(GRACE) for each in tcp))
    await asyncio.sleep(0)  # each has had its first step: no new questions are taken
    log.info("ending: questions in flight are answered first, for at most %g s", GRACE)
    await ending
    await end(tasks, kept, http, parts)


def listeners(
    settings: Settings, opened: list[Listening], responder: Responder, admission: Admission
) -> tuple[list[UdpListener], list[TcpListener]]:
    """Those of all sockets."""
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


def spare_the_collector() -> None:
    """What is there now stays: the collector need not walk it again and again while questions wait."""
    gc.collect()
    gc.freeze()
    # A few hundred questions in flight are more new objects than the collector waits for by default; what it walks
    # through every fifth time is still a matter of few milliseconds.
    gc.set_threshold(10_000, 5, 50)


def log_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's handler of exceptions that nobody has caught: one line."""
    error = context.get("exception")
    log.error("internal error: %s: %s: %s", context.get("message"), type(error).__name__, error)

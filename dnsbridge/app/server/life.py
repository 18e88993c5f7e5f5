"""The life of a server: it opens sockets, reads the clusters, answers, shows itself over HTTP, and ends when told to.

Its crew answers: this process (crew.alone.Alone), or workers that this process holds (crew.main_process.MainProcess).
"""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dnsbridge import __version__
from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.facts.first_lines import describe
from dnsbridge.app.facts.status.changes import RecentChanges
from dnsbridge.app.feeds import say_not_used
from dnsbridge.app.server.answering import GRACE
from dnsbridge.app.server.crew.protocol import MakeCrew
from dnsbridge.app.server.http import routes_document, start_http
from dnsbridge.app.server.sockets import Listening, listen
from dnsbridge.app.server.upkeep import kept_going, watch_freshness
from dnsbridge.app.snapshots import Keeper
from dnsbridge.config import Loaded
from dnsbridge.errors import CannotStart
from dnsbridge.watch.api.source import ApiSource

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

END = 3.0
"""Seconds that background work has to end."""
SWITCH = 0.001
"""Seconds after which a thread with long work (on routes or a snapshot) lets questions be answered."""


async def serve(loaded: Loaded, make_crew: MakeCrew, on_ready: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises CannotStart; `on_ready` is called when questions are answered."""
    asyncio.get_running_loop().set_exception_handler(log_exception)
    sys.setswitchinterval(SWITCH)
    log.info("dnsbridge %s", __version__)
    settings = loaded.settings
    opened = open_sockets(loaded)
    addresses = tuple(each.address for each in opened)
    parts = build(settings, addresses)
    changes = RecentChanges(parts.feeds) if settings.http else None
    kept = await _begin(loaded, parts)
    ended = _signalled()
    crew = make_crew(settings, parts, opened)
    spare_the_collector()
    await crew.start()
    http = None
    try:
        works = [feed.source.follow for feed in parts.feeds]
        works += [keeper.keep for keeper in kept]
        works += [partial(watch_freshness, parts, crew.moved), *crew.works()]
        if parts.zones.files:
            works.append(partial(parts.zones.follow, crew.named))
        routes = routes_document(settings, parts, crew.push, crew.unrouted)
        if routes and routes.pushes:
            works.append(routes.follow)
        tasks = [asyncio.create_task(kept_going(work)) for work in works]
        await crew.settled()
        log.info("listening on %s (UDP and TCP)", ", ".join(map(str, addresses)))
        http = await start_http(loaded, crew, parts, routes, changes)
        log.info("ready")
        on_ready()
        await ended.wait()
        await crew.leave()
        log.info("ending: questions in flight are answered first, for at most %g s", GRACE)
    finally:
        await crew.end()
    await _end_all(tasks)
    for keeper in kept:
        await keeper.save()
    if http:
        await http.stop()
    await parts.close()


def _signalled() -> asyncio.Event:
    """An event that SIGINT or SIGTERM sets from now on."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The loop's own handlers would miss a signal that comes while the loop stands still for a fork.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    return ended


def open_sockets(loaded: Loaded) -> list[Listening]:
    """Bind all addresses. An address that the machine lacks is skipped only if it is a default. Raises CannotStart."""
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


async def _begin(loaded: Loaded, parts: Parts) -> list[Keeper]:
    """Read what can be read at once, and log what was found; returns the snapshot keepers. Raises CannotStart."""
    await parts.open()
    say_not_used(parts.feeds)
    folder = loaded.settings.state_dir
    sources = [(each, each.source) for each in parts.feeds if isinstance(each.source, ApiSource)]
    kept = [Keeper(feed, source, folder) for feed, source in sources] if folder else []
    for keeper in kept:
        keeper.restore()
    parts.refresh(time.monotonic())
    for line in describe(loaded, parts):
        log.info("%s", line)
    return kept


async def _end_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    _, going_on = await asyncio.wait(tasks, timeout=END)
    if going_on:
        log.warning("%d background tasks have not ended within %g s", len(going_on), END)


def spare_the_collector() -> None:
    """Freeze the objects that are there now: they stay, and the collector need not walk them while questions wait."""
    gc.collect()
    gc.freeze()
    # By default a few hundred questions in flight make enough new objects for a collection. With these thresholds the
    # larger collection, every fifth time, still takes only a few milliseconds.
    gc.set_threshold(10_000, 5, 50)


def log_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle an exception that nobody has caught in an event loop: log one line."""
    error = context.get("exception")
    if isinstance(error, RuntimeError) and "the handler is closed" in str(error):
        return  # uvloop's TLS raises this when the other end has reset a connection; its user knows already
    log.error("internal error: %s: %s: %s", context.get("message"), type(error).__name__, error)

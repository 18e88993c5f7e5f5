"""Keeps the clusters' reach (see resolvers.cluster.reach) in step with this host's routes.

A prefix is reached if a route of the kernel leads to it, whoever set the route: a connected subnet, a static route, one
of ours. The default route proves nothing and does not count. Where routes are pushed elsewhere than into this kernel,
the pushed prefixes count as well: the router in front of the clients has them.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence

from dnsbridge.app.answering.parts import Parts
from dnsbridge.config import Settings
from dnsbridge.netlink.kernel_routes import TABLE_LOCAL, TABLE_MAIN, Dumped, Event, KernelEvents, TooMany, dump
from dnsbridge.resolvers.cluster.reach import Reach
from dnsbridge.routes.model import Prefix
from dnsbridge.wire.addresses import text

log = logging.getLogger(__name__)

LIMIT = 100_000
"""The most routes of this host that are read; with more (a router with the whole Internet's) nothing is compared."""
SETTLE = 0.05
"""Seconds to wait for events that come together."""
LOAD = 20
"""Before all routes are read again, this many times the duration of the last reading passes."""
REMIND = 60.0
"""Seconds between two lines about unrouted answers of a cluster."""
LOOK = 1.0
"""Seconds between two looks for unrouted answers."""


def wanted_here(settings: Settings) -> bool:
    """Whether answers are compared with routes: only if the settings have sinks, or `routes.unrouted` is `omit`."""
    return bool(settings.routes.sinks) or settings.routes.unrouted == "omit"


def pushed_elsewhere(settings: Settings) -> bool:
    """Whether a sink is anything else than this host's kernel."""
    return any(sink != "kernel" for sink in settings.routes.sinks)


def compared_tables(settings: Settings) -> frozenset[int]:
    """The tables of the kernel whose routes count."""
    return frozenset({TABLE_MAIN, TABLE_LOCAL, settings.routes.kernel.table})


def by_end(found: Sequence[Dumped]) -> tuple[frozenset[Prefix], frozenset[Prefix]]:
    """The prefixes of the kernel's routes that lead somewhere, and of those that lead nowhere, as Reach takes them."""
    reached = frozenset(each.prefix for each in found if each.leads)
    return reached, frozenset(each.prefix for each in found if not each.leads)


class ReachKeeper:
    """Keeps the reach of all clusters."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._parts = parts
        self._tables = compared_tables(settings)
        self._pushed: frozenset[Prefix] = frozenset()
        self._kernel: tuple[frozenset[Prefix], frozenset[Prefix]] | None = None
        self._problem = ""
        for bridged in parts.clusters:
            bridged.cluster.omit_unrouted = settings.routes.unrouted == "omit"

    def push(self, prefixes: Iterable[Prefix]) -> None:
        """Take the prefixes that are pushed elsewhere."""
        pushed = frozenset(prefixes)
        if pushed != self._pushed:
            self._pushed = pushed
            self._set()

    async def follow(self) -> None:
        """Follow this host's routes until cancelled."""
        heard = KernelEvents()
        try:
            while True:
                started = time.monotonic()
                await self.read()
                took = time.monotonic() - started
                event = Event(0)
                while not event & (Event.ROUTES | Event.LINKS | Event.LOST):
                    event = await heard.next()
                await asyncio.sleep(max(SETTLE, LOAD * took))
        finally:
            heard.close()

    async def read(self) -> None:
        """Read this host's routes once."""
        try:
            found = await dump(self._tables, LIMIT)
        except (OSError, TooMany) as error:
            problem = str(error)
            if problem != self._problem:
                log.warning("routes of this host: %s; answers are not compared with them", problem)
            self._problem, self._kernel = problem, None
        else:
            self._problem = ""
            self._kernel = by_end(found)
        self._set()

    def _set(self) -> None:
        reach = Reach(self._kernel[0] | self._pushed, self._kernel[1]) if self._kernel else None
        for bridged in self._parts.clusters:
            cluster = bridged.cluster
            held = cluster.reach
            if held and reach and held.reached == reach.reached and held.nowhere == reach.nowhere:
                continue
            if held is not reach:
                cluster.reach = reach
                self._parts.prepared.drop_cluster(cluster.name)

    async def remind(self) -> None:
        """Log which clusters had unrouted answers, at most once in REMIND seconds each, until cancelled."""
        said: dict[str, tuple[int, float]] = {}
        while True:
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            for bridged in self._parts.clusters:
                name, counts = bridged.cluster.name, bridged.cluster.unrouted
                before, at = said.get(name, (0, now - REMIND))
                if counts.answers > before and now - at >= REMIND:
                    said[name] = counts.answers, now
                    log.warning(
                        "cluster %s: %d answers held addresses without a route from here, such as %s; see what"
                        " dnsbridge routes plan says",
                        name,
                        counts.answers - before,
                        text(counts.example),
                    )

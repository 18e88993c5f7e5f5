"""The status of a running server, made when somebody looks: at most once a second, whoever asks.

The routes are worked out beside it, for that may take longer than a second; the status has the last ones.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import structs
from prometheus_client.registry import Collector

from dnsbridge import __version__
from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.facts.status.changes import RecentChanges
from dnsbridge.app.facts.status.clusters import shown_clusters, shown_zones
from dnsbridge.app.facts.status.document import Routes, Status
from dnsbridge.app.facts.status.figures import Counted, Figures, counted
from dnsbridge.app.facts.status.routes import drawn
from dnsbridge.app.facts.times import utc
from dnsbridge.app.facts.upstream_states import State
from dnsbridge.app.server.reach import by_end, compared_tables, wanted_here
from dnsbridge.config import Settings
from dnsbridge.errors import CannotStart
from dnsbridge.netlink.kernel_routes import Dumped, TooMany, dump
from dnsbridge.netlink.this_host import NoHost, this_host
from dnsbridge.resolvers.cluster.reach import Reach
from dnsbridge.routes.host import Host
from dnsbridge.routes.pictures.document import Told

INTERVAL = 1.0
"""Seconds for which a status counts as current."""
LIMIT = 20_000
"""The most routes of this host that are read; on a router with more the picture says so."""
LOOK = 2.0
LOAD = 20
"""Seconds between two looks at this host's routes, and at least so many times as long as a look takes."""
FIRST = 1.0
"""Seconds that a first status waits for its routes."""


class StatusNow:
    """The status, and what must be remembered to make the next one."""

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        changes: RecentChanges,
        collector: Collector,
        gather: Callable[[], Awaitable[None]],
        upstreams: Callable[[], Awaitable[Sequence[State]]],
        not_ready: Callable[[], list[str]],
        pictures: Callable[[], Awaitable[tuple[Told, ...]]],
    ) -> None:
        """`gather` is awaited before `collector` is read; `pictures` are the clusters as routes see them."""
        self._settings = settings
        self._parts = parts
        self._changes = changes
        self._collector = collector
        self._gather = gather
        self._upstreams = upstreams
        self._not_ready = not_ready
        self._pictures = pictures
        self._figures = Figures()
        self._started_at = utc(time.time())
        self._made: tuple[float, Status] | None = None
        self._making = asyncio.Lock()
        self._drawing: asyncio.Task[None] | None = None
        self._routes: Routes | None = None
        self._from: tuple[tuple[Told, ...], Host, list[Dumped] | str] | None = None
        """What the routes were drawn from."""
        self._not_before = 0.0

    async def status(self) -> Status:
        """The status of this moment, or of the last second. Raises NotNow."""
        async with self._making:
            now = time.monotonic()
            if self._made and now - self._made[0] < INTERVAL * 0.9:
                return self._made[1]
            self._draw_soon(now)
            if self._routes is None and self._drawing:
                await asyncio.wait([self._drawing], timeout=FIRST)
            status = await self._make()
            self._made = now, status
            return status

    async def close(self) -> None:
        """End what goes on."""
        if self._drawing:
            self._drawing.cancel()
            await asyncio.wait([self._drawing])

    async def _make(self) -> Status:
        upstreams = list(await self._upstreams())
        await self._gather()
        found = counted(self._collector.collect())
        sample = self._figures.take(found.totals, upstreams, time.monotonic())
        return Status(
            __version__,
            utc(time.time()),
            self._started_at,
            self._settings.workers,
            self._not_ready(),
            shown_clusters(self._parts, self._unrouted(found)),
            shown_zones(self._parts, self._settings),
            upstreams,
            found.totals,
            sample,
            list(self._figures.history),
            self._routes,
            self._changes.shown(),
        )

    def _unrouted(self, found: Counted) -> Mapping[str, int]:
        return found.unrouted if wanted_here(self._settings) else {}

    def _draw_soon(self, now: float) -> None:
        if now >= self._not_before and (self._drawing is None or self._drawing.done()):
            self._drawing = asyncio.create_task(self._draw())

    async def _draw(self) -> None:
        """Read this host's routes, and draw them anew if anything has changed."""
        began = time.monotonic()
        try:
            told, host = await self._pictures(), await this_host()
        except (NoHost, CannotStart) as error:
            before = self._routes or Routes("", [], [], [], 0, 0, [], "")
            self._routes = structs.replace(before, problem=str(error))
            return
        kernel: list[Dumped] | str
        try:
            kernel = await dump(compared_tables(self._settings), LIMIT)
        except (OSError, TooMany) as error:
            kernel = f"routes of this host: {error}"
        await asyncio.to_thread(self._redraw, told, host, kernel)
        now = time.monotonic()
        self._not_before = now + max(LOOK, LOAD * (now - began))

    def _redraw(self, told: tuple[Told, ...], host: Host, kernel: list[Dumped] | str) -> None:
        """Draw the routes anew unless they were drawn from the same; in a thread."""
        before, self._from = self._from, (told, host, kernel)
        if before and before[0] is told and before[1:] == (host, kernel):
            return
        reach, problem = None, ""
        if isinstance(kernel, str):
            problem = kernel
        else:
            reach = Reach(*by_end(kernel))
        self._routes = drawn(told, self._settings, host, reach, problem)

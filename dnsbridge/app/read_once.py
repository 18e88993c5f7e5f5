"""Reads the clusters once, for commands other than servers.

feeds_once     reads all that routes need
followed       follows any feeds while a block runs
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dnsbridge.app.feeds import Feed, by_precedence, feed_of, open_all
from dnsbridge.app.snapshots import Keeper
from dnsbridge.config import Loaded
from dnsbridge.watch.api.source import ApiSource

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for API servers to send their lists; after that a server's snapshot is used, if there is one."""
PROGRESS = 2.0
"""Seconds between two progress lines."""
_LOOK = 0.02


@asynccontextmanager
async def feeds_once(loaded: Loaded) -> AsyncIterator[list[Feed]]:
    """The clusters with everything that routes need: half of a cluster's nodes are no base for a plan.

    Raises CannotStart.
    """
    feeds = [feed_of(each, loaded.settings, routes=True) for each in by_precedence(loaded.settings)]
    await open_all(feeds)
    async with followed(loaded, feeds, whole=True):
        yield feeds


@asynccontextmanager
async def followed(loaded: Loaded, feeds: Sequence[Feed], whole: bool) -> AsyncIterator[None]:
    """Follow open feeds. The block begins when each has its required resources (`whole`: all), or after PATIENCE."""
    apis = [(each, each.source) for each in feeds if isinstance(each.source, ApiSource)]
    tasks = [asyncio.create_task(source.follow()) for _, source in apis]
    try:
        started = said = time.monotonic()
        while waiting := [each for each, source in apis if not (source.listed and (source.complete or not whole))]:
            await asyncio.sleep(_LOOK)
            now = time.monotonic()
            if now - said > PROGRESS:
                said = now
                for each in waiting:
                    log.info("cluster %s: %d objects so far", each.name, len(each.index.objects))
            if now - started > PATIENCE:
                _fall_back(loaded, waiting)
                break
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _fall_back(loaded: Loaded, waiting: Sequence[Feed]) -> None:
    """Log which clusters could not be read, and load a server's snapshots of them."""
    for each in waiting:
        log.warning("cluster %s: not read within %g s", each.name, PATIENCE)
        if loaded.settings.state_dir and isinstance(each.source, ApiSource):
            Keeper(each, each.source, loaded.settings.state_dir).restore()

"""The clusters read once, for commands that are no servers.

feeds_once     all that routes need
followed       any feeds, while a block runs
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dnsbridge.app.feeds import Feed, by_precedence, feed_of, open_all
from dnsbridge.app.kept_state import Keeper
from dnsbridge.config import Loaded
from dnsbridge.watch.api.source import ApiSource

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for API servers to send their lists; then what a server has kept for a restart must do, if it has."""
PROGRESS = 2.0
"""Seconds between two lines that say how far it is."""
_LOOK = 0.02


@asynccontextmanager
async def feeds_once(loaded: Loaded) -> AsyncIterator[list[Feed]]:
    """The clusters with what routes need, all of it: half of a cluster's nodes are no base for a plan.

    Raises CannotStart.
    """
    feeds = [feed_of(each, loaded.settings, routes=True) for each in by_precedence(loaded.settings)]
    await open_all(feeds)
    async with followed(loaded, feeds, whole=True):
        yield feeds


@asynccontextmanager
async def followed(loaded: Loaded, feeds: Sequence[Feed], whole: bool) -> AsyncIterator[None]:
    """Follow feeds that are open, and begin when each has been read as far as it could; `whole`: all of it."""
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
    """Say which clusters could not be read, and take what a server has kept of them."""
    for each in waiting:
        log.warning("cluster %s: not read within %g s", each.name, PATIENCE)
        if loaded.settings.state_dir and isinstance(each.source, ApiSource):
            Keeper(each, each.source, loaded.settings.state_dir).restore()

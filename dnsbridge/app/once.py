"""The clusters read once, for commands that are no servers."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dnsbridge.app.parts import Parts, build
from dnsbridge.config import Loaded
from dnsbridge.resolvers.cluster import Freshness
from dnsbridge.watch.api_source import ApiSource

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for API servers to send their lists."""
PROGRESS = 2.0
"""Seconds between two lines that say how far it is."""
_LOOK = 0.02


@asynccontextmanager
async def read_once(loaded: Loaded) -> AsyncIterator[Parts]:
    """The parts, with every cluster as far as it could be read. Raises CannotStart."""
    parts = build(loaded.settings, loaded.settings.listen)
    await parts.open()
    followed = [each for each in parts.clusters if isinstance(each.source, ApiSource)]
    tasks = [asyncio.create_task(each.source.follow()) for each in followed]
    try:
        started = said = time.monotonic()
        while any(each.cluster.freshness is Freshness.UNSYNCED for each in followed):
            await asyncio.sleep(_LOOK)
            now = time.monotonic()
            parts.refresh(now)
            if now - said > PROGRESS:
                said = now
                for each in followed:
                    log.info("cluster %s: %d objects so far", each.cluster.name, len(each.cluster.index.objects))
            if now - started > PATIENCE:
                log.warning("not every cluster could be read within %g s", PATIENCE)
                break
        yield parts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parts.close()

"""The clusters read once, for commands that are no servers."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dnsbridge.app.answering.parts import Bridged, Parts, build
from dnsbridge.app.kept_state import Keeper
from dnsbridge.config import Loaded
from dnsbridge.watch.api.source import ApiSource

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for API servers to send their lists; then what a server has kept for a restart must do, if it has."""
PROGRESS = 2.0
"""Seconds between two lines that say how far it is."""
_LOOK = 0.02


def _fall_back(loaded: Loaded, waiting: list[Bridged]) -> None:
    """Say which clusters could not be read, and take what a server has kept of them."""
    for each in waiting:
        log.warning("cluster %s: not read within %g s", each.cluster.name, PATIENCE)
        if loaded.settings.state_dir and isinstance(each.source, ApiSource):
            Keeper(each, each.source, loaded.settings.state_dir).restore()


@asynccontextmanager
async def read_once(loaded: Loaded, routes: bool = False) -> AsyncIterator[Parts]:
    """The parts, with every cluster as far as it could be read. Raises CannotStart.

    With `routes` also what routes need, all of it: half of a cluster's nodes are no base for a plan.
    """
    parts = build(loaded.settings, loaded.settings.listen, routes=routes)
    await parts.open()
    followed = [(each, each.source) for each in parts.clusters if isinstance(each.source, ApiSource)]
    tasks = [asyncio.create_task(source.follow()) for _, source in followed]
    try:
        started = said = time.monotonic()
        while waiting := [each for each, source in followed if not (source.listed and (source.complete or not routes))]:
            await asyncio.sleep(_LOOK)
            now = time.monotonic()
            if now - said > PROGRESS:
                said = now
                for each in waiting:
                    log.info("cluster %s: %d objects so far", each.cluster.name, len(each.cluster.index.objects))
            if now - started > PATIENCE:
                _fall_back(loaded, waiting)
                break
        parts.refresh(time.monotonic())
        yield parts
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parts.close()

"""The parts that answer, with every cluster read once, for commands other than servers."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.read_once import followed
from dnsbridge.config import Loaded
from dnsbridge.watch.api.resources import ROUTES
from dnsbridge.watch.api.source import ApiSource


@asynccontextmanager
async def parts_once(loaded: Loaded, routes: bool = False) -> AsyncIterator[Parts]:
    """The parts, with every cluster as far as it could be read. Raises CannotStart.

    With `routes` the clusters are also read for what routes alone need.
    """
    parts = build(loaded.settings, loaded.settings.listen)
    for feed in parts.feeds:
        if routes and isinstance(feed.source, ApiSource):
            feed.source.add(ROUTES)
    try:
        await parts.open()
        async with followed(loaded, parts.feeds, whole=routes):
            parts.refresh(time.monotonic())
            yield parts
    finally:
        await parts.close()

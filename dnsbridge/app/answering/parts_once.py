"""The parts that answer, with every cluster read once, for commands other than servers."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.read_once import followed
from dnsbridge.config import Loaded


@asynccontextmanager
async def parts_once(loaded: Loaded) -> AsyncIterator[Parts]:
    """The parts, with every cluster as far as it could be read. Raises CannotStart."""
    parts = build(loaded.settings, loaded.settings.listen)
    try:
        await parts.open()
        async with followed(loaded, parts.feeds, whole=False):
            parts.refresh(time.monotonic())
            yield parts
    finally:
        await parts.close()

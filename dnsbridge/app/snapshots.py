"""Snapshots for a restart: each API cluster's objects, read at the start and written while the cluster is followed."""

import asyncio
import logging
import time
from pathlib import Path

from dnsbridge.app.feeds import Feed
from dnsbridge.cluster.changes import Put
from dnsbridge.watch import snapshot_file
from dnsbridge.watch.api.source import ApiSource

log = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two snapshots."""


class Keeper:
    """Keeps the snapshot of one cluster."""

    def __init__(self, feed: Feed, source: ApiSource, state_dir: Path, interval: float = INTERVAL) -> None:
        self._feed = feed
        self._source = source
        self._interval = interval
        self._path = snapshot_file.snapshot_path(state_dir, feed.name)

    def restore(self) -> None:
        """Load the objects that an earlier run saved."""
        found = snapshot_file.load(self._path)
        if found is None:
            return
        age = max(time.time() - found.saved_at, 0.0)
        held = self._feed.index.objects
        self._feed.take([Put(obj) for obj in found.objects if obj.key not in held])
        self._source.restored_at = time.monotonic() - age
        name = self._feed.name
        log.info("cluster %s: %d objects of %.0f s ago from %s", name, len(found.objects), age, self._path)

    async def keep(self) -> None:
        """Write a snapshot at each interval, for ever."""
        while True:
            await asyncio.sleep(self._interval)
            await self.save()

    async def save(self) -> None:
        """Write a snapshot now, if the cluster has been read."""
        if self._source.listed:
            alive_at = time.time() - (time.monotonic() - self._source.last_read_at)
            await snapshot_file.save(self._path, list(self._feed.index.objects.values()), alive_at)

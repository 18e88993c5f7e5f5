"""The background work of a server: it watches how fresh its clusters are, and forgets what has expired."""

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from dnsbridge.app.answering.parts import Bridged, Parts
from dnsbridge.app.facts.first_lines import describe_cluster, describe_prefixes, describe_stale
from dnsbridge.app.feeds import overlap
from dnsbridge.app.server.not_read import NotRead
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.observe.counters import Counters
from dnsbridge.resolvers.resolver import second

log = logging.getLogger(__name__)

FRESHNESS_INTERVAL = 0.5
"""Seconds between two looks at how fresh the clusters are."""
SYNC_INTERVAL = 0.02
"""The same while a cluster has not been read at all, and every moment counts."""
RESTART_INTERVAL = 1.0
"""Seconds before failed background work begins again."""
EXPIRY_INTERVAL = 0.2
"""Seconds between two looks for expired prepared answers; a TTL may be that much too long."""
SHED_INTERVAL = 60.0
"""Seconds between two lines about questions that were not taken."""
Work = Callable[[], Coroutine[Any, Any, None]]
"""Work that never ends by itself."""
OVERLAP = "%s; until then the first one answers"


async def kept_going(work: Work) -> None:
    """Run work that must never end; if it fails all the same, log that and begin again."""
    while True:
        try:
            await work()
        except Exception as error:
            log.error("internal error: %s: %s; going on", type(error).__name__, error)
        await asyncio.sleep(RESTART_INTERVAL)


async def watch_freshness(parts: Parts, tell: Callable[[list[Bridged]], Awaitable[None]]) -> None:
    """Keep every cluster's freshness current, and log changes; `tell` first receives the clusters that changed."""
    feeds = parts.feeds
    claimed = [each.networks() for each in feeds]
    claimed_twice = overlap(feeds)
    if claimed_twice:
        log.error(OVERLAP, claimed_twice)
    not_read = NotRead(time.monotonic())
    while True:
        unsynced = any(each.cluster.freshness is Freshness.UNSYNCED for each in parts.clusters)
        await asyncio.sleep(SYNC_INTERVAL if unsynced else FRESHNESS_INTERVAL)
        now = time.monotonic()
        moved = parts.refresh(now)
        for line in not_read.lines(feeds, now):
            log.warning("%s", line)
        # describe_cluster touches all objects. Workers share that memory once they are told, so it runs before.
        lines = [() if each.cluster.freshness is Freshness.STALE else tuple(describe_cluster(each)) for each in moved]
        if moved:
            await tell(moved)
        for bridged, described in zip(moved, lines, strict=True):
            cluster = bridged.cluster
            if cluster.freshness is Freshness.STALE:
                log.error("cluster %s: %s", cluster.name, describe_stale(bridged), extra={"event": "cluster_stale"})
                continue
            event = f"cluster_{cluster.freshness.value}"
            log.info("cluster %s: %s", cluster.name, cluster.freshness.value, extra={"event": event})
            for line in described:
                log.info("%s", line)
            gc.freeze()
        # Nobody waits for objects that declare prefixes: prefixes may come later than names, and change at any time.
        before, claimed = claimed, [each.networks() for each in feeds]
        if claimed != before:
            for bridged, old, new in zip(parts.clusters, before, claimed, strict=True):
                unsaid = bridged.cluster.freshness is not Freshness.UNSYNCED and not any(
                    each is bridged for each in moved
                )
                if old != new and unsaid:
                    for line in describe_prefixes(bridged):
                        log.info("%s", line)
            said, claimed_twice = claimed_twice, overlap(feeds)
            if claimed_twice and claimed_twice != said:
                log.error(OVERLAP, claimed_twice)


async def remind_of_shed(counters: Counters) -> None:
    """Log how many questions were not taken, at most once in SHED_INTERVAL, until cancelled."""
    told = 0
    while True:
        await asyncio.sleep(SHED_INTERVAL)
        told, before = counters.udp_shed + counters.udp_overloads, told
        if told > before:
            text = "%d questions were not taken within %g s: more came than could be answered"
            log.warning(text, told - before, SHED_INTERVAL, extra={"event": "overloaded"})


async def expire(parts: Parts) -> None:
    """Forget prepared answers when they expire."""
    more = False
    while True:
        await asyncio.sleep(0 if more else EXPIRY_INTERVAL)
        more = parts.prepared.expire(second())

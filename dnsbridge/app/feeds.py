"""A cluster's feed: its objects, from their source into their index, for a server or a companion that keeps routes.

feed_of        the feed of one cluster's settings
open_all       reads manifests for the first time, and the addresses and credentials of API servers
overlap        names two clusters that claim one prefix
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from dnsbridge import config
from dnsbridge.app.sources import Source, source_of
from dnsbridge.cluster.changes import Change
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.config import Settings
from dnsbridge.errors import CannotStart
from dnsbridge.watch.api.connection import CannotConnect, NoCredentials
from dnsbridge.watch.manifests.source import ManifestError, ManifestSource
from dnsbridge.wire.addresses import Network
from dnsbridge.zone import coredns
from dnsbridge.zone.claims import Claim, claimed_twice
from dnsbridge.zone.index import Index
from dnsbridge.zone.reverse import Prefixes, networks

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 10.0
"""Seconds that a credential plugin may take before the start goes on without it."""


class Feed(Struct):
    """One cluster: the source of its objects, and the index made of them."""

    name: str
    index: Index
    prefixes: Prefixes
    source: Source
    take: Callable[[list[Change]], None]
    """Applies changes of the cluster's objects."""
    precedence: int
    max_staleness: float
    """Seconds without a sign of life after which its objects are not trusted on their own."""
    coredns: tuple[str, int] | None
    """The configured address and port of its CoreDNS."""
    told: Callable[[list[Change]], None] | None = None
    """Receives changes before they are applied, to make routes of them."""
    passed_on: Callable[[list[Change], int], None] | None = None
    """Receives changes and their time (Unix seconds) before they are applied, to give them to other processes."""
    noted: Callable[[list[Change]], None] | None = None
    """Receives changes before they are applied, to show them to people."""
    changed: Callable[[set[bytes]], None] | None = None
    """Receives the keys of the index that changed."""

    def freshness(self, now: float) -> Freshness:
        """How far the cluster's objects can be trusted at a time (monotonic seconds)."""
        if not self.source.synced:
            return Freshness.UNSYNCED
        return Freshness.STALE if now - self.source.last_read_at > self.max_staleness else Freshness.FRESH

    def networks(self) -> tuple[Network, ...]:
        """The prefixes whose reverse zones belong to this cluster."""
        return networks(self.index, self.prefixes)

    def coredns_servers(self) -> tuple[tuple[str, int], ...]:
        """Addresses and ports of its CoreDNS; empty while they are not known."""
        return (self.coredns,) if self.coredns else coredns.servers(self.index)


def by_precedence(settings: Settings) -> list[config.Cluster]:
    """The clusters of the settings, the highest precedence first."""
    return sorted(settings.clusters, key=lambda cluster: -cluster.precedence)


def prefixes_of(settings: Settings) -> Prefixes:
    """The prefixes that the settings give; None where they leave them to the objects (`auto`)."""
    given = settings.routes
    return Prefixes(
        None if isinstance(given.service_cidrs, str) else given.service_cidrs,
        None if isinstance(given.pod_cidrs, str) else given.pod_cidrs,
    )


def feed_of(said: config.Cluster, settings: Settings, held: Feed | None = None, routes: bool = False) -> Feed:
    """The feed of a cluster's settings. `held` is another feed of the same cluster, whose index the new one uses.

    With `routes` the feed also reads the resources that only routes need.
    """
    index = held.index if held else Index(said.endpoint_pod_names)

    def take(changes: list[Change]) -> None:
        now = int(time.time())
        if feed.passed_on:
            feed.passed_on(changes, now)
        if feed.told:
            feed.told(changes)
        if feed.noted:
            feed.noted(changes)
        keys = index.apply(changes, now)
        if feed.changed:
            feed.changed(keys)

    source = source_of(said, index, take, routes)
    configured = None if isinstance(said.coredns, str) else said.coredns
    feed = Feed(said.name, index, prefixes_of(settings), source, take, said.precedence, said.max_staleness, configured)
    return feed


async def open_all(feeds: Sequence[Feed]) -> None:
    """Read manifests for the first time, and the addresses and credentials of API servers. Raises CannotStart."""
    for feed in feeds:
        source = feed.source
        try:
            if isinstance(source, ManifestSource):
                source.load()
            else:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    await source.connection.open()
        except NoCredentials:
            pass  # the task that follows the cluster logs this, and tries again
        except (ManifestError, CannotConnect) as error:
            raise CannotStart(str(error)) from None
        except TimeoutError:
            log.warning("cluster %s: its credentials take long; going on without", feed.name)
    if claimed := overlap(feeds):
        raise CannotStart(claimed)


def say_not_used(feeds: Sequence[Feed]) -> None:
    """Log the kinds of objects in manifests that are not used; for a program that goes on, at its start."""
    for feed in feeds:
        if isinstance(feed.source, ManifestSource):
            feed.source.say_not_used()


def overlap(feeds: Sequence[Feed]) -> str:
    """A line that names two clusters that claim one prefix; empty if none do."""
    return claimed_twice([Claim(each.name, each.precedence, each.networks()) for each in feeds])

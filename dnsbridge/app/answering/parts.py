"""From settings to the parts that answer: clusters with their sources, forward zones, the router over them all."""

import asyncio
import logging
import time
from collections.abc import Callable
from ipaddress import ip_address

from msgspec import Struct

from dnsbridge import config
from dnsbridge.app.answering.forward_zones import ForwardZones
from dnsbridge.app.answering.service_upstreams import ServiceUpstreams
from dnsbridge.app.sources import Source, source_of
from dnsbridge.app.this_machine import own_addresses
from dnsbridge.cluster.changes import Change
from dnsbridge.config import Address, Settings
from dnsbridge.resolvers.cluster.coredns import CoreDns
from dnsbridge.resolvers.cluster.fallback import Fallback, OwnQuestions
from dnsbridge.resolvers.cluster.names import Cluster, Freshness
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.router import Router
from dnsbridge.watch.api.connection import CannotConnect, NoCredentials
from dnsbridge.watch.manifests.source import ManifestError, ManifestSource
from dnsbridge.wire import name as names
from dnsbridge.zone.index import Index
from dnsbridge.zone.lookup import ZoneSettings
from dnsbridge.zone.reverse import Prefixes

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 10.0
"""Seconds that a credential plugin may take before the server starts without it."""


class CannotStart(Exception):
    """Why the server cannot start, in one line."""


class Bridged(Struct):
    """One cluster, running: where its objects come from and what is made of them."""

    cluster: Cluster
    coredns: CoreDns
    fallback: Fallback
    source: Source
    take: Callable[[list[Change]], None]
    """Takes changes of its objects over."""
    precedence: int
    max_staleness: float
    """Seconds without a sign of life after which the cache is not trusted on its own."""
    told: Callable[[list[Change]], None] | None = None
    """Is told changes, too, before they are taken over."""

    def freshness(self, now: float) -> Freshness:
        """How far its objects can be trusted at a time (monotonic seconds)."""
        if not self.source.synced:
            return Freshness.UNSYNCED
        return Freshness.STALE if now - self.source.last_read_at > self.max_staleness else Freshness.FRESH


class Parts(Struct):
    """All that answers."""

    clusters: list[Bridged]
    """In order of precedence."""
    zones: ForwardZones
    router: Router
    prepared: Prepared

    async def open(self) -> None:
        """Read manifests for the first time, and how to reach API servers. Raises CannotStart."""
        for bridged in self.clusters:
            source = bridged.source
            try:
                if isinstance(source, ManifestSource):
                    source.load()
                else:
                    async with asyncio.timeout(OPEN_TIMEOUT):
                        await source.connection.open()
            except NoCredentials:
                pass  # whoever follows the cluster says so, and tries again
            except (ManifestError, CannotConnect) as error:
                raise CannotStart(str(error)) from None
            except TimeoutError:
                log.warning("cluster %s: its credentials take long; going on without", bridged.cluster.name)
        self.refresh(time.monotonic())
        if overlap := self.overlap():
            raise CannotStart(overlap)

    def say_not_used(self) -> None:
        """Log what manifests hold that nothing comes from: for a server at its start."""
        for bridged in self.clusters:
            if isinstance(bridged.source, ManifestSource):
                bridged.source.say_not_used()

    def apply(self, cluster: str, changes: list[Change], now: int) -> None:
        """Take changes of a cluster's objects over, as of `now` (Unix seconds)."""
        for bridged in self.clusters:
            if bridged.cluster.name == cluster:
                keys = bridged.cluster.index.apply(changes, now)
                self.prepared.drop(cluster, keys)
                self.zones.look_at_services(cluster, keys, say=False)

    def overlap(self) -> str:
        """Two clusters that claim one prefix, which leaves it open whose names its reverse zone has; empty: none."""
        for position, one in enumerate(self.clusters):
            for other in self.clusters[position + 1 :]:
                if one.precedence != other.precedence:
                    continue
                for network in one.cluster.networks():
                    for claimed in other.cluster.networks():
                        if network.version == claimed.version and network.overlaps(claimed):
                            return (
                                f"clusters {one.cluster.name} and {other.cluster.name} both claim {network}"
                                f"{'' if network == claimed else f' and {claimed}'}; give one a higher precedence"
                            )
        return ""

    async def close(self) -> None:
        """Close every socket to an upstream."""
        for bridged in self.clusters:
            await bridged.coredns.close()
        await self.zones.close()

    def flush(self, name: bytes | None) -> int:
        """Forget all forwarded answers of a folded name (None: of all names); how many there were."""
        for cached in self.zones.caches.values():
            cached.forget_failures(name)
        self.prepared.drop_expiring()
        return self.zones.store.remove(name)

    def refresh(self, now: float) -> list[Bridged]:
        """Set every cluster's freshness to what it is now; those where it changed lose their prepared answers."""
        moved = []
        for bridged in self.clusters:
            freshness = bridged.freshness(now)
            if freshness is not bridged.cluster.freshness:
                self.set_freshness(bridged.cluster.name, freshness)
                moved.append(bridged)
        return moved

    def set_freshness(self, cluster: str, freshness: Freshness) -> None:
        """How far a cluster can be trusted from now on; its prepared answers may say otherwise."""
        for bridged in self.clusters:
            if bridged.cluster.name == cluster:
                bridged.cluster.freshness = freshness
                self.prepared.drop_cluster(cluster)


Tell = Callable[[str, list[Change], int], None]
"""Told of each cluster's changes, and of when they are in force (Unix seconds), before they are."""


def build(
    settings: Settings,
    listening: tuple[Address, ...],
    tell: Tell | None = None,
    held: Parts | None = None,
    routes: bool = False,
) -> Parts:
    """The parts for these settings; `listening` is where the server can be asked, for the NS records.

    `held` are other parts for the same settings: their clusters' objects are taken over, and what files said last. With
    `routes` the clusters are also read for what routes alone need.
    """
    prepared = Prepared()
    own_questions = OwnQuestions()
    hosts = [str(host) for host in settings.ns_addresses] or own_addresses(listening)
    ns_addresses = tuple([ip_address(host).packed for host in hosts])

    def changed(cluster: str, keys: set[bytes]) -> None:
        prepared.drop(cluster, keys)
        zones.look_at_services(cluster, keys)

    by_precedence = sorted(settings.clusters, key=lambda cluster: -cluster.precedence)
    clusters = [
        _bridged(
            each, settings, ns_addresses, changed, own_questions, tell, held.clusters[number] if held else None, routes
        )
        for number, each in enumerate(by_precedence)
    ]
    indexes = {bridged.cluster.name: bridged.cluster.index for bridged in clusters}
    services = ServiceUpstreams(settings.forward, [each.name for each in settings.clusters], indexes, listening)
    zones = ForwardZones(settings.forward, settings.cache, listening, held.zones.files if held else None, services)
    router = Router(
        [bridged.fallback for bridged in clusters],
        {names.from_text(zone): cached for zone, cached in zones.caches.items()},
        own_questions,
        settings.version_bind,
    )
    for zone, cached in zones.caches.items():
        cached.beyond = router.beyond(names.from_text(zone))
    return Parts(clusters, zones, router, prepared)


def _bridged(
    said: config.Cluster,
    settings: Settings,
    ns_addresses: tuple[bytes, ...],
    changed: Callable[[str, set[bytes]], None],
    own_questions: OwnQuestions,
    tell: Tell | None,
    held: Bridged | None,
    routes: bool,
) -> Bridged:
    index = held.cluster.index if held else Index(said.endpoint_pod_names)
    zone_settings = ZoneSettings(said.ttl, said.negative_ttl, said.pods, ns_addresses)
    given = settings.routes
    prefixes = Prefixes(
        None if isinstance(given.service_cidrs, str) else given.service_cidrs,
        None if isinstance(given.pod_cidrs, str) else given.pod_cidrs,
    )
    aliases = tuple([names.from_text(alias) for alias in said.aliases])
    cluster = Cluster(said.name, names.from_text(said.zone), aliases, zone_settings, prefixes, index)

    if held:
        cluster.freshness = held.cluster.freshness

    def take(changes: list[Change]) -> None:
        now = int(time.time())
        if tell:
            tell(said.name, changes, now)
        if bridged.told:
            bridged.told(changes)
        changed(said.name, index.apply(changes, now))

    source = source_of(said, index, take, routes)
    coredns = CoreDns(index, None if isinstance(said.coredns, str) else said.coredns)
    fallback = Fallback(cluster, said.fallback, coredns, own_questions)
    bridged = Bridged(cluster, coredns, fallback, source, take, said.precedence, said.max_staleness)
    return bridged

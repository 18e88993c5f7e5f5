"""From settings to the parts that answer: clusters with their sources, forward zones, the router over them all."""

import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

from msgspec import Struct

from dnsbridge import config
from dnsbridge.app.answering.forward_zones import ForwardZones
from dnsbridge.app.answering.service_upstreams import ServiceUpstreams
from dnsbridge.app.feeds import Feed, by_precedence, feed_of, open_all
from dnsbridge.app.this_machine import own_addresses
from dnsbridge.cluster.changes import Change
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.config import Address, Settings
from dnsbridge.resolvers.cluster.coredns import CoreDns
from dnsbridge.resolvers.cluster.fallback import Fallback, OwnQuestions
from dnsbridge.resolvers.cluster.names import Cluster
from dnsbridge.resolvers.prepared import Prepared
from dnsbridge.resolvers.router import Router
from dnsbridge.wire import name as names
from dnsbridge.zone.lookup import ZoneSettings


class Bridged(Struct):
    """One cluster that the server answers for."""

    feed: Feed
    cluster: Cluster
    coredns: CoreDns
    fallback: Fallback


class Parts(Struct):
    """All parts that answer."""

    clusters: list[Bridged]
    """In order of precedence."""
    zones: ForwardZones
    router: Router
    prepared: Prepared

    @property
    def feeds(self) -> list[Feed]:
        """The feeds of the clusters, in order of precedence."""
        return [bridged.feed for bridged in self.clusters]

    async def open(self) -> None:
        """Read what can be read at once. Raises CannotStart."""
        await open_all(self.feeds)
        self.refresh(time.monotonic())

    def apply(self, cluster: str, changes: list[Change], now: int) -> None:
        """Apply changes of a cluster's objects, as of `now` (Unix seconds)."""
        for bridged in self.clusters:
            if bridged.cluster.name == cluster:
                keys = bridged.cluster.index.apply(changes, now)
                self.prepared.drop(cluster, keys)
                self.zones.look_at_services(cluster, keys, say=False)

    async def close(self) -> None:
        """Close every socket to an upstream."""
        for bridged in self.clusters:
            await bridged.coredns.close()
        await self.zones.close()

    def flush(self, name: bytes | None) -> int:
        """Forget all forwarded answers for a folded name (None: for all names); returns their number."""
        for cached in self.zones.caches.values():
            cached.forget_failures(name)
        self.prepared.drop_expiring()
        return self.zones.store.remove(name)

    def refresh(self, now: float) -> list[Bridged]:
        """Update every cluster's freshness; where it changed, drop prepared answers. Returns the changed clusters."""
        moved = []
        for bridged in self.clusters:
            freshness = bridged.feed.freshness(now)
            if freshness is not bridged.cluster.freshness:
                self.set_freshness(bridged.cluster.name, freshness)
                moved.append(bridged)
        return moved

    def set_freshness(self, cluster: str, freshness: Freshness) -> None:
        """Set a cluster's freshness, and drop its prepared answers, which may no longer be right."""
        for bridged in self.clusters:
            if bridged.cluster.name == cluster:
                bridged.cluster.freshness = freshness
                self.prepared.drop_cluster(cluster)


def build(settings: Settings, listening: tuple[Address, ...], held: Parts | None = None) -> Parts:
    """The parts for these settings; `listening` are the addresses of the server, for the NS records.

    `held` are other parts for the same settings: the new parts take over their clusters' objects and followed files.
    """
    prepared = Prepared()
    own_questions = OwnQuestions()
    hosts = [str(host) for host in settings.ns_addresses] or own_addresses(listening)
    ns_addresses = tuple([ip_address(host).packed for host in hosts])

    def changed(cluster: str, keys: set[bytes]) -> None:
        prepared.drop(cluster, keys)
        zones.look_at_services(cluster, keys)

    clusters = [
        _bridged(each, settings, ns_addresses, changed, own_questions, held.clusters[number] if held else None)
        for number, each in enumerate(by_precedence(settings))
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
    held: Bridged | None,
) -> Bridged:
    feed = feed_of(said, settings, held.feed if held else None)
    feed.changed = partial(changed, said.name)
    zone_settings = ZoneSettings(said.ttl, said.negative_ttl, said.pods, ns_addresses)
    aliases = tuple([names.from_text(alias) for alias in said.aliases])
    cluster = Cluster(said.name, names.from_text(said.zone), aliases, zone_settings, feed.prefixes, feed.index)
    if held:
        cluster.freshness = held.cluster.freshness
    coredns = CoreDns(feed.index, feed.coredns)
    return Bridged(feed, cluster, coredns, Fallback(cluster, said.fallback, coredns, own_questions))

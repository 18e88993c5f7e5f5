"""The main process of a crew of several: it follows clusters and files, and tells the workers.

It has the sockets, the watches, the HTTP side and the snapshots, and answers no question itself. Of a cluster that has
not been read the workers know only the objects that give its prefixes and its CoreDNS. When the cluster has been read
the workers are renewed, so that all share its objects in memory instead of each having a copy.
"""

from collections.abc import Iterable
from functools import partial

from msgspec import Raw

from dnsbridge.app.answering.forward_zones import Hosts
from dnsbridge.app.answering.parts import Bridged, Parts
from dnsbridge.app.facts.families import summed
from dnsbridge.app.facts.metrics import UNROUTED, PartsCollector
from dnsbridge.app.facts.upstream_states import State
from dnsbridge.app.server.admission import admission
from dnsbridge.app.server.crew.merged_facts import CrewCache, CrewCollector, crew_upstreams
from dnsbridge.app.server.crew.messages import Aged, Changed, Pushed, Servers, frame
from dnsbridge.app.server.crew.workers import Workers
from dnsbridge.app.server.reach import wanted_here
from dnsbridge.app.server.sockets import Listening, share
from dnsbridge.app.server.upkeep import Work
from dnsbridge.cluster import transfer
from dnsbridge.cluster.changes import Change, Put
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import Key
from dnsbridge.config import Settings
from dnsbridge.errors import CannotStart, of_system
from dnsbridge.listeners.udp_socket import queue
from dnsbridge.observe.counters import Counters
from dnsbridge.routes.model import Prefix

EARLY_KINDS = frozenset({"ServiceCIDR", "IPPool", "Node", "ConfigMap"})
"""Objects that a worker needs of a cluster that has not been read: they give its prefixes. COREDNS is one more."""
RENEWAL = 5.0
"""Seconds to wait for a renewal of the workers."""
COREDNS = Key("Service", "kube-system", "kube-dns")


class MainProcess:
    """A crew of several processes (see protocol.Crew), and the messages to them."""

    def __init__(self, workers: Workers, settings: Settings, parts: Parts, opened: list[Listening]) -> None:
        """Raises CannotStart where the sockets cannot be shared."""
        self.parts = parts
        self.pushed: tuple[Prefix, ...] = ()
        """The prefixes that are pushed elsewhere, for a worker that is started now."""
        self._workers = workers
        self._opened = _shared(opened, settings.workers)
        self._freshness: dict[str, Freshness] = {}
        """The freshness of each cluster, as the workers know it."""
        own = PartsCollector(
            parts,
            Counters(),
            admission(settings, parts),
            lambda: sum(queue(each.udp).lost for pairs in self._opened for each in pairs),
        )
        self.collector = CrewCollector(workers, own)
        self.cache = CrewCache(workers)
        self.push = self._push if wanted_here(settings) else None
        for each in parts.clusters:
            each.feed.passed_on = partial(self._changed, each.cluster.name)
            each.cluster.index.compact()

    async def start(self) -> None:
        """Start all workers."""
        self._note()
        self._workers.start(self._opened)

    async def settled(self) -> None:
        """Returns when all workers answer."""
        await self._workers.until_settled(None)

    def works(self) -> list[Work]:
        """The background work."""
        return [self._workers.supervise]

    async def moved(self, clusters: list[Bridged]) -> None:
        """The freshness of these clusters has changed; returns when the workers act on it."""
        first = [each for each in clusters if self._freshness.get(each.cluster.name) is Freshness.UNSYNCED]
        for each in clusters:
            if each not in first:
                self._workers.tell(frame(Aged(each.cluster.name, each.cluster.freshness.value)))
        self._note()
        if first:
            for each in first:
                each.cluster.index.compact()
            self._workers.renew()
            await self._workers.until_settled(RENEWAL)

    def named(self, hosts: Hosts) -> None:
        """The followed files name other servers."""
        self._workers.tell(frame(Servers(hosts)))

    def not_ready(self) -> list[str]:
        """The workers that do not answer yet, one line each."""
        return self._workers.not_ready()

    async def upstreams(self) -> list[State]:
        """How the upstreams are doing for all workers together. Raises NotNow."""
        return await crew_upstreams(self._workers)

    async def gather(self) -> None:
        """Collect the counts of all workers."""
        await self._workers.gather()

    async def unrouted(self) -> dict[str, int]:
        """The number of each cluster's unrouted answers, over all workers."""
        await self._workers.gather()
        found: dict[str, int] = {}
        for family in summed(self._workers.reports()):
            if family.name == UNROUTED:
                found = {labels[0]: int(value) for labels, value in family.values}
        return found

    async def leave(self) -> None:
        """Let no worker take a new question."""
        await self._workers.leave()

    async def end(self) -> None:
        """Have all workers answer the questions in flight, then end."""
        await self._workers.end()

    def _changed(self, cluster: str, changes: list[Change], now: int) -> None:
        """Tell the workers of changed objects."""
        if not self._workers.places:
            return
        if self._freshness.get(cluster) is Freshness.UNSYNCED:
            changes = [change for change in changes if _is_early(change)]
        if changes:
            self._workers.tell(frame(Changed(cluster, now, Raw(transfer.encode(changes)))))

    def _push(self, prefixes: Iterable[Prefix]) -> None:
        self.pushed = tuple(prefixes)
        self._workers.tell(frame(Pushed(list(map(str, self.pushed)))))

    def _note(self) -> None:
        """Note the current freshness, which workers that are started now know."""
        self._freshness = {each.cluster.name: each.cluster.freshness for each in self.parts.clusters}


def _is_early(change: Change) -> bool:
    key = change.object.key if isinstance(change, Put) else change.key
    return key.kind in EARLY_KINDS or key == COREDNS


def _shared(opened: list[Listening], workers: int) -> list[list[Listening]]:
    """The sockets of each worker; raises CannotStart."""
    by_address = []
    for each in opened:
        try:
            by_address.append(share(each, workers))
        except OSError as error:
            said = of_system(error)
            raise CannotStart(
                f"cannot listen on {each.address} with {workers} workers: {said}; have fewer of them"
            ) from None
    return [list(pairs) for pairs in zip(*by_address, strict=True)]

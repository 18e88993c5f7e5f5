"""The process that the user starts, when there are workers: it follows clusters and files and tells the workers.

It has the sockets, the watches, the HTTP side and the snapshots, and answers no question itself. A cluster that has not
been read is empty for the workers but for what says whose questions are whose and where its CoreDNS is. When it has
been read they are renewed, so that all share its objects in memory, instead of each having a copy.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Raw

from dnsbridge import __version__
from dnsbridge.app.answering.forward_zones import Hosts
from dnsbridge.app.answering.parts import Bridged, Parts, build
from dnsbridge.app.companion.reach import wanted_here
from dnsbridge.app.facts.cluster_states import cluster_states
from dnsbridge.app.facts.families import summed
from dnsbridge.app.facts.metrics import UNROUTED, PartsCollector
from dnsbridge.app.feeds import CannotStart
from dnsbridge.app.server.admission import admission
from dnsbridge.app.server.alone import GRACE, log_exception, open_sockets, spare_the_collector
from dnsbridge.app.server.crew.crew import Crew
from dnsbridge.app.server.crew.merged_facts import CrewCache, CrewCollector, crew_upstreams
from dnsbridge.app.server.crew.messages import Aged, Changed, Pushed, Servers, frame
from dnsbridge.app.server.http import Views, routes_document, start_http, unread
from dnsbridge.app.server.sockets import Listening, share
from dnsbridge.app.server.upkeep import begin, end, kept_going, watch_freshness
from dnsbridge.cluster import transfer
from dnsbridge.cluster.changes import Change, Put
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import Key
from dnsbridge.config import Loaded
from dnsbridge.listeners.udp_socket import queue
from dnsbridge.observe.counters import Counters
from dnsbridge.routes.model import Prefix

if TYPE_CHECKING:
    from dnsbridge.app.companion.served import RoutesDocument

log = logging.getLogger(__name__)

EARLY_KINDS = frozenset({"ServiceCIDR", "IPPool", "Node", "ConfigMap"})
"""What a worker must know of a cluster that has not been read: its prefixes, and this service."""
RENEWAL = 5.0
"""Seconds that a renewal of the workers is waited for."""
COREDNS = Key("Service", "kube-system", "kube-dns")


class Telling:
    """What the workers are told, and when."""

    def __init__(self, crew: Crew) -> None:
        self.parts: Parts | None = None
        """This process's, once they are there."""
        self.pushed: tuple[Prefix, ...] = ()
        """Where routes lead that are pushed elsewhere, for a worker that is started now."""
        self._crew = crew
        self._freshness: dict[str, Freshness] = {}
        """Of each cluster, as the workers know it."""

    def note(self) -> None:
        """The workers that are started now know what is known now."""
        if self.parts:
            self._freshness = {each.cluster.name: each.cluster.freshness for each in self.parts.clusters}

    def changed(self, cluster: str, changes: list[Change], now: int) -> None:
        """Objects change."""
        if not self._crew.places:
            return
        if self._freshness.get(cluster) is Freshness.UNSYNCED:
            changes = [change for change in changes if _is_early(change)]
        if changes:
            self._crew.tell(frame(Changed(cluster, now, Raw(transfer.encode(changes)))))

    async def moved(self, clusters: list[Bridged]) -> None:
        """How far clusters can be trusted has changed; returns when the workers act on it."""
        first = [each for each in clusters if self._freshness.get(each.cluster.name) is Freshness.UNSYNCED]
        for each in clusters:
            if each not in first:
                self._crew.tell(frame(Aged(each.cluster.name, each.cluster.freshness.value)))
        self.note()
        if first:
            for each in first:
                each.cluster.index.compact()
            self._crew.renew()
            await self._crew.until_settled(RENEWAL)

    def named(self, hosts: Hosts) -> None:
        """The followed files name other servers."""
        self._crew.tell(frame(Servers(hosts)))

    def push(self, prefixes: Iterable[Prefix]) -> None:
        """The routes that are pushed elsewhere are these from now on."""
        self.pushed = tuple(prefixes)
        self._crew.tell(frame(Pushed(list(map(str, self.pushed)))))


def _is_early(change: Change) -> bool:
    key = change.object.key if isinstance(change, Put) else change.key
    return key.kind in EARLY_KINDS or key == COREDNS


async def hold(loaded: Loaded, crew: Crew, telling: Telling, on_ready: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM. Raises CannotStart; `on_ready` is called when questions are answered."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_exception)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The loop's own handlers would miss one that comes while it stands still for a fork.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    log.info("dnsbridge %s", __version__)
    settings = loaded.settings
    opened = open_sockets(loaded)
    addresses = tuple(each.address for each in opened)
    by_worker = _shared(opened, settings.workers)
    parts = telling.parts = build(settings, addresses, telling.changed)
    kept = await begin(loaded, parts)
    for each in parts.clusters:
        each.cluster.index.compact()
    spare_the_collector()
    telling.note()
    crew.start(by_worker)
    try:
        works = [bridged.feed.source.follow for bridged in parts.clusters]
        works += [keeper.keep for keeper in kept]
        works += [partial(watch_freshness, parts, telling.moved), crew.supervise]
        if parts.zones.files:
            works.append(partial(parts.zones.follow, telling.named))
        routes = routes_document(
            settings, parts, telling.push if wanted_here(settings) else None, partial(_unrouted, crew)
        )
        if routes and routes.pushes:
            works.append(routes.follow)
        tasks = [asyncio.create_task(kept_going(work)) for work in works]
        await crew.until_settled(None)
        log.info("listening on %s (UDP and TCP)", ", ".join(map(str, addresses)))
        http = await start_http(loaded, _views(loaded, parts, crew, by_worker, routes))
        log.info("ready")
        on_ready()
        await ended.wait()
        await crew.leave()
        log.info("ending: questions in flight are answered first, for at most %g s", GRACE)
    finally:
        await crew.end()
    await end(tasks, kept, http, parts)


def _shared(opened: list[Listening], workers: int) -> list[list[Listening]]:
    """The sockets of each worker; raises CannotStart."""
    by_address = []
    for each in opened:
        try:
            by_address.append(share(each, workers))
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise CannotStart(
                f"cannot listen on {each.address} with {workers} workers: {said}; have fewer of them"
            ) from None
    return [list(pairs) for pairs in zip(*by_address, strict=True)]


async def _unrouted(crew: Crew) -> dict[str, int]:
    """How many answers of each cluster no route leads to, of all workers."""
    await crew.gather()
    found: dict[str, int] = {}
    for family in summed(crew.reports()):
        if family.name == UNROUTED:
            found = {labels[0]: int(value) for labels, value in family.values}
    return found


def _views(
    loaded: Loaded, parts: Parts, crew: Crew, opened: list[list[Listening]], routes: "RoutesDocument | None"
) -> Views:
    own = PartsCollector(
        parts,
        Counters(),
        admission(loaded.settings, parts),
        lambda: sum(queue(each.udp).lost for pairs in opened for each in pairs),
    )
    return Views(
        CrewCollector(crew, own),
        lambda: unread(parts) + crew.not_ready(),
        CrewCache(crew),
        partial(crew_upstreams, crew),
        crew.gather,
        routes,
        partial(cluster_states, parts),
    )

"""`routes run`: keeps all sinks in step with the clusters until SIGINT or SIGTERM; the routes then stay in place.

    pictures   of its own clusters, or pulled from another dnsbridge; each change counts at once
    wanted     the routes worked out from the pictures, for this host as it is now, without those that the guards refuse
    keep       a cluster's routes stay while its picture is incomplete or old: silence withdraws nothing
    damping    a route that flaps waits (see routes.damping)
    sinks      each on its own (see sinks.reconcile); a sink that only one companion may drive waits for the Lease

After a crash or a requested end the routes are still there, and the next start recognises its own routes by the sink's
mark. `routes withdraw` takes them back.
"""

import asyncio
import gc
import logging
import random
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial

from msgspec import Struct, structs

from dnsbridge import __version__
from dnsbridge.app.companion.host import host_here
from dnsbridge.app.companion.pictures import OwnPictures, unfresh
from dnsbridge.app.companion.pull import CannotPull, Puller
from dnsbridge.app.companion.tables import NotRead
from dnsbridge.app.companion.wanted import ROUTERS, choice_of
from dnsbridge.app.feeds import Feed, by_precedence, feed_of, open_all, say_not_used
from dnsbridge.backoff import Backoff
from dnsbridge.config import Loaded, Settings
from dnsbridge.errors import CannotStart
from dnsbridge.netlink.kernel_routes import Event, KernelEvents
from dnsbridge.routes.aggregate import aggregate
from dnsbridge.routes.damping import Damper
from dnsbridge.routes.gateways import Ways
from dnsbridge.routes.host import Host
from dnsbridge.routes.kept import kept
from dnsbridge.routes.model import IPAddress, Note, Prefix, Route, Severity, changes, in_order
from dnsbridge.routes.pictures.document import Told
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.sink import Sink, SinkProblem
from dnsbridge.routes.wanted import wanted
from dnsbridge.sinks.kernel import KernelSink
from dnsbridge.sinks.mass_change import Removals
from dnsbridge.sinks.reconcile import Reconciler
from dnsbridge.watch.api.source import ApiSource
from dnsbridge.watch.gateway_probe import GatewayProbe
from dnsbridge.watch.lease.elected import Candidate

log = logging.getLogger(__name__)

CHECK = 30.0
"""Seconds between two checks that the sinks still have what they should."""
LOOK = 1.0
"""Seconds between two looks at how fresh the clusters are."""
LOOK_SYNC = 0.05
"""The same while a cluster has not been read whole."""
SETTLE = 0.1
"""Seconds between two looks at this host's interfaces, when one change follows another."""
MAX_NOTES = 20
"""The most notes that are logged one by one at a time."""

OF_THE_SERVER = ""
"""Stands for the clusters of a server that has told nothing yet."""

ReadHost = Callable[[], Awaitable[Host]]


class _Set(Struct):
    """One wanted set, for routers or for this host: routers find the way to next hops, this host's kernel does not."""

    damper: Damper
    base: tuple[Route, ...] = ()
    """The routes wanted last; at the start, the routes that were there."""


def _recurses(reconciler: Reconciler) -> bool:
    return reconciler.sink.name in ROUTERS


class Companion:
    """The routes wanted now, and the sinks that must have them."""

    def __init__(
        self,
        settings: Settings,
        told: Callable[[], Sequence[Told]],
        unread: Callable[[], frozenset[str]],
        reconcilers: Sequence[Reconciler],
        read_host: ReadHost,
    ) -> None:
        """`told` gives the current pictures, `unread` the clusters that are not fully known."""
        self.wake = asyncio.Event()
        self.probe: GatewayProbe | None = None
        self.notes: tuple[Note, ...] = ()
        """About the routes that are wanted now; each only once."""
        self.damped: frozenset[Prefix] = frozenset()
        """The prefixes that wait because they flap."""
        self.read_tables: Callable[[], Awaitable[None]] | None = None
        """Reads this host's own table, if that is the picture."""
        self._settings = settings
        self._told = told
        self._unread = unread
        self._reconcilers = reconcilers
        self._read_host = read_host
        self._host = Host()
        self._sets = {recurse: _Set(Damper()) for recurse in {_recurses(each) for each in reconcilers}}
        if settings.routes.gateways.probe:
            self.probe = GatewayProbe(settings.routes.gateways.probe, self.wake.set)

    async def start(self) -> None:
        """Read this host, and the routes of ours that are there. Raises NoHost."""
        self._host = await self._read_host()
        for each in self._reconcilers:
            if each.sink.exclusive:
                continue
            with suppress(SinkProblem):  # the problem is logged when the sink is driven
                held = (await each.sink.held()).own
                place = self._sets[_recurses(each)]
                place.base = in_order({route.prefix: route for route in (*place.base, *held)}.values())
                if held:
                    log.info("sink %s: has %d routes of ours from before", each.sink.name, len(held))

    async def run(self) -> None:
        """Work out the wanted routes at each change, until cancelled."""
        again: float | None = None
        before: frozenset[str] | None = None
        while True:
            look = LOOK_SYNC if before else LOOK
            timeout = look if again is None else max(0.0, min(look, again - time.monotonic()))
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self.wake.wait()
            due = again is not None and time.monotonic() >= again
            unread = self._unread()
            if not (self.wake.is_set() or due or unread != before):
                continue
            self.wake.clear()
            if before is not None:
                _say_unread(before, unread)
            again = await self._work_out()
            if before and not unread:
                gc.freeze()  # these objects stay: the collector need not walk them while a change waits
            before = unread

    async def follow_host(self) -> None:
        """Read this host again when an interface or an address changes, until cancelled."""
        heard = KernelEvents()
        try:
            while True:
                event = await heard.next()
                if self.read_tables:
                    with suppress(NotRead):  # the table as it was stays
                        await self.read_tables()
                if not event & (Event.LINKS | Event.LOST):
                    continue
                host = await self._read_host()
                if host != self._host:
                    log.info("this host's interfaces or addresses have changed; its routes are worked out anew")
                    self._host = host
                    self.wake.set()
                # Routes go with the link that they lead over, and not all kernels report each of them.
                for each in self._reconcilers:
                    each.check()
                await asyncio.sleep(SETTLE)
        finally:
            heard.close()

    async def check(self) -> None:
        """Check every CHECK seconds that the sinks have what they should, until cancelled."""
        while True:
            await asyncio.sleep(CHECK)
            for each in self._reconcilers:
                each.check()

    async def _work_out(self) -> float | None:
        """Give the sinks the routes wanted now; returns when to do so again, in monotonic seconds."""
        told = self._told()
        unread = self._unread() | unfresh(told)
        pictures = [each.picture for each in told]
        notes: list[Note] = []
        held: list[Prefix] = []
        again: list[float] = []
        for recurse, place in self._sets.items():
            silent = self.probe.silent if self.probe else frozenset[IPAddress]()
            choice = choice_of(self._settings, silent, recurse)
            found = wanted(pictures, choice, self._host)
            notes += found.notes
            place.base = routes = kept(changes(place.base, found.routes).now, place.base, unread)
            settled = place.damper.settle(routes, time.monotonic())
            held += settled.held
            if settled.again is not None:
                again.append(settled.again)
            for each in self._reconcilers:
                if _recurses(each) is recurse:
                    each.want(await self._merged(each, settled.routes))
        self._say(notes)
        self._say_held(held)
        if self.probe:
            self.probe.watch(self._gateways(pictures))
        return min(again, default=None)

    async def _merged(self, reconciler: Reconciler, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        """The routes, aggregated if the settings ask for that."""
        if not self._settings.routes.aggregate:
            return routes
        try:
            foreign = (await reconciler.sink.held()).foreign
        except SinkProblem:
            return routes  # the problem is logged when the sink is driven
        return aggregate(routes, [each.prefix for each in foreign])

    def _gateways(self, pictures: Iterable[Picture]) -> Iterator[IPAddress]:
        """All gateways that are reached from here, whether they answer or not."""
        choice = choice_of(self._settings)
        for picture in pictures:
            ways = Ways(picture, choice, self._host)
            for version in (4, 6):
                hops = ways.to_gateways(version)
                if not isinstance(hops, str):
                    yield from (hop.address for hop in hops if hop.address)

    def _say(self, notes: Iterable[Note]) -> None:
        """Log the notes that are new."""
        levels = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR}
        before = frozenset(self.notes)
        self.notes = tuple(dict.fromkeys(notes))
        new = [note for note in self.notes if note not in before]
        for note in new[:MAX_NOTES]:
            log.log(levels[note.severity], "%s", note)
        if len(new) > MAX_NOTES:
            log.info("and %d more notes; dnsbridge routes plan shows all", len(new) - MAX_NOTES)

    def _say_held(self, prefixes: Iterable[Prefix]) -> None:
        before, self.damped = self.damped, frozenset(prefixes)
        new = self.damped - before
        for prefix in sorted(new, key=str)[:MAX_NOTES]:
            log.warning("%s: changes all the time; it is pushed when it has been wanted for a while", prefix)


def _say_unread(before: frozenset[str], unread: frozenset[str]) -> None:
    """Log which clusters are not fully known any more, and which are again."""
    for name in sorted(unread - before - {OF_THE_SERVER}):
        text = "cluster %s: no sign of life for too long, or not read whole; its routes stay as they are"
        log.error(text, name, extra={"event": "cluster_stale"})
    for name in sorted(before - unread - {OF_THE_SERVER}):
        log.info("cluster %s: fresh; its routes follow it", name, extra={"event": "cluster_fresh"})


async def run_routes(
    loaded: Loaded, sinks: Sequence[Sink], allow_mass_change: bool, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Run until SIGINT or SIGTERM. Raises CannotStart, NoHost."""
    settings = loaded.settings
    # Working out a change makes thousands of short-lived objects, and hardly any reference cycles.
    gc.set_threshold(50_000, 5, 50)
    log.info("dnsbridge %s, sinks: %s", __version__, ", ".join(each.name for each in sinks))
    elected = settings.routes.lease.name is not None
    reconcilers = [
        Reconciler(
            sink,
            Backoff(random.random),
            None if allow_mass_change else Removals(),
            leads=not (elected and sink.exclusive),
        )
        for sink in sinks
    ]
    feeds = [feed_of(each, settings, routes=True) for each in by_precedence(settings)]
    await open_all(feeds)
    say_not_used(feeds)
    works: list[Callable[[], Awaitable[None]]] = [each.run for each in reconcilers]
    puller: Puller | None = None
    try:
        if settings.routes.pull.url is not None:
            puller = Puller(settings.routes.pull, settings.state_dir)
            companion = _pulling(settings, feeds, puller, reconcilers)
            puller.restore()
            works.append(puller.follow)
        else:
            companion = await _following(settings, feeds, reconcilers)
            works += [feed.source.follow for feed in feeds]
    except CannotPull as error:
        raise CannotStart(str(error)) from None
    await companion.start()
    candidate: Candidate | None = None
    if elected and any(sink.exclusive for sink in sinks):
        candidate = _candidate(settings, feeds, [each for each in reconcilers if each.sink.exclusive])
        works.append(candidate.run)
    works += [companion.run, companion.follow_host, companion.check]
    if companion.probe:
        works.append(companion.probe.run)
    companion.wake.set()
    async with AsyncExitStack() as opened:
        if settings.routes.http is not None:
            from dnsbridge.app.companion.http import shown  # noqa: PLC0415  slow to load
            from dnsbridge.app.facts.companion_metrics import Counted  # noqa: PLC0415

            counted = Counted(companion, reconcilers, feeds, puller, candidate)
            works.append(await opened.enter_async_context(shown(settings.routes.http, counted)))
        await _until_ended(works, reconcilers, on_ready)


def what_stays(sinks: Collection[str]) -> str:
    """What happens to the routes in these sinks when nobody keeps them up to date any more."""
    said = []
    if any(name != "bgp" for name in sinks):
        said.append("the routes stay; dnsbridge routes withdraw takes them back")
    if "bgp" in sinks:
        said.append("BGP peers keep what they were told for routes.bgp.graceful_restart")
    return "; ".join(said)


async def _until_ended(
    works: Iterable[Callable[[], Awaitable[None]]], reconcilers: Sequence[Reconciler], on_ready: Callable[[], None]
) -> None:
    """Run all work until a signal comes; then let the sinks go, and leave the routes in place."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    heard = _hear_kernel(loop, reconcilers)
    tasks = [asyncio.ensure_future(work()) for work in works]
    log.info("ready")
    on_ready()
    stopped = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        failed = next((task for task in tasks if task.done()), None)
        if failed:
            await failed  # work ends by itself only with an error
        log.info("ending: %s", what_stays({each.sink.name for each in reconcilers}))
    finally:
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.gather(stopped, *tasks, return_exceptions=True)
        for descriptor in heard:
            loop.remove_reader(descriptor)


def _pulling(settings: Settings, feeds: Sequence[Feed], puller: Puller, reconcilers: Sequence[Reconciler]) -> Companion:
    def told() -> Sequence[Told]:
        found = puller.told or ()
        return found if puller.fresh else [Told(each.picture, False) for each in found]

    def unread() -> frozenset[str]:
        return unfresh(told()) if puller.told is not None else frozenset({OF_THE_SERVER})

    async def read_host() -> Host:
        found = await host_here(settings, feeds)
        return structs.replace(found, protected=(*found.protected, *await puller.protected()))

    companion = Companion(settings, told, unread, reconcilers, read_host)
    puller.on_change = companion.wake.set
    return companion


async def _following(settings: Settings, feeds: Sequence[Feed], reconcilers: Sequence[Reconciler]) -> Companion:
    if not feeds and not settings.routes.tables:
        raise CannotStart(
            "no cluster to read: name one with --manifests or --kubeconfig, or a table with routes.tables"
        )
    pictures = OwnPictures(settings, feeds)
    await pictures.read_tables()

    def told() -> Sequence[Told]:
        return pictures.told()

    companion = Companion(settings, told, pictures.unfresh, reconcilers, partial(host_here, settings, feeds))
    pictures.on_change = companion.wake.set
    if pictures.live:
        companion.read_tables = pictures.read_tables
    return companion


def _candidate(settings: Settings, feeds: Sequence[Feed], led: Sequence[Reconciler]) -> Candidate:
    said = settings.routes.lease
    api = next((each.source for each in feeds if isinstance(each.source, ApiSource)), None)
    if api is None or said.name is None:
        raise CannotStart("routes.lease: there is no API server to hold the Lease; leave it out, or name a kubeconfig")

    async def lead() -> None:
        for each in led:
            each.lead()

    async def lose() -> None:
        await asyncio.gather(*(each.stop_leading() for each in led))

    async def make_way() -> None:
        await asyncio.gather(*(each.make_way() for each in led))

    address = api.connection.address
    return Candidate(address, said.name, said.namespace, said.duration, lead, lose, make_way)


def _hear_kernel(loop: asyncio.AbstractEventLoop, reconcilers: Iterable[Reconciler]) -> list[int]:
    """Check a kernel sink as soon as the kernel reports another program's change; returns the descriptors read."""
    heard = []
    for each in reconcilers:
        if isinstance(each.sink, KernelSink):
            with suppress(SinkProblem):  # the problem is logged when the sink is driven
                heard.append(each.sink.fileno())
                loop.add_reader(heard[-1], partial(_heard, each.sink, each))
    return heard


def _heard(sink: KernelSink, reconciler: Reconciler) -> None:
    if sink.touched():
        reconciler.check()

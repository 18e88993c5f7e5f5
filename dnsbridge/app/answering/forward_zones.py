"""The forward zones of a running server: each is a cache in front of the zone's current upstreams.

Upstreams are fixed addresses, or resolv.conf(5) files and Services, which are followed. When a file or a Service stands
for other servers, the zone gets a new Forward; the old Forward is closed when its questions are done. An upstream that
is in both keeps its health; its counters begin anew, as after a restart.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dnsbridge import config
from dnsbridge.app.answering.service_upstreams import ServiceUpstreams
from dnsbridge.app.answering.upstream_servers import Server, resolv_confs, servers_of
from dnsbridge.config import Address, ServiceAddress, StreamAddress
from dnsbridge.resolvers.chain import Beyond
from dnsbridge.resolvers.forward.answer_table import CacheStore
from dnsbridge.resolvers.forward.cached_zone import Cached
from dnsbridge.resolvers.forward.exchange import Asking
from dnsbridge.resolvers.forward.health import Condition
from dnsbridge.resolvers.forward.stream import StreamUpstream
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.upstream import Upstream
from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.resolvers.resolver import Outcome, second
from dnsbridge.tls import Tls, client_context
from dnsbridge.watch.resolv_conf import LOOK_INTERVAL, ResolvConf
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query

log = logging.getLogger(__name__)

Hosts = dict[str, tuple[str, ...]]
"""The addresses that each file names, by path."""
LINGER = 0.5
"""Seconds that an old Forward stays after the deadline of its last question."""


class NoServers:
    """Stands in for a Forward while a zone's files name no server and its Services stand for none."""

    def __init__(self, failure: Failure) -> None:
        self._failure = failure

    def resolve(self, _: Query, beyond: Beyond | None = None) -> Outcome:
        """Nobody can be asked."""
        return self._failure

    def ask(self, asking: Asking) -> None:
        """The same."""
        asking.over = True
        asking.ended(self._failure)


class ForwardZones:
    """All forward zones."""

    def __init__(
        self,
        said: Sequence[config.Forward],
        cache: config.Cache,
        listening: Sequence[Address],
        files: dict[Path, ResolvConf] | None = None,
        services: ServiceUpstreams | None = None,
    ) -> None:
        """`listening` are the addresses of this server: no file makes the server ask itself.

        `files` are the files among the upstreams, if they have been read already; `services` are the Services.
        """
        self.files = resolv_confs(said, listening) if files is None else files
        self.services = services or ServiceUpstreams()
        self.store = CacheStore(cache.size)
        self.forwards: dict[str, Forward] = {}
        """By zone, as text; without the zones that have no upstream now."""
        self.caches: dict[str, Cached] = {}
        """The caches of all zones, over one store."""
        self.changes: dict[str, int] = {}
        """How often each zone got other upstreams."""
        self._said = [each for each in said if each.upstreams]
        self._contexts = {each.zone: client_context(each.ca) for each in said if each.uses_tls}
        self._servers: dict[str, tuple[Server, ...]] = {}
        self._retiring: dict[Forward, asyncio.Task[None]] = {}
        for each in self._said:
            self.caches[each.zone] = Cached(
                NoServers(_nobody(each)),
                self.store,
                second,
                serve_stale=cache.serve_stale,
                prefetch=cache.prefetch,
                down=partial(self._all_down, each.zone),
            )
            self.changes[each.zone] = 0
            self._renew(each)

    async def follow(self, tell: Callable[[Hosts], None]) -> None:
        """Look for changes of the files until cancelled; when one has changed, `tell` receives the addresses of all."""
        told = self._hosts()
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            await asyncio.to_thread(self._look)
            if told != self._hosts():
                told = self._hosts()
                tell(told)
            self._renew_all()

    def look_at_services(self, cluster: str, keys: Collection[bytes], say: bool = True) -> None:
        """Update the servers of the Services that these changed keys of a cluster's index concern."""
        if self.services.look(cluster, keys):
            self._renew_all(say)

    def services_of_zones(self) -> Iterator[tuple[str, ServiceAddress]]:
        """Each Service among the upstreams of each zone."""
        for each in self._said:
            for upstream in each.upstreams:
                if isinstance(upstream, ServiceAddress):
                    yield each.zone, upstream

    def _renew_all(self, say: bool = True) -> None:
        """Switch all zones to their current servers, and log which zones have others than before."""
        for each in self._said:
            if self._renew(each):
                self.changes[each.zone] += 1
                if say:
                    servers = ", ".join(map(str, self._servers[each.zone]))
                    followed = ", ".join(str(one) for one in each.upstreams if isinstance(one, Path | ServiceAddress))
                    log.info("forward %s: now %s (%s)", each.zone, servers or f"no upstream, {_then(each)}", followed)

    def adopt(self, hosts: Hosts) -> None:
        """Take the addresses of the files from the process that follows them."""
        for path, file in self.files.items():
            file.hosts = hosts.get(str(path), file.hosts)
        for each in self._said:
            self._renew(each)

    async def close(self) -> None:
        """Close every socket to an upstream."""
        for task in self._retiring.values():
            task.cancel()
        for forward in (*self._retiring, *self.forwards.values()):
            await forward.close()

    def _hosts(self) -> Hosts:
        return {str(path): file.hosts for path, file in self.files.items()}

    def _look(self) -> None:
        for file in self.files.values():
            file.look()

    def _renew(self, said: config.Forward) -> bool:
        """Switch a zone to its current servers; returns whether they are others than before."""
        zone = said.zone
        servers = tuple(servers_of(said, self.files, self.services.by_address))
        if servers == self._servers.get(zone, ()):
            return False
        old = self.forwards.get(zone)
        known = {str(upstream): upstream for upstream in old.upstreams} if old else {}
        upstreams = [self._upstream(zone, server, known) for server in servers]
        self._servers[zone] = servers
        self.forwards.pop(zone, None)
        if upstreams:
            self.forwards[zone] = Forward(upstreams, policy=said.policy, random_case=said.random_case)
        cached = self.caches[zone]
        cached.replace(self.forwards.get(zone) or NoServers(_nobody(said)))
        cached.forget_failures(None)
        if old:
            self._retiring[old] = asyncio.get_running_loop().create_task(self._retire(old))
        return True

    def _upstream(self, zone: str, server: Server, known: Mapping[str, Upstream]) -> Upstream:
        made: Upstream
        if isinstance(server, StreamAddress):
            made = StreamUpstream(
                server.host, server.port, Tls(self._contexts[zone], server.name) if server.tls else None
            )
        else:
            made = UdpUpstream(server.host, server.port)
        before = known.get(str(made))
        if before:
            made.health = before.health
        return made

    async def _retire(self, old: Forward) -> None:
        """Close a Forward that is no longer asked, once no question can wait for it."""
        await asyncio.sleep(max(old.deadline, old.patience) + LINGER)
        await old.close()
        del self._retiring[old]

    def _all_down(self, zone: str) -> bool:
        forward = self.forwards.get(zone)
        return forward is None or all(each.health.condition is Condition.DOWN for each in forward.upstreams)


def _nobody(said: config.Forward) -> Failure:
    """The failure for questions while a zone has no server: a Service that is missing counts as one that is down."""
    followed = any(isinstance(each, ServiceAddress) for each in said.upstreams)
    return Failure.UPSTREAM if followed else Failure.NO_ROUTE


def _then(said: config.Forward) -> str:
    return "its names get SERVFAIL" if _nobody(said) is Failure.UPSTREAM else "its names are refused"

"""The sink `bgp`: announces the routes to routers, as long as it is open.

A session ends with the process that holds it, so this sink is for `dnsbridge routes run`. Routes that a one-shot
command announced would be lost when it ends, at once or after the graceful restart time; so the sink refuses there.

    apply      announces each route that is new or has another next hop (which replaces the old route in one step), then
               withdraws each route that is no longer wanted; waits until every peer with a session has been sent that
    reached    the routes that at least one peer has been sent in its present session
    failures   by prefix, the routes that a peer was not sent; for a peer without a session one, under its own address

When ExaBGP dies, a new one starts with the whole set, after 1, 2, 4 ... 60 seconds.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, ip_network

from msgspec.structs import replace

from dnsbridge.routes.model import Failure, IPAddress, Prefix, Reached, Route, in_order
from dnsbridge.routes.sink import Held, SinkProblem
from dnsbridge.sinks.bgp.process import ExaBgp, PeerState
from dnsbridge.sinks.bgp.speaker import Peer, Speaker, announce, announced, fault, withdraw

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a first session may take; after that the peer is reported, and still retried."""
REFUSALS = 2
"""Refusals in a row, each with a reason, after which nothing waits for the peer. A refused connection alone does not
count: the peer may still be ending an earlier session."""
TELL_SECONDS = 30.0
"""Seconds for sending the changes to the peers."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between two starts of an ExaBGP that keeps dying. After a longer life the pause is FIRST_PAUSE again."""


class BgpSink:
    """Announces over BGP."""

    name = "bgp"
    exclusive = True

    def __init__(self, speaker: Speaker, lasting: bool = True) -> None:
        """`lasting` says that this process keeps running."""
        self._speaker = speaker
        self._lasting = lasting
        self._child: ExaBgp | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._routes: dict[Prefix, Route] = {}
        """The announced routes as they were wanted; a route may have several next hops."""
        self._announced: dict[Prefix, IPAddress] = {}
        self._lock = asyncio.Lock()

    @property
    def peers(self) -> Mapping[IPAddress, PeerState]:
        """The state of each peer's session; empty before the first announcement."""
        return self._child.peers if self._child else {}

    async def held(self) -> Held:
        """The routes that this process announces. A new process has none, whatever routes peers still keep."""
        return Held(in_order(self._routes.values()))

    async def apply(self, routes: Sequence[Route]) -> Reached:
        """Announce these routes and no others. Raises SinkProblem."""
        if problem := fault(self._speaker):
            raise SinkProblem(problem)
        if not self._lasting:
            if not routes:
                return Reached()
            raise SinkProblem("bgp: a session ends with the command that holds it; announce with dnsbridge routes run")
        wanted: dict[Prefix, IPAddress] = {}
        failures: list[Failure] = []
        for route in routes:
            next_hop = announced(route)
            if isinstance(next_hop, str):
                failures.append(Failure(route.prefix, next_hop))
            else:
                wanted[route.prefix] = next_hop
        async with self._lock:
            failures += await self._announce(wanted)
            self._routes = {route.prefix: route for route in routes if route.prefix in self._announced}
            self._keeper = self._keeper or asyncio.create_task(self._keep())
            return await self._reached(failures)

    async def withdraw(self) -> Reached:
        """Withdraw all routes from the peers."""
        async with self._lock:
            if self._child is None or self._child.ended.is_set():
                self._announced, self._routes = {}, {}
                return Reached()
            failures = await self._announce({})
            self._routes = {}
            return await self._reached(failures)

    async def close(self) -> None:
        """End the sessions; peers keep the routes for the graceful restart time."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        async with self._lock:
            if self._child:
                await self._child.kill()
                self._child = None

    async def _announce(self, wanted: Mapping[Prefix, IPAddress]) -> list[Failure]:
        """Make ExaBGP announce exactly these. Raises SinkProblem if none is running and none can be started."""
        if self._child is None or self._child.ended.is_set():
            await self._start(wanted)
            return []
        new = [(prefix, hop) for prefix, hop in wanted.items() if self._announced.get(prefix) != hop]
        old = [(prefix, hop) for prefix, hop in self._announced.items() if prefix not in wanted]
        taken = await self._child.tell([announce(*each) for each in new] + [withdraw(*each) for each in old])
        if self._child.ended.is_set():
            await self._start(wanted)
            return []
        failures = []
        for position, (prefix, hop) in enumerate(new + old):
            if not taken[position]:
                failures.append(Failure(prefix, "ExaBGP does not take the change; it is tried again with the next"))
            elif position < len(new):
                self._announced[prefix] = hop
            else:
                del self._announced[prefix]
        return failures

    async def _start(self, wanted: Mapping[Prefix, IPAddress]) -> None:
        if self._child:
            await self._child.kill()
        self._announced = dict(wanted)
        if not self._speaker.router_id:
            self._speaker = replace(self._speaker, router_id=_router_id(self._speaker))
        self._child = ExaBgp(self._speaker)
        await self._child.start(wanted)

    async def _reached(self, failures: list[Failure]) -> Reached:
        assert self._child
        peers = self._child.peers
        if not await self._child.until(lambda: all(_decided(peer) for peer in peers.values()), PATIENCE):
            for state in peers.values():
                state.silent = not _decided(state)
        await self._child.until(lambda: all(self._is_told(peer) for peer in peers.values() if peer.up), TELL_SECONDS)
        told: set[Prefix] = set()
        for peer in self._speaker.peers:
            state = peers[peer.address]
            if not state.up:
                failures.append(Failure(ip_network(peer.address), self._no_session(peer, state)))
                continue
            told |= {prefix for prefix, hop in self._announced.items() if state.told.get(prefix) == hop}
            failures += self._untold(peer, state)
        return Reached(in_order(self._routes[prefix] for prefix in told & self._routes.keys()), tuple(failures))

    def _is_told(self, state: PeerState) -> bool:
        return state.told == {p: hop for p, hop in self._announced.items() if p.version in state.versions}

    def _untold(self, peer: Peer, state: PeerState) -> list[Failure]:
        failures = []
        for prefix, hop in self._announced.items():
            if prefix.version not in state.versions:
                why = f"its session carries no IPv{prefix.version} unicast; activate that family there"
                failures.append(Failure(prefix, f"BGP peer {peer.address} is not told of it: {why}"))
            elif state.told.get(prefix) != hop:
                failures.append(Failure(prefix, f"BGP peer {peer.address} has not been told within {TELL_SECONDS:g} s"))
        failures += [
            Failure(prefix, f"BGP peer {peer.address} has not been told within {TELL_SECONDS:g} s that it is gone")
            for prefix in state.told.keys() - self._announced.keys()
        ]
        return failures

    def _no_session(self, peer: Peer, state: PeerState) -> str:
        what = f"BGP peer {peer.address}, AS {peer.asn}, has no session with us, AS {self._speaker.asn}: "
        if state.reason:
            return what + state.reason
        password = "this MD5 password" if peer.password else "no MD5 password"
        return what + f"nothing takes our connection; does it listen at port {peer.port}, know us, and have {password}?"

    async def _keep(self) -> None:
        """Start a new ExaBGP whenever one has ended."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            born, child = loop.time(), self._child
            if child and not child.ended.is_set():
                await child.ended.wait()
                if child is not self._child:
                    continue
                if loop.time() - born > LONGEST_PAUSE:
                    pause = FIRST_PAUSE
                log.warning("bgp: ExaBGP ended, starting it again in %g s: %s", pause, child.last_words)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            async with self._lock:
                if self._child is None or self._child.ended.is_set():
                    try:
                        await self._start(self._announced)
                    except SinkProblem as problem:
                        log.warning("%s", problem)


def _router_id(speaker: Speaker) -> IPv4Address:
    """Our address towards the first IPv4 peer: the same for all sessions, as RFC 4271 section 1.1 demands."""
    if speaker.local_address:
        if speaker.local_address.version == 4:
            return speaker.local_address
        raise SinkProblem("bgp: our address is IPv6; set routes.bgp.router_id to an IPv4 address that is only ours")
    peer = next(peer for peer in speaker.peers if peer.address.version == 4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(peer.address), peer.port))  # selects the source address, and sends nothing
        except OSError as error:
            raise SinkProblem(
                f"bgp: no way to peer {peer.address}: {error.strerror}; or set routes.bgp.router_id"
            ) from None
        return IPv4Address(probe.getsockname()[0])


def _decided(peer: PeerState) -> bool:
    return peer.up or peer.silent or peer.refused >= REFUSALS

"""The side of one process that answers questions on its sockets: listeners, their admission, and counters."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.facts.metrics import PartsCollector
from dnsbridge.app.server.admission import admission
from dnsbridge.app.server.reach import ReachKeeper, wanted_here
from dnsbridge.app.server.recorders import recorders
from dnsbridge.app.server.sockets import Listening
from dnsbridge.app.server.upkeep import Work, expire, remind_of_shed
from dnsbridge.config import Settings
from dnsbridge.listeners.observed import ObservedTcpListener, ObservedUdpListener
from dnsbridge.listeners.responder import Responder
from dnsbridge.listeners.tcp import TcpLimits, TcpListener
from dnsbridge.listeners.udp import UdpListener
from dnsbridge.observe.counters import Counters

GRACE = 3.0
"""Seconds that questions in flight have when the server is told to end."""


class Answering:
    """Answers questions on some sockets, from some parts."""

    def __init__(
        self, settings: Settings, parts: Parts, opened: Sequence[Listening], lost: Callable[[], int] = lambda: 0
    ) -> None:
        """`lost` gives the number of messages that the kernel has dropped because a socket was full."""
        counters = Counters()
        zone_of = parts.router.zone_of
        responder = Responder(parts.router, parts.prepared, counters, settings.tcp.idle_timeout, zone_of)
        admitted = admission(settings, parts)
        tcp = settings.tcp
        limits = TcpLimits(tcp.connections, tcp.connections_per_client, tcp.idle_timeout, tcp.queries_in_flight)
        self._recorders = recorders(settings.log)
        self.collector = PartsCollector(parts, counters, admitted, lost, self._recorders.families)
        self.reach = ReachKeeper(settings, parts) if wanted_here(settings) else None
        self._counters = counters
        self._parts = parts
        self._udp: list[UdpListener] = []
        self._tcp: list[TcpListener] = []
        for each in opened:
            if samplers := self._recorders.samplers():
                self._udp.append(ObservedUdpListener(each.udp, responder, admitted, samplers))
                self._tcp.append(ObservedTcpListener(each.tcp, responder, admitted, limits, samplers))
            else:
                self._udp.append(UdpListener(each.udp, responder, admitted))
                self._tcp.append(TcpListener(each.tcp, responder, admitted, limits))
        self._ending: Awaitable[Any] | None = None

    async def start(self) -> None:
        """Take questions from now on."""
        for recorder, _ in self._recorders.all:
            recorder.start()
        for udp in self._udp:
            udp.start()
        for tcp in self._tcp:
            await tcp.start()
        self.collector.pauses.watch()

    def works(self) -> list[Work]:
        """The background work that answering needs."""
        kept: list[Work] = [
            self.collector.lag.watch,
            partial(expire, self._parts),
            partial(remind_of_shed, self._counters),
        ]
        return [*kept, *([self.reach.follow, self.reach.remind] if self.reach else [])]

    async def leave(self) -> None:
        """Take no new question."""
        self._ending = asyncio.gather(
            *(each.stop(GRACE) for each in self._udp), *(each.stop(GRACE) for each in self._tcp)
        )
        await asyncio.sleep(0)  # lets each of them take its first step

    async def end(self) -> None:
        """Wait until the questions in flight are answered, for GRACE at most."""
        if self._ending:
            await self._ending
            await asyncio.gather(*(asyncio.to_thread(each.stop) for each, _ in self._recorders.all))

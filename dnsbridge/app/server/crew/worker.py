"""A worker: answers questions on its own sockets, from objects that the holder keeps in step.

It shares with the holder what was in memory when it began. Its prepared answers, its cache of forwarded answers, what
it knows of upstreams, and its limits on clients are its own. It follows nothing by itself, and ends with the holder.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from ipaddress import ip_network

from msgspec import structs

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.companion.reach import ReachKeeper, wanted_here
from dnsbridge.app.facts.cache import held_of
from dnsbridge.app.facts.metrics import PartsCollector
from dnsbridge.app.facts.upstream_states import states
from dnsbridge.app.server.admission import admission
from dnsbridge.app.server.alone import GRACE, listeners, log_exception
from dnsbridge.app.server.crew.channel import Channel
from dnsbridge.app.server.crew.messages import (
    Aged,
    Ask,
    Changed,
    Leaving,
    Pushed,
    Ready,
    Said,
    Servers,
    body,
    frame,
    to_worker,
)
from dnsbridge.app.server.sockets import Listening
from dnsbridge.app.server.upkeep import expire, kept_going
from dnsbridge.cluster import transfer
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.config import Settings
from dnsbridge.listeners.responder import Responder
from dnsbridge.listeners.udp_socket import RECEIVE_BUFFER
from dnsbridge.observe.counters import Counters
from dnsbridge.routes.model import Prefix

log = logging.getLogger(__name__)

LAST_WORDS = 0.5
"""Seconds in which the holder must take the last counts."""


class Worker:
    """What a worker does with what the holder says."""

    def __init__(
        self, number: int, settings: Settings, opened: list[Listening], held: Parts, pushed: Iterable[Prefix]
    ) -> None:
        """`number` counts from 1; `held` are the holder's parts, `pushed` the routes elsewhere (see Pushed)."""
        self.ending = asyncio.Event()
        self._number = number
        self._settings = settings
        self._opened = opened
        self._parts = build(settings, tuple(each.address for each in opened), held=held)
        counters = Counters()
        self._responder = Responder(self._parts.router, self._parts.prepared, counters, settings.tcp.idle_timeout)
        self._admission = admission(settings, self._parts)
        # What the kernel drops it counts for each socket, whoever reads it; the holder has them all.
        self._collector = PartsCollector(self._parts, counters, self._admission, lambda: 0)
        self._channel: Channel | None = None
        self._reach = ReachKeeper(settings, self._parts) if wanted_here(settings) else None
        if self._reach:
            self._reach.push(pushed)

    async def run(self, sock: socket.socket) -> None:
        """Answer until the holder says that it is enough, over its end of a channel."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_exception)
        loop.add_signal_handler(signal.SIGTERM, self.ending.set)
        udp, tcp = listeners(self._settings, self._opened, self._responder, self._admission)
        for opened in self._opened:
            # An earlier worker may have left it short (see listeners.udp).
            opened.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        for udp_listener in udp:
            udp_listener.start()
        for tcp_listener in tcp:
            await tcp_listener.start()
        self._channel = channel = Channel(loop, sock, self._take, _abandoned)
        self._collector.pauses.watch()
        channel.send(frame(Ready()))
        works = [partial(expire, self._parts)]
        if self._reach:
            works += [partial(self._reach.follow), partial(self._reach.remind)]
        tasks = [asyncio.create_task(kept_going(work)) for work in works]
        await self.ending.wait()
        ending = asyncio.gather(*(each.stop(GRACE) for each in udp), *(each.stop(GRACE) for each in tcp))
        await asyncio.sleep(0)  # each has had its first step: no new questions are taken
        channel.send(frame(Leaving()))
        await ending
        for task in tasks:
            task.cancel()
        channel.send(frame(Said(0, body(list(self._collector.answering())))))
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await channel.drained()

    def _take(self, octets: bytes) -> None:
        try:
            self._obey(octets)
        except Exception as error:
            # What it holds may differ from what the others hold from now on; its successor's does not.
            log.error("internal error: %s: %s; ending, another worker takes its place", type(error).__name__, error)
            os._exit(1)

    def _obey(self, octets: bytes) -> None:
        message = to_worker.decode(octets)
        parts = self._parts
        if isinstance(message, Changed):
            parts.apply(message.cluster, transfer.decode(message.changes), message.now)
        elif isinstance(message, Aged):
            parts.set_freshness(message.cluster, Freshness(message.freshness))
        elif isinstance(message, Servers):
            parts.zones.adopt(message.hosts)
        elif isinstance(message, Pushed):
            if self._reach:
                self._reach.push(map(ip_network, message.prefixes))
        elif isinstance(message, Ask):
            assert self._channel
            self._channel.send(frame(Said(message.number, body(self._answer(message)))))
        else:
            self.ending.set()

    def _answer(self, asked: Ask) -> object:
        parts = self._parts
        if asked.what == "counts":
            return list(self._collector.answering())
        if asked.what == "upstreams":
            return states(parts)
        if asked.what == "flush":
            return parts.flush(asked.name)
        return [structs.replace(held, worker=self._number) for held in held_of(parts, asked.name or b"")]


def _abandoned() -> None:
    """The holder has gone: end at once, so that the port is free for the next one."""
    log.error("the process that holds the cluster has gone; ending")
    os._exit(1)

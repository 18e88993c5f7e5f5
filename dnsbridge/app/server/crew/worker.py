"""A worker: it answers questions on its own sockets, from objects that the main process keeps in step.

A worker shares with the main process the memory of the moment of its fork. Its prepared answers, its cache of forwarded
answers, its knowledge of upstreams and its limits on clients are its own. It follows nothing by itself, and ends with
the main process.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_network

from msgspec import structs

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.facts.cache import held_of
from dnsbridge.app.facts.upstream_states import states
from dnsbridge.app.server.answering import Answering
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
from dnsbridge.app.server.life import log_exception
from dnsbridge.app.server.sockets import Listening
from dnsbridge.app.server.upkeep import kept_going
from dnsbridge.cluster import transfer
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.config import Settings
from dnsbridge.listeners.udp_socket import RECEIVE_BUFFER
from dnsbridge.routes.model import Prefix

log = logging.getLogger(__name__)

LAST_WORDS = 0.5
"""Seconds that the main process has to take the last counts."""


class Worker:
    """Answers questions, and does what the main process says."""

    def __init__(
        self, number: int, settings: Settings, opened: list[Listening], held: Parts, pushed: Iterable[Prefix]
    ) -> None:
        """`number` counts from 1; `held` are the main process's parts, `pushed` the prefixes elsewhere (see Pushed)."""
        self.ending = asyncio.Event()
        self._number = number
        self._opened = opened
        self._parts = build(settings, tuple(each.address for each in opened), held)
        # The kernel counts dropped messages by socket, whoever reads it; the main process has all sockets.
        self._answering = Answering(settings, self._parts, opened)
        self._channel: Channel | None = None
        if self._answering.reach:
            self._answering.reach.push(pushed)

    async def run(self, sock: socket.socket) -> None:
        """Answer until the main process says to end; `sock` is this process's end of the channel."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_exception)
        loop.add_signal_handler(signal.SIGTERM, self.ending.set)
        for opened in self._opened:
            # An earlier worker may have left the receive buffer short (see listeners.udp).
            opened.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        answering = self._answering
        await answering.start()
        self._channel = channel = Channel(loop, sock, self._take, _abandoned)
        channel.send(frame(Ready()))
        tasks = [asyncio.create_task(kept_going(work)) for work in answering.works()]
        await self.ending.wait()
        await answering.leave()
        channel.send(frame(Leaving()))
        await answering.end()
        for task in tasks:
            task.cancel()
        channel.send(frame(Said(0, body(list(self._answering.collector.answering())))))
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await channel.drained()

    def _take(self, octets: bytes) -> None:
        try:
            self._obey(octets)
        except Exception as error:
            # Its objects may differ from the other workers' from now on; its successor's do not.
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
            if self._answering.reach:
                self._answering.reach.push(map(ip_network, message.prefixes))
        elif isinstance(message, Ask):
            assert self._channel
            self._channel.send(frame(Said(message.number, body(self._answer(message)))))
        else:
            self.ending.set()

    def _answer(self, asked: Ask) -> object:
        parts = self._parts
        if asked.what == "counts":
            return list(self._answering.collector.answering())
        if asked.what == "upstreams":
            return states(parts)
        if asked.what == "flush":
            return parts.flush(asked.name)
        return [structs.replace(held, worker=self._number) for held in held_of(parts, asked.name or b"")]


def _abandoned() -> None:
    """The main process has gone: end at once, so that the port is free for the next one."""
    log.error("the process that holds the cluster has gone; ending")
    os._exit(1)

"""The state that the reflectors of one API server share: its troubles, the turns of its lists, and news of its return.

After a failure that other resources are likely to meet too, a resource waits for its delay, or until the server is
back. The server is back once something has been read: by another resource that had failed, or by the probe. While a
required resource waits, the probe asks for one object of it every fraction of a second, on behalf of all resources. So
nobody waits out a long delay, and not all resources ask an overloaded server. A resource that fails just after the
probe has succeeded waits out its own delay, until it has read something: one object proves little about a whole list.
"""

import asyncio
import logging
import random
import time
from http import HTTPStatus
from itertools import cycle

import msgspec

from dnsbridge.watch.api import frames
from dnsbridge.watch.api.connection import CONNECT_TIMEOUT, Connection
from dnsbridge.watch.api.resources import Resource
from dnsbridge.watch.api.troubles import Troubles
from dnsbridge.watch.api.turns import Turns

log = logging.getLogger(__name__)

PROBE_INTERVAL = 0.4
"""Seconds between two probes, at most; at least half of that, drawn at random so that replicas do not keep step."""
PROBE_SILENCE = 2.0
"""Seconds that the answer to a probe or to a version request may take."""
PROBE_CONNECT = (0.5, 0.5, 0.5, 2.0)
"""Seconds for TCP and TLS, in turn. A packet to a dead host is lost, and TCP sends it again only after a second; so a
new connection begins sooner, and every fourth one leaves time enough for a distant server."""


class _Version(msgspec.Struct, rename="camel"):
    git_version: str = ""


_version_decoder = msgspec.json.Decoder(_Version)


class Server:
    """One API server, as its reflectors share it."""

    def __init__(self, cluster: str, connection: Connection) -> None:
        self.connection = connection
        self.turns = Turns()
        self.generation = 0
        """How often trouble began or ended; each time the server may have become another one."""
        self._cluster = cluster
        self._troubles = Troubles()
        self._without_streams = Troubles()
        self._waiting: dict[asyncio.Future[None], Resource | None] = {}
        """The waiters, and the resource that a probe may ask for on behalf of each."""
        self._probing = asyncio.Event()
        """Set while a probe may find that the server is back."""
        self._version = ""
        self._version_of = -1
        """The generation whose version is known."""
        self._asking_version = asyncio.Lock()

    def complain(self, problem: str, about: str = "") -> None:
        """Log a problem of a resource (`about` empty: of the whole server), if a line is due."""
        if line := self._troubles.meet(problem, about, time.monotonic()):
            log.warning("cluster %s: %s; trying again", self._cluster, line, extra={"event": "source_trouble"})

    def say_pages(self, problem: str, about: str) -> None:
        """Log why a resource's lists are read in pages from now on, once for all resources with the same reason."""
        if line := self._without_streams.meet(f"a streaming list failed: {problem}", about, time.monotonic()):
            log.info("cluster %s: %s; lists are read in pages from now on", self._cluster, line)

    def read(self, about: str, recovered: bool) -> None:
        """Note that a resource (`about` empty: the probe) has read something.

        `recovered`: after a failure that other resources are likely to meet as well.
        """
        for line in self._troubles.read(about, time.monotonic()):
            log.info("cluster %s: %s", self._cluster, line, extra={"event": "source_connected"})
        if recovered:
            self._back()

    async def wait(self, seconds: float, probed: Resource | None) -> bool:
        """Wait until the server is back, at most `seconds`. Returns whether it is. A probe may ask for `probed`."""
        self.turns.one_at_a_time = True
        if not self._waiting:
            self.generation += 1
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = probed
        if probed:
            self._probing.set()
        try:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes in the moment when the server is back.
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(waiter, None)
        return True

    async def probe(self) -> None:
        """Probe for the server's return whenever a required resource waits for it, until cancelled."""
        timeouts = cycle(PROBE_CONNECT)
        while True:
            await self._probing.wait()
            await asyncio.sleep(PROBE_INTERVAL * (0.5 + random.random() / 2))
            probed = next((resource for resource in self._waiting.values() if resource), None)
            if probed is None:
                self._probing.clear()
            elif await self._answers(probed, next(timeouts)):
                self.read("", recovered=True)

    async def version(self) -> str:
        """The server's version (`gitVersion`), read once in each generation; empty: unknown."""
        async with self._asking_version:
            if self._version_of != self.generation:
                self._version_of = self.generation
                octets = await self._get("/version", CONNECT_TIMEOUT)
                try:
                    self._version = _version_decoder.decode(octets).git_version
                except frames.UNREADABLE:
                    self._version = ""
            return self._version

    async def _answers(self, probed: Resource, connect: float) -> bool:
        octets = await self._get(probed.query(limit=1), connect)
        try:
            frames.page_decoder.decode(octets)
        except frames.UNREADABLE:
            return False
        return True

    async def _get(self, path: str, connect: float) -> bytes:
        """The body at a path; empty if it cannot be read, for whatever reason."""
        try:
            async with self.connection.get(path, PROBE_SILENCE, connect) as response:
                return await response.read() if response.status == HTTPStatus.OK else b""
        except Exception as error:  # a broken server makes an HTTP client raise many different errors
            log.debug("cluster %s: %s: %r", self._cluster, path, error)
            return b""

    def _back(self) -> None:
        self.generation += 1
        # Required resources first: waiters take their turns in this order.
        waiting = sorted(self._waiting.items(), key=lambda each: each[1] is None)
        for waiter, _ in waiting:
            if not waiter.done():
                waiter.set_result(None)

"""Probes whether gateways answer: regular TCP connections to one port of each.

An open or a refused port is an answer. SILENT attempts in a row without an answer take a gateway out; one answer brings
it back.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from dnsbridge.routes.model import IPAddress

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two attempts at one gateway."""
TIMEOUT = 1.0
"""Seconds that an answer may take."""
SILENT = 3
"""Attempts in a row without an answer that take a gateway out."""
AT_ONCE = 32
"""Attempts under way at a time."""
MAX_GATEWAYS = 256
"""Gateways that are probed; any further ones count as answering."""


class GatewayProbe:
    """Watches a changing set of gateways."""

    def __init__(self, port: int, on_change: Callable[[], None]) -> None:
        self.silent: frozenset[IPAddress] = frozenset()
        """The gateways that do not answer."""
        self._port = port
        self._on_change = on_change
        self._missed: dict[IPAddress, int] = {}
        """By gateway: attempts in a row without an answer."""

    @property
    def watched(self) -> tuple[IPAddress, ...]:
        """The gateways that are probed."""
        return tuple(self._missed)

    def watch(self, gateways: Iterable[IPAddress]) -> None:
        """Watch these gateways, and no others."""
        self._missed = {each: self._missed.get(each, 0) for each in list(dict.fromkeys(gateways))[:MAX_GATEWAYS]}
        self._tell()

    async def run(self) -> None:
        """Watch until cancelled."""
        slots = asyncio.Semaphore(AT_ONCE)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.gather(*(self._attempt(each, slots) for each in tuple(self._missed)))
            self._tell()
            await asyncio.sleep(max(0.0, began + INTERVAL - loop.time()))

    async def _attempt(self, gateway: IPAddress, slots: asyncio.Semaphore) -> None:
        async with slots:
            answers = await _answers(str(gateway), self._port)
        if gateway in self._missed:
            self._missed[gateway] = 0 if answers else min(self._missed[gateway] + 1, SILENT)

    def _tell(self) -> None:
        silent = frozenset(each for each, missed in self._missed.items() if missed >= SILENT)
        if silent == self.silent:
            return
        for each in sorted(silent - self.silent, key=str):
            text = "gateway %s: no answer from port %d to %d attempts in a row; routes avoid it while others answer"
            log.warning(text, each, self._port, SILENT, extra={"event": "gateway_silent"})
        for each in sorted((self.silent - silent) & self._missed.keys(), key=str):
            log.info("gateway %s: answers again", each, extra={"event": "gateway_answers"})
        self.silent = silent
        self._on_change()


async def _answers(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True

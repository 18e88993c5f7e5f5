"""What every program shows over HTTP, whatever else it shows, and how it listens.

GET /metrics               for Prometheus
GET /healthz, /readyz      for the supervisor of the program
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.registry import Collector


class _Read(Collector):
    """Metrics that have been read."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._metrics


class Observed:
    """The metrics and the health of a program."""

    def __init__(
        self,
        metrics: Collector,
        not_ready: Callable[[], list[str]],
        gather: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`not_ready` lists what the program still waits for; `gather` is awaited before `metrics` are read."""
        self._registry = CollectorRegistry()
        self._registry.register(metrics)
        ProcessCollector(registry=self._registry)
        self._not_ready = not_ready
        self._gather = gather

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Answer these requests."""
        router.add_get("/metrics", self._metrics)
        router.add_get("/healthz", self._healthz)
        router.add_get("/readyz", self._readyz)

    async def _metrics(self, _: web.Request) -> web.Response:
        if self._gather:
            await self._gather()
        read = _Read(self._registry.collect())
        # The counters are read between two answers; writing them out takes longer, and answers go on meanwhile.
        body = await asyncio.to_thread(generate_latest, read)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        waiting = self._not_ready()
        if waiting:
            return web.Response(status=503, text="".join(f"{line}\n" for line in waiting))
        return web.Response(text="ok\n")


def runner_of(application: web.Application) -> web.AppRunner:
    """What runs an application beside the program's own work."""
    return web.AppRunner(
        application, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=1
    )


class CannotListen(Exception):
    """Why nothing can be shown at an address: the system's words."""


async def listen(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
    """Listen until the runner's `cleanup`; returns the port. With `tls` only HTTPS is spoken. Raises CannotListen."""
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        # The event loop has put its own words around the system's message.
        said = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(said.lower()) from None
    return int(runner.addresses[0][1])

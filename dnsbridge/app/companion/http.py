"""The HTTP side of the companion: its metrics and its health, where the settings ask for them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from dnsbridge.app.facts.companion_metrics import CompanionCollector, Counted
from dnsbridge.config import Address
from dnsbridge.errors import CannotStart
from dnsbridge.listeners.http.observed import CannotListen, Observed, listen, runner_of

log = logging.getLogger(__name__)


@asynccontextmanager
async def shown(address: Address, counted: Counted) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Listen within the context, and give the work that watches the event loop meanwhile. Raises CannotStart."""
    collector = CompanionCollector(counted)
    application = web.Application()
    Observed(collector, counted.not_ready).add_to(application.router)
    runner = runner_of(application)
    try:
        try:
            port = await listen(runner, address.host, address.port)
        except CannotListen as error:
            problem = f"cannot listen on {address} for HTTP: {error}"
            raise CannotStart(f"{problem}; choose another with --http (routes.http), or --http '' for none") from None
        log.info("metrics on http://%s/metrics", Address(address.host, port))
        yield collector.lag.watch
    finally:
        await runner.cleanup()

"""The HTTP side of a server: metrics, health, state and routes.

GET /metrics, /healthz, /readyz (see observed)
GET /upstreams                  the state of the upstreams, as JSON                   | only for
GET /clusters                   how the clusters are read, as JSON                    | clients
GET /cache?name=NAME            the cached answers for a name, as JSON                | on the
POST /cache/flush[?name=NAME]   forgets these, or all answers; JSON: {"flushed": 3}   | same host
GET /routes                     the routes of the clusters, as JSON, for hosts with a token (see routes)
GET /                           the status page, and what it asks for (see status_page); guard says who may see it
"""

import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Protocol

import msgspec
from aiohttp import web
from prometheus_client.registry import Collector

from dnsbridge.listeners.http.guard import Guard, Handler, add_headers
from dnsbridge.listeners.http.json_answer import json_answer
from dnsbridge.listeners.http.observed import Observed, listen, runner_of
from dnsbridge.listeners.http.routes import Document, RoutesHandler
from dnsbridge.listeners.http.status_page import Facts, Page

_OWN_RULE = ("/upstreams", "/clusters", "/cache", "/cache/flush", "/routes")
"""Paths whose handlers say who is answered."""


class Cache(Protocol):
    """The operations on a cache. Both raise ValueError, with a sentence, if the name is no DNS name, and NotNow."""

    async def show(self, name: str) -> Any:
        """The cached answers for a name."""
        ...

    async def flush(self, name: str | None) -> int:
        """Forget the answers for a name (None: for all names); returns how many there were."""
        ...


class Shown(msgspec.Struct):
    """The parts of a server that HTTP clients can see or change."""

    metrics: Collector
    gather: Callable[[], Awaitable[None]]
    """Awaited before `metrics` are read."""
    not_ready: Callable[[], list[str]]
    """Lists what the server still waits for; empty when it is ready."""
    cache: Cache
    upstreams: Callable[[], Awaitable[Any]]
    clusters: Callable[[], Any]
    """`upstreams` and `clusters` return values that msgspec can write as JSON."""
    routes: Document | None
    page: Facts | None = None


class HttpServer:
    """The HTTP server on one address."""

    def __init__(self, shown: Shown, tls: ssl.SSLContext | None = None) -> None:
        """With `tls` the server speaks only HTTPS."""
        self._shown = shown
        self._observed = Observed(shown.metrics, shown.not_ready, shown.gather)
        self._routes = RoutesHandler(shown.routes) if shown.routes else None
        self._page = Page(shown.page) if shown.page else None
        self._guard = Guard(shown.routes.token if shown.routes else lambda: None, _OWN_RULE)
        self._tls = tls
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises CannotListen."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard.check(request, handler)

        application = web.Application(middlewares=[guard])
        application.on_response_prepare.append(add_headers)
        self._observed.add_to(application.router)
        application.router.add_get("/upstreams", self._show_upstreams)
        application.router.add_get("/clusters", self._show_clusters)
        application.router.add_get("/cache", self._show)
        application.router.add_post("/cache/flush", self._flush)
        if self._routes:
            application.router.add_get("/routes", self._show_routes)
        if self._page:
            self._page.add_to(application.router)
        self._runner = runner_of(application)
        return await listen(self._runner, host, port, self._tls)

    async def stop(self) -> None:
        """Close."""
        if self._page:
            await self._page.close()
        if self._runner:
            await self._runner.cleanup()

    async def _show_upstreams(self, request: web.Request) -> web.Response:
        return await self._for_this_host(request, self._shown.upstreams)

    async def _show_clusters(self, request: web.Request) -> web.Response:
        async def show() -> Any:
            return self._shown.clusters()

        return await self._for_this_host(request, show)

    async def _show(self, request: web.Request) -> web.Response:
        name = request.query.get("name")
        if name is None:
            return web.Response(status=400, text="say which name: /cache?name=www.example.com\n")
        return await self._for_this_host(request, lambda: self._shown.cache.show(name))

    async def _flush(self, request: web.Request) -> web.Response:
        name = request.query.get("name")

        async def flush() -> dict[str, int]:
            return {"flushed": await self._shown.cache.flush(name)}

        return await self._for_this_host(request, flush)

    async def _show_routes(self, request: web.Request) -> web.Response:
        assert self._routes
        return await self._routes.handle(request, "Origin" not in request.headers and _from_this_host(request))

    async def _for_this_host(self, request: web.Request, act: Callable[[], Awaitable[Any]]) -> web.Response:
        """The result of `act` for a client on this host; other clients and web pages of other sites are refused."""
        if "Origin" in request.headers or not _from_this_host(request):
            return web.Response(status=403, text="this is for clients on the server's own host only\n")
        return await json_answer(act)


def _from_this_host(request: web.Request) -> bool:
    """Whether a client's address is a loopback address or the very address it asks: no other host can have these."""
    asked = request.transport.get_extra_info("sockname") if request.transport else None
    remote = request.remote
    return bool(remote and asked and (ip_address(remote).is_loopback or remote == asked[0]))

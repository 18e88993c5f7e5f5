"""The status page: its files, and what it asks for.

GET /, /page.css, /page.js         the files, which are in the package
GET /api/status                    the status, as JSON
GET /api/events                    the same as it changes (see events)
GET /api/lookup?name=NAME[&type=]  why a name has the answer that it has, as JSON
"""

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, Protocol

from aiohttp import web

from dnsbridge.listeners.http.events import Events
from dnsbridge.listeners.http.json_answer import json_answer

MAX_NAME = 1100
"""Characters of a name: 255 octets, each as `\\DDD`."""
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}


class Facts(Protocol):
    """What the page shows."""

    async def status(self) -> Any:
        """The status, as a value of msgspec. Raises NotNow."""
        ...

    async def look_up(self, name: str, rtype: str | None) -> Any:
        """A name with its reasons. Raises ValueError, with a sentence, and NotNow."""
        ...

    async def close(self) -> None:
        """End what goes on."""
        ...


class Page:
    """Handles the requests of the page."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.events = Events(facts.status)

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add its paths."""
        folder = files("dnsbridge.listeners.http").joinpath("page")
        for path, (name, kind) in _FILES.items():
            router.add_get(path, _file(folder.joinpath(name).read_bytes(), kind))
        router.add_get("/api/status", self._status)
        router.add_get("/api/events", self._events)
        router.add_get("/api/lookup", self._look_up)

    async def close(self) -> None:
        """Close all open pages."""
        await self.events.close()
        await self._facts.close()

    async def _status(self, request: web.Request) -> web.Response:
        return await _answer(request, self._facts.status)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return _foreign(request) or await self.events.handle(request)

    async def _look_up(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "").strip()
        rtype = request.query.get("type", "").strip() or None
        if not name or len(name) > MAX_NAME:
            return web.Response(status=400, text="say which name: /api/lookup?name=web.shop.svc.cluster.local\n")
        return await _answer(request, lambda: self._facts.look_up(name, rtype))


def _file(octets: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    etag = f'"{hashlib.sha256(octets).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        response = web.Response(body=octets, content_type=kind, charset="utf-8", headers=headers)
        response.enable_compression()
        return response

    return handle


async def _answer(request: web.Request, act: Callable[[], Awaitable[Any]]) -> web.Response:
    return _foreign(request) or await json_answer(act, {"Cache-Control": "no-store"})


def _foreign(request: web.Request) -> web.Response | None:
    """The refusal of a request that a page of another site has made (Fetch Metadata); None: it is none."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none"):
        return None
    return web.Response(status=403, text="this is not for pages of other sites\n")

"""GET /routes: the routes of this server's clusters, for hosts that have no credentials for the clusters.

Authorization: Bearer TOKEN      where a token is set; else only clients on the server's own host are answered
If-None-Match: ETAG              304 when nothing has changed
Prefer: wait=SECONDS             with If-None-Match: wait for a change, at most so long (RFC 7240 section 4.3); the same
                                 as ?wait=SECONDS
"""

import re
from typing import Protocol

from aiohttp import web

from dnsbridge.listeners.http.token import bearer, is_token, wanted_token

MAX_WAIT = 60.0
"""Seconds that a client may wait for a change."""
MAX_WAITING = 1000
"""Clients that wait at a time; one more is answered at once."""
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")


class Document(Protocol):
    """The document that is served."""

    async def current(self) -> tuple[str, bytes]:
        """The entity tag, with its quotation marks, and the document."""
        ...

    async def changed(self, etag: str, seconds: float) -> None:
        """Wait until the entity tag is no longer `etag`, for at most `seconds`."""
        ...

    def token(self) -> str | None:
        """The token that a client must show; None: no token, but the client must be on this host. Raises OSError."""
        ...


class RoutesHandler:
    """Answers GET /routes."""

    def __init__(self, document: Document) -> None:
        self.waiting = 0
        self._document = document

    async def handle(self, request: web.Request, from_this_host: bool) -> web.Response:
        """One request."""
        token = wanted_token(self._document.token, "GET /routes")
        if isinstance(token, web.Response):
            return token
        if token is None:
            if not from_this_host:
                text = "this is for clients on the server's own host only; others need routes.serve.token_file\n"
                return web.Response(status=403, text=text)
        elif not is_token(bearer(request), token):
            headers = {"WWW-Authenticate": 'Bearer realm="dnsbridge routes"'}
            return web.Response(status=401, text="show the token of routes.serve.token_file\n", headers=headers)
        known = _tags(request)
        etag, body = await self._document.current()
        wait = _wait(request)
        if wait and etag in known and self.waiting < MAX_WAITING:
            self.waiting += 1
            try:
                await self._document.changed(etag, wait)
            finally:
                self.waiting -= 1
            etag, body = await self._document.current()
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Authorization"}
        if etag in known:
            return web.Response(status=304, headers=headers)
        response = web.Response(body=body, content_type="application/json", headers=headers)
        response.enable_compression()
        return response


def _tags(request: web.Request) -> set[str]:
    """The entity tags that a client has; they are compared weakly (RFC 9110 section 13.1.2)."""
    given = request.headers.get("If-None-Match", "")
    return {tag.strip().removeprefix("W/") for tag in given.split(",")}


def _wait(request: web.Request) -> float:
    """Seconds that a client is willing to wait, at most MAX_WAIT."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    asked = found[1] if found else request.query.get("wait", "")
    return min(float(asked), MAX_WAIT) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 0.0

"""Who may see the status page: the Host header, the token, pages of other sites, and the headers of every response."""

import asyncio
import base64
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import PLATFORM_COLLECTOR

from dnsbridge.listeners.http import guard
from dnsbridge.listeners.http.server import HttpServer, Shown
from tests.support.waiting import DEADLINE

TOKEN = "secret"
OPEN = ("/metrics", "/healthz", "/readyz")
GUARDED = ("/", "/page.css", "/page.js", "/api/status", "/api/lookup?name=web")


class Fixed(msgspec.Struct):
    """A status."""

    at: int = 0


class Facts:
    """Facts that never change."""

    async def status(self) -> Fixed:
        return Fixed()

    async def look_up(self, name: str, rtype: str | None) -> Fixed:
        return Fixed()

    async def close(self) -> None:
        """Nothing goes on."""


class Tokens:
    """A document of which only the token is asked for."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def token(self) -> str | None:
        if self._token == "unreadable":
            raise PermissionError(13, "Permission denied")
        return self._token

    async def current(self) -> tuple[str, bytes]:
        return '"1"', b"{}"

    async def changed(self, etag: str, seconds: float) -> None:
        """Never."""


Ask = Callable[..., Awaitable[aiohttp.ClientResponse]]


def serving(test: Callable[[Ask], Awaitable[None]], token: str | None = TOKEN) -> None:
    """Run a test with a server; `ask` makes a request to a path with these headers."""

    async def work() -> None:
        shown: Any = Shown(PLATFORM_COLLECTOR, _nothing, list, None, _nothing, list, Tokens(token), Facts())  # type: ignore[arg-type]
        server = HttpServer(shown)
        port = await server.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession() as session:

                async def ask(path: str, **headers: str) -> aiohttp.ClientResponse:
                    given = {name.replace("_", "-"): value for name, value in headers.items()}
                    response = await session.get(f"http://127.0.0.1:{port}{path}", headers=given)
                    await response.read()
                    return response

                await asyncio.wait_for(test(ask), DEADLINE)
        finally:
            await server.stop()

    asyncio.run(work())


async def _nothing() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:9153", True),
        ("127.0.0.1", True),
        ("[::1]:9153", True),
        ("10.0.0.8:9153", True),
        ("localhost:9153", True),
        ("LOCALHOST", True),
        ("localhost.:9153", True),
        (socket.gethostname(), True),
        ("rebound.example:9153", False),
        ("localhost.rebound.example", False),
        ("127.0.0.1.rebound.example", False),
        ("[::1", True),
        ("", False),
        (":9153", False),
    ],
)
def test_host_header(host: str, allowed: bool) -> None:
    """At a loopback address the Host header must name this host, whatever is asked but what is open to all."""

    async def test(ask: Ask) -> None:
        for path in (*GUARDED, "/upstreams", "/clusters"):
            assert ((await ask(path, Host=host)).status != 421) is allowed, path
        for path in OPEN:
            assert (await ask(path, Host=host)).status == 200

    serving(test)


BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        (TOKEN, {}, 401),
        (TOKEN, {"Authorization": "Bearer other"}, 401),
        (TOKEN, {"Authorization": "Bearer s\u00e9cret"}, 401),
        (TOKEN, {"Authorization": "Basic secret"}, 401),
        (TOKEN, {"Authorization": "Basic " + base64.b64encode(b"secret:me").decode()}, 401),
        (TOKEN, {"Authorization": "Bearer secret"}, 200),
        (TOKEN, {"Authorization": "bearer  secret", "Host": "dns.corp.example"}, 200),
        (TOKEN, {"Authorization": BASIC}, 200),
        (None, {}, 403),
        (None, {"Authorization": "Bearer "}, 403),
        ("unreadable", {"Authorization": "Bearer secret"}, 503),
    ],
)
def test_token(token: str | None, headers: dict[str, str], status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At another address only who shows the token sees more than metrics and health."""
    monkeypatch.setattr(guard, "asked_at_loopback", lambda _: False)

    async def test(ask: Ask) -> None:
        for path in GUARDED:
            response = await ask(path, **headers)
            assert response.status == status, path
            assert ("WWW-Authenticate" in response.headers) is (status == 401)
        for path in OPEN:
            assert (await ask(path)).status == 200

    serving(test, token)


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_pages_of_other_sites(site: str, status: int) -> None:
    """A browser that asks for a page of another site gets nothing, and no response allows one to read it."""

    async def test(ask: Ask) -> None:
        for path in ("/api/status", "/api/lookup?name=web"):
            response = await ask(path, Sec_Fetch_Site=site, Origin="https://www.example.com")
            assert response.status == status
            assert not [name for name in response.headers if name.startswith("Access-Control")]

    serving(test)


def test_headers() -> None:
    """Every response forbids what the page does not need; the files are not read again while they are the same."""

    async def test(ask: Ask) -> None:
        for path in (*GUARDED, *OPEN, "/nothing"):
            headers = (await ask(path)).headers
            policy = headers["Content-Security-Policy"].split("; ")
            assert policy[:2] == ["default-src 'none'", "script-src 'self'"]
            assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy)
            assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
        etag = (await ask("/page.js")).headers["ETag"]
        assert (await ask("/page.js", If_None_Match=etag)).status == 304

    serving(test)


@pytest.mark.parametrize("query", ["", "?name=", "?name=" + "a" * 2000])
def test_no_name(query: str) -> None:
    """A look-up without a name is the client's mistake."""

    async def test(ask: Ask) -> None:
        assert (await ask(f"/api/lookup{query}")).status == 400

    serving(test)

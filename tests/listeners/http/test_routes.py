"""GET /routes as clients meet it: the token, entity tags, and waiting for a change."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from prometheus_client import PLATFORM_COLLECTOR

from dnsbridge.listeners.http import routes as http_routes
from dnsbridge.listeners.http.server import HttpServer, Shown
from tests.support.waiting import DEADLINE


class Scripted:
    """A document that a test changes."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._moved = asyncio.Event()
        self.waiting = asyncio.Event()
        self.number = 1

    def change(self) -> None:
        """Make it another."""
        self.number += 1
        self._moved.set()

    async def current(self) -> tuple[str, bytes]:
        return f'"{self.number}"', b'{"number": %d}' % self.number

    async def changed(self, etag: str, seconds: float) -> None:
        self.waiting.set()
        async with asyncio.timeout(seconds):
            await self._moved.wait()

    def token(self) -> str | None:
        if self._token == "unreadable":
            raise PermissionError(13, "Permission denied")
        return self._token


Ask = Callable[..., Awaitable[tuple[int, str, str]]]


def serving(test: Callable[[Scripted, Ask], Awaitable[None]], token: str | None = "secret") -> None:
    """Run a test with a server; `ask` gives status, body and entity tag."""

    async def work() -> None:
        document = Scripted(token)
        server = HttpServer(Shown(PLATFORM_COLLECTOR, list, list, None, list, list, document))  # type: ignore[arg-type]
        port = await server.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession() as session:

                async def ask(**headers: str) -> tuple[int, str, str]:
                    given = {name.replace("_", "-"): value for name, value in headers.items()}
                    async with session.get(f"http://127.0.0.1:{port}/routes", headers=given) as response:
                        return response.status, await response.text(), response.headers.get("ETag", "")

                await asyncio.wait_for(test(document, ask), DEADLINE)
        finally:
            await server.stop()

    asyncio.run(work())


GOOD = "Bearer secret"


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        ("secret", {}, 401),
        ("secret", {"Authorization": "Bearer other"}, 401),
        ("secret", {"Authorization": "Basic secret"}, 401),
        ("secret", {"Authorization": "Bearer s\u00e9cret"}, 401),
        ("secret", {"Authorization": GOOD}, 200),
        ("secret", {"Authorization": "bearer  secret"}, 200),
        (None, {}, 200),
        (None, {"Origin": "https://www.example.com"}, 403),
        ("unreadable", {"Authorization": GOOD}, 503),
    ],
)
def test_who_is_answered(token: str | None, headers: dict[str, str], status: int) -> None:
    """With a token only who shows it, without one this host's programs, and never a web page of another site."""

    async def test(_: Scripted, ask: Ask) -> None:
        assert (await ask(**headers))[0] == status

    serving(test, token)


def test_entity_tags() -> None:
    """Whoever has the document already gets 304, also among others, and for a weak tag."""

    async def test(document: Scripted, ask: Ask) -> None:
        assert await ask(Authorization=GOOD) == (200, '{"number": 1}', '"1"')
        for known in ('"1"', 'W/"1"', '"0", "1"'):
            assert (await ask(Authorization=GOOD, If_None_Match=known))[0] == 304
        document.change()
        assert (await ask(Authorization=GOOD, If_None_Match='"1"'))[1:] == ('{"number": 2}', '"2"')

    serving(test)


def test_waiting() -> None:
    """A client that waits is answered when something changes; one whose document is old is answered at once."""

    async def test(document: Scripted, ask: Ask) -> None:
        waiting = asyncio.ensure_future(ask(Authorization=GOOD, If_None_Match='"1"', Prefer="wait=60"))
        await document.waiting.wait()
        assert not waiting.done()
        document.change()
        assert (await waiting)[1] == '{"number": 2}'
        assert (await ask(Authorization=GOOD, If_None_Match='"1"', Prefer="wait=9"))[0] == 200

    serving(test)


def test_not_all_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bound a client is told at once that nothing has changed; nonsense is no time to wait."""
    monkeypatch.setattr(http_routes, "MAX_WAITING", 0)

    async def test(_: Scripted, ask: Ask) -> None:
        for prefer in ("wait=9", "wait=-1", "wait=x", "wait=99999999999"):
            assert (await ask(Authorization=GOOD, If_None_Match='"1"', Prefer=prefer))[0] == 304

    serving(test)

"""GET /api/events: one status for all pages, none without a page, and nothing that grows."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from dnsbridge.listeners.http import events as http_events
from dnsbridge.listeners.http.events import MAX_PAGES, WAITING, Events
from tests.support.waiting import DEADLINE, until


class Status(msgspec.Struct):
    """A status with a field that stays, one that moves, and a history."""

    name: str
    sample: int
    history: list[int]
    padding: str = ""


class Source:
    """Makes statuses."""

    def __init__(self) -> None:
        self.made = 0
        self.padding = 0
        self.fails = False
        self.turns: asyncio.Semaphore | None = None
        """If set, each status waits for its turn."""

    async def make(self) -> Status:
        if self.turns:
            await self.turns.acquire()
        self.made += 1
        if self.fails:
            raise RuntimeError("not now")
        return Status("stays", self.made, list(range(self.made)), "x" * self.padding + str(self.made))


Open = Callable[[], Awaitable[aiohttp.ClientResponse]]


def serving(test: Callable[[Source, Events, Open], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with a server whose seconds are short; `page` opens a page."""
    monkeypatch.setattr(http_events, "INTERVAL", 0.01)

    async def work() -> None:
        source = Source()
        events = Events(source.make)
        application = web.Application()
        application.router.add_get("/", events.handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        place = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), read_bufsize=1 << 22) as session:
            opened: list[aiohttp.ClientResponse] = []

            async def page() -> aiohttp.ClientResponse:
                opened.append(await session.get(place))
                return opened[-1]

            await asyncio.wait_for(test(source, events, page), DEADLINE)
            for each in opened:
                each.close()
        await events.close()
        await runner.cleanup()

    asyncio.run(work())


async def next_event(page: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    """The next event of a page: its kind and its document."""
    kind = (await page.content.readline()).decode().removeprefix("event: ").strip()
    data = (await page.content.readline()).decode().removeprefix("data: ")
    assert await page.content.readline() == b"\n"
    found: dict[str, Any] = json.loads(data)
    return kind, found


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """First the whole status, then only what has changed; a page that comes later gets the whole status too."""

    async def test(_: Source, events: Events, page: Open) -> None:
        first = await page()
        kind, status = await next_event(first)
        assert (kind, set(status)) == ("status", {"name", "sample", "history", "padding"})
        for _turn in range(3):
            kind, change = await next_event(first)
            assert (kind, set(change)) == ("change", {"sample", "padding"})
        second = await page()
        assert (await next_event(second))[0] == "status"
        assert (await next_event(second))[0] == "change"

    serving(test, monkeypatch)


def test_a_hundred_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred pages cost one status a turn, one more is refused, and none is made when all are closed."""

    async def test(source: Source, events: Events, page: Open) -> None:
        pages = [await page() for _ in range(MAX_PAGES)]
        refused = await page()
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        before = source.made
        got = await asyncio.gather(*(next_event(each) for each in pages))
        got += await asyncio.gather(*(next_event(each) for each in pages))
        assert len(got) == 2 * MAX_PAGES
        assert source.made - before < MAX_PAGES
        for each in pages:
            each.close()
        await until(lambda: not events.pages)
        await until(lambda: not events.works)
        ended = source.made
        again = await page()
        assert (await next_event(again))[1]["sample"] == ended + 1

    serving(test, monkeypatch)


def test_a_page_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed as soon as more events wait for it than may; the others go on."""

    async def test(source: Source, events: Events, page: Open) -> None:
        source.padding = 1 << 20
        source.turns = asyncio.Semaphore(0)
        slow, quick = await page(), await page()
        await until(lambda: events.pages == 2)
        sent = 0
        while events.pages == 2:
            source.turns.release()
            await next_event(quick)
            sent += 1
        assert WAITING < sent < 100, "what waits has a bound"
        source.turns.release()
        await next_event(quick)
        slow.close()

    serving(test, monkeypatch)


def test_a_status_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out, and the pages stay open."""

    async def test(source: Source, events: Events, page: Open) -> None:
        opened = await page()
        await next_event(opened)
        source.fails = True
        before = source.made
        await until(lambda: source.made > before + 3)
        source.fails = False
        while (await next_event(opened))[1]["sample"] <= before + 3:
            pass
        assert events.pages == 1

    serving(test, monkeypatch)

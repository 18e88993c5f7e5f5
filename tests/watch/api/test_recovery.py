"""All resources of a cluster while its API server goes away and comes back, on a clock that passes only while all wait.

The server has one service. It sends a list within a tenth of a second. While it is away, connections
are refused; `expired`: when it is back, it knows none of the versions from before, so that everything is listed again.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from dnsbridge.cluster.changes import Change, Put
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch.api import reader, reflector
from dnsbridge.watch.api import server as server_module
from dnsbridge.watch.api import source as api_source
from dnsbridge.watch.api.connection import ApiAddress
from dnsbridge.watch.api.resources import ENDPOINT_SLICES, NAMESPACES, PREFIXES, SERVICES
from dnsbridge.watch.api.source import ApiSource
from tests.support.scripted_api import Step, bookmark, error, event, page
from tests.watch.conftest import Run

RESOURCES = (*PREFIXES, NAMESPACES, SERVICES, ENDPOINT_SLICES)
LIST_SECONDS = 0.1
REFUSED = aiohttp.ClientConnectorError(
    ConnectionKey("192.0.2.1", 6443, True, True, None, None, None), OSError(111, "Connection refused")
)
OUTAGES = [0.5, 5.0, 26.0, 300.0]


class ApiServer:
    """The server, and what it was asked since it came back."""

    def __init__(self, away: tuple[float, float], expired: bool) -> None:
        self.lists: list[tuple[str, float, float]] = []
        """Resource, begin and end, in seconds since the server came back."""
        self.resumed: Counter[str] = Counter()
        self.asked: list[str] = []
        """RESOURCE stream, RESOURCE list or RESOURCE watch, from the beginning on; no probes."""
        self.without_streams: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.address = ApiAddress()
        self._started = asyncio.get_running_loop().time()
        self._away, self._back = away
        self._expired = expired

    @property
    def now(self) -> float:
        """Seconds since the server came back; negative before that."""
        return asyncio.get_running_loop().time() - self._started - self._back

    @property
    def _is_away(self) -> bool:
        return self._away - self._back <= self.now < 0

    async def close(self) -> None:
        """As Connection.close does."""

    @asynccontextmanager
    async def get(self, path: str, silence: float, connect: float = 10.0) -> AsyncIterator[Any]:
        """As Connection.get does."""
        query = {key: values[0] for key, values in parse_qs(path.partition("?")[2]).items()}
        resource = path.partition("?")[0].rpartition("/")[2]
        if self._is_away:
            self.refused["probe" if query.get("limit") == "1" else resource] += 1
            raise REFUSED
        if query.get("limit") == "1":
            yield _response(b'{"metadata":{},"items":[]}')
            return
        if path == "/version":
            yield _response(b'{"gitVersion":"v1.36.0"}')
            return
        self.asked.append(f"{resource} {'stream' if 'sendInitialEvents' in query else 'watch'}")
        if "limit" in query:
            self.asked[-1] = f"{resource} list"
            yield _response(page(version=9 if self.now >= 0 else 3).steps[0])
        elif "sendInitialEvents" in query and resource in self.without_streams:
            yield _response(error(500).steps[0], 500)
        elif "sendInitialEvents" in query:
            yield _response(self._stream(resource))
        elif self._expired and self.now >= 0 and query["resourceVersion"] == "3":
            yield _response(error(410).steps[0], 410)
        else:
            self.resumed[resource] += self.now >= 0
            yield _response(self._watch())

    async def _stream(self, resource: str) -> AsyncIterator[bytes]:
        began = self.now
        yield event("ADDED", "a", "1") if resource == "services" else b"\n"
        await asyncio.sleep(LIST_SECONDS)
        if began >= 0:
            self.lists.append((resource, began, self.now))
        yield bookmark("9" if began >= 0 else "3", end=True)
        async for octets in self._watch():
            yield octets

    async def _watch(self) -> AsyncIterator[bytes]:
        if self.now < 0:
            await asyncio.sleep(self._away - self._back - self.now)
            raise ConnectionResetError
        await asyncio.sleep(1e6)  # delay: of a driven clock
        yield b""


def _response(body: Step | AsyncIterator[bytes], status: int = 200) -> Any:
    async def read() -> bytes:
        assert isinstance(body, bytes)
        return body

    content = SimpleNamespace(iter_chunked=lambda _: body)
    return SimpleNamespace(status=status, headers={}, read=read, content=content, connection=None)


class Course:
    """What came of one outage."""

    def __init__(self, server: ApiServer, source: ApiSource, fresh_after: float) -> None:
        self.server = server
        self.source = source
        self.fresh_after = fresh_after
        """Seconds from the server's return until it was heard again about every required resource."""


@pytest.fixture
def course(in_no_time: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs an outage of so many seconds; everything random comes from a seed."""

    def run(
        outage: float, expired: bool, seed: int, read_before: bool = True, without_streams: Iterable[str] = ()
    ) -> Course:
        rng = random.Random(seed)
        for module in (reader, reflector, server_module, api_source):
            monkeypatch.setattr(module, "random", SimpleNamespace(random=rng.random))
        made: list[Course] = []

        async def work() -> None:
            begin = 20.0 if read_before else 0.0
            server = ApiServer((begin, begin + outage), expired)
            server.without_streams.update(without_streams)
            monkeypatch.setattr(api_source, "Connection", lambda _: server)
            held: dict[Key, Object] = {}

            def take(changes: list[Change]) -> None:
                held.update({change.object.key: change.object for change in changes if isinstance(change, Put)})

            source = ApiSource("dev", ApiAddress(), RESOURCES, held, take, 60.0)
            task = asyncio.create_task(source.follow())
            loop = asyncio.get_running_loop()
            back = loop.time() - server.now
            await asyncio.sleep(-server.now)
            while not (source.listed and source.last_read_at >= back):
                assert server.now < 60
                await asyncio.sleep(0.01)  # delay: of a driven clock
            fresh_after = server.now
            await asyncio.sleep(30)  # delay: of a driven clock
            made.append(Course(server, source, fresh_after))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        in_no_time(work())
        return made[0]

    return run


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outage", OUTAGES)
def test_resumed(course: Any, outage: float, seed: int) -> None:
    """However long the outage and whatever the jitter: fresh within a second, all resume, and nothing is listed."""
    came = course(outage, False, seed)
    assert came.fresh_after <= 1
    assert came.server.lists == []
    # The server is also asked which API for endpoints it has.
    assert set(came.server.resumed) - {"apis"} == {resource.plural for resource in RESOURCES}


@pytest.mark.parametrize("read_before", [True, False], ids=["read before", "never read"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outage", OUTAGES)
def test_listed_again(course: Any, outage: float, seed: int, read_before: bool) -> None:
    """Where all must be listed: one list at a time, and fresh within a second all the same."""
    came = course(outage, True, seed, read_before)
    lists = sorted(came.server.lists, key=lambda each: each[1])
    assert sorted(resource for resource, _, _ in lists) == sorted(resource.plural for resource in RESOURCES)
    assert all(end <= begin for (_, _, end), (_, begin, _) in itertools.pairwise(lists)), lists
    assert came.fresh_after <= 1
    assert came.source.complete


def test_streams_by_resource(course: Any) -> None:
    """That streaming lists fail is known of the resource where they failed, and outlasts an outage."""
    came = course(5.0, True, 1, without_streams=["services"])
    asked = [each.partition(" ")[2] for each in came.server.asked if each.startswith("services ")]
    assert [each for each in asked if each != "watch"] == ["stream", "list", "list"]
    for resource in RESOURCES:
        others = [each for each in came.server.asked if each.startswith(f"{resource.plural} ")]
        assert resource is SERVICES or f"{resource.plural} list" not in others
    assert came.source.complete


def test_who_asks_meanwhile(course: Any) -> None:
    """In a long outage one probe asks for the whole cluster; each resource by itself asks ever less."""
    came = course(300.0, False, 1)
    assert 300 / 0.4 <= came.server.refused["probe"] <= 300 / 0.2
    assert all(count <= 25 for name, count in came.server.refused.items() if name != "probe")


def test_said(course: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An outage of five minutes is a few lines: its beginning, counts at growing intervals, its end."""
    caplog.set_level("INFO", "dnsbridge")
    course(300.0, False, 1)
    said = [
        line.removeprefix("cluster dev: ")
        for line in caplog.messages
        if "read" not in line and "endpoints from" not in line
    ]
    assert said[0] == "the connection broke; trying again"
    assert said[1] == "cannot connect to 192.0.2.1:6443: connection refused; trying again"
    assert said[-1] == "connected again"
    assert len(said) <= 8
    assert all("connection refused (still, " in line for line in said[2:-1]), said

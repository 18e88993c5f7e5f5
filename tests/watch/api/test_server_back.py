"""How resources learn that their API server is back, on a clock that passes only while all wait."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dnsbridge.watch.api import server as server_module
from dnsbridge.watch.api.connection import Connection
from dnsbridge.watch.api.resources import ENDPOINT_SLICES, SERVICES
from dnsbridge.watch.api.server import PROBE_CONNECT, PROBE_INTERVAL, Server
from tests.watch.conftest import Run

PAGE = b'{"metadata":{"resourceVersion":"7"},"items":[]}'


class Host:
    """An API server that is there from a second on, and what it was asked."""

    def __init__(self, back_at: float, status: int = 200, body: bytes = PAGE, refused: bool = False) -> None:
        """Until it is back, connections are refused, or nothing comes back at all."""
        self.asked: list[tuple[float, str]] = []
        self.connects: list[float] = []
        self._started = self._now()
        self._back_at = back_at
        self._status = status
        self._body = body
        self._refused = refused

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return self._now() - self._started

    @asynccontextmanager
    async def get(self, path: str, silence: float, connect: float = 10.0) -> AsyncIterator[Any]:
        """As Connection.get does."""
        self.asked.append((self.seconds, path))
        self.connects.append(connect)
        if self.seconds < self._back_at:
            if self._refused:
                raise ConnectionRefusedError
            await asyncio.sleep(connect)
            raise TimeoutError

        async def read() -> bytes:
            return self._body

        yield SimpleNamespace(status=self._status, read=read)


async def waited(host: Host, server: Server, delays: dict[str, float], resources: dict[str, Any]) -> dict[str, float]:
    """Until when each resource waited, in seconds; negative: the server was not back."""
    ended: dict[str, float] = {}

    async def one(name: str) -> None:
        back = await server.wait(delays[name], resources[name])
        ended[name] = host.seconds if back else -host.seconds

    probe = asyncio.create_task(server.probe())
    await asyncio.gather(*[one(name) for name in delays])
    probe.cancel()
    with suppress(asyncio.CancelledError):
        await probe
    return ended


BOTH = {"nodes": None, "services": SERVICES, "endpointslices": ENDPOINT_SLICES}


@pytest.fixture(autouse=True)
def slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes are as far apart as they may be."""
    monkeypatch.setattr(server_module, "random", SimpleNamespace(random=lambda: 1.0))


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "packets lost"])
@pytest.mark.parametrize("back_at", [0.0, 3.0, 20.3, 90.0])
def test_probe(in_no_time: Run, back_at: float, refused: bool) -> None:
    """However long the delays, all are woken by the first probe that is answered, and probes keep their distance."""

    async def work() -> None:
        host = Host(back_at, refused=refused)
        server = Server("dev", cast(Connection, host))
        ended = await waited(host, server, dict.fromkeys(BOTH, 600.0), BOTH)
        assert len(set(ended.values())) == 1
        # TCP itself sends a lost packet again after a second; this host is not as kind.
        assert 0 <= ended["services"] - back_at <= PROBE_INTERVAL + (0 if refused else max(PROBE_CONNECT))
        assert {path for _, path in host.asked} == {"/api/v1/services?limit=1"}
        assert set(host.connects[:3]) <= {PROBE_CONNECT[0]}
        assert server.generation == 2
        gaps = [after - before for (before, _), (after, _) in itertools.pairwise(host.asked)]
        assert all(gap >= PROBE_INTERVAL - 1e-6 for gap in gaps)

    in_no_time(work())


@pytest.mark.parametrize(
    ("status", "body"), [(503, PAGE), (403, PAGE), (200, b"<html>"), (200, b"")], ids=["503", "403", "HTML", "nothing"]
)
def test_not_back(in_no_time: Run, status: int, body: bytes) -> None:
    """Only a page that was read shows that the server is back; without it each waits out its own delay."""

    async def work() -> None:
        host = Host(0.0, status, body)
        server = Server("dev", cast(Connection, host))
        ended = await waited(host, server, {"services": 5.0, "nodes": 7.0}, BOTH)
        assert ended == {"services": -5.0, "nodes": -7.0}
        assert server.generation == 1

    in_no_time(work())


def test_nobody_to_probe_for(in_no_time: Run) -> None:
    """Where only resources wait that can be done without, or whose trouble others must mend, nothing is probed."""

    async def work() -> None:
        host = Host(0.0)
        server = Server("dev", cast(Connection, host))
        assert await waited(host, server, {"nodes": 30.0}, BOTH) == {"nodes": -30.0}
        assert host.asked == []

    in_no_time(work())


def test_reading_wakes(in_no_time: Run) -> None:
    """A resource that failed and reads again wakes all others; one that never failed wakes nobody."""

    async def work() -> None:
        host = Host(1e9)
        server = Server("dev", cast(Connection, host))
        waiting = asyncio.create_task(
            waited(host, server, {"nodes": 30.0, "pods": 40.0}, {"nodes": None, "pods": None})
        )
        await asyncio.sleep(3)  # delay: of a driven clock
        server.read("services", recovered=False)
        await asyncio.sleep(2)  # delay: of a driven clock
        server.read("services", recovered=True)
        assert await waiting == {"nodes": 5.0, "pods": 5.0}

    in_no_time(work())


def test_cancelled_as_the_server_is_back(in_no_time: Run) -> None:
    """Who waits is cancelled also in the very moment in which the wait is over: or the program would not end."""

    async def work() -> None:
        server = Server("dev", cast(Connection, Host(0.0)))
        waiting = asyncio.create_task(server.wait(60.0, None))
        await asyncio.sleep(0)
        server.read("services", recovered=True)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    in_no_time(work())

"""A client without an opinion for the tests of this server: what it was sent, as it came."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import aiohttp

from tests.apiserver.resources import Object
from tests.apiserver.server import ApiServer
from tests.support.driven_loop import run_driven

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
SILENCE = 0.3
"""Seconds after which a stream counts as silent."""
BROKEN = (aiohttp.ClientError, ConnectionError)


def service(name: str, **labels: str) -> Object:
    """A service, as the tests change it."""
    spec = {"clusterIP": "10.96.9.9", "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": spec}


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; only its own waiting makes time pass."""
    run_driven(test)


class Client:
    """A client without an opinion."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def ask(self, path: str, method: str = "GET", body: object = None, **params: str | int) -> tuple[int, Any]:
        """The status and the decoded body."""
        async with self.session.request(method, self.server.url + path, params=params, json=body) as response:
            return response.status, await response.json()

    @contextlib.asynccontextmanager
    async def watch(self, path: str = SERVICES, **params: str | int) -> AsyncIterator["Stream"]:
        """A watch."""
        async with self.session.get(self.server.url + path, params={"watch": 1, **params}) as response:
            assert response.status == 200, await response.text()
            yield Stream(response)


class Stream:
    """The events of a watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def line(self) -> bytes:
        """The next line, or what there is of it; empty at the end."""
        return await self._response.content.readuntil(b"\n")

    async def event(self) -> Any:
        """The next event."""
        return json.loads(await self.line())

    async def names(self, count: int) -> list[str]:
        """`TYPE name` of the next events."""
        events = [await self.event() for _ in range(count)]
        return [f"{event['type']} {event['object']['metadata'].get('name', '')}".strip() for event in events]

    async def silent(self) -> bool:
        """Whether nothing comes, and the stream stays open."""
        try:
            await asyncio.wait_for(self._response.content.readany(), SILENCE)
        except TimeoutError:
            return True
        return False


@contextlib.asynccontextmanager
async def serving(services: int = 0, *, tls: bool = False) -> AsyncIterator[Client]:
    """A server with `svc-N` in the namespace default, and a client."""
    async with ApiServer(tls=tls, seed=1) as server:
        server.load(service(f"svc-{number:04}", parity="odd" if number % 2 else "even") for number in range(services))
        trust = server.authority.client_context() if server.authority else True
        headers = {"Authorization": f"Bearer {server.access.issue()}"} if tls else {}
        limit = 2**23  # a line of a watch may be that large
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust), headers=headers, read_bufsize=limit
        ) as session:
            yield Client(server, session)

"""The test API server in a process of its own on one core, and the commands that it takes.

    Api(shape, pods, folder, core)    starts it; `with` stops it
    api.cut(number)                   a relist of everything, with marks that show when each list has come to its end
    api.away(number, seconds, ...)    an outage, during which the marks change
    api.change(count, rate)           changes one slice after the other, in the background

The marks are the objects that come last in every list: mark.zz.svc (of the Service) and end.mark.zz.svc (of its slice).
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import uvloop

from benchmarks.parts.names import ZONE, Name
from benchmarks.parts.run import Failed
from tests.apiserver.resources import Object
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer

LAST_NAMESPACE = "zz"
MARK_SERVICES = int(IPv4Address("10.111.0.0"))
MARK_ENDPOINTS = int(IPv4Address("10.254.0.0"))
CHANGED_ENDPOINTS = int(IPv4Address("10.250.0.0"))
START_SECONDS = 300
"""Until a large cluster is made up."""


class Mark(msgspec.Struct, frozen=True):
    """A name that shows that a list has come to its end, and its address then."""

    resource: str
    owner: str
    address: IPv4Address


class Started(msgspec.Struct, frozen=True):
    """What the server holds."""

    names: list[Name]
    """Services with a ClusterIP."""
    headless: list[str]
    """Owners of headless services."""


def marks(number: int) -> list[Mark]:
    """The marks of a relist; 0 are those of the beginning."""
    owner = f"mark.{LAST_NAMESPACE}.svc.{ZONE}"
    return [
        Mark("services", owner, IPv4Address(MARK_SERVICES + number)),
        Mark("endpointslices", f"end.{owner}", IPv4Address(MARK_ENDPOINTS + number)),
    ]


def changed_address(number: int) -> IPv4Address:
    """The first endpoint's address after change `number`; never two alike."""
    return IPv4Address(CHANGED_ENDPOINTS + number)


class Api:
    """The process, from outside."""

    def __init__(self, shape: Shape, folder: Path, core: int) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_main, args=(theirs, shape, self.kubeconfig, core), daemon=True
        )
        self._process.start()
        theirs.close()
        self.holds: Started = self._receive()

    def __enter__(self) -> "Api":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()

    def lists(self, after: float) -> dict[str, float]:
        """When the first list of each resource was asked for after a moment (monotonic seconds)."""
        found: dict[str, float] = self._ask("lists", after)
        return found

    def cut(self, number: int) -> None:
        """Forget all history while services and slices are watched, so that both are listed again, with other marks."""
        self._ask("cut", number)

    def away(self, number: int, seconds: float, forget: bool) -> float:
        """Be away for so long, and come back with other marks; when that was (monotonic seconds).

        `forget` all history meanwhile, so that everything is listed again.
        """
        back: float = self._ask("away", number, seconds, forget)
        return back

    def add_pods(self, count: int) -> None:
        """Put that many pods."""
        self._ask("add_pods", count)

    def begin_changes(self, first: int, count: int, rate: float) -> None:
        """Change the slices of the headless services in turn, at so many a second; `changed` waits for the end."""
        self._connection.send(("change", (first, count, rate)))

    def changed(self) -> list[float]:
        """When each of the changes was made (monotonic seconds)."""
        found: list[float] = self._receive()
        return found

    def _ask(self, command: str, *arguments: object) -> Any:
        self._connection.send((command, arguments))
        return self._receive()

    def _receive(self) -> Any:
        try:
            if self._connection.poll(START_SECONDS):
                return self._connection.recv()
        except EOFError:
            pass
        raise Failed("the test API server does not answer")


def _main(connection: Connection, shape: Shape, kubeconfig: Path, core: int) -> None:
    os.sched_setaffinity(0, {core})
    logging.disable()  # a connection that the benchmark breaks is no news
    uvloop.run(_Served(connection, shape).run(kubeconfig))


class _Served:
    """The process, from inside."""

    def __init__(self, connection: Connection, shape: Shape) -> None:
        self._connection = connection
        self._server = ApiServer()
        self._shape = shape
        self._slices: list[Object] = []
        """Of headless services."""

    async def run(self, kubeconfig: Path) -> None:
        """Serve until the other end is closed."""
        started = self._load()
        # Without this a walk of the collector over all objects would be measured as a late event.
        gc.collect()
        gc.freeze()
        async with self._server as server:
            server.kubeconfig(kubeconfig)
            self._connection.send(started)
            readable = asyncio.Event()
            asyncio.get_running_loop().add_reader(self._connection.fileno(), readable.set)
            while True:
                await readable.wait()
                readable.clear()
                try:
                    command, arguments = self._connection.recv()
                except EOFError:
                    return
                self._connection.send(await getattr(self, command)(*arguments))

    def _load(self) -> Started:
        started = Started([], [])
        slices: dict[tuple[str, str], Object] = {}
        self._server.load(self._watched(started, slices))
        self._slices = list(slices.values())
        return started

    def _watched(self, started: Started, slices: dict[tuple[str, str], Object]) -> Iterator[Object]:
        """The cluster, while what the parent must know of it is noted."""
        for value in cluster(self._shape):
            metadata = value["metadata"]
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            if value["kind"] == "Service" and name.startswith("svc-"):
                if value["spec"]["clusterIP"] == "None":
                    started.headless.append(f"{name}.{namespace}.svc.{ZONE}")
                    slices[namespace, name] = {}
                else:
                    started.names.append(Name(name, namespace, IPv4Address(value["spec"]["clusterIP"])))
            if value["kind"] == "EndpointSlice":
                owner = namespace, metadata["labels"]["kubernetes.io/service-name"]
                if owner in slices:
                    slices[owner] = value
            yield value
        yield from _mark_objects(0)

    async def lists(self, after: float) -> dict[str, float]:
        """See Api."""
        found: dict[str, float] = {}
        for asked in self._server.counters.requests:
            if asked.at >= after and (asked.verb == "list" or asked.params.get("sendInitialEvents") == "true"):
                found.setdefault(asked.resource, asked.at)
        return found

    async def cut(self, number: int) -> None:
        """See Api."""
        self._server.change(put=_mark_objects(number))
        # Before the watches get their turn: what they have not sent is too old, and they end with 410.
        self._server.compact()

    async def away(self, number: int, seconds: float, forget: bool) -> float:
        """See Api."""
        await self._server.unlisten()
        await asyncio.sleep(seconds)
        self._server.change(put=_mark_objects(number))
        if forget:
            self._server.compact()
        back = time.monotonic()
        await self._server.listen()
        return back

    async def add_pods(self, count: int) -> None:
        """See Api."""
        shape = msgspec.structs.replace(
            self._shape, services=-(-count // self._shape.endpoints_per_slice), headless=0, pods=True, nodes=1
        )
        pods = [value for value in cluster(shape) if value["kind"] == "Pod"]
        self._server.load(pods[:count])
        gc.freeze()

    async def change(self, first: int, count: int, rate: float) -> list[float]:
        """See Api."""
        made = []
        begin = time.monotonic()
        for number in range(count):
            await asyncio.sleep(begin + number / rate - time.monotonic())
            slice_ = self._slices[(first + number) % len(self._slices)]
            slice_["endpoints"][0]["addresses"] = [str(changed_address(first + number))]
            made.append(self._server.change(put=[slice_])[0].at)
        return made


def _mark_objects(number: int) -> list[Object]:
    service, endpoint = (str(mark.address) for mark in marks(number))
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "clusterIP": service, "clusterIPs": [service], "ports": ports}
    metadata = {"name": "mark", "namespace": LAST_NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "mark"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [endpoint], "hostname": "end"}],
            "ports": ports,
        },
    ]

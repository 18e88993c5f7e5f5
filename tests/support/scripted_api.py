"""A server of one resource that says exactly what a test wants it to say, and when, on a clock of its own.

    Script     a connection whose replies are a list; notes the requests and their times
    Followed   a reflector on it, what it holds, and what it has held
    Reply      page, watch, error; in watches event, bookmark, error_event, and `listed`, all of a streaming list

A request as text: `stream` (a streaming list), `watch VERSION`, `list`, `list TOKEN`. Objects: `a@5`, name and
resourceVersion; all of them are services.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs

import msgspec

from dnsbridge.backoff import Backoff
from dnsbridge.cluster.changes import Change, Put
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch.api.connection import Connection
from dnsbridge.watch.api.reflector import Reflector
from dnsbridge.watch.api.resources import SERVICES, Resource
from dnsbridge.watch.api.server import Server

SILENCE = 60.0

Step = bytes | float | Exception
"""Octets of the body, seconds in which nothing comes, or how the connection breaks."""


class Reply(NamedTuple):
    """What one request gets."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = {}
    instead: Exception | None = None
    """Raised instead of a response."""


def document(name: str, version: object, address: str = "10.96.0.1", **more: object) -> dict[str, Any]:
    """A service, as JSON has it."""
    metadata = {"name": name, "namespace": "shop", "resourceVersion": version}
    return {"metadata": metadata, "spec": {"clusterIP": address}, **more}


def event(kind: str, name: str, version: object, **more: Any) -> bytes:
    """A line of a watch."""
    return msgspec.json.encode({"type": kind, "object": document(name, version, **more)}) + b"\n"


def bookmark(version: object, end: bool = False) -> bytes:
    """A bookmark; the one that ends the initial events, if so."""
    annotations = {"annotations": {"k8s.io/initial-events-end": "true"}} if end else {}
    value = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version, **annotations}}}
    return msgspec.json.encode(value) + b"\n"


def listed(*held: str, version: int) -> bytes:
    """The initial events of a streaming list of objects such as `a@5`."""
    lines = [event("ADDED", name, version_of) for name, _, version_of in (each.partition("@") for each in held)]
    return b"".join(lines) + bookmark(str(version), end=True)


def page(*held: str, version: int, more: str = "") -> Reply:
    """A page of a list."""
    items = [document(name, version_of) for name, _, version_of in (each.partition("@") for each in held)]
    metadata = {"resourceVersion": str(version), "continue": more}
    return Reply((msgspec.json.encode({"metadata": metadata, "items": items}),))


def watch(*steps: Step) -> Reply:
    """A watch, or a streaming list."""
    return Reply(steps)


def error(code: int, message: str = "", **headers: str) -> Reply:
    """A refusal."""
    return Reply((msgspec.json.encode({"code": code, "message": message}),), code, headers)


def error_event(code: int) -> bytes:
    """An ERROR in a watch."""
    return msgspec.json.encode({"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "gone"}}) + b"\n"


class Script:
    """A connection to a server that follows a script; `ended` when it is asked for more than that."""

    def __init__(self, replies: list[Reply], now: Callable[[], float], versions: Sequence[str] = ("v1.33.1",)) -> None:
        """`versions` are what is said at /version, in turn, the last one for ever; empty: HTTP 403."""
        self.requests: list[str] = []
        self.times: list[float] = []
        self.versions = 0
        """How often the version was asked for; that is none of the requests."""
        self._versions = versions
        self.ended = asyncio.Event()
        self._replies = iter(replies)
        self._now = now
        self._started = now()

    @asynccontextmanager
    async def get(self, path: str, silence: float, connect: float = 10.0) -> AsyncIterator[Any]:
        """As Connection.get does."""
        if path == "/version":
            self.versions += 1
            yield _version(self._versions[min(self.versions, len(self._versions)) - 1])
            return
        self.requests.append(_request(path))
        self.times.append(round(self._now() - self._started, 3))
        reply = next(self._replies, None)
        if reply is None:
            self.ended.set()
            await asyncio.Event().wait()
            return
        if reply.instead:
            raise reply.instead
        protocol = _Protocol(silence)
        body = _body(reply.steps, protocol)

        async def read() -> bytes:
            return b"".join([octets async for octets in body])

        content = SimpleNamespace(iter_chunked=lambda _: body)
        connection = SimpleNamespace(protocol=protocol)
        yield SimpleNamespace(
            status=reply.status, headers=reply.headers, read=read, content=content, connection=connection
        )


class _Protocol:
    """How long a body may be silent."""

    def __init__(self, silence: float) -> None:
        self.read_timeout = silence
        self.started = 0

    def start_timeout(self) -> None:
        """Another silence counts from now on."""
        self.started += 1


def _version(text: str) -> Any:
    async def read() -> bytes:
        return msgspec.json.encode({"gitVersion": text})

    return SimpleNamespace(status=200 if text else 403, read=read)


async def _body(steps: tuple[Step, ...], protocol: _Protocol) -> AsyncIterator[bytes]:
    for step in steps:
        if isinstance(step, float):
            silence = protocol.read_timeout
            await asyncio.sleep(min(step, silence))
            if step >= silence:
                raise TimeoutError
        elif isinstance(step, Exception):
            raise step
        else:
            yield step


def _request(path: str) -> str:
    query = {key: values[0] for key, values in parse_qs(path.partition("?")[2]).items()}
    if "watch" not in query:
        assert query["limit"] == "500"
        return f"list {query.get('continue', '')}".strip()
    assert query["allowWatchBookmarks"] == "true"
    assert 1 <= int(query["timeoutSeconds"]) <= SILENCE * 0.75
    if "sendInitialEvents" in query:
        assert query["resourceVersionMatch"] == "NotOlderThan"
        return "stream"
    return f"watch {query['resourceVersion']}"


class Followed:
    """A reflector, what it has made, and all that was ever missing."""

    def __init__(self, script: Script, resource: Resource = SERVICES) -> None:
        self.script = script
        self.objects: dict[Key, Object] = {}
        self.history: list[str] = []
        """What was held after each delivery."""
        self.reflector = Reflector(
            resource,
            "dev",
            Server("dev", cast(Connection, script)),
            self.objects,
            self._take,
            SILENCE,
            Backoff(lambda: 0.0),
        )

    @property
    def held(self) -> str:
        """What is held, as text."""
        return " ".join(sorted(f"{each.name}@{each.resource_version}" for each in self.objects.values()))

    async def run(self) -> None:
        """Until the script has come to its end."""
        task = asyncio.create_task(self.reflector.run())
        await self.script.ended.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _take(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.objects[change.object.key] = change.object
            else:
                del self.objects[change.key]
        self.history.append(self.held)

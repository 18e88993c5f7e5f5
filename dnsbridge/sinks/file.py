"""The sink `file`: the routes as text for another program, in one of the formats of `dnsbridge routes export`.

    PATH                     the text, replaced in one step
    .NAME.dnsbridge          beside it: the routes that the text was made from, and the text's SHA-256

The second file tells the next run which routes the text holds, whatever its format. If somebody else has changed the
text, the sink holds nothing, and `apply` writes the file anew.
"""

import hashlib
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from dnsbridge.routes.model import Kind, NextHop, Reached, Route
from dnsbridge.routes.plan_text import route_facts
from dnsbridge.routes.sink import Held, SinkProblem
from dnsbridge.sinks.text_files import read_file, replace_file


class _Hop(Struct):
    address: str | None
    device: str
    weight: Annotated[int, Meta(ge=1, le=256)]


class _Route(Struct):
    prefix: str
    next_hops: list[_Hop]
    kind: Kind | None
    origin: str
    cluster: str


class _Memory(Struct):
    """The content of `.NAME.dnsbridge`."""

    sha256: str
    routes: list[_Route]


class FileSink:
    """One file."""

    name = "file"
    exclusive = False

    def __init__(self, path: Path, render: Callable[[Sequence[Route]], str]) -> None:
        """`render` turns routes into text; it raises SinkProblem if it cannot."""
        self._path = path
        self._render = render
        self._memory = path.with_name(f".{path.name}.dnsbridge")

    async def held(self) -> Held:
        """The routes last written, if the text is unchanged since; else none. Raises SinkProblem."""
        text, memory = read_file(self.name, self._path), read_file(self.name, self._memory)
        if text is None or memory is None:
            return Held()
        try:
            told = msgspec.json.decode(memory.encode(), type=_Memory)
            routes = tuple(_route(each) for each in told.routes)
        except (msgspec.DecodeError, ValueError):
            return Held()
        return Held(routes) if told.sha256 == _digest(text) else Held()

    async def apply(self, routes: Sequence[Route]) -> Reached:
        """Make the file hold these routes. Raises SinkProblem."""
        text = self._render(routes)
        if text != read_file(self.name, self._path) or (await self.held()).own != tuple(routes):
            memory = {"sha256": _digest(text), "routes": route_facts(routes)}
            replace_file(self.name, self._memory, msgspec.json.encode(memory).decode() + "\n")
            replace_file(self.name, self._path, text)
        return Reached(tuple(routes))

    async def withdraw(self) -> Reached:
        """Remove both files. Raises SinkProblem."""
        for path in (self._path, self._memory):
            _remove(path)
        return Reached()

    async def close(self) -> None:
        """Nothing is open."""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _route(told: _Route) -> Route:
    hops = [NextHop(ip_address(hop.address) if hop.address else None, hop.device, hop.weight) for hop in told.next_hops]
    return Route(ip_network(told.prefix), tuple(hops), told.kind or Kind.POD, told.origin, told.cluster)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SinkProblem(f"file: {path} cannot be removed: {error.strerror}") from None

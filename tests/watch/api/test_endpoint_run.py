"""An API that is read beside another: nothing of it counts before all of it has been read, then whole services do."""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import Endpoints, EndpointSlice, Key, Object
from dnsbridge.watch.api.endpoint_run import Run
from dnsbridge.watch.api.resources import ENDPOINT_SLICES, Resource


def sliced(name: str, service: str, version: str = "1") -> EndpointSlice:
    """A slice."""
    return EndpointSlice(namespace="shop", name=name, service=service, resource_version=version)


OLD = [Endpoints(namespace="shop", name=name) for name in ("db", "web", "gone")]
LISTED = [sliced("db-1", "db"), sliced("web-1", "web"), sliced("db-2", "db")]


class Told:
    """A run whose reflector is driven by hand, and all that was told."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.index: dict[Key, Object] = {obj.key: obj for obj in OLD}
        self.meanwhile: Callable[[], None] = lambda: None
        """Called once, when the first changes are told."""
        self.deliver: Callable[[list[Change]], None] = lambda _: None
        self.held: Mapping[Key, Object] = {}
        self.run = Run((ENDPOINT_SLICES,), self._make, self._take)

    def _make(self, _: Resource, held: Mapping[Key, Object], deliver: Callable[[list[Change]], None]) -> Any:
        self.held, self.deliver = held, deliver
        return SimpleNamespace()

    def _take(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.index[change.object.key] = change.object
            else:
                del self.index[change.key]
        if changes:
            self.calls.append([_text(change) for change in changes])
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()


def _text(change: Change) -> str:
    if isinstance(change, Gone):
        return f"- {change.key.kind} {change.key.name}"
    return f"+ {change.object.kind} {change.object.name}@{change.object.resource_version}"


def test_nothing_counts_before_all_does() -> None:
    """A list that comes in pieces is held apart; then each service changes in one go, old objects and new."""
    told = Told()
    for obj in LISTED:
        told.deliver([Put(obj)])
        assert told.calls == []
        assert told.held[obj.key] == obj
    told.deliver([Put(sliced("web-2", "web")), Gone(Key("EndpointSlice", "shop", "web-2"))])
    assert list(told.held) == [obj.key for obj in LISTED]
    asyncio.run(told.run.take_over(OLD, told.index))
    assert told.calls == [
        ["+ EndpointSlice db-1@1", "+ EndpointSlice db-2@1", "- Endpoints db"],
        ["+ EndpointSlice web-1@1", "- Endpoints web"],
        ["- Endpoints gone"],
    ]
    assert set(told.index) == {obj.key for obj in LISTED}
    told.calls.clear()
    told.deliver([Put(sliced("web-1", "web", "2"))])
    assert told.calls == [["+ EndpointSlice web-1@2"]]
    assert set(told.held) == set(told.index)


def test_what_comes_meanwhile_is_not_lost() -> None:
    """Events while the services change, one by one, are told after them, in their order."""
    told = Told()
    told.deliver([Put(obj) for obj in LISTED])
    told.meanwhile = lambda: told.deliver(
        [Put(sliced("web-1", "web", "2")), Gone(Key("EndpointSlice", "shop", "db-2"))]
    )
    asyncio.run(told.run.take_over(OLD, told.index))
    assert told.calls[-1] == ["+ EndpointSlice web-1@2", "- EndpointSlice db-2"]
    assert sorted(key.name for key in told.index) == ["db-1", "web-1"]
    assert told.index[Key("EndpointSlice", "shop", "web-1")].resource_version == "2"

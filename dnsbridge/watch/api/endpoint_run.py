"""A run of one API that endpoints are read from: its objects are kept apart until the run counts."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import EndpointSlice, Key, Object
from dnsbridge.watch.api.intake import TURN
from dnsbridge.watch.api.reflector import Reflector
from dnsbridge.watch.api.resources import Resource

Api = tuple[Resource, ...]
"""The resources that are read together."""
MakeReflector = Callable[[Resource, Mapping[Key, Object], Callable[[list[Change]], None]], Reflector]
"""Makes the reflector of a resource, with the objects held of it and the receiver of changes."""


class Run:
    """One API that is read, and the objects that it has listed until the run counts."""

    def __init__(self, api: Api, make: MakeReflector, on_changes: Callable[[list[Change]], None]) -> None:
        self.api = api
        self.objects: dict[Key, Object] = {}
        self.late: list[Change] | None = None
        """Changes that came since the hand-over of `objects` began; None outside a hand-over."""
        self.counts = False
        self.reflectors = [make(each, _Held(self), self._take) for each in api]
        self.index: Mapping[Key, Object] = {}
        """The result of all changes, once the run counts."""
        self.errors = 0
        """The reflectors' errors when the server was last asked."""
        self._on_changes = on_changes
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def listed(self) -> bool:
        """Whether every resource of the API has been listed."""
        return all(each.listed for each in self.reflectors)

    @property
    def failed(self) -> bool:
        """Whether a request has failed since the server was last asked."""
        return sum(each.counts.errors for each in self.reflectors) > self.errors

    @property
    def refused(self) -> bool:
        """Whether the server said last that it lacks a resource of the API, or forbids us to read one."""
        return any(each.absent for each in self.reflectors)

    def asked(self) -> None:
        """Note that the server has been asked."""
        self.errors = sum(each.counts.errors for each in self.reflectors)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start to read the API."""
        self._tasks = [tasks.create_task(each.run()) for each in self.reflectors]

    async def stop(self) -> None:
        """Stop reading the API."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def take_over(self, stale: Iterable[Object], index: Mapping[Key, Object]) -> None:
        """Let the run count, in place of the `stale` objects; `index` is the result of all changes.

        All endpoints of a service change in one go.
        """
        self.late = []
        turns = LoopTurns()
        by_service: dict[tuple[str, str], list[Change]] = {}
        for obj in list(self.objects.values()):
            by_service.setdefault(_service(obj), []).append(Put(obj))
            await turns.give()
        for obj in stale:
            by_service.setdefault(_service(obj), []).append(Gone(obj.key))
        for changes in by_service.values():
            self._on_changes(changes)
            await turns.give()
        self.index, self.counts = index, True
        self._on_changes(self.late)
        self.late, self.objects = None, {}

    def _take(self, changes: list[Change]) -> None:
        if self.counts:
            self._on_changes(changes)
            return
        for change in changes:
            if isinstance(change, Put):
                self.objects[change.object.key] = change.object
            else:
                self.objects.pop(change.key, None)
        if self.late is not None:
            self.late += changes


class _Held(Mapping[Key, Object]):
    """The objects that a run's reflectors see: only the run's own at first, and all objects once the run counts."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def _now(self) -> Mapping[Key, Object]:
        return self._run.index if self._run.counts else self._run.objects

    def __getitem__(self, key: Key) -> Object:
        return self._now[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)


class LoopTurns:
    """Lets the event loop see to questions every so often."""

    def __init__(self) -> None:
        self._until = time.monotonic() + TURN

    async def give(self) -> None:
        """Yield to the event loop if a turn is over."""
        if time.monotonic() > self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + TURN


def _service(obj: Object) -> tuple[str, str]:
    return obj.namespace, obj.service if isinstance(obj, EndpointSlice) else obj.name

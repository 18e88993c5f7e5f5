"""The API server as the source of a cluster's objects: one reflector for each resource, all on one connection.

For a resource that older servers lack, endpoint_apis decides which resources are read instead.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping

from dnsbridge.backoff import Backoff
from dnsbridge.cluster.changes import Change
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch.api.connection import ApiAddress, Connection
from dnsbridge.watch.api.endpoint_apis import EndpointApis
from dnsbridge.watch.api.reflector import Reflector
from dnsbridge.watch.api.resources import Resource
from dnsbridge.watch.api.server import Server


class ApiSource:
    """Follows one cluster's API server."""

    def __init__(
        self,
        cluster: str,
        address: ApiAddress,
        resources: tuple[Resource, ...],
        held: Mapping[Key, Object],
        on_changes: Callable[[list[Change]], None],
        silence: float,
    ) -> None:
        """`held` is the result of all changes so far; a connection may be silent for `silence` seconds."""
        self.connection = Connection(address)
        self._server = Server(cluster, self.connection)

        def reflector(
            resource: Resource,
            held: Mapping[Key, Object] = held,
            on_changes: Callable[[list[Change]], None] = on_changes,
        ) -> Reflector:
            return Reflector(resource, cluster, self._server, held, on_changes, silence, Backoff(random.random))

        self._reflector = reflector
        self._others = [reflector(resource) for resource in resources if not resource.older]
        self._endpoints = next(
            (
                EndpointApis(cluster, self.connection, resource, reflector, held, on_changes)
                for resource in resources
                if resource.older
            ),
            None,
        )
        self._tasks: asyncio.TaskGroup | None = None
        self.restored_at: float | None = None
        """Monotonic time of the snapshot's state, if a snapshot was read."""

    @property
    def reflectors(self) -> list[Reflector]:
        """One for each resource that is read."""
        return [*self._others, *(self._endpoints.reflectors if self._endpoints else ())]

    @property
    def endpoints(self) -> str:
        """The API that endpoints are read from, as text for people; empty while unknown."""
        return self._endpoints.words if self._endpoints else ""

    @property
    def synced(self) -> bool:
        """Whether there is something to answer from: every required list, or a snapshot."""
        return self.restored_at is not None or self.listed

    @property
    def listed(self) -> bool:
        """Whether every required resource has been listed by this process."""
        return self._chosen and all(each.listed for each in self._required())

    @property
    def _chosen(self) -> bool:
        return self._endpoints is None or self._endpoints.chosen is not None

    def missing(self) -> list[str]:
        """The required resources that this process has not read, each with the reason."""
        found = [f"{each.resource.label} ({each.waits_for})" for each in self._required() if not each.listed]
        if self._endpoints and not self._endpoints.reflectors:
            found.append(f"{self._endpoints.newest.label} (the server has not said yet which API it has)")
        return found

    @property
    def complete(self) -> bool:
        """Whether this process has read all that the API server offers, optional resources too.

        A snapshot does not count: the process that saved it may have read fewer resources.
        """
        return self._chosen and all(each.listed or each.absent for each in self.reflectors)

    @property
    def last_read_at(self) -> float:
        """Monotonic time of the last sign of life from the required resource that has been silent longest."""
        alive_at = min((each.alive_at for each in self._required()), default=time.monotonic())
        return alive_at if self.listed or self.restored_at is None else self.restored_at

    async def follow(self) -> None:
        """Follow everything until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._server.probe())
                for each in self._others:
                    tasks.create_task(each.run())
                if self._endpoints:
                    tasks.create_task(self._endpoints.follow())
        finally:
            self._tasks = None
            await self.connection.close()

    def add(self, resources: Iterable[Resource]) -> None:
        """Follow these resources too, unless they are followed already."""
        known = {each.resource for each in self._others}
        for resource in resources:
            if resource not in known:
                added = self._reflector(resource)
                self._others.append(added)
                if self._tasks:
                    self._tasks.create_task(added.run())

    def _required(self) -> list[Reflector]:
        return [each for each in self.reflectors if each.resource.required]

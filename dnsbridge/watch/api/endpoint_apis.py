"""Chooses the API that a cluster's endpoints are read from. The server decides, and an API counts once read in full.

discovery.k8s.io/v1        EndpointSlices                        Kubernetes 1.21 and later
discovery.k8s.io/v1beta1   EndpointSlices, and v1 Endpoints      1.17 to 1.20
v1                         Endpoints                             earlier

The newest API is read until the server says that it lacks it: it lists its groups without this one, or it lists no
groups at all and has no such path. An error, a refusal, a text that is no group list, or silence says nothing. The
objects of an API are kept apart until its list is complete. For an older API the server must also confirm its answer
once more, because a proxy that answers for a server must not decide. Then these objects replace those read before, one
service after the other, and no service is without endpoints in between.

The server is asked again when a connection to it has failed, and every ASK_SECONDS while an older API is read, because
clusters are upgraded.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from dnsbridge.backoff import Backoff
from dnsbridge.cluster.changes import Change
from dnsbridge.cluster.objects import Endpoints, EndpointSlice, Key, Object
from dnsbridge.watch.api.connection import Connection
from dnsbridge.watch.api.endpoint_run import Api, LoopTurns, MakeReflector, Run
from dnsbridge.watch.api.intake import DISTRUST_FROM, EMPTY_LIST_SECONDS, EMPTY_LISTS
from dnsbridge.watch.api.offered import Groups, groups_of
from dnsbridge.watch.api.reflector import Reflector
from dnsbridge.watch.api.resources import Resource

log = logging.getLogger(__name__)

ASK_SECONDS = 300.0
"""Seconds between two questions while an older API is read and nothing fails."""
FIRST_ASK_AGAIN = 1.0
"""Seconds, at most, before a server that gave no clear answer is asked again; the delay grows each time."""
PATIENCE = 1.0
"""Seconds that the first question may take; after that the newest API is read for the time being."""
TIMEOUT = 10.0
"""Seconds that any other question may take."""
_LOOK = 0.01
"""Seconds between two looks at a list that is under way."""
_IDLE_LOOK = 0.5
"""Seconds between two looks while no list is under way."""


def words(api: Api, newest: bool) -> str:
    """The API that is read, as text for people."""
    read = [f"{each.group_version} {each.kind}{'' if each.kind.endswith('s') else 's'}" for each in api]
    if newest:
        return read[0]
    if len(read) == 1:
        return f"{read[0]} (the server has no EndpointSlices)"
    return f"{read[0]}, and {read[1]} where a service has no slice (the server has no newer ones)"


class EndpointApis:
    """Reads the endpoints of one cluster."""

    def __init__(
        self,
        cluster: str,
        connection: Connection,
        newest: Resource,
        make: MakeReflector,
        held: Mapping[Key, Object],
        on_changes: Callable[[list[Change]], None],
        backoff: Backoff | None = None,
    ) -> None:
        """`newest.older` names the older APIs; `held` is the result of all changes so far, of all kinds."""
        self.newest = newest
        self.apis: tuple[Api, ...] = ((newest,), *newest.older)
        self.chosen: Run | None = None
        """The run that counts."""
        self._trying: Run | None = None
        self._cluster = cluster
        self._connection = connection
        self._make = make
        self._held = held
        self._on_changes = on_changes
        self._backoff = backoff or Backoff(random.random, FIRST_ASK_AGAIN)
        self._ask_at = 0.0
        """Monotonic time from which on the server may be asked again."""
        self._unanswered = False
        """The last question got no clear answer."""
        self._asked_at = 0.0
        self._empty_lists = 0
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def words(self) -> str:
        """The API that is read, as text for people; empty while no run counts yet."""
        return words(self.chosen.api, self.chosen.api is self.apis[0]) if self.chosen else ""

    @property
    def reflectors(self) -> list[Reflector]:
        """The reflectors of the run that counts; while none does, of the run that is tried."""
        run = self.chosen or self._trying
        return run.reflectors if run else []

    async def follow(self) -> None:
        """Read endpoints until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for known in self._runs():
                known.start(tasks)
            if not self._runs():
                await self._read(await self._ask(PATIENCE) or self.apis[0])
            while True:
                await self._news()
                trying = self._trying
                whole = trying is not None and trying.listed
                if not trying or not whole or trying.api is not self.apis[0]:
                    said = await self._ask(TIMEOUT)
                    if said:
                        await self._read(said)
                    whole = whole and trying is self._trying and said is not None
                if trying and whole:
                    await self._settle(trying)

    def _runs(self) -> list[Run]:
        return [run for run in (self.chosen, self._trying) if run]

    async def _read(self, api: Api) -> None:
        """Start to read this API; the run that counts goes on counting."""
        latest = self._trying or self.chosen
        if latest and latest.api is api:
            return
        if self._trying:
            await self._trying.stop()
            self._trying = None
        if not (self.chosen and self.chosen.api is api):
            self._try(api)

    def _try(self, api: Api) -> None:
        assert self._tasks
        self._trying = Run(api, self._make, self._on_changes)
        self._trying.start(self._tasks)

    async def _news(self) -> None:
        """Wait until a list is complete, or there is a reason to ask the server."""
        while True:
            now = time.monotonic()
            trying = self._trying
            if trying and trying.listed and (trying.api is self.apis[0] or now >= self._ask_at):
                return
            runs = self._runs()
            if now >= self._ask_at and (self._unanswered or any(map(self._doubtful, runs))):
                return
            if now >= self._asked_at + ASK_SECONDS and any(run.api is not self.apis[0] for run in runs):
                return
            await asyncio.sleep(_LOOK if trying else _IDLE_LOOK)

    def _doubtful(self, run: Run) -> bool:
        """Whether the server's version may have changed; for the newest API only a refusal is reason to doubt."""
        return run.failed and (run.refused or run.api is not self.apis[0])

    async def _ask(self, patience: float) -> Api | None:
        """Ask the server for the newest API that it offers; None: no clear answer."""
        said: Api | None = None
        # The reflectors meet the same trouble, and log it.
        with suppress(Exception):
            async with asyncio.timeout(patience):
                said = await self._word()
        now = self._asked_at = time.monotonic()
        for run in self._runs():
            run.asked()
        if said:
            self._backoff.succeeded()
        self._ask_at = now if said else now + self._backoff.delay()
        # If the newest API is read without trouble, no answer is needed.
        doubtful = any(run.refused or run.api is not self.apis[0] for run in self._runs())
        self._unanswered = said is None and doubtful
        return said

    async def _word(self) -> Api | None:
        groups = await groups_of(self._connection, TIMEOUT)
        if isinstance(groups, Groups):
            return next(api for api in self.apis if groups.offer(api))
        if groups.no_discovery:
            return await self._by_path()
        return None

    async def _by_path(self) -> Api | None:
        """The newest API of a server that lists no groups: found by asking for the lists; None: no clear answer."""
        for api in self.apis[:-1]:
            async with self._connection.get(api[0].query(limit=1), TIMEOUT) as response:
                if response.status != 404:
                    return api if response.status == 200 else None
        return self.apis[-1]

    async def _settle(self, run: Run) -> None:
        """Let a run that is read in full count from now on, in place of any other."""
        stale = await self._stale(run)
        if not run.objects and len(stale) >= DISTRUST_FROM:
            self._empty_lists += 1
            if self._empty_lists < EMPTY_LISTS:
                await self._distrust(run, len(stale))
                return
        self._empty_lists = 0
        if self.chosen:
            await self.chosen.stop()
        await run.take_over(stale, self._held)
        self.chosen, self._trying = run, None
        log.info("cluster %s: endpoints from %s", self._cluster, self.words)

    async def _stale(self, run: Run) -> list[EndpointSlice | Endpoints]:
        """The held endpoints that the run has not read."""
        turns = LoopTurns()
        found = []
        for obj in list(self._held.values()):
            if isinstance(obj, EndpointSlice | Endpoints) and obj.key not in run.objects:
                found.append(obj)
            await turns.give()
        return found

    async def _distrust(self, run: Run, held: int) -> None:
        """Read the API anew, after EMPTY_LIST_SECONDS."""
        problem = f"an empty list, while {held} objects are held; not believed yet"
        log.warning("cluster %s: %s: %s; trying again", self._cluster, run.api[0].plural, problem)
        await run.stop()
        await asyncio.sleep(EMPTY_LIST_SECONDS)
        self._try(run.api)

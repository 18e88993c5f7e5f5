"""From which API a cluster's endpoints are read: by the server's own word, and only when all of it has been read.

discovery.k8s.io/v1        EndpointSlices                        Kubernetes 1.21 and later
discovery.k8s.io/v1beta1   EndpointSlices, and v1 Endpoints      1.17 to 1.20
v1                         Endpoints                             earlier

The newest API is read until the server says that it does not have it: it lists its groups, and this one is not among
them; or it lists no groups at all and has no such path. An error, a refusal, a text that is no such list, or silence
says nothing. What an API lists is kept apart until the list has come to its end, and until the server has said so once
more in the case of an older API: a proxy that answers for a server must not decide. Then it takes the place of what was
read before, one service after the other, and no service is without its endpoints in between.

The server is asked again when a connection to it has failed, and every ASK_SECONDS while an older API is read: clusters
are upgraded.
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
"""Between two questions while an older API is read and nothing fails."""
FIRST_ASK_AGAIN = 1.0
"""Seconds, at most, after which a server that gave no clear answer is asked again; longer each time."""
PATIENCE = 1.0
"""Seconds that the first question may take; then the newest API is read in the meantime."""
TIMEOUT = 10.0
"""Seconds that any other question may take."""
_LOOK = 0.01
"""Seconds between two looks at a list that is under way."""
_IDLE_LOOK = 0.5
"""The same while none is."""


def words(api: Api, newest: bool) -> str:
    """What is read, for people."""
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
        """`newest` says what is read instead; `held` is what all changes so far have made, of all kinds."""
        self.newest = newest
        self.apis: tuple[Api, ...] = ((newest,), *newest.older)
        self.chosen: Run | None = None
        """What counts."""
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
        """The server was asked last without a clear answer."""
        self._asked_at = 0.0
        self._empty_lists = 0
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def words(self) -> str:
        """What is read, for people; empty while nothing counts yet."""
        return words(self.chosen.api, self.chosen.api is self.apis[0]) if self.chosen else ""

    @property
    def reflectors(self) -> list[Reflector]:
        """Those of what counts; while nothing does, of what is tried."""
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
        """Read this one; what counts goes on counting."""
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
        """Wait until a list is whole, or there is a reason to ask the server."""
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
        """Whether the server may have become another one; the newest API is given up for no less than a refusal."""
        return run.failed and (run.refused or run.api is not self.apis[0])

    async def _ask(self, patience: float) -> Api | None:
        """Which API the server says that it offers; None: nothing clear."""
        said: Api | None = None
        # The reflectors meet the same trouble, and say so.
        with suppress(Exception):
            async with asyncio.timeout(patience):
                said = await self._word()
        now = self._asked_at = time.monotonic()
        for run in self._runs():
            run.asked()
        if said:
            self._backoff.succeeded()
        self._ask_at = now if said else now + self._backoff.delay()
        # A newest API that is read without trouble needs nobody's word.
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
        """The same of a server that lists no groups: which of the lists it has."""
        for api in self.apis[:-1]:
            async with self._connection.get(api[0].query(limit=1), TIMEOUT) as response:
                if response.status != 404:
                    return api if response.status == 200 else None
        return self.apis[-1]

    async def _settle(self, run: Run) -> None:
        """All of it has been read: it counts from now on, and nothing else does."""
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
        """What is held of endpoints and is not among what was read."""
        turns = LoopTurns()
        found = []
        for obj in list(self._held.values()):
            if isinstance(obj, EndpointSlice | Endpoints) and obj.key not in run.objects:
                found.append(obj)
            await turns.give()
        return found

    async def _distrust(self, run: Run, held: int) -> None:
        """Read it anew, a little later."""
        problem = f"an empty list, while {held} objects are held; not believed yet"
        log.warning("cluster %s: %s: %s; trying again", self._cluster, run.api[0].plural, problem)
        await run.stop()
        await asyncio.sleep(EMPTY_LIST_SECONDS)
        self._try(run.api)

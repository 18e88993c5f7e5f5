"""Leader election among several companions, by a Kubernetes Lease (coordination.k8s.io/v1).

The election is the one of `kubernetes.aio`, with three additions. A request that hangs or fails in any way counts as a
failed renewal. The times in the Lease are in UTC. Leadership ends by this process's monotonic clock, a while after the
last renewal was begun: whatever happens to the API server, to this process or to the wall clock, the old leader has
stopped before another may start. Another companion succeeds a dead leader within the lease's duration.

    0           9.9        11            15    seconds of a duration of 15
    | renewed   | it stops | others see  | one of them leads
                             it as free

    on_lead()     this process holds the lease
    on_lose()     this process has lost the lease: stop at once
    on_other()    another has held the lease for a whole duration: the routes that this process left may be withdrawn
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable

from dnsbridge.watch.api.connection import ApiAddress, CannotConnect, configuration_of

log = logging.getLogger(__name__)

RETRY_SHARE = 2 / 15
"""Share of the duration between two attempts (client-go: 2 s of 15 s); at least a second, as the library demands."""
RENEW_SHARE = 0.9
"""Share of the time that others wait, after which a leader that could not renew stops."""
SHORTEST = 4.0
"""The shortest duration, in seconds."""
MAX_PROBLEM = 300
"""Characters of a problem that are logged."""

Act = Callable[[], Awaitable[None]]


def identity() -> str:
    """The name of this process in a Lease: host name and process ID, which no other process shares."""
    return f"{socket.gethostname()}_{os.getpid()}"


class Candidate:
    """This process in the election of one Lease."""

    def __init__(
        self,
        address: ApiAddress,
        name: str,
        namespace: str,
        duration: float,
        on_lead: Act,
        on_lose: Act,
        on_other: Act,
    ) -> None:
        """`duration` in seconds, at least SHORTEST: a dead leader keeps others waiting for at most that long."""
        self.leads = False
        self.holder = ""
        """The last known holder of the lease."""
        self.shown = f"Lease {namespace}/{name}"
        self._address = address
        self._name = name
        self._namespace = namespace
        self._duration = duration
        self._retry = max(1.0, duration * RETRY_SHARE)
        # Others see the last renewal up to one retry late, and notice its end up to another retry late.
        self._wait = duration - 2 * self._retry
        self._on_lead = on_lead
        self._on_lose = on_lose
        self._on_other = on_other
        self._problem = ""
        self._renewed = asyncio.Event()
        self._renewed_at = 0.0
        self._other_since: float | None = None

    async def run(self) -> None:
        """Take part in the election until cancelled; then release the lease, so that nobody waits for its end."""
        try:
            while True:
                try:
                    await self._take_part()
                except CannotConnect as error:
                    self.complain(str(error))
                except Exception as error:  # from the library, or caused by a hostile answer
                    self.complain(f"{type(error).__name__}: {error}")
                await self._lose()
                await asyncio.sleep(self._retry)
        finally:
            await self._lose()

    async def _take_part(self) -> None:
        from kubernetes.aio.client import ApiClient  # noqa: PLC0415  slow to load
        from kubernetes.aio.leaderelection.electionconfig import Config  # noqa: PLC0415
        from kubernetes.aio.leaderelection.leaderelection import LeaderElection  # noqa: PLC0415

        from dnsbridge.watch.lease.lock import Lock  # noqa: PLC0415

        async with ApiClient(await configuration_of(self._address)) as client:
            renew = self._wait * RENEW_SHARE
            lock = Lock(self._name, self._namespace, identity(), client, self._duration, renew / 2, self)
            election = LeaderElection(Config(lock, self._wait, renew, self._retry, _nothing, _nothing))
            elected = asyncio.create_task(election.run())
            try:
                await self._lead_while_renewed(elected, renew)
            finally:
                elected.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await elected
                if self.leads:
                    await self._lose()
                    await lock.release()

    async def _lead_while_renewed(self, elected: "asyncio.Task[None]", renew: float) -> None:
        while True:
            self._renewed.clear()
            if not self.leads and self._renewed_at and time.monotonic() < self._renewed_at + renew:
                self.leads = True
                log.info("%s: this companion leads (%s)", self.shown, identity(), extra={"event": "leads"})
                await self._on_lead()
            left = self._renewed_at + renew - time.monotonic() if self.leads else None
            waiting = asyncio.create_task(self._renewed.wait())
            try:
                await asyncio.wait([waiting, elected], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if elected.done():
                elected.result()
                return
            if self.leads and time.monotonic() >= self._renewed_at + renew:
                return

    async def _lose(self) -> None:
        self._renewed_at = 0.0
        if self.leads:
            self.leads = False
            text = "%s: this companion leads no more; its routes stay until another does"
            log.warning(text, self.shown, extra={"event": "leads_no_more"})
            await self._on_lose()

    def renewed(self, began: float) -> None:
        """This process holds the lease, by a request begun at `began` (monotonic seconds)."""
        self._renewed_at = began
        self._problem = ""
        self._other_since = None
        self.holder = identity()
        self._renewed.set()

    async def seen(self, holder: str) -> None:
        """The Lease names `holder` now; empty: nobody."""
        if self._problem:
            log.info("%s: the API server answers again", self.shown)
            self._problem = ""
        if holder in ("", identity()):
            self._other_since = None
            return
        now = time.monotonic()
        if holder != self.holder:
            log.info("%s: %s leads", self.shown, holder)
            self._other_since = now
        self.holder = holder
        if self.leads:
            self._renewed_at = 0.0
            self._renewed.set()
        if self._other_since is not None and not self.leads and now - self._other_since >= self._duration:
            self._other_since = None
            await self._on_other()

    def complain(self, problem: str) -> None:
        """Log a problem with the API server, unless it is the same as before."""
        shown = " ".join(problem.split())[:MAX_PROBLEM]
        if shown != self._problem:
            log.warning("%s: %s; trying again", self.shown, shown)
        self._problem = shown


async def _nothing() -> None:
    """The library's callback for leading; here renewals alone decide who leads."""

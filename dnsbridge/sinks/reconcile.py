"""Keeps one sink at the wanted set, for ever: the newest set counts, and failures are retried.

    want(routes)     a new wanted set; a set that is replaced before its turn is skipped
    check()          the same set again: somebody may have changed what the sink has
    lead(), stop_leading()   whether this process may drive the sink (for sinks that only one process may drive)

A sink that fails is retried after growing delays, and no other sink waits for it. A change that removes too many routes
at once is not made: the old set stays until a person agrees (see `mass_change`). Cancelling leaves everything in place.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from dnsbridge.routes.model import Failure, Prefix, Reached, Route, changes
from dnsbridge.routes.sink import Sink, SinkProblem
from dnsbridge.sinks.mass_change import Removals

log = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds that a sink may take for one set."""
MAX_LINES = 20
"""Changes, and failures, that are logged one by one at a time."""


class Retry(Protocol):
    """The delays between retries."""

    def delay(self) -> float:
        """Seconds to wait after a failure."""
        ...

    def succeeded(self) -> None:
        """Start again from the first delay."""
        ...


class Reconciler:
    """One sink, what it should have, and what it has."""

    def __init__(self, sink: Sink, retry: Retry, removals: Removals | None = None, leads: bool = True) -> None:
        """Without `removals` a change may remove any number of routes."""
        self.sink = sink
        self.reached: Reached | None = None
        """The sink's last result; None when the sink must be asked what it holds."""
        self.problem = ""
        """Why the sink is not at the wanted set now, in one line; empty when it is."""
        self.changes = 0
        """Routes added, changed or removed so far."""
        self.has = 0
        """Routes of ours that the sink had when it was last asked; 0 when it could not be."""
        self.failures: tuple[Failure, ...] = ()
        """The routes that it could not set or remove then."""
        self.refused = False
        """Whether a mass change waits for a person's consent."""
        self._retry = retry
        self._removals = removals
        self._leads = leads
        self._drove = False
        """Whether this process may have put routes into the sink."""
        self._wanted: tuple[Route, ...] | None = None
        self._wake = asyncio.Event()
        self._again: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._failed: frozenset[tuple[Prefix, str]] = frozenset()

    @property
    def wanted(self) -> int:
        """How many routes are wanted; 0 while another process drives the sink."""
        return len(self._wanted or ()) if self._leads else 0

    def want(self, routes: tuple[Route, ...]) -> None:
        """Set the wanted routes."""
        self._wanted = routes
        self._wake.set()

    def check(self) -> None:
        """Check that the sink still has the set: others may have changed it."""
        self.reached = None
        self._wake.set()

    def lead(self) -> None:
        """Drive the sink from now on."""
        self._leads = True
        self._wake.set()

    async def stop_leading(self) -> None:
        """Change nothing from this moment on; routes already set stay."""
        self._leads = False
        if self._work:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work

    async def make_way(self) -> None:
        """Withdraw the routes of this process, because another process drives the sink now."""
        if self._leads or not self._drove:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self.sink.withdraw()
            self._drove = False
            self.reached, self.has, self.failures = None, 0, ()
            log.info("sink %s: routes withdrawn, another companion drives it", self.sink.name)
        except (SinkProblem, TimeoutError) as error:
            problem = str(error) or f"sink {self.sink.name}: no end in time"
            log.warning("%s; its routes are not withdrawn", problem)

    async def run(self) -> None:
        """Follow the wanted set until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._wanted is None or not self._leads:
                    continue
                self._work = asyncio.ensure_future(self._reach(self._wanted))
                await asyncio.wait([self._work])
                if not self._work.cancelled() and (error := self._work.exception()):
                    self._complain(f"internal error: {type(error).__name__}: {error}")
                    self._later()
        finally:
            if self._again:
                self._again.cancel()
            if self._work:
                self._work.cancel()

    async def _reach(self, wanted: tuple[Route, ...]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                # After a problem a person may have changed what the sink holds, so the sink is asked again.
                had = self.reached.routes if self.reached and not self.problem else (await self.sink.held()).own
                refused = self._removals.refuse(had, wanted, _now()) if self._removals else ""
                self.refused = bool(refused)
                if refused:
                    self.has = len(had)
                    self._complain(refused)
                    return
                self._drove = True
                reached = await self.sink.apply(wanted)
        except SinkProblem as error:
            self.has = 0
            self._complain(str(error), str(error))  # the error names its sink itself
            self._later()
            return
        except TimeoutError:
            self.has = 0
            self._complain(f"no end within {PATIENCE:g} s")
            self._later()
            return
        self.reached, self.has, self.failures = reached, len(reached.routes), reached.failures
        if self._removals:
            self._removals.note(had, reached.routes, _now())
        self._say_changes(had, reached.routes)
        self._say_failures(reached)
        if reached.failures:
            self._later()
            return
        self._retry.succeeded()
        if self.problem:
            has = len(reached.routes)
            log.info("sink %s: has the wanted %d routes again", self.sink.name, has, extra={"event": "sink_well"})
            self.problem = ""

    def _later(self) -> None:
        if self._again:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(self._retry.delay(), self._wake.set)

    def _complain(self, problem: str, line: str = "") -> None:
        if problem != self.problem:
            log.error("%s", line or f"sink {self.sink.name}: {problem}", extra={"event": "sink_trouble"})
        self.problem = problem

    def _say_changes(self, had: Sequence[Route], has: Sequence[Route]) -> None:
        """Log one line for each change, up to MAX_LINES."""
        changed = changes(had, has)
        before = {route.prefix: route for route in changed.gone}
        after = {route.prefix: route for route in changed.come}
        lines = [
            f"{'added' if prefix not in before else 'changed'} {shown(route)}"
            for prefix, route in after.items()
            if prefix not in before or before[prefix].next_hops != route.next_hops
        ]
        lines += [f"removed {shown(route)}" for prefix, route in before.items() if prefix not in after]
        self.changes += len(lines)
        for line in lines[:MAX_LINES]:
            log.info("sink %s: %s", self.sink.name, line)
        if len(lines) > MAX_LINES:
            log.info("sink %s: and %d more changes, %d routes now", self.sink.name, len(lines) - MAX_LINES, len(has))

    def _say_failures(self, reached: Reached) -> None:
        """Log the failures that are new; a lasting failure is not logged again at each retry."""
        failed = frozenset((each.prefix, each.problem) for each in reached.failures)
        new = [each for each in reached.failures if (each.prefix, each.problem) not in self._failed]
        self._failed = failed
        for each in new[:MAX_LINES]:
            about = self.sink.name, each.prefix, each.problem
            log.error("sink %s: %s: %s", *about, extra={"event": "sink_trouble"})
        if len(new) > MAX_LINES:
            log.error("sink %s: and %d more failures", self.sink.name, len(new) - MAX_LINES)
        if failed:
            self.problem = f"{len(failed)} routes failed"


def _now() -> float:
    """Seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()


def shown(route: Route) -> str:
    """A route in one line: as ip-route(8) writes it, then its origin."""
    hops = ", ".join(map(str, route.next_hops))
    origin = ", ".join(part for part in (route.cluster and f"cluster {route.cluster}", route.origin) if part)
    return f"{route.prefix} {hops}" + (f" ({origin})" if origin else "")

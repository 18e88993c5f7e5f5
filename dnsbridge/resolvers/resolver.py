"""The resolver interface: one method that takes a question and returns an outcome.

    resolve(query) -> Answer            the answer, known now
                    | Failure           there is no answer, known now
                    | Pending           an outcome that is not known yet

A resolver returns its outcome and never writes to a client. Policies (router, fallback) are resolvers that hold
resolvers.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Literal, Protocol

import msgspec

from dnsbridge.wire.compose import Body
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query

log = logging.getLogger(__name__)


Source = Literal["cluster", "cache", "stale", "forward", "fallback"]
"""Where an answer comes from: the cluster's objects, the cache, the cache past its time, an upstream, the cluster's
CoreDNS.
"""


class Answer(msgspec.Struct, frozen=True):
    """A ready message."""

    body: Body
    """The message after its ID: octets, or an object that gives them anew each time."""
    depends: tuple[bytes, ...] = ()
    """Keys of the cluster's zone (see zone.index) whose change makes the answer wrong."""
    cluster: str = ""
    """The cluster that the keys belong to."""
    expires: int = 0
    """The monotonic second in which the answer stops being right; 0: unknown. An answer with neither keys nor this
    second is not kept prepared.
    """
    source: Source = "forward"
    """For a chain the source of its end, which took the longest."""


Outcome = Answer | Failure


def second() -> int:
    """The clock for everything that expires: monotonic whole seconds."""
    return int(time.monotonic())


class Pending:
    """An outcome that is not known yet; settled exactly once, by the resolver that took the question.

    Not an asyncio future: settling calls the waiters at once, in the order they came. A round through the event loop
    would be a good part of the work at tens of thousands of questions a second.
    """

    __slots__ = ("outcome", "_waiters")

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self._waiters: tuple[Callable[[Outcome], None], ...] = ()

    def then(self, waiter: Callable[[Outcome], None]) -> None:
        """Call `waiter` with the outcome: now if it is known, else when it is settled."""
        if self.outcome is None:
            self._waiters += (waiter,)
        else:
            waiter(self.outcome)

    def settle(self, outcome: Outcome) -> None:
        """Give the outcome to all waiters; a second outcome is ignored."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            waiter(outcome)

    def __await__(self) -> Generator[Any, None, Outcome]:
        if self.outcome is None:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self.then(lambda outcome: None if future.done() else future.set_result(outcome))
            return (yield from future.__await__())
        return self.outcome


def settle(waiting: Pending, reached: Outcome | Pending) -> None:
    """Settle `waiting` with an outcome, now or when the outcome is known."""
    if isinstance(reached, Pending):
        reached.then(waiting.settle)
    else:
        waiting.settle(reached)


_tasks: set[asyncio.Task[None]] = set()


def pending(work: Coroutine[Any, Any, Outcome]) -> Pending:
    """Run a coroutine for its outcome; for rare paths (fallback, CNAME chains), where the cost of a task is small."""
    settled = Pending()

    async def run() -> None:
        try:
            settled.settle(await work)
        except Exception as error:
            log.error("internal error while resolving: %s: %s", type(error).__name__, error)
            settled.settle(Failure.INTERNAL)

    task = asyncio.get_running_loop().create_task(run())
    _tasks.add(task)  # the loop holds tasks only weakly
    task.add_done_callback(_tasks.discard)
    return settled


class Resolver(Protocol):
    """Anything that takes a question."""

    def resolve(self, query: Query) -> Outcome | Pending:
        """The outcome for a question, or one that is pending."""
        ...

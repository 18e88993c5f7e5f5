"""What every resolver is: one method, a question in, an outcome out.

    resolve(query) -> Answer            known now
                    | Failure           known now to have none
                    | Pending           an outcome that is still on its way

A resolver returns; nothing inside the chain writes to a client. Policies (router, fallback) are resolvers that hold
resolvers.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

import msgspec

from dnsbridge.wire.compose import Body
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query

log = logging.getLogger(__name__)


class Answer(msgspec.Struct, frozen=True):
    """A ready message."""

    body: Body
    """The message after its ID: octets, or something that gives them anew each time."""
    depends: tuple[bytes, ...] = ()
    """Keys of the cluster's zone (see zone.index) whose change makes this wrong."""
    cluster: str = ""
    """Whose zone those keys are of."""
    expires: int = 0
    """The monotonic second in which it stops being right; 0: no such second is known. With neither keys nor this an
    answer is not kept prepared.
    """


Outcome = Answer | Failure


def second() -> int:
    """The clock of all that expires: monotonic whole seconds."""
    return int(time.monotonic())


class Pending:
    """An outcome that is on its way; settled exactly once, by whoever took the question.

    Not an asyncio future: settling calls the waiters at once, in the order they came, without a round through the
    event loop, which at tens of thousands of questions a second is a good part of the work.
    """

    __slots__ = ("outcome", "_waiters")

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self._waiters: tuple[Callable[[Outcome], None], ...] = ()

    def then(self, waiter: Callable[[Outcome], None]) -> None:
        """Call `waiter` with the outcome, now if it is there."""
        if self.outcome is None:
            self._waiters += (waiter,)
        else:
            waiter(self.outcome)

    def settle(self, outcome: Outcome) -> None:
        """Give the outcome to all who wait; a second outcome is ignored."""
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
    """Give an outcome to those who wait, now or when it is there."""
    if isinstance(reached, Pending):
        reached.then(waiting.settle)
    else:
        waiting.settle(reached)


_tasks: set[asyncio.Task[None]] = set()


def pending(work: Coroutine[Any, Any, Outcome]) -> Pending:
    """Run a coroutine for its outcome, on the rare ways (fallback, CNAME chains) where a task costs nothing much."""
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

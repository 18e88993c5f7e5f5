"""Both event loops that forwarding runs on, with times so long that no reply is late on either."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict
from unittest import mock

import uvloop

from dnsbridge.resolvers.forward import health
from dnsbridge.resolvers.forward import stream as upstream_stream
from tests.support.forwarding import run
from tests.support.waiting import DEADLINE


class Times(TypedDict):
    """What a forwarder is given, in seconds."""

    attempt_timeout: float
    deadline: float


PATIENT = Times(attempt_timeout=DEADLINE, deadline=DEADLINE)
"""Where time is real, and no reply may be late however busy the machine is."""


@contextmanager
def patience() -> Iterator[None]:
    """No reply is late and no question is hedged, however busy the machine is."""
    waiting = mock.patch.multiple(health, MIN_TIMEOUT=DEADLINE, MAX_TIMEOUT=DEADLINE, FEWEST_SAMPLES=sys.maxsize)
    with waiting, mock.patch.object(upstream_stream, "CONNECT_SECONDS", DEADLINE):
        yield


def run_patiently(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on the loop of asyncio."""
    with patience():
        run(test)


def run_on_uvloop(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on uvloop, by real time."""
    with patience(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


Run = Callable[[Coroutine[Any, Any, None]], None]
LOOPS: list[Run] = [run_patiently, run_on_uvloop]

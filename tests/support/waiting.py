"""Waiting for a condition, the only way in which a test waits.

    DEADLINE      seconds after which something that must happen counts as missing, however busy the machine is
    eventually    waits in a thread that may block
    until         waits in a coroutine

A test that passes never waits for so long. Nothing is concluded from how long a wait took.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
DEADLINE = 60.0
_LOOK = 0.005


def eventually(condition: Callable[[], T], what: Callable[[], object] | str = "") -> T:
    """What a condition gives as soon as it holds; `what` is said when it never does, or makes what is said."""
    ends = time.monotonic() + DEADLINE
    while not (got := condition()):
        assert time.monotonic() < ends, _missing(what)
        time.sleep(_LOOK)
    return got


async def until(condition: Callable[[], T], what: Callable[[], object] | str = "") -> T:
    """The same in a coroutine, by the clock of its event loop."""
    clock = asyncio.get_running_loop().time
    ends = clock() + DEADLINE
    while not (got := condition()):
        assert clock() < ends, _missing(what)
        await asyncio.sleep(_LOOK)
    return got


def _missing(what: Callable[[], object] | str) -> str:
    return f"not within {DEADLINE:g} s: {what() if callable(what) else what}"

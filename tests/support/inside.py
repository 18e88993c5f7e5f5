"""Python in a network namespace: a coroutine run in a thread that has entered it (setns(2)), and which ends with it."""

import asyncio
import ctypes
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.support.namespace import Namespace

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def inside(
    namespace: Namespace,
    work: Callable[[], Coroutine[Any, Any, T]],
    run: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run,
) -> T:
    """What a coroutine function returns in that namespace."""

    def enter_and_run() -> T:
        file = os.open(f"/var/run/netns/{namespace.name}", os.O_RDONLY)
        try:
            if _libc.setns(file, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(file)
        return run(work())

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter_and_run).result()

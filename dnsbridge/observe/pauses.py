"""Pauses of the garbage collector, which keep questions waiting: nothing is answered while it walks objects."""

import gc
import time
from typing import Literal


class Pauses:
    """Pauses of this process since `watch`, in seconds; the collector calls this at the start and end of each pause."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.longest = 0.0
        self._since = 0.0

    def watch(self) -> None:
        """Begin to count; collections while the server started kept nobody waiting."""
        gc.callbacks.append(self)

    def __call__(self, phase: Literal["start", "stop"], _: dict[str, int]) -> None:
        """See gc.callbacks."""
        if phase == "start":
            self._since = time.perf_counter()
            return
        pause = time.perf_counter() - self._since
        self.count += 1
        self.total += pause
        self.longest = max(self.longest, pause)

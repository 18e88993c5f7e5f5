"""How a benchmark runs: the cores that it needs, a folder of its own, its figures in the end, or why there are none."""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.parts.figures import Figure, show


class Failed(Exception):
    """Something did not work, in one line: the benchmark has no result."""


def two_cores() -> tuple[int, int]:
    """The cores of the server and of the load; raises Failed."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Failed("two cores are needed: one for the server and one for dnsperf")
    return cores[-1], cores[0]


def report(measure: Callable[[Path], Sequence[Figure]], file: Path | None) -> int:
    """Measure in a folder, and show the figures (in `file` as JSON too); the exit status: 1 when there are none."""
    try:
        with tempfile.TemporaryDirectory(prefix="dnsbridge-bench-") as folder:
            figures = measure(Path(folder))
    except (Failed, AssertionError) as failure:  # the latter of the tests' parts that some use
        print(f"no result: {failure}", file=sys.stderr)
        return 1
    show(figures, file)
    return 0

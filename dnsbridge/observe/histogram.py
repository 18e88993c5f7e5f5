"""A histogram of plain numbers, as Prometheus counts one: how many values were at most as large as each bound."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from operator import mul

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0)
"""Bounds for times: from an answer that is at hand to a question that nobody waits for any more."""
OCTETS = (64, 128, 256, 512, 1024, 1232, 2048, 4096, 8192, 16384, 32768, 65535)
"""Bounds for messages: 512 is the classic limit over UDP, 1,232 today's (RFC 6891, DNS flag day 2020)."""

SMALL = 4096
"""Octets; one of the bounds."""
Buckets = list[tuple[float, int]]
"""Each bound, and how many values were at most that large; the last bound is infinity."""


class Histogram:
    """Counts values by size."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def add(self, value: float, count: int = 1) -> None:
        """Count a value that came so many times."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.total += value * count

    def buckets(self) -> Buckets:
        """The counts, each with those below it."""
        sums, below = list[int](), 0
        for count in self.counts:
            below += count
            sums.append(below)
        return list(zip((*self.bounds, float("inf")), sums, strict=True))


class Sizes:
    """Counts messages by octets, one by one; buckets are made by whoever reads them."""

    __slots__ = ("large", "small")

    def __init__(self) -> None:
        self.small = [0] * (SMALL + 1)
        """How often each size up to SMALL came: a list, since adding to it costs least."""
        self.large: Counter[int] = Counter()
        """The others."""

    def add(self, size: int) -> None:
        """Count a message."""
        if size <= SMALL:
            self.small[size] += 1
        else:
            self.large[size] += 1

    def histogram(self) -> Histogram:
        """All sizes in buckets."""
        made = Histogram(OCTETS)
        below = 0
        for at, bound in enumerate(OCTETS):
            if bound <= SMALL:
                made.counts[at] = sum(self.small[below : bound + 1])
                below = bound + 1
        made.total = sum(map(mul, range(SMALL + 1), self.small))
        for size, count in self.large.items():
            made.add(size, count)
        return made

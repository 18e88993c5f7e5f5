"""How long to wait before the next attempt: longer after each failure, never the same for two who failed together."""

from collections.abc import Callable

FIRST = 0.25
"""Seconds, at most, before the first retry."""
LONGEST = 30.0
FACTOR = 2.0


class Backoff:
    """Full jitter: each delay is drawn evenly from half of the present bound up to the bound."""

    def __init__(self, random: Callable[[], float], first: float = FIRST, longest: float = LONGEST) -> None:
        """`random` gives numbers from 0 to 1."""
        self._random = random
        self._first = first
        self._longest = longest
        self._bound = first

    def succeeded(self) -> None:
        """Start anew."""
        self._bound = self._first

    def delay(self, at_least: float = 0.0) -> float:
        """Seconds to wait now; `at_least` is what the server asked for (`Retry-After`)."""
        bound = self._bound
        self._bound = min(bound * FACTOR, self._longest)
        jittered = bound * (0.5 + self._random() / 2)
        # Those who were told the same Retry-After come back spread over a part of it.
        return max(jittered, at_least * (1 + self._random() / 4))

"""Exponential backoff with jitter: each failure doubles the wait, and clients that fail together retry apart."""

from collections.abc import Callable

FIRST = 0.25
"""Seconds, at most, before the first retry."""
LONGEST = 30.0
FACTOR = 2.0


class Backoff:
    """Equal jitter: each delay is drawn evenly from half of the current bound up to the bound."""

    def __init__(self, random: Callable[[], float], first: float = FIRST, longest: float = LONGEST) -> None:
        """`random` gives numbers from 0 to 1."""
        self._random = random
        self._first = first
        self._longest = longest
        self._bound = first

    def succeeded(self) -> None:
        """Start again at the first bound."""
        self._bound = self._first

    def delay(self, at_least: float = 0.0) -> float:
        """Seconds to wait now; `at_least` is what the server asked for (`Retry-After`)."""
        bound = self._bound
        self._bound = min(bound * FACTOR, self._longest)
        jittered = bound * (0.5 + self._random() / 2)
        # Clients that got the same Retry-After come back spread over a quarter of it.
        return max(jittered, at_least * (1 + self._random() / 4))

"""Limits on log lines: of one kind, and of all kinds in a bounded table. Pure: times come in, as monotonic seconds."""

from collections.abc import Hashable

MAX_KINDS = 1000
"""Kinds that are told apart; all further ones count as one kind until others are quiet."""
BURST = 200
INTERVAL = 1.0
"""Log lines of one kind: BURST at once, then one each INTERVAL seconds."""


class LineLimit:
    """Log lines: `burst` at once, then one each `interval` seconds. Times are monotonic seconds."""

    __slots__ = ("_burst", "_interval", "_credit", "_reckoned_at", "_held_back")

    def __init__(self, burst: int, interval: float) -> None:
        self._burst = burst
        self._interval = interval
        self._credit = float(burst)
        self._reckoned_at = 0.0
        self._held_back = 0

    def take(self, now: float) -> int | None:
        """How many lines were held back before this one; None if this one must be held back too."""
        self._credit = min(self._burst, self._credit + (now - self._reckoned_at) / self._interval)
        self._reckoned_at = now
        if self._credit < 1:
            self._held_back += 1
            return None
        self._credit -= 1
        held_back, self._held_back = self._held_back, 0
        return held_back

    def is_quiet(self, now: float) -> bool:
        """Whether a whole burst is allowed again, and no held line is untold."""
        return not self._held_back and self._credit + (now - self._reckoned_at) / self._interval >= self._burst

    def untold(self) -> int:
        """How many lines were held back and not told of; they count as told now."""
        held_back, self._held_back = self._held_back, 0
        return held_back


class KindLimits:
    """A LineLimit for each kind of line."""

    def __init__(self, max_kinds: int = MAX_KINDS) -> None:
        self._limits: dict[Hashable, LineLimit] = {}
        self._max_kinds = max_kinds

    def take(self, kind: Hashable, now: float) -> int | None:
        """How many lines of a kind were held back before this one; None if this one must be held back too."""
        return self._limit(kind, now).take(now)

    def untold(self) -> int:
        """How many lines of all kinds were held back and not told of; they count as told now."""
        return sum(limit.untold() for limit in self._limits.values())

    def _limit(self, kind: Hashable, now: float) -> LineLimit:
        limits = self._limits
        if kind not in limits and len(limits) >= self._max_kinds:
            self._limits = limits = {each: limit for each, limit in limits.items() if not limit.is_quiet(now)}
            if len(limits) >= self._max_kinds:
                kind = None
        return limits.setdefault(kind, LineLimit(BURST, INTERVAL))

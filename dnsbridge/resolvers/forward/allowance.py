"""Allowances: extra actions are allowed for a share of ordinary ones, and log lines once per interval."""


class Allowance:
    """`share` extra actions for each ordinary one, saved up to `burst`."""

    __slots__ = ("_share", "_burst", "_credit", "_reckoned_at")

    def __init__(self, share: float, burst: float) -> None:
        self._share = share
        self._burst = burst
        self._credit = burst
        self._reckoned_at = 0
        """The number of ordinary actions when the credit was computed."""

    def take(self, done: int) -> bool:
        """Take an extra action, if one is left; `done` is the number of ordinary actions so far."""
        self._credit = min(self._burst, self._credit + max(0, done - self._reckoned_at) * self._share)
        self._reckoned_at = done
        if self._credit < 1:
            return False
        self._credit -= 1
        return True


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

"""Allowances: extra actions are allowed for a share of ordinary ones."""


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

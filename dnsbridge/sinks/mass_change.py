"""The guard against mass changes: a person must agree before most routes of a sink are removed at once.

Steps within one minute count as one change: an API server reports a mass deletion object by object, so the wanted set
shrinks in steps that each take less than half. Removals are measured against the set of a minute ago: a route that was
added since then may go freely.
"""

from collections.abc import Sequence

from dnsbridge.routes.model import Prefix, Route, changes
from dnsbridge.routes.plan import takes_most

AT_ONCE = 60.0
"""Seconds within which removals count as one change."""


class Removals:
    """The recent additions and removals of one sink. Times are in seconds."""

    def __init__(self) -> None:
        self._come: dict[Prefix, float] = {}
        """Arrival time of each prefix that was not there a minute ago."""
        self._gone: dict[Prefix, float] = {}
        """Removal time of each prefix that was there a minute ago, or before a refusal, and has not come back."""
        self._refused = False

    def refuse(self, had: Sequence[Route], wanted: Sequence[Route], now: float) -> str:
        """Why a change needs a person's consent, in one line; empty when the change may be made.

        A refusal holds until nothing is left to remove: the routes are wanted again, or a person removed them.
        """
        goes = _removed(had, wanted)
        if not goes:
            if self._refused:
                self._refused = False
                self._gone.clear()
            return ""
        if not self._refused:
            self._come, self._gone = _lately(self._come, now), _lately(self._gone, now)
        count = sum(prefix not in self._come for prefix in goes)
        was = len(had) - len(self._come) + len(self._gone)
        self._refused = takes_most(count + len(self._gone), was)
        if not self._refused:
            return ""
        went = f" after {len(self._gone)} that went within a minute" if self._gone else ""
        return (
            f"{len(goes)} of its {len(had)} routes would go at once{went}, so nothing is changed; see what dnsbridge"
            " routes plan says, and if that is right, say dnsbridge routes apply --allow-mass-change"
        )

    def note(self, had: Sequence[Route], has: Sequence[Route], now: float) -> None:
        """Remember what a change removed and added. The very first routes count as having been there before."""
        for prefix in _removed(had, has):
            if self._come.pop(prefix, None) is None:
                self._gone[prefix] = now
        for prefix in _removed(has, had) if had else ():
            if self._gone.pop(prefix, None) is None:
                self._come[prefix] = now


def _lately(times: dict[Prefix, float], now: float) -> dict[Prefix, float]:
    return {prefix: at for prefix, at in times.items() if now - at <= AT_ONCE}


def _removed(had: Sequence[Route], has: Sequence[Route]) -> list[Prefix]:
    """The prefixes of `had` that `has` has no route for."""
    changed = changes(had, has)
    come = {route.prefix for route in changed.come}
    return [route.prefix for route in changed.gone if route.prefix not in come]

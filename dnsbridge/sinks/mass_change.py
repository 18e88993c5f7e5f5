"""Whether a change takes so many routes of one sink at once that a person should agree first.

Steps that follow one another within a minute count as one change: an API server tells of a mass deletion object by
object, so the wanted set shrinks in steps of which none takes half of what is there. What is measured is the set of a
minute ago: a route that came since may go as it came.
"""

from collections.abc import Sequence

from dnsbridge.routes.model import Prefix, Route, changes
from dnsbridge.routes.plan import takes_most

AT_ONCE = 60.0
"""Seconds within which removals count as one."""


class Removals:
    """What came to one sink and went from there lately. Times are in seconds."""

    def __init__(self) -> None:
        self._come: dict[Prefix, float] = {}
        """When each prefix came that was not there a minute ago."""
        self._gone: dict[Prefix, float] = {}
        """When each prefix went that was there a minute ago, or before a refusal, and has not come back."""
        self._refused = False

    def refuse(self, had: Sequence[Route], wanted: Sequence[Route], now: float) -> str:
        """Why a change must not be made without a person, in one line; empty when it may.

        A refusal holds until nothing is left to take: the routes are wanted again, or a person took them away.
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
        """Remember what a change took and brought; the first routes of all count as having been there."""
        for prefix in _removed(had, has):
            if self._come.pop(prefix, None) is None:
                self._gone[prefix] = now
        for prefix in _removed(has, had) if had else ():
            if self._gone.pop(prefix, None) is None:
                self._come[prefix] = now


def _lately(times: dict[Prefix, float], now: float) -> dict[Prefix, float]:
    return {prefix: at for prefix, at in times.items() if now - at <= AT_ONCE}


def _removed(had: Sequence[Route], has: Sequence[Route]) -> list[Prefix]:
    """Prefixes of the first that the second has no route for."""
    changed = changes(had, has)
    come = {route.prefix for route in changed.come}
    return [route.prefix for route in changed.gone if route.prefix not in come]

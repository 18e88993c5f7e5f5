"""Whether a change takes so many routes of one sink at once that a person should agree first.

Steps that follow one another within a minute count as one change: an API server tells of a mass deletion object by
object, so the wanted set shrinks in steps of which none takes half of what is there.
"""

from collections.abc import Sequence

from dnsbridge.routes.model import Prefix, Route, changes
from dnsbridge.routes.plan import takes_most

AT_ONCE = 60.0
"""Seconds within which removals count as one."""


class Removals:
    """What went from one sink lately."""

    def __init__(self) -> None:
        self._gone: dict[Prefix, float] = {}
        """When each prefix went that has not come back since: those of the last minute, or since a refusal."""
        self._refused = False

    def refuse(self, had: Sequence[Route], wanted: Sequence[Route], now: float) -> str:
        """Why a change must not be made without a person, in one line; empty when it may. `now` is in seconds.

        A refusal holds until nothing is left to take: the routes are wanted again, or a person took them away.
        """
        goes = len(_removed(had, wanted))
        if not goes:
            if self._refused:
                self._refused = False
                self._gone.clear()
            return ""
        if not self._refused:
            self._gone = {prefix: at for prefix, at in self._gone.items() if now - at <= AT_ONCE}
        self._refused = takes_most(goes + len(self._gone), len(had) + len(self._gone))
        if not self._refused:
            return ""
        went = f" after {len(self._gone)} that went within a minute" if self._gone else ""
        return (
            f"{goes} of its {len(had)} routes would go at once{went}, so nothing is changed; see what dnsbridge routes"
            " plan says, and if that is right, say dnsbridge routes apply --allow-mass-change"
        )

    def note(self, had: Sequence[Route], has: Sequence[Route], now: float) -> None:
        """Remember what a change took."""
        for prefix in _removed(had, has):
            self._gone[prefix] = now
        for prefix in _removed(has, had):
            self._gone.pop(prefix, None)


def _removed(had: Sequence[Route], has: Sequence[Route]) -> list[Prefix]:
    """Prefixes of the first that the second has no route for."""
    changed = changes(had, has)
    come = {route.prefix for route in changed.come}
    return [route.prefix for route in changed.gone if route.prefix not in come]

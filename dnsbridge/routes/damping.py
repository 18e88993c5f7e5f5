"""Damping: a route that keeps changing must be wanted for a while before it is pushed again (after RFC 2439's purpose).

    wanted   10.1.0.0/24 via A      first change     pushed at once; the very first set has no changes
    wanted   10.1.0.0/24 via B      second           pushed at once
    wanted   10.1.0.0/24 via A      third in 60 s    A only after it has been wanted for 10 s; B goes at once

A route or next hop that is no longer wanted always goes at once: a route to where nothing answers helps nobody. Only
new next hops wait, each by itself, so that a flapping gateway does not take a steady one with it.

Pure: the time is an argument, in monotonic seconds that never go back.
"""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct, structs

from dnsbridge.routes.model import IPAddress, NextHop, Prefix, Route, changes, order

WINDOW = 60.0
"""Seconds in which changes of a route are counted."""
CHANGES = 3
"""Changes within the window that make a route a flapping one."""
HOLD = 10.0
"""Seconds for which a new next hop of a flapping route must be wanted."""
MAX_REMEMBERED = 50_000
"""Prefixes whose changes are remembered; beyond that, the one that changed longest ago is forgotten."""

_Way = tuple[IPAddress | None, str]
"""A next hop without its weight."""


class _Seen(Struct):
    """What is remembered about one prefix."""

    changed: list[float]
    """The times of its last CHANGES changes."""
    held: dict[_Way, float]
    """When the wait of each next hop that must wait ends."""


class Settled(Struct, frozen=True):
    """What may be pushed now."""

    routes: tuple[Route, ...]
    """In order; next hops that must wait are left out, and so are routes that then have none."""
    held: tuple[Prefix, ...] = ()
    """The prefixes with a next hop that must wait."""
    again: float | None = None
    """When the next wait ends, on the clock of `now`; None: nothing waits."""


class Damper:
    """Remembers how often each route changed."""

    def __init__(
        self, window: float = WINDOW, changes: int = CHANGES, hold: float = HOLD, remembered: int = MAX_REMEMBERED
    ) -> None:
        self._window = window
        self._changes = changes
        self._hold = hold
        self._remembered = remembered
        self._wanted: tuple[Route, ...] = ()
        self._seen: dict[Prefix, _Seen] = {}
        """Prefixes in the order of their last change."""

    def settle(self, wanted: Sequence[Route], now: float) -> Settled:
        """The part of an ordered wanted set that may be pushed now; called with each new set, and again at `again`."""
        begins = not self._wanted
        changed = changes(self._wanted, wanted)
        before = {route.prefix: route for route in changed.gone}
        for route in changed.come:
            old = before.pop(route.prefix, None)
            if old is None or old.next_hops != route.next_hops:
                self._change(route.prefix, old, route, now, not begins)
        for prefix, old in before.items():
            self._change(prefix, old, None, now, True)
        self._wanted = changed.now
        self._forget(now)
        return self._settled(now)

    def _change(self, prefix: Prefix, old: Route | None, new: Route | None, now: float, counts: bool) -> None:
        seen = self._seen.pop(prefix, None)
        if seen is None:
            if not counts:
                return
            seen = _Seen([], {})
        self._seen[prefix] = seen
        if counts:
            seen.changed = [*seen.changed, now][-self._changes :]
        flapping = len(seen.changed) == self._changes and now - seen.changed[0] <= self._window
        had = {_way(hop) for hop in old.next_hops} if old else set()
        ways = [_way(hop) for hop in new.next_hops] if new else []
        seen.held = {
            way: seen.held[way] if way in had else now + self._hold
            for way in ways
            if (way in seen.held if way in had else flapping)
        }

    def _forget(self, now: float) -> None:
        """Forget prefixes whose last change no longer counts, and the oldest ones where there are too many."""
        for prefix in list(self._seen):
            seen = self._seen[prefix]
            over = len(self._seen) > self._remembered
            if not over and now - seen.changed[-1] <= self._window:
                return
            if not over and any(until > now for until in seen.held.values()):
                continue
            del self._seen[prefix]

    def _settled(self, now: float) -> Settled:
        waiting: dict[Prefix, set[_Way]] = {}
        again: float | None = None
        for prefix, seen in self._seen.items():
            for way, until in seen.held.items():
                if until > now:
                    waiting.setdefault(prefix, set()).add(way)
                    again = until if again is None else min(again, until)
        if not waiting:
            return Settled(self._wanted)
        routes = list(self._wanted)
        for prefix, held in waiting.items():
            at = bisect_left(routes, order(prefix), key=lambda route: order(route.prefix))
            hops = tuple([hop for hop in routes[at].next_hops if _way(hop) not in held])
            routes[at : at + 1] = [structs.replace(routes[at], next_hops=hops)] if hops else []
        return Settled(tuple(routes), tuple(waiting), again)


def _way(hop: NextHop) -> _Way:
    return hop.address, hop.device

"""The plan: held and wanted routes go in, the necessary steps come out.

    add        wanted, and nobody has the prefix
    change     ours, with other next hops (or another metric) than wanted: replaced in place
    remove     ours, and no longer wanted
    keep       ours, as wanted
    conflict   wanted, but somebody else has the prefix: left alone, and its owner is named

`steps` gives the order. At every moment, each address goes its old way or the wanted way. Additions come first, the
more specific prefix before the less specific one, since the less specific route alone would draw the other's packets.
Then come changes. Removals come last, the less specific prefix first, for the same reason.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from msgspec import Struct, structs

from dnsbridge.routes.model import NextHop, Route, in_order
from dnsbridge.routes.sink import Foreign, Held

_MASS = 8
"""With this many routes of ours or more, a person is asked before most of them go."""


class Change(NamedTuple):
    """A route of ours whose next hops or metric change."""

    old: Route
    new: Route


class Conflict(NamedTuple):
    """A wanted route whose prefix somebody else has."""

    route: Route
    foreign: Foreign


class Add(NamedTuple):
    """The step that adds a missing route."""

    route: Route


class Remove(NamedTuple):
    """The step that removes a route of ours."""

    route: Route


Step = Add | Change | Remove


class Plan(Struct, frozen=True):
    """What must happen; each part in the order of `model.order`."""

    add: tuple[Route, ...] = ()
    change: tuple[Change, ...] = ()
    remove: tuple[Route, ...] = ()
    keep: tuple[Route, ...] = ()
    conflict: tuple[Conflict, ...] = ()

    @property
    def changes(self) -> int:
        """How many routes the plan touches."""
        return len(self.add) + len(self.change) + len(self.remove)

    def steps(self) -> Iterator[Step]:
        """What to do, in order."""
        yield from map(Add, sorted(self.add, key=_length, reverse=True))
        yield from self.change
        yield from map(Remove, sorted(self.remove, key=_length))

    def is_mass_change(self) -> bool:
        """Whether more than half of a set that is not small would go at once: a person should be asked."""
        had = len(self.change) + len(self.remove) + len(self.keep)
        return takes_most(len(self.remove), had)


def takes_most(gone: int, had: int) -> bool:
    """Whether more than half of a set goes, and the set is not small."""
    return had >= _MASS and 2 * gone > had


def make_plan(held: Held, wanted: Collection[Route]) -> Plan:
    """The plan from our held routes to the wanted ones; each side has at most one route for a prefix."""
    own = {route.prefix: route for route in held.own}
    foreign = {each.prefix: each for each in reversed(held.foreign)}
    outdated = frozenset(held.outdated)
    add, change, keep, conflict = list[Route](), list[Change](), list[Route](), list[Conflict]()
    for route in in_order(wanted):
        old = own.pop(route.prefix, None)
        if old is None:
            other = foreign.get(route.prefix)
            if other is None:
                add.append(route)
            else:
                conflict.append(Conflict(route, other))
        elif same_way(old, route) and route.prefix not in outdated:
            keep.append(route)
        else:
            change.append(Change(old, route))
    return Plan(tuple(add), tuple(change), in_order(own.values()), tuple(keep), tuple(conflict))


def same_way(one: Route, other: Route) -> bool:
    """Whether two routes for one prefix lead the same way; the weight of a sole next hop does not count."""
    return one.next_hops == other.next_hops or _weighed(one.next_hops) == _weighed(other.next_hops)


def _weighed(hops: tuple[NextHop, ...]) -> tuple[NextHop, ...]:
    return (structs.replace(hops[0], weight=1),) if len(hops) == 1 else hops


def _length(route: Route) -> int:
    return route.prefix.prefixlen

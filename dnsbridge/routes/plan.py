"""What a sink has and what is wanted, in; what must happen, out.

    add        wanted, and nobody has the prefix
    change     ours, by other next hops (or at another metric) than wanted: replaced in place
    remove     ours, and no longer wanted
    keep       ours, as wanted
    conflict   wanted, but somebody else has the prefix: left alone, and its owner is named

`steps` is the order in which it is done. At every moment of it, each address goes the way it went before or the way
that is wanted: additions come first, the more specific prefix before the less specific one, since the latter alone
would draw the former's packets; then changes; then removals, the less specific one first, for the same reason.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from msgspec import Struct, structs

from dnsbridge.routes.model import NextHop, Route, in_order
from dnsbridge.routes.sink import Foreign, Held

_MASS = 8
"""So many routes of ours are worth a question before most of them go."""


class Change(NamedTuple):
    """One of ours whose next hops change."""

    old: Route
    new: Route


class Conflict(NamedTuple):
    """One that is wanted where somebody else's is."""

    route: Route
    foreign: Foreign


class Add(NamedTuple):
    """The step that sets a route that is not there."""

    route: Route


class Remove(NamedTuple):
    """The step that takes a route of ours away."""

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
        """How many routes it touches."""
        return len(self.add) + len(self.change) + len(self.remove)

    def steps(self) -> Iterator[Step]:
        """What to do, in order."""
        yield from map(Add, sorted(self.add, key=_length, reverse=True))
        yield from self.change
        yield from map(Remove, sorted(self.remove, key=_length))

    def is_mass_change(self) -> bool:
        """Whether more than half of a set that is no trifle would go at once: then a person should be asked."""
        had = len(self.change) + len(self.remove) + len(self.keep)
        return takes_most(len(self.remove), had)


def takes_most(gone: int, had: int) -> bool:
    """Whether more than half goes of a set that is no trifle."""
    return had >= _MASS and 2 * gone > had


def make_plan(held: Held, wanted: Collection[Route]) -> Plan:
    """The plan that makes what is held of ours what is wanted; one route at most for each prefix in either."""
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
    """Whether two routes for one prefix lead the same way; the weight of an only next hop says nothing."""
    return one.next_hops == other.next_hops or _weighed(one.next_hops) == _weighed(other.next_hops)


def _weighed(hops: tuple[NextHop, ...]) -> tuple[NextHop, ...]:
    return (structs.replace(hops[0], weight=1),) if len(hops) == 1 else hops


def _length(route: Route) -> int:
    return route.prefix.prefixlen

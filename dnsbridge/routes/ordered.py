"""Routes in order, with their prefixes as numbers; of thousands only those that come and go are sorted in and out.

    Line       the routes along one line of addresses, IPv4 before IPv6: each from its `first` number to its `last`
    Ordered    groups of routes in, a Line out

Routes to one prefix lie side by side, in an order that is the same wherever they came from: by cluster, by what is
behind them, by the object that says so.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from operator import ge, itemgetter
from typing import Any

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Kind, Prefix, Route, hop_order

PATCHED = 2000
"""So many routes are sorted in and out one by one; with more, all are sorted anew."""
_RANK = {kind: rank for rank, kind in enumerate((Kind.POD, Kind.SERVICE, Kind.DNS, Kind.EXTERNAL))}

Group = tuple[Route, ...]
"""Routes that lead the same way, such as those to one node."""
_Key = tuple[Any, ...]


STARTS = {4: 0, 6: 1 << 32}
"""Where each family begins on the line."""


def number(address: IPAddress) -> int:
    """The place of an address on the line."""
    return STARTS[address.version] + int(address)


def address_at(place: int) -> IPAddress:
    """The address of a place."""
    return IPv4Address(place) if place < STARTS[6] else IPv6Address(place - STARTS[6])


def span(prefix: Prefix) -> tuple[int, int]:
    """The places of its first address and its last."""
    first = STARTS[prefix.version] + int(prefix.network_address)
    return first, first + (1 << (prefix.max_prefixlen - prefix.prefixlen)) - 1


class Line(Struct, frozen=True):
    """Routes in order; three lists side by side."""

    routes: list[Route]
    firsts: list[int]
    lasts: list[int]
    nested: bool = True
    """Whether one may be within another, or two are to one prefix."""

    def without(self, places: Collection[int]) -> "Line":
        """The same without those at some places."""
        if not places:
            return self
        left = [at for at in range(len(self.routes)) if at not in places]
        return Line([self.routes[at] for at in left], [self.firsts[at] for at in left], [self.lasts[at] for at in left])


class Ordered:
    """Keeps the routes of the last time in order. No group may be there twice."""

    def __init__(self) -> None:
        self._groups: Sequence[Group] = ()
        self._keys: list[_Key] = []
        self._routes: list[Route] = []
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def line(self, groups: Sequence[Group]) -> Line:
        """The routes of all groups, until the next call; a group that is the very tuple of last time costs nothing."""
        before, now = set(map(id, self._groups)), set(map(id, groups))
        gone = [route for group in self._groups if id(group) not in now for route in group]
        come = [route for group in groups if id(group) not in before for route in group]
        self._groups = groups
        if len(gone) + len(come) > PATCHED:
            pairs = sorted([(_key(route), route) for group in groups for route in group], key=itemgetter(0))
            self._keys = [key for key, _ in pairs]
            self._routes = [route for _, route in pairs]
            self._firsts = [key[0] for key in self._keys]
            self._lasts = [-key[1] for key in self._keys]
        else:
            self._patch(gone, come)
        # If any is within another, then one is within the one before itself.
        nested = any(map(ge, self._lasts, islice(self._firsts, 1, None)))
        return Line(self._routes, self._firsts, self._lasts, nested)

    def _patch(self, gone: Iterable[Route], come: Iterable[Route]) -> None:
        for route in gone:
            at = bisect_left(self._keys, _key(route))
            del self._keys[at], self._routes[at], self._firsts[at], self._lasts[at]
        for route in come:
            key = _key(route)
            at = bisect_left(self._keys, key)
            self._keys.insert(at, key)
            self._routes.insert(at, route)
            self._firsts.insert(at, key[0])
            self._lasts.insert(at, -key[1])


def _key(route: Route) -> _Key:
    """Its place in the order: two routes with one key are equal."""
    first, last = span(route.prefix)
    hops = tuple([(*hop_order(hop), hop.weight) for hop in route.next_hops])
    return first, -last, route.cluster, _RANK[route.kind], route.origin, hops

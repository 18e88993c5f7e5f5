"""Routes sorted by address, so that bisection finds those within a prefix.

    place      an address as a number: IPv4 before IPv6
    span       the places of the first and the last address of a prefix
    Line       routes in order, and the span of each

Routes to one prefix lie side by side, ordered by cluster, then kind, then origin. So their order does not depend on
where they came from.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Kind, Prefix, Route

_RANK = {kind: rank for rank, kind in enumerate((Kind.POD, Kind.SERVICE, Kind.DNS, Kind.EXTERNAL))}

STARTS = {4: 0, 6: 1 << 32}
"""The first place of each family."""


def number(address: IPAddress) -> int:
    """The place of an address."""
    return STARTS[address.version] + int(address)


def address_at(place: int) -> IPAddress:
    """The address of a place."""
    return IPv4Address(place) if place < STARTS[6] else IPv6Address(place - STARTS[6])


def span(prefix: Prefix) -> tuple[int, int]:
    """The places of the first and the last address of a prefix."""
    first = STARTS[prefix.version] + int(prefix.network_address)
    return first, first + (1 << (prefix.max_prefixlen - prefix.prefixlen)) - 1


class Line(Struct, frozen=True):
    """Routes in the order of their prefixes, the wider prefix first; three lists side by side."""

    routes: list[Route]
    firsts: list[int]
    lasts: list[int]

    def without(self, indices: Collection[int]) -> "Line":
        """This line without the routes at these indices."""
        if not indices:
            return self
        left = [at for at in range(len(self.routes)) if at not in indices]
        return Line([self.routes[at] for at in left], [self.firsts[at] for at in left], [self.lasts[at] for at in left])


def line_of(routes: Iterable[Route]) -> Line:
    """The line of these routes; several may have the same prefix."""
    held = sorted(routes, key=_key)
    spans = [span(route.prefix) for route in held]
    return Line(held, [first for first, _ in spans], [last for _, last in spans])


def _key(route: Route) -> str:
    """A text that sorts as the line does. Questions wait while a list is sorted, and texts compare fastest."""
    prefix = route.prefix
    place = number(prefix.network_address)
    return f"{place:033x} {prefix.prefixlen:03} {route.cluster}\0{_RANK[route.kind]}{route.origin}"

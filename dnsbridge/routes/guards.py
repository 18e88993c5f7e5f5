"""Routes that must never exist, whoever wants them. Each refused route becomes a note of severity ERROR.

the default route, and addresses that no host outside has (loopback, link-local, multicast, broadcast)
a prefix that covers      a directly connected subnet (all its hosts would move behind the next hop)
                          the API server, a DNS upstream, a BGP peer (Host.protected), which we need ourselves
                          a next hop of the set (the kernel then refuses the routes through it, or they loop)

Overlaps between two clusters are handled in `wanted`, which knows their precedence.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import ip_network

from dnsbridge.routes.host import Host
from dnsbridge.routes.line import STARTS, Line, address_at, number, span

_RESERVED = tuple(
    span(ip_network(text))
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32")
) + tuple(span(ip_network(text)) for text in ("::/16", "fe80::/10", "ff00::/8"))
"""Prefixes that are never forwarded (RFC 6890): a route to one breaks DHCP or neighbour discovery. 240.0.0.0/4 is not
among them: some clouds give it to pods."""


def refused(line: Line, host: Host) -> dict[int, str]:
    """Why routes are refused, by their index in the line."""
    # An address with a full-length prefix is in the kernel's table `local`, which comes before all our routes.
    connected = _Points((*span(each), str(each)) for each in host.connected() if each.prefixlen < each.max_prefixlen)
    protected = _Points((number(each.address), number(each.address), each.what) for each in host.protected)
    hops = {id(route.next_hops): route.next_hops for route in line.routes}.values()
    through = sorted({number(hop.address) for each in hops for hop in each if hop.address})
    # The first address of each family finds its default route.
    near = sorted({*STARTS.values(), *connected.firsts, *protected.firsts, *through})
    suspects = sorted({*_around(line, near), *_reserved(line)})
    return {at: reason for at in suspects if (reason := _reason(line, at, connected, protected, through))}


def _reserved(line: Line) -> Iterator[int]:
    """The indices of the routes that begin in a reserved prefix."""
    for first, last in _RESERVED:
        yield from range(bisect_left(line.firsts, first), bisect_right(line.firsts, last))


def _around(line: Line, places: list[int]) -> list[int]:
    """The indices of the routes that contain one of these places."""
    starts = map(partial(bisect_left, places), line.firsts)
    ends = map(partial(bisect_right, places), line.lasts)
    return [at for at, (start, end) in enumerate(zip(starts, ends, strict=True)) if start < end]


def _reason(line: Line, at: int, connected: "_Points", protected: "_Points", through: list[int]) -> str:
    """Why a route is refused; empty: it is not."""
    prefix, first, last = line.routes[at].prefix, line.firsts[at], line.lasts[at]
    if prefix.prefixlen == 0:
        return "it is the default route; configure that by hand where it is meant"
    if any(start <= first <= end for start, end in _RESERVED):
        return "its addresses are no hosts' elsewhere (loopback, link-local, multicast, broadcast); leave it out"
    for _, subnet in connected.within(first, last):
        return f"it covers the directly connected subnet {subnet}; leave it out, or give the cluster other prefixes"
    for place, what in protected.within(first, last):
        return f"it covers {address_at(place)}, {what}; leave it out, or route a smaller prefix"
    for place in through[bisect_left(through, first) : bisect_right(through, last)]:
        of = next(
            route.prefix
            for route in line.routes
            if any(hop.address and number(hop.address) == place for hop in route.next_hops)
        )
        whose = "its own next hop" if of == prefix else f"the next hop of {of},"
        return f"it covers {whose} {address_at(place)}; leave it out, or choose another next hop"
    return ""


class _Points:
    """Subnets by place, so that bisection finds those within a prefix: there may be thousands of both."""

    def __init__(self, spans: Iterable[tuple[int, int, str]]) -> None:
        found: dict[tuple[int, int], str] = {}
        for first, last, text in spans:
            found.setdefault((first, -last), text)
        self._found = sorted(found.items())
        self.firsts = [first for (first, _), _ in self._found]

    def within(self, first: int, last: int) -> Iterator[tuple[int, str]]:
        """The place and the text of each subnet that lies wholly within."""
        for (start, end), text in self._found[bisect_left(self.firsts, first) : bisect_right(self.firsts, last)]:
            if -end <= last:
                yield start, text

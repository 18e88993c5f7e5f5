"""What must never be routed, whoever wants it. Each route that is refused becomes a note of severity ERROR.

the default route, and what no host outside has (loopback, link-local, multicast, broadcast)
a prefix that covers      a directly connected subnet (all its hosts would move behind the next hop)
                          the API server, a DNS upstream, a BGP peer (Host.protected), which we need ourselves
                          a next hop of the set (the kernel then refuses the routes through it, or they loop)
prefixes of two clusters that overlap: neither is routed, as nobody can say whose the addresses are
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network

from dnsbridge.routes.host import Host
from dnsbridge.routes.model import IPAddress, Note, Prefix, Route, Severity, Wanted, order


def guarded(wanted: Wanted, host: Host) -> Wanted:
    """The wanted set without the routes that must not be, and a note for each of those."""
    refusal = _refusals(wanted.routes, host)
    kept, notes = list[Route](), list[Note]()
    for route in wanted.routes:
        reason = refusal(route)
        if reason:
            notes.append(Note(Severity.ERROR, str(route.prefix), f"not routed: {reason}"))
        else:
            kept.append(route)
    return Wanted(tuple(kept), (*wanted.notes, *notes)) if notes else wanted


def _refusals(routes: Sequence[Route], host: Host) -> Callable[[Route], str]:
    """A function that says why a route must not be; empty: it may."""
    # An address with a prefix of full length is in the kernel's table `local`, which no route of ours comes before.
    connected = _Points((subnet, "") for subnet in host.connected() if subnet.prefixlen < subnet.max_prefixlen)
    protected = _Points((_alone(each.address), each.what) for each in host.protected)
    through: dict[IPAddress, Route] = {}
    for route in routes:
        for hop in route.next_hops:
            if hop.address is not None:
                through.setdefault(hop.address, route)
    hops = _Points((_alone(address), str(route.prefix)) for address, route in through.items())
    overlapping = dict(_overlaps(routes))

    def refusal(route: Route) -> str:
        prefix = route.prefix
        if prefix.prefixlen == 0:
            return "it is the default route; configure that by hand where it is meant"
        if _is_reserved(prefix):
            return "its addresses are no hosts' elsewhere (loopback, link-local, multicast, broadcast); leave it out"
        for subnet, _ in connected.within(prefix):
            return f"it covers the directly connected subnet {subnet}; leave it out, or give the cluster other prefixes"
        for point, what in protected.within(prefix):
            return f"it covers {point.network_address}, {what}; leave it out, or route a smaller prefix"
        for point, of in hops.within(prefix):
            whose = "its own next hop" if of == str(prefix) else f"the next hop of {of},"
            return f"it covers {whose} {point.network_address}; leave it out, or choose another next hop"
        other = overlapping.get(id(route))
        if other is not None:
            return (
                f"cluster {route.cluster} and cluster {other.cluster} ({other.prefix}) overlap;"
                " only one of them can be routed here: leave the other out"
            )
        return ""

    return refusal


def _is_reserved(prefix: Prefix) -> bool:
    """Whether a prefix begins in what is never forwarded (RFC 6890): such a route takes DHCP or neighbours away.

    240.0.0.0/4 is not in it: some clouds give it to pods.
    """
    number = int(prefix.network_address)
    if prefix.version == 4:
        return number >> 24 in (0, 127) or number >> 28 == 0xE or number >> 16 == 0xA9FE or number == 0xFFFFFFFF
    return number >> 112 == 0 or number >> 120 == 0xFF or number >> 118 == 0xFE80 >> 6


def _alone(address: IPAddress) -> Prefix:
    return IPv4Network(address) if address.version == 4 else IPv6Network(address)


class _Points:
    """Subnets by their first address, to be found within a prefix by bisection: both sides may have thousands."""

    def __init__(self, subnets: Iterable[tuple[Prefix, str]]) -> None:
        found: dict[tuple[int, int, int], tuple[Prefix, str]] = {}
        for subnet, text in subnets:
            found.setdefault(order(subnet), (subnet, text))
        self._keys = sorted(found)
        self._found = found

    def within(self, prefix: Prefix) -> Iterator[tuple[Prefix, str]]:
        """Those that the prefix covers whole."""
        version = prefix.version
        start = bisect_left(self._keys, (version, int(prefix.network_address), 0))
        end = bisect_right(self._keys, (version, int(prefix.broadcast_address), 128))
        for key in self._keys[start:end]:
            if key[2] >= prefix.prefixlen:
                yield self._found[key]


def _overlaps(routes: Iterable[Route]) -> Iterator[tuple[int, Route]]:
    """The identity of each route that overlaps one of another cluster, and that one.

    In the order of prefixes those around one stand before it, so they are a stack, at most 128 high.
    """
    around: list[Route] = []
    for route in routes:
        while around and not _covers(around[-1].prefix, route.prefix):
            around.pop()
        for outer in reversed(around):
            if outer.cluster != route.cluster:
                yield id(route), outer
                yield id(outer), route
        around.append(route)


def _covers(outer: Prefix, inner: Prefix) -> bool:
    if outer.version != inner.version or outer.prefixlen > inner.prefixlen:
        return False
    shift = outer.max_prefixlen - outer.prefixlen
    return int(outer.network_address) >> shift == int(inner.network_address) >> shift

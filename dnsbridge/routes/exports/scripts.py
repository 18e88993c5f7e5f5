"""Shell scripts whose lines also work one by one: iproute2, route-add (net-tools), macos."""

from collections.abc import Iterator

from dnsbridge.routes.exports.carry import needs_device, some
from dnsbridge.routes.exports.form import About, Format, Hops
from dnsbridge.routes.model import NextHop, Note, Route, Severity


def _iproute2(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """`replace` makes it safe to repeat; `proto static` says that a person wanted it (ip-route(8))."""
    for route in routes:
        hops = [_hop(hop, about) for hop in route.next_hops]
        if len(hops) > 1:
            hops = [f"nexthop {hop} weight {each.weight}" for hop, each in zip(hops, route.next_hops, strict=True)]
        yield f"ip route replace {route.prefix} proto static {' '.join(hops)}"


def _hop(hop: NextHop, about: About) -> str:
    device = hop.device or about.interface
    return " ".join([f"via {hop.address}"] * bool(hop.address) + [f"dev {device}"] * bool(device))


def _route_add(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """route(8): -host for a single address, a netmask for IPv4, -A inet6 for IPv6, which has no -net."""
    for route in routes:
        prefix, hop = route.prefix, route.next_hops[0]
        device = hop.device or about.interface
        way = " ".join([f"gw {hop.address}"] * bool(hop.address) + [f"dev {device}"] * bool(device))
        if prefix.version == 6:
            yield f"route -A inet6 add {prefix} {way}"
        elif prefix.prefixlen == prefix.max_prefixlen:
            yield f"route add -host {prefix.network_address} {way}"
        else:
            yield f"route add -net {prefix.network_address} netmask {prefix.netmask} {way}"


def _check_route_add(routes: tuple[Route, ...], about: About) -> tuple[Note, ...]:
    """net-tools sets RTF_HOST for a single IPv6 address, and Linux reads it as `onlink`, which needs a device."""
    lacking = [
        route.prefix
        for route in routes
        if route.prefix.version == 6
        and route.prefix.prefixlen == 128
        and not (about.interface or route.next_hops[0].device)
    ]
    text = "Linux refuses route add for a single IPv6 address without a device; name --interface"
    return (Note(Severity.WARNING, some(lacking), text),) if lacking else ()


def _macos(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """The BSD route(8): a device alone is -interface, a link-local address carries its zone (RFC 4007 section 11)."""
    for route in routes:
        prefix, hop = route.prefix, route.next_hops[0]
        device = hop.device or about.interface
        family = "-inet6 " if prefix.version == 6 else ""
        host = prefix.prefixlen == prefix.max_prefixlen
        target = f"-host {prefix.network_address}" if host else f"-net {prefix}"
        if hop.address is None:
            way = f"-interface {device}"
        elif needs_device(hop) and device:
            way = f"{hop.address}%{device}"
        else:
            way = str(hop.address)
        yield f"route -n add {family}{target} {way}"


FORMATS = (
    Format(
        "iproute2",
        "A shell script of `ip route replace`, safe to repeat.",
        _iproute2,
        "Run it with sh as root, or without each first word: ip -batch.",
        hops=Hops.WEIGHTED,
    ),
    Format(
        "route-add",
        "A shell script of `route add` (net-tools).",
        _route_add,
        "Run it with sh as root.",
        check=_check_route_add,
    ),
    Format("macos", "A shell script of macOS' `route add`.", _macos, "Run it with sudo sh."),
)

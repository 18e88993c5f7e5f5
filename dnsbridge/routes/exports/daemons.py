"""Static routes of a routing daemon: bird (version 2), frr."""

from collections.abc import Iterator

from dnsbridge.routes.exports.form import About, Format, Hops
from dnsbridge.routes.model import NextHop, Route


def _bird(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """A protocol static for each address family (BIRD User's Guide, Static)."""
    for version in (4, 6):
        family = [route for route in routes if route.prefix.version == version]
        if not family:
            continue
        yield f"protocol static dnsbridge{version} {{"
        yield f"  ipv{version};"
        for route in family:
            several = len(route.next_hops) > 1
            way = " ".join(_via(hop, about) + (f" weight {hop.weight}" if several else "") for hop in route.next_hops)
            yield f"  route {route.prefix} {way};"
        yield "}"


def _via(hop: NextHop, about: About) -> str:
    """An address, with its device, if any, as the scope; a device alone is a string."""
    device = hop.device or about.interface
    if hop.address is None:
        return f'via "{device}"'
    return f"via {hop.address}%'{device}'" if device else f"via {hop.address}"


def _frr(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """One line for each next hop: the lines of one prefix are its ECMP next hops (FRR's staticd)."""
    for route in routes:
        family = "ipv6" if route.prefix.version == 6 else "ip"
        for hop in route.next_hops:
            words = [family, "route", str(route.prefix), str(hop.address or ""), hop.device or about.interface]
            yield " ".join(word for word in words if word)


FORMATS = (
    Format(
        "bird",
        "Static routes for BIRD 2.",
        _bird,
        "Include it in bird.conf; birdc configure check tells whether BIRD takes it.",
        hops=Hops.WEIGHTED,
    ),
    Format(
        "frr",
        "Static routes for FRR, as vtysh takes them.",
        _frr,
        "Load it with: vtysh -f FILE",
        comment="!",
        hops=Hops.EQUAL,
    ),
)

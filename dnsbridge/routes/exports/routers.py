"""Static routes of routers: junos, ios, huawei-vrp. Several next hops of a prefix are ECMP, without weights."""

from collections.abc import Iterator

from dnsbridge.routes.exports.form import About, Devices, Format, Hops, Lines
from dnsbridge.routes.model import Route


def _junos(routes: tuple[Route, ...], _about: About) -> Iterator[str]:
    """`set` lines; static IPv6 routes are in the table inet6.0."""
    for route in routes:
        table = "rib inet6.0 static" if route.prefix.version == 6 else "static"
        for hop in route.next_hops:
            yield f"set routing-options {table} route {route.prefix} next-hop {hop.address}"


def _ios(routes: tuple[Route, ...], _about: About) -> Iterator[str]:
    """Lines of configure mode."""
    for route in routes:
        prefix = route.prefix
        for hop in route.next_hops:
            if prefix.version == 6:
                yield f"ipv6 route {prefix} {hop.address}"
            else:
                yield f"ip route {prefix.network_address} {prefix.netmask} {hop.address}"


def _vrp(routes: tuple[Route, ...], _about: About) -> Iterator[str]:
    """Lines of the system view."""
    for route in routes:
        prefix = route.prefix
        command = "ipv6 route-static" if prefix.version == 6 else "ip route-static"
        for hop in route.next_hops:
            yield f"{command} {prefix.network_address} {prefix.prefixlen} {hop.address}"


def _router(name: str, help_: str, lines: Lines, use: str, comment: str) -> Format:
    return Format(name, help_, lines, use, comment, Hops.EQUAL, Devices.NONE, interface="")


FORMATS = (
    _router("junos", "`set` lines for Junos.", _junos, "In configuration mode: load set terminal", "#"),
    _router("ios", "Static routes for Cisco IOS.", _ios, "In the mode of configure terminal.", "!"),
    _router("huawei-vrp", "Static routes for Huawei VRP.", _vrp, "In the mode of system-view.", "#"),
)

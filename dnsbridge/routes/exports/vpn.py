"""Settings for the clients of a VPN: openvpn (lines of the server), wireguard (lines of a client).

Next hops do not matter: a client sends into the tunnel, and the server's host has the routes.
"""

from collections.abc import Iterator

from dnsbridge.routes.exports.form import About, Format, Hops
from dnsbridge.routes.model import Route

_ALLOWED_IN_LINE = 8
"""Prefixes in a line of AllowedIPs; the key may be repeated (wg(8))."""


def _openvpn(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """openvpn(8): --push, --route, --route-ipv6, --dhcp-option; older clients take DNS6 for IPv6."""
    for route in routes:
        prefix = route.prefix
        if prefix.version == 6:
            yield f'push "route-ipv6 {prefix}"'
        else:
            yield f'push "route {prefix.network_address} {prefix.netmask}"'
    for address in about.dns:
        yield f'push "dhcp-option {"DNS6" if address.version == 6 else "DNS"} {address}"'
    for zone in about.zones if about.dns else ():
        yield f'push "dhcp-option DOMAIN-ROUTE {zone}"'


def _wireguard(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """AllowedIPs of the peer that leads to the cluster; DNS belongs to another section, so it is a comment."""
    if about.dns:
        yield f"# [Interface] DNS = {', '.join([str(address) for address in about.dns] + list(about.zones))}"
    prefixes = [str(route.prefix) for route in routes]
    for start in range(0, len(prefixes), _ALLOWED_IN_LINE):
        yield f"AllowedIPs = {', '.join(prefixes[start : start + _ALLOWED_IN_LINE])}"


FORMATS = (
    Format(
        "openvpn",
        "Lines `push` for an OpenVPN server: routes, and the DNS server for the clusters' zones.",
        _openvpn,
        "Put it into the server's configuration: config FILE",
        hops=Hops.NONE,
        interface="",
        dns=True,
    ),
    Format(
        "wireguard",
        "Lines `AllowedIPs` for a WireGuard client's peer.",
        _wireguard,
        "Put it into the section [Peer] of the host that leads to the cluster.",
        hops=Hops.NONE,
        interface="",
        dns=True,
    ),
)

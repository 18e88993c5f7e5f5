"""This host's main table, read over netlink into the same values as the text of `ip route` (kernel_table)."""

import socket
from ipaddress import ip_address

from msgspec import structs

from dnsbridge.netlink.netlink_socket import NetlinkSocket
from dnsbridge.netlink.rtnetlink import RTN_UNICAST, read_attributes, read_route
from dnsbridge.netlink.words import PROTOCOLS, TYPES
from dnsbridge.routes.pictures.from_table import Table
from dnsbridge.routes.pictures.kernel_table import WITHOUT_NEXT_HOP, TableRoute

MAIN = 254
_RTMSG_OCTETS = 12
_SCOPE_AT = 6
_RTA_PREFSRC = 7
_SCOPES = {0: "", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
"""The names of iproute2 (rtnl_rtscope_name), which does not print scope 0."""
NAME = "this host's table"


def read_this_table() -> Table:
    """The main table, IPv4 and IPv6. Raises OSError."""
    netlink = NetlinkSocket()
    try:
        messages = [body for version in (4, 6) for body in netlink.dump(version, MAIN)]
    finally:
        netlink.close()
    routes = [_route(body, number) for number, body in enumerate(messages, 1)]
    return Table(NAME, tuple([route for route in routes if route]))


def _route(body: bytes, number: int) -> TableRoute | None:
    """A route of the main table; None for a route by source address or TOS, which is no route to pods."""
    found = read_route(body, _device)
    if found is None or found.table != MAIN or not found.plain:
        return None
    kind = "unicast" if found.type == RTN_UNICAST else TYPES.get(found.type, str(found.type))
    attributes = read_attributes(body, _RTMSG_OCTETS, len(body))
    source = attributes.get(_RTA_PREFSRC)
    protocol = PROTOCOLS.get(found.protocol, str(found.protocol))
    scope = body[_SCOPE_AT]
    hops = [
        structs.replace(hop, device=device, address=hop.address or far_end)
        for hop, device, far_end in zip(found.route.next_hops, found.devices, found.far_ends, strict=True)
    ]
    if kind in WITHOUT_NEXT_HOP:
        hops = []
    return TableRoute(
        line=number,
        prefix=found.route.prefix,
        type=kind,
        next_hops=tuple(hops),
        protocol="" if protocol == "boot" else protocol,
        scope=_SCOPES.get(scope, str(scope)),
        source=ip_address(source) if source else None,
        metric=found.metric,
        down=tuple([hop for hop, down in zip(hops, found.down, strict=False) if down]),
        beyond=found.encapsulated,
    )


def _device(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:  # the interface is gone by now
        return ""

"""How this host sends packets to addresses: the kernel's route and the next hop's state."""

import errno
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from dnsbridge.doctor.facts import DEAD, Way
from dnsbridge.netlink import interfaces, neighbours, rtnetlink
from dnsbridge.netlink.kernel_routes import TABLE_MAIN
from dnsbridge.netlink.netlink_socket import NetlinkSocket
from dnsbridge.netlink.rtnetlink import RTN_UNICAST, KernelRoute
from dnsbridge.netlink.words import PROTOCOLS, TYPES
from dnsbridge.routes.model import IPAddress

OURS = {83: "dnsbridge"}
_REFUSALS = {
    errno.ENETUNREACH: "none",
    errno.EHOSTUNREACH: "unreachable",
    errno.EACCES: "prohibit",
    errno.EINVAL: "blackhole",
}
"""What a refusal says of the route that the kernel found (fib_props of Linux)."""


def ways(addresses: Iterable[str]) -> tuple[Way, ...]:
    """The way to each address. Raises OSError where there is no netlink."""
    netlink = NetlinkSocket()
    try:
        known = neighbours.read_neighbours(netlink.dump_all(neighbours.neighbours_request, neighbours.RTM_NEWNEIGH))
        links = netlink.dump_all(interfaces.links_request, interfaces.RTM_NEWLINK)
        kinds = {each.name: each.kind for each in interfaces.read_interfaces(links, ())}
        return tuple([_way(netlink, ip_address(each), known, kinds) for each in addresses])
    finally:
        netlink.close()


def _way(
    netlink: NetlinkSocket,
    address: IPAddress,
    known: dict[tuple[IPAddress, int], str],
    kinds: dict[str, str],
) -> Way:
    try:
        body = netlink.get(lambda sequence: rtnetlink.route_to_request(address, sequence), rtnetlink.RTM_NEWROUTE)
        found = rtnetlink.read_route(body, _name)
    except OSError as error:
        return _refused(netlink, address, _REFUSALS.get(error.errno or 0, "none"))
    if found is None or not (found.devices or found.type != RTN_UNICAST):
        return Way(str(address), "none")
    prefix = str(found.route.prefix)
    owner = _owner(found)
    if found.type != RTN_UNICAST:
        return Way(str(address), TYPES.get(found.type, f"type {found.type}"), prefix, owner=owner)
    hops = [
        (hop.address, device, known.get((hop.address or address, _index(device)), ""))
        for hop, device in zip(found.route.next_hops, found.devices, strict=True)
    ]
    # Of several next hops a dead one is what some connections meet.
    via, device, state = next((hop for hop in hops if hop[2] in DEAD), hops[0])
    return Way(
        str(address),
        "unicast",
        prefix,
        str(via or ""),
        device,
        owner,
        kinds.get(device, ""),
        state,
    )


def _refused(netlink: NetlinkSocket, address: IPAddress, kind: str) -> Way:
    """The kernel only says that it sends nothing: the route that says so is looked for in the main table."""
    routes = [rtnetlink.read_route(body, _name) for body in netlink.dump(address.version, TABLE_MAIN)]
    held = [each for each in routes if each and address in each.route.prefix and each.type != RTN_UNICAST]
    if kind == "none" or not held:
        return Way(str(address), kind)
    found = max(held, key=lambda each: each.route.prefix.prefixlen)
    return Way(str(address), TYPES.get(found.type, kind), str(found.route.prefix), owner=_owner(found))


def _owner(found: KernelRoute) -> str:
    return OURS.get(found.protocol) or PROTOCOLS.get(found.protocol, f"protocol {found.protocol}")


def _name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0

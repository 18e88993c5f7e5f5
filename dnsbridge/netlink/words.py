"""Texts about the kernel's routes for people: a route as `ip route` shows it, its owner, and why one was refused."""

import errno
import os

from dnsbridge.netlink.netlink_socket import Refused
from dnsbridge.netlink.rtnetlink import RTN_UNICAST, KernelRoute
from dnsbridge.routes.model import NextHop, Prefix, Route
from dnsbridge.routes.sink import Foreign

PROTOCOLS = {
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    18: "keepalived",
    42: "babel",
    99: "openr",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
"""RTPROT_* of linux/rtnetlink.h, with iproute2's names."""
TYPES = {2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
TYPES |= {9: "throw", 10: "nat"}


def foreign(found: KernelRoute) -> Foreign:
    """A foreign route, with its owner and its text."""
    metric = f" metric {found.metric}" if found.metric else ""
    protocol = PROTOCOLS.get(found.protocol, str(found.protocol))
    kind = "" if found.type == RTN_UNICAST else f"{TYPES.get(found.type, f'type {found.type}')} "
    hops = [
        " ".join(filter(None, (f"via {hop.address}" if hop.address else "", f"dev {device}" if device else "")))
        for hop, device in zip(found.route.next_hops, found.devices, strict=True)
    ]
    way = f" {hops[0]}" if len(hops) == 1 else "".join(f" nexthop {hop}" for hop in hops)
    text = f"{kind}{found.route.prefix}{way} proto {protocol}{metric}"
    return Foreign(found.route.prefix, f"protocol {protocol}{metric.replace(' metric', ', metric')}", text)


def in_the_way(other: Foreign) -> str:
    """Why a route is not set where a foreign route has the prefix."""
    return f"left alone: {other.owner} has {other.text}; remove that, or leave the prefix out"


def refused(route: Route, why: Refused) -> str:
    """Why the kernel did not take a route, and what to do."""
    if why.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return f"the next hop {_hops(route)} is unreachable: no directly connected network has it; {_ANOTHER}"
    said = why.text or os.strerror(why.errno).lower()
    if why.errno == errno.EINVAL and "gateway" in said.lower():
        return f"the next hop {_hops(route)} is not possible ({said.lower()}); {_ANOTHER}"
    if why.errno == errno.EEXIST:
        return "another program has set a route for it meanwhile; remove that, or leave the prefix out"
    if why.errno in (errno.ENETDOWN, errno.ENODEV):
        return f"the interface towards {_hops(route)} is down or gone; bring it up"
    return f"the kernel refuses it via {_hops(route)}: {said}"


_ANOTHER = "choose another with routes.via or --gateway"


def no_device(name: str) -> str:
    """Why a route over a device is not set."""
    return f"there is no interface {name}"


def not_removed(prefix: Prefix, why: Refused) -> str:
    """Why a route of ours stays."""
    return f"the kernel does not remove it: {why.text or os.strerror(why.errno).lower()}; try ip route del {prefix}"


def _hops(route: Route) -> str:
    return ", ".join(_place(hop) for hop in route.next_hops)


def _place(hop: NextHop) -> str:
    return f"{hop.address or ''}{'%' if hop.address and hop.device else ''}{hop.device}"

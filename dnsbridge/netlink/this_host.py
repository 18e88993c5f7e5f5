"""This host as the kernel describes it over netlink: its interfaces that are up, and their addresses.

pyroute2 reads them, in a thread: it has no socket for uvloop, and its blocking calls run an event loop of their own.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import ip_interface
from typing import Any

from dnsbridge.routes.host import Host, Interface, InterfaceAddress, Protected

_IFF_UP = 1


class NoHost(Exception):
    """Why this host's interfaces cannot be read, in one line."""


async def this_host(protected: Iterable[Protected] = ()) -> Host:
    """This host; `protected` are addresses that the program knows of. Raises NoHost."""
    try:
        interfaces = await asyncio.to_thread(read_interfaces)
    except OSError as error:
        raise NoHost(f"netlink: {(error.strerror or str(error)).lower()}; is this Linux, with rtnetlink?") from None
    return Host(interfaces, tuple(protected))


def read_interfaces() -> tuple[Interface, ...]:
    """The interfaces that are up, in the kernel's order. Raises OSError; not for a thread with a running event loop."""
    from pyroute2 import IPRoute  # type: ignore[import-untyped]  # noqa: PLC0415  no types; slow to load

    with IPRoute() as netlink:
        links = list(netlink.get_links())
        found = defaultdict[int, list[InterfaceAddress]](list)
        for address in netlink.get_addr():
            # IFA_LOCAL is this host's address, IFA_ADDRESS on a point-to-point link the other side's (if_addr.h).
            own = address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")
            if own:
                found[address["index"]].append(ip_interface(f"{own}/{address['prefixlen']}"))
    return tuple([_interface(link, tuple(found[link["index"]])) for link in links if link["flags"] & _IFF_UP])


def _interface(link: Any, addresses: tuple[InterfaceAddress, ...]) -> Interface:
    kind = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    return Interface(link.get_attr("IFLA_IFNAME"), addresses, link.get_attr("IFLA_MTU") or 0, kind)

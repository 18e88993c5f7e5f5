"""This host as read over netlink: its interfaces that are up, and their addresses."""

import asyncio
from collections.abc import Iterable

from dnsbridge.errors import of_system
from dnsbridge.netlink import interfaces
from dnsbridge.netlink.interfaces import RTM_NEWADDR, RTM_NEWLINK
from dnsbridge.netlink.netlink_socket import NetlinkSocket
from dnsbridge.routes.host import Host, Interface, Protected


class NoHost(Exception):
    """Why this host's interfaces cannot be read, in one line."""


async def this_host(protected: Iterable[Protected] = ()) -> Host:
    """This host; `protected` are the protected addresses that the caller knows. Raises NoHost."""
    try:
        found = await asyncio.to_thread(read_interfaces)
    except OSError as error:
        raise NoHost(f"netlink: {of_system(error)}; is this Linux, with rtnetlink?") from None
    return Host(found, tuple(protected))


def read_interfaces() -> tuple[Interface, ...]:
    """The interfaces that are up, in the kernel's order. Raises OSError."""
    netlink = NetlinkSocket()
    try:
        links = netlink.dump_all(interfaces.links_request, RTM_NEWLINK)
        addresses = netlink.dump_all(interfaces.addresses_request, RTM_NEWADDR)
    finally:
        netlink.close()
    return interfaces.read_interfaces(links, addresses)

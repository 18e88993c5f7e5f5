"""Interfaces and their addresses as messages of rtnetlink(7): the requests for all of them, and the replies.

RTM_NEWLINK    struct ifinfomsg, then attributes (linux/if_link.h)
RTM_NEWADDR    struct ifaddrmsg, then attributes (linux/if_addr.h)
"""

import struct
import sys
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import ip_address, ip_interface

from dnsbridge.netlink.rtnetlink import HEADER, NLM_F_DUMP, NLM_F_REQUEST, read_attributes
from dnsbridge.routes.host import Interface, InterfaceAddress

RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR = 16, 18, 20, 22
_LINK = struct.Struct("=BxHiII")
"""ifinfomsg: family, type, index, flags, change."""
_ADDRESS = struct.Struct("=BBBBI")
"""ifaddrmsg: family, prefix length, flags, scope, index."""
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 4, 18, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2


def links_request(sequence: int) -> bytes:
    """A message that asks for all interfaces."""
    return _request(RTM_GETLINK, bytes(_LINK.size), sequence)


def addresses_request(sequence: int) -> bytes:
    """A message that asks for all addresses, of both families."""
    return _request(RTM_GETADDR, bytes(_ADDRESS.size), sequence)


def _request(kind: int, body: bytes, sequence: int) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + body


def read_interfaces(links: Iterable[bytes], addresses: Iterable[bytes]) -> tuple[Interface, ...]:
    """The interfaces that are up, in the order of `links`. Messages come without their headers."""
    found = defaultdict[int, list[InterfaceAddress]](list)
    for body in addresses:
        _, length, _, _, index = _ADDRESS.unpack_from(body)
        said = read_attributes(body, _ADDRESS.size, len(body))
        # On a point-to-point link IFA_ADDRESS is the peer's address; IFA_LOCAL, where present, is this host's.
        own = said.get(_IFA_LOCAL) or said.get(_IFA_ADDRESS)
        if own:
            found[index].append(ip_interface(f"{ip_address(own)}/{length}"))
    interfaces = []
    for body in links:
        _, _, index, flags, _ = _LINK.unpack_from(body)
        if flags & _IFF_UP:
            interfaces.append(_interface(read_attributes(body, _LINK.size, len(body)), tuple(found[index])))
    return tuple(interfaces)


def _interface(said: dict[int, bytes], addresses: tuple[InterfaceAddress, ...]) -> Interface:
    about = said.get(_IFLA_LINKINFO, b"")
    kind = read_attributes(about, 0, len(about)).get(_IFLA_INFO_KIND, b"")
    mtu = int.from_bytes(said.get(_IFLA_MTU, b""), sys.byteorder)
    return Interface(_text(said.get(_IFLA_IFNAME, b"")), addresses, mtu, _text(kind))


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode(errors="replace")

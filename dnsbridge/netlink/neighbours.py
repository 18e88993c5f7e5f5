"""The neighbours that the kernel knows (ARP, neighbour discovery) as messages of rtnetlink(7).

RTM_NEWNEIGH    struct ndmsg, then attributes (linux/neighbour.h)
"""

import struct
from collections.abc import Iterable
from ipaddress import ip_address

from dnsbridge.netlink.rtnetlink import HEADER, NLM_F_DUMP, NLM_F_REQUEST, read_attributes
from dnsbridge.routes.model import IPAddress

RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
"""ndmsg: family, interface, state, flags, type."""
_NDA_DST = 1
STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
"""NUD_*, by the names of ip-neighbour(8)."""


def neighbours_request(sequence: int) -> bytes:
    """A message that asks for all neighbours, of both families."""
    body = bytes(_NEIGHBOUR.size)
    return HEADER.pack(HEADER.size + len(body), RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + body


def read_neighbours(messages: Iterable[bytes]) -> dict[tuple[IPAddress, int], str]:
    """The state of each neighbour, by address and index of the interface. Messages come without their headers."""
    found: dict[tuple[IPAddress, int], str] = {}
    for body in messages:
        _, index, state, _, _ = _NEIGHBOUR.unpack_from(body)
        address = read_attributes(body, _NEIGHBOUR.size, len(body)).get(_NDA_DST, b"")
        if len(address) in (4, 16):
            found[ip_address(address), index] = STATES.get(state, "")
    return found

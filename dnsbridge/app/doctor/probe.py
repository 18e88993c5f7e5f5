"""Sends UDP datagrams to a port where hardly anybody listens: ICMP errors say how far they get. It needs no rights.

trail      how far packets to an address get
fitting    the largest packets that a way takes
"""

import asyncio
import errno
import select
import socket
import struct
from ipaddress import ip_address

from msgspec import Struct

from dnsbridge.doctor.facts import Trail

TIMEOUT = 1.0
"""Seconds. Kernels send an error a second to whom they have sent some (icmp(7), icmp_ratelimit)."""
TRIES = 3
FAR = 5
"""Routers that are looked for."""
SIZES = (1480, 1450, 1420, 1400, 1280)
"""Octets that fit tunnels: IPIP, VXLAN, WireGuard, several; and what every link of IPv6 must carry (RFC 8200)."""
_PORT = 33434
"""Where traceroute begins."""
_ERROR = struct.Struct("=IBBBBII")
"""sock_extended_err: errno, origin, type, code, padding, information, data; then the address of who says so."""
_EXPIRED, _UNREACHABLE = {4: 11, 6: 3}, {4: 3, 6: 1}
_CLOSED = {4: 3, 6: 4}
"""Types and a code of ICMP (RFC 792, RFC 4443), by version."""
_HEADERS = {4: 28, 6: 48}
"""Octets of IP and UDP."""
_RECVERR = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
_HOP_LIMIT = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)}
_MTU_DISCOVER, _PROBE = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}, 3
"""No fragments, whatever the kernel knows of the way (IP_PMTUDISC_PROBE)."""


class _Error(Struct, frozen=True):
    """What came back."""

    source: str
    """This host's address."""
    passed: str = ""
    """The router that passed the datagram on, and said that it must go no further."""
    arrived: bool = False
    takes: int = 0
    """Octets that a router says its next link takes."""


async def trail(address: str, next_hop: str) -> Trail:
    """How far packets to an address get; an empty next hop is the address itself."""
    to = [asyncio.to_thread(_send, address, limit=limit) for limit in range(1, FAR + 1)]
    plain, hop, *limited = await asyncio.gather(
        asyncio.to_thread(_send, address), asyncio.to_thread(_send, next_hop or address), *to
    )
    routers = dict.fromkeys([each.passed for each in limited if each.passed])
    arrives = any(each.arrived for each in (plain, *limited))
    return Trail(address, plain.source, tuple(routers), arrives, hop.arrived)


async def fitting(address: str, mtu: int) -> tuple[int, int]:
    """Octets that the routers say the way takes (at first `mtu`), and of the largest packet that is seen to arrive."""
    for tries in range(TRIES + 1):
        large = await asyncio.to_thread(_send, address, size=mtu)
        if large.arrived or large.takes:
            return large.takes or mtu, large.takes or mtu
        # After it each try has a second, in which a kernel that has sent too many errors may send one more.
        if tries == 0 and not await _arrives(address, SIZES[-1]):
            return mtu, 0
    for size in SIZES:
        if size < mtu and await _arrives(address, size):
            return mtu, size
    return mtu, 0


async def _arrives(address: str, size: int) -> bool:
    return (await asyncio.to_thread(_send, address, size=size)).arrived


def _send(address: str, *, limit: int = 0, size: int = 0) -> _Error:
    """What comes of one datagram: `limit` is for how many hops, `size` that of the whole packet. Blocks."""
    version = ip_address(address).version
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as opened:
        source = ""
        try:
            opened.setsockopt(*_RECVERR[version], 1)
            opened.setsockopt(*_MTU_DISCOVER[version], _PROBE)
            if limit:
                opened.setsockopt(*_HOP_LIMIT[version], limit)
            opened.connect((address, _PORT))
            source = opened.getsockname()[0]
            opened.send(bytes(max(size - _HEADERS[version], 0)))
            waiting = select.poll()
            waiting.register(opened, select.POLLERR)
            if not waiting.poll(TIMEOUT * 1000):
                return _Error(source)
            _, ancillary, _, _ = opened.recvmsg(0, 512, socket.MSG_ERRQUEUE)
        except OSError:  # there is no route, or the kernel knows that the packet is too large
            return _Error(source)
    return next((_read(data, version, address, source) for _, _, data in ancillary), _Error(source))


def _read(data: bytes, version: int, address: str, source: str) -> _Error:
    number, _, kind, code, _, takes, _ = _ERROR.unpack_from(data)
    at = _ERROR.size + (4 if version == 4 else 8)
    sender = str(ip_address(data[at : at + (4 if version == 4 else 16)]))
    if kind == _EXPIRED[version]:
        return _Error(source, passed=sender)
    if number == errno.EMSGSIZE:
        return _Error(source, takes=takes)
    closed = (kind, code) == (_UNREACHABLE[version], _CLOSED[version])
    return _Error(source, arrived=closed and sender == str(ip_address(address)))

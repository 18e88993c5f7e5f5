"""Connects to a port over TCP, and says what became of it."""

import asyncio
import socket
import struct
import time

from dnsbridge.doctor.facts import Connect
from dnsbridge.errors import of_system

TIMEOUT = 3.0
"""Seconds; a SYN that gets lost is sent again after one."""
_IP_MTU, _IPV6_MTU = 14, 24
_INFO = struct.Struct("=5xB10xI")
"""Of tcp_info (linux/tcp.h): the options in use, and the octets of a segment that is sent (tcpi_snd_mss)."""
_HAS_TIMESTAMPS, _TIMESTAMP = 1, 12
_RECVERR, _IPV6_RECVERR = (socket.IPPROTO_IP, 11), 25


async def connect(address: str, port: int) -> Connect:
    """One connection, closed at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    began = time.monotonic()
    with socket.socket(family, socket.SOCK_STREAM) as opened:
        opened.setblocking(False)
        # Without this the kernel keeps what routers say to itself, and goes on trying (tcp(7), IP_RECVERR).
        opened.setsockopt(*((socket.IPPROTO_IPV6, _IPV6_RECVERR) if family == socket.AF_INET6 else _RECVERR), 1)
        try:
            async with asyncio.timeout(TIMEOUT):
                await asyncio.get_running_loop().sock_connect(opened, (address, port))
        except ConnectionRefusedError:
            return Connect(address, port, "refused", time.monotonic() - began)
        except TimeoutError:
            return Connect(address, port, "silent", time.monotonic() - began)
        except OSError as error:
            return Connect(address, port, "unreachable", time.monotonic() - began, of_system(error))
        return Connect(address, port, "open", time.monotonic() - began, mtu=_mtu(opened, family))


def _mtu(opened: socket.socket, family: int) -> int:
    """Octets of the largest packet that TCP would send, by what the kernel knows of the way and what the peer says."""
    try:
        if family == socket.AF_INET6:
            way, headers = opened.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU), 60
        else:
            way, headers = opened.getsockopt(socket.IPPROTO_IP, _IP_MTU), 40
        options, segment = _INFO.unpack(opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    except (OSError, struct.error):
        return 0
    return int(min(way, segment + headers + (_TIMESTAMP if options & _HAS_TIMESTAMPS else 0)))

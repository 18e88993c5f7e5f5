"""Connects to a port over TCP, and says what became of it."""

import asyncio
import socket
import time

from dnsbridge.doctor.facts import Connect
from dnsbridge.errors import of_system

TIMEOUT = 3.0
"""Seconds; a SYN that gets lost is sent again after one."""
_IP_MTU, _IPV6_MTU = 14, 24
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
    try:
        if family == socket.AF_INET6:
            return opened.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
        return opened.getsockopt(socket.IPPROTO_IP, _IP_MTU)
    except OSError:
        return 0

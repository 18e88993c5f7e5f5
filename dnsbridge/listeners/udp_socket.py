"""The UDP socket itself: how it is opened, what waits in it, and from where an answer leaves.

A socket on a wildcard address must answer from the address that was asked (RFC 2181 section 4), so there the
destination comes and goes as packet information (RFC 3542).
"""

import socket
from struct import Struct as Layout

from dnsbridge.listeners.overload import Queue

RECEIVE_BUFFER = 4 << 20
"""Octets; the kernel gives what it allows. A burst waits there while a batch is answered."""
SHORT_BUFFER = 128 << 10
"""The same while the socket is behind: what has waited longer than this lasts is better asked again."""
PKTINFO_SPACE = socket.CMSG_SPACE(20)

_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it
_SO_MEMINFO = 55  # asm-generic/socket.h, the same
_MEMINFO = Layout("9I")  # linux/sock_diag.h: the first is SK_MEMINFO_RMEM_ALLOC, the last SK_MEMINFO_DROPS


def open_socket(family: socket.AddressFamily, address: str, port: int, shared: bool = False) -> socket.socket:
    """A bound, non-blocking UDP socket, `shared` with others on the same port; raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_wildcard(address):
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def is_wildcard(address: str) -> bool:
    """Whether an address stands for all of the host's."""
    return address in ("0.0.0.0", "::")


def queue(sock: socket.socket) -> Queue:
    """What waits in a socket now, and what was lost; nothing, where the kernel does not say (before Linux 4.12)."""
    try:
        memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return Queue(0, 0)
    octets, *_, lost = _MEMINFO.unpack(memory)
    return Queue(octets, lost)


def as_source(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Received packet information as what makes the answer leave from that address.

    IPv4: ifindex (4) | local address (4) | header destination (4); IPv6: address (16) | ifindex (4). The interface is
    left to the routing table, but for link-local addresses, which mean nothing without it.
    """
    if level == socket.IPPROTO_IP:
        return level, kind, bytes(4) + data[4:]
    link_local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
    return level, kind, data if link_local else data[:16] + bytes(4)

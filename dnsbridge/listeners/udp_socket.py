"""The UDP socket: opening it, reading its queue, and sending an answer from the address that was asked.

A socket on a wildcard address must answer from the address that was asked (RFC 2181 section 4). On such a socket that
address comes with each question and goes with each answer as packet information (RFC 3542), see datagrams.
"""

import socket
import sys
from struct import Struct as Layout

from dnsbridge.listeners.datagrams import Datagram, packed_address
from dnsbridge.listeners.overload import Queue

RECEIVE_BUFFER = 4 << 20
"""Octets; the kernel may give fewer. A burst waits there while a batch is answered."""
SHORT_BUFFER = 128 << 10
"""The same while the socket is behind: a question that would wait longer than this allows is better asked again."""
_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it
_SO_MEMINFO = 55  # asm-generic/socket.h, the same
_CONTROL = Layout("=ii")  # struct cmsghdr, after its length: level and type
_CONTROL_KIND = socket.CMSG_LEN(0) - _CONTROL.size
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
    """Whether an address stands for all addresses of the host."""
    return address in ("0.0.0.0", "::")


def queue(sock: socket.socket) -> Queue:
    """The queue of a socket now; all zero where the kernel does not report it (before Linux 4.12)."""
    try:
        memory = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return Queue(0, 0)
    octets, *_, lost = _MEMINFO.unpack(memory)
    return Queue(octets, lost)


def send_alone(sock: socket.socket, datagram: Datagram, body: bytes) -> bool:
    """Send an answer that is too long for a slot; returns whether it was sent."""
    peer = datagram.peer
    host = socket.inet_ntop(sock.family, packed_address(peer))
    port = int.from_bytes(peer[2:4], "big")
    target: tuple[str, int] | tuple[str, int, int, int] = (host, port)
    if sock.family == socket.AF_INET6:
        target = (host, port, 0, int.from_bytes(peer[24:28], sys.byteorder))
    ancillary = []
    if datagram.control:
        level, kind = _CONTROL.unpack_from(datagram.control, _CONTROL_KIND)
        length = int.from_bytes(datagram.control[:_CONTROL_KIND], sys.byteorder)
        ancillary = [(level, kind, datagram.control[socket.CMSG_LEN(0) : length])]
    try:
        sock.sendmsg([datagram.message[:2], body], ancillary, 0, target)
    except OSError:
        return False
    return True

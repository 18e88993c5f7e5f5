"""Datagrams in batches: one system call receives up to SIZE of them, and one sends the answers from the same slots.

    slot       ID | question ...              as received
               ID | body of the answer        as sent back: to the same peer, from the address that was asked

Python's socket calls make an address tuple for each datagram and parse it again for the answer, which costs more than
the answer itself. Here the peer stays as the kernel wrote it. Layouts: recvmmsg(2), sendmmsg(2) and ip(7).
"""

import ctypes
import errno
import mmap
import os
import socket
from array import array

from msgspec import Struct

SIZE = 64
"""Datagrams in a batch."""
SLOT = 4096
"""Octets in a slot. A question is far smaller, and a message that is cut off here does not parse."""

_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


_WORD = 4
_MESSAGE_WORDS = ctypes.sizeof(_Message) // _WORD
_LENGTH_WORD = _Message.length.offset // _WORD
_CONTROL_WORD = socket.CMSG_LEN(0) // _WORD
"""Offset of the data in a control message, in words."""


class Family(Struct, frozen=True):
    """The layouts of one address family."""

    peer_size: int
    """Octets of a socket address: sockaddr_in, sockaddr_in6."""
    address_at: int
    """Offset of the address in the socket address."""
    address_end: int
    control_size: int
    """Octets of a control message with packet information: in_pktinfo, in6_pktinfo."""
    interface_word: int
    """Offset of the interface index in the control message, in words."""


IPV4 = Family(16, 4, 8, socket.CMSG_SPACE(12), _CONTROL_WORD)
IPV6 = Family(28, 8, 24, socket.CMSG_SPACE(20), _CONTROL_WORD + 4)
_NO_INTERFACE = memoryview(array("I", bytes(_WORD * SIZE)))


class Datagram(Struct, frozen=True, gc=False):
    """A datagram kept beyond its batch, to be answered later."""

    message: bytes
    peer: bytes
    """The socket address, as the kernel wrote it."""
    control: bytes
    """Packet information that sends the answer from the address that was asked; empty for a socket on one address."""


class Batch:
    """SIZE slots for datagrams of one socket."""

    def __init__(self, family: Family, packet_information: bool) -> None:
        self.family = family
        self.data = mmap.mmap(-1, SIZE * SLOT)
        """Slot i begins at i * SLOT."""
        self.peers = mmap.mmap(-1, SIZE * family.peer_size)
        self.sizes: list[int] = []
        """Octets of each datagram received."""
        self._controls = bytearray(SIZE * family.control_size if packet_information else 0)
        self._interfaces = memoryview(self._controls).cast("I")[family.interface_word :: family.control_size // _WORD]
        messages = bytearray(SIZE * ctypes.sizeof(_Message))
        vectors = bytearray(SIZE * ctypes.sizeof(_Vector))
        base, names, controls = _address(self.data), _address(self.peers), _address(self._controls)
        self._messages_at, vectors_at = _address(messages), _address(vectors)
        for index, (message, vector) in enumerate(
            zip((_Message * SIZE).from_buffer(messages), (_Vector * SIZE).from_buffer(vectors), strict=True)
        ):
            vector.base, vector.length = base + index * SLOT, SLOT
            header = message.header
            header.name, header.name_length = names + index * family.peer_size, family.peer_size
            header.vectors, header.vector_count = vectors_at + index * ctypes.sizeof(_Vector), 1
            if packet_information:
                header.control = controls + index * family.control_size
                header.control_length = family.control_size
        self._messages, self._vectors = messages, vectors
        self._fresh_messages, self._fresh_vectors = bytes(messages), bytes(vectors)
        self._received = memoryview(messages).cast("I")[_LENGTH_WORD::_MESSAGE_WORDS]
        self.answers = memoryview(vectors).cast("L")[1::2]  # size_t
        """Octets of each answer, ID included; set by the code that writes an answer into a slot."""

    def receive(self, descriptor: int, most: int = SIZE) -> int:
        """Fill up to `most` slots from the first on; returns how many, 0 when no datagram waits. Raises OSError."""
        # The last batch left its lengths in the fields from which the kernel reads how much room there is.
        self._messages[:] = self._fresh_messages
        self._vectors[:] = self._fresh_vectors
        count: int = _recvmmsg(descriptor, self._messages_at, most, socket.MSG_DONTWAIT, None)
        self.sizes = self._received[: max(count, 0)].tolist()
        if count < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return 0
            raise OSError(number, os.strerror(number))
        if self._controls:
            self._from_there(count)
        return count

    def send(self, descriptor: int, first: int, end: int) -> list[int]:
        """Send slots from `first` up to `end` (exclusive); returns the slots that could not be sent."""
        failed: list[int] = []
        while first < end:
            at = self._messages_at + first * _MESSAGE_WORDS * _WORD
            sent: int = _sendmmsg(descriptor, at, end - first, socket.MSG_DONTWAIT)
            if sent > 0:
                first += sent
            else:
                failed.append(first)
                first += 1
        return failed

    def has_port(self, slot: int) -> bool:
        """Whether the peer of a slot has a port that can be answered: not 0."""
        start = slot * self.family.peer_size + 2
        return self.peers[start : start + 2] != b"\0\0"

    def keep(self, slot: int) -> Datagram:
        """A copy of the datagram received in a slot."""
        start = slot * SLOT
        peer_size, control_size = self.family.peer_size, self.family.control_size
        return Datagram(
            self.data[start : start + self.sizes[slot]],
            self.peers[slot * peer_size : (slot + 1) * peer_size],
            bytes(self._controls[slot * control_size : (slot + 1) * control_size]),
        )

    def put(self, slot: int, datagram: Datagram, body: bytes) -> None:
        """Write the answer to a kept datagram into a slot, for `send`; at most SLOT octets with its ID."""
        start = slot * SLOT
        peer_size, control_size = self.family.peer_size, self.family.control_size
        size = len(body) + 2
        self.data[start : start + size] = datagram.message[:2] + body
        self.answers[slot] = size
        self.peers[slot * peer_size : (slot + 1) * peer_size] = datagram.peer
        if datagram.control:
            self._controls[slot * control_size : (slot + 1) * control_size] = datagram.control

    def _from_there(self, count: int) -> None:
        """Turn received packet information into a request to send from that address (RFC 2181 section 4).

        The routing table chooses the interface, except for link-local addresses, which mean nothing without one.
        """
        if self.family is IPV4:
            self._interfaces[:count] = _NO_INTERFACE[:count]
            return
        size = self.family.control_size
        for slot, at in enumerate(range(_CONTROL_WORD * _WORD, count * size, size)):
            if self._controls[at] != 0xFE or self._controls[at + 1] & 0xC0 != 0x80:
                self._interfaces[slot] = 0


def _address(memory: mmap.mmap | bytearray) -> int:
    """The start of memory that never moves; 0 for empty memory."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory)) if len(memory) else 0


def packed_address(peer: bytes) -> bytes:
    """The address in a socket address: 4 octets (sockaddr_in) or 16 (sockaddr_in6)."""
    return peer[4:8] if len(peer) == IPV4.peer_size else peer[8:24]


def asked_address(datagram: Datagram) -> bytes:
    """The packed address that was asked; empty if the socket has only one."""
    information = datagram.control[socket.CMSG_LEN(0) :]
    return information[4:8] if len(datagram.peer) == IPV4.peer_size else information[:16]


def has_port(peer: bytes) -> bool:
    """Whether a socket address has a port that can be answered: not 0."""
    return peer[2:4] != b"\0\0"

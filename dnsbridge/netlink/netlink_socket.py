"""A socket to the kernel's routing tables (netlink(7)): many changes in one send, dumps of whole tables, and events.

The kernel handles a request while it is sent, so nothing here waits: the replies are there when `send` returns. A plain
socket therefore serves asyncio and uvloop alike. pyroute2's sockets do not: uvloop's endpoints take no AF_NETLINK.
"""

import ctypes
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct

from dnsbridge.netlink import rtnetlink
from dnsbridge.netlink.rtnetlink import HEADER, NLM_F_ACK, NLM_F_DUMP_INTR

BATCH = 200
"""Messages in one send: an error for each of them fits into the receive buffer of any system."""
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_SOL_NETLINK = 270
_CAP_ACK, _EXT_ACK, _STRICT_CHECK = 10, 11, 12
_ACK_TLVS = 0x200
_ERROR_TEXT = 1
_BUFFER = 4 << 20
_READ = 1 << 18
_INTERRUPTED = 5
"""Times that a table is read again because it changed during the dump."""
_PATIENCE = 5000
"""Milliseconds to wait for a reply, which the kernel normally has ready at once."""
_GROUPS = 1 << 0 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10
"""RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE: routes that go with a device give no event."""


class Refused(Struct, frozen=True):
    """The kernel's refusal of one message."""

    errno: int
    text: str
    """The kernel's own text; empty if it gives none, or is older than 4.12."""


class NetlinkSocket:
    """Requests and their replies. Raises OSError where there are no netlink sockets."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
            with suppress(OSError):  # older kernels: shorter error texts, longer dumps
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
        _enlarge(self._socket)
        self._socket.bind((0, 0))
        self.port: int = self._socket.getsockname()[0]
        self._sequence = 0

    def next_sequence(self) -> int:
        """The sequence number for the next message."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

    def send(self, messages: Sequence[bytes]) -> dict[int, Refused]:
        """Send up to BATCH messages as one. Returns the refusals by sequence number. Raises OSError."""
        if not messages:
            return {}
        # Only the last message asks for an acknowledgement, which ends the replies; the others reply only if they fail.
        length, kind, flags, last, port = HEADER.unpack_from(messages[-1])
        ending = HEADER.pack(length, kind, flags | NLM_F_ACK, last, port) + messages[-1][HEADER.size :]
        self._socket.send(b"".join([*messages[:-1], ending]))
        refused: dict[int, Refused] = {}
        while True:
            for kind, flags, sequence, body in self._receive():
                if kind == _NLMSG_ERROR:
                    code = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                    if code:
                        refused[sequence] = Refused(code, _said(body, flags))
                    if sequence == last:
                        return refused

    def dump(self, version: int, table: int) -> list[bytes]:
        """The routes of a table as messages without headers; none if there is no such table. Raises OSError."""
        return self.dump_all(partial(rtnetlink.dump_request, version, table), rtnetlink.RTM_NEWROUTE)

    def dump_all(self, request: Callable[[int], bytes], wanted: int) -> list[bytes]:
        """The messages of type `wanted` that answer a request, without headers. Raises OSError.

        `request` makes the request for a sequence number.
        """
        whole, found = self._dump(request, wanted)
        for _ in range(_INTERRUPTED):
            if whole:
                break
            whole, found = self._dump(request, wanted)
        return found

    def get(self, request: Callable[[int], bytes], wanted: int) -> bytes:
        """The one message of type `wanted` that answers a request, without its header. Raises OSError."""
        mine = self.next_sequence()
        self._socket.send(request(mine))
        while True:
            for kind, _, sequence, body in self._receive():
                if sequence == mine and kind == wanted:
                    return body
                if sequence == mine and kind == _NLMSG_ERROR:
                    code = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                    raise OSError(code, os.strerror(code))

    def _dump(self, request: Callable[[int], bytes], wanted: int) -> tuple[bool, list[bytes]]:
        mine = self.next_sequence()
        self._socket.send(request(mine))
        found, whole = [], True
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != mine:
                    continue
                whole = whole and not flags & NLM_F_DUMP_INTR
                if kind == wanted:
                    found.append(body)
                elif kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    code = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                    if code > 0 and code not in (2, 95, 97):  # ENOENT; no IPv6: EOPNOTSUPP, EAFNOSUPPORT
                        raise OSError(code, os.strerror(code))
                    return whole, found

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(_PATIENCE):
            raise TimeoutError("the kernel does not reply over netlink")
        return messages_of(self._socket.recv(_READ))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class RouteEvents:
    """Events when somebody else changed a table, or when interfaces changed, which can take routes with them."""

    def __init__(self, table: int, own_port: int) -> None:
        """`own_port` is the port of the socket whose changes give no events."""
        self._table = table
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        _enlarge(self._socket)
        _leave_out(self._socket, own_port)
        self._socket.bind((0, _GROUPS))

    def fileno(self) -> int:
        """The descriptor for `loop.add_reader`: readable when there is an event."""
        return self._socket.fileno()

    def drain(self) -> bool:
        """Take all pending events. Returns whether the table may have changed."""
        touched = False
        while True:
            try:
                octets = self._socket.recv(_READ)
            except BlockingIOError:
                return touched
            except OSError:  # ENOBUFS: events were lost
                touched = True
                continue
            touched = touched or any(
                kind not in (rtnetlink.RTM_NEWROUTE, rtnetlink.RTM_DELROUTE)
                or rtnetlink.read_table(body) == self._table
                for kind, _, _, body in messages_of(octets)
            )

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _leave_out(events: socket.socket, port: int) -> None:
    """Let the kernel drop the events that the socket at `port` caused: 20,000 of them would overflow the buffer.

    A classic BPF program (linux/filter.h): load nlmsg_pid, the big-endian word at 12; if equal drop, else pass all.
    """
    word = int.from_bytes(port.to_bytes(4, sys.byteorder), "big")
    steps = ((0x20, 0, 0, 12), (0x15, 0, 1, word), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
    program = ctypes.create_string_buffer(b"".join([struct.pack("=HBBI", *step) for step in steps]))
    attach = getattr(socket, "SO_ATTACH_FILTER", 26)
    events.setsockopt(socket.SOL_SOCKET, attach, struct.pack("HP", len(steps), ctypes.addressof(program)))


def messages_of(octets: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and body of each message of a datagram."""
    at = 0
    while at + HEADER.size <= len(octets):
        length, kind, flags, sequence, _ = HEADER.unpack_from(octets, at)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, octets[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def _said(body: bytes, flags: int) -> str:
    """The text of an extended acknowledgement; with NETLINK_CAP_ACK only the request's header precedes it."""
    if not flags & _ACK_TLVS:
        return ""
    text = rtnetlink.read_attributes(body, 4 + HEADER.size, len(body)).get(_ERROR_TEXT, b"")
    return text.rstrip(b"\0").decode("utf-8", "replace")


def _enlarge(opened: socket.socket) -> None:
    """Enlarge the receive buffer as far as the system grants, for many replies or events."""
    force = getattr(socket, "SO_RCVBUFFORCE", 33)
    try:
        opened.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
    except OSError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

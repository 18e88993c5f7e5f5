"""This host's routes from the kernel (rtnetlink(7)): the prefixes that have a route, and events when something changed.

    events     ROUTES     another program added or removed a route
               LINKS      an interface or an address changed
               LOST       events overflowed the buffer: anything may have changed
    dump       (prefix, whether packets for it leave or arrive) of each route but the default routes

Only the few octets needed are decoded, where pyroute2 would decode each whole route: this runs in a DNS server, a host
may have a hundred thousand routes, and questions wait meanwhile.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from enum import Flag, auto
from ipaddress import IPv4Network, IPv6Network
from struct import Struct as Layout
from struct import unpack_from

from msgspec import Struct

from dnsbridge.routes.model import Prefix

_HEADER = Layout("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_ROUTE = Layout("=BBBBBBBBI")
"""rtmsg: family, prefix length, source length, TOS, table, protocol, scope, type, flags."""
_ATTRIBUTE = Layout("=HH")
_ERROR, _DONE = 2, 3
_NEW_ROUTE, _DEL_ROUTE, _GET_ROUTE = 24, 25, 26
_LINKS = frozenset({16, 17, 20, 21})
"""RTM_NEWLINK, DELLINK, NEWADDR, DELADDR."""
_DUMP = 0x301
"""NLM_F_REQUEST, NLM_F_DUMP."""
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE."""
_DESTINATION, _TABLE = 1, 15
_UNICAST, _LOCAL = 1, 2
_CLONED = 0x200
"""RTM_F_CLONED: a cache entry (an IPv6 path MTU), no route."""
_DEAD = 0x1 | 0x10
"""RTNH_F_DEAD, RTNH_F_LINKDOWN."""
_PID_BITS = 22
"""Low bits of a netlink port that hold the process; libraries number their sockets in the other bits."""
_BUFFER = 1 << 20
_READ = 1 << 15
TABLE_MAIN, TABLE_LOCAL = 254, 255


class Event(Flag):
    """What may have changed."""

    ROUTES = auto()
    LINKS = auto()
    LOST = auto()


class TooMany(Exception):
    """There are more routes than the limit."""


class Dumped(Struct, frozen=True):
    """One route of a dump."""

    prefix: Prefix
    leads: bool
    """Packets leave by the route, or arrive (a local address); False: blackhole, unreachable, prohibit, link down."""


class KernelEvents:
    """Changes of this host's interfaces and addresses, and route changes by other processes than this one."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((0, _GROUPS))

    async def next(self) -> Event:
        """Wait for changes; returns all that came together."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._socket, ready.set)
        try:
            while True:
                await ready.wait()
                ready.clear()
                if event := self._read():
                    return event
        finally:
            loop.remove_reader(self._socket)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _read(self) -> Event:
        found = Event(0)
        while True:
            try:
                octets = self._socket.recv(_READ)
            except BlockingIOError:
                return found
            except OSError:  # ENOBUFS
                return found | Event.LOST
            found |= events(octets, os.getpid())


def events(octets: bytes, own: int) -> Event:
    """The events in a datagram of notifications, without the route changes that the process `own` made."""
    found = Event(0)
    for kind, port, body in _messages(octets):
        if kind in _LINKS:
            found |= Event.LINKS
        elif kind in (_NEW_ROUTE, _DEL_ROUTE) and port & ((1 << _PID_BITS) - 1) != own and _is_route(body):
            found |= Event.ROUTES
    return found


def _is_route(body: bytes) -> bool:
    return len(body) >= _ROUTE.size and not _ROUTE.unpack_from(body)[8] & _CLONED


async def dump(tables: frozenset[int], limit: int) -> list[Dumped]:
    """The routes of some tables. Yields to the event loop between reads. Raises OSError, and TooMany over `limit`."""
    found: list[Dumped] = []
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as asked:
        asked.bind((0, 0))
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
            asked.send(_HEADER.pack(_HEADER.size + len(request), _GET_ROUTE, _DUMP, 1, 0) + request)
            done = False
            while not done:
                for kind, _, body in _messages(await loop.sock_recv(asked, _READ)):
                    if kind == _DONE:
                        done = True
                    elif kind == _ERROR:
                        number = -unpack_from("=i", body)[0] if len(body) >= 4 else 0
                        raise OSError(number, os.strerror(number))
                    elif kind == _NEW_ROUTE and (route := _decoded(body, tables)):
                        found.append(route)
                if len(found) > limit:
                    raise TooMany(f"over {limit} routes")
                await asyncio.sleep(0)
    return found


def _messages(octets: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, port and body of each message."""
    position = 0
    while position + _HEADER.size <= len(octets):
        length, kind, _, _, port = _HEADER.unpack_from(octets, position)
        if length < _HEADER.size:
            return
        yield kind, port, octets[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def _decoded(body: bytes, tables: frozenset[int]) -> Dumped | None:
    """A route of one of the tables; None for a default route, a cache entry, or a route by source address."""
    try:
        family, bits, source, _, table, _, _, kind, flags = _ROUTE.unpack_from(body)
        if not bits or source or flags & _CLONED:
            return None
        destination = b""
        position = _ROUTE.size
        while position + _ATTRIBUTE.size <= len(body):
            length, attribute = _ATTRIBUTE.unpack_from(body, position)
            if length < _ATTRIBUTE.size:
                return None
            if attribute == _DESTINATION:
                destination = body[position + _ATTRIBUTE.size : position + length]
            elif attribute == _TABLE:
                (table,) = unpack_from("=I", body, position + _ATTRIBUTE.size)
            position += (length + 3) & ~3
        if table not in tables:
            return None
        leads = kind in (_UNICAST, _LOCAL) and not flags & _DEAD
        if family == socket.AF_INET:
            return Dumped(IPv4Network((destination, bits)), leads)
        return Dumped(IPv6Network((destination, bits)), leads)
    except (struct.error, ValueError):
        return None

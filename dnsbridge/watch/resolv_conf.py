"""A resolv.conf(5) and its changes: the addresses of its usable nameservers.

    nameserver 10.0.0.53        counts; so do IPv6 addresses, with %SCOPE if they are link-local
    any other line              is for stub resolvers alone

The file is small, so each look reads it: its content shows a change more surely than its times. A content is taken once
two looks in a row have found it, so that a file that is half written, empty or away for a moment does not count as a
change. A file that never rests is taken all the same, every MOVING_LOOKS looks. If the file names no usable server, the
servers that it named last stay in force.
"""

import logging
import os
import stat
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from dnsbridge.errors import of_system

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.25
"""Seconds between two looks, for the caller that makes them."""
MOVING_LOOKS = 4
MAX_OCTETS = 1 << 16
MAX_SERVERS = 16
"""Nameservers that are used; glibc's stub resolver takes three."""


class ResolvConf:
    """The nameservers of one file, from its first look on."""

    def __init__(self, path: Path, usable: Callable[[str], bool]) -> None:
        """`usable` says whether an address can be asked; an address of this server itself cannot."""
        self.path = path
        self.hosts: tuple[str, ...] = ()
        """The usable addresses in the file's order; if there are none now, the last ones."""
        self.problem = ""
        """Why the file is of no use at present; empty when it is of use."""
        self.left_out = 0
        """Nameservers over MAX_SERVERS."""
        self._usable = usable
        self._seen: bytes | str | None = None
        self._taken: bytes | str | None = None
        self._moving = 0
        """Looks in a row that found another content than the one taken."""

    def look(self) -> None:
        """Read the file, and take its content if it has rested; asks `usable` each time. Blocks."""
        content = _read(self.path)
        rests = content == self._seen
        self._seen = content
        self._moving = 0 if content == self._taken else self._moving + 1
        if self._taken is None or (self._moving and (rests or self._moving >= MOVING_LOOKS)):
            self._taken, self._moving = content, 0
        self._apply(self._taken)

    def _apply(self, content: bytes | str | None) -> None:
        named = parse(content) if isinstance(content, bytes) else ()
        can = [host for host in named if self._usable(host)]
        self.left_out = max(0, len(can) - MAX_SERVERS)
        hosts = tuple(can[:MAX_SERVERS])
        if isinstance(content, str):
            problem = content
        elif not named:
            problem = "has no nameserver line with an address"
        else:
            problem = "" if hosts else "names no server but this one"
        before, self.problem = self.problem, problem
        if not hosts:
            # A server in force may be this server by now: an address can move to this host.
            self.hosts = tuple(filter(self._usable, self.hosts))
            if self.hosts and problem != before:
                log.warning("%s: %s; the last servers stay in force: %s", self.path, problem, ", ".join(self.hosts))
            return
        if before and hosts == self.hosts:
            log.info("%s: names servers again, the same as before", self.path)
        self.hosts = hosts


def parse(content: bytes) -> tuple[str, ...]:
    """The addresses of the nameservers, in order, without duplicates, as canonical text."""
    found: dict[str, None] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ip_address(words[1])
        except ValueError:
            continue
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        if not address.is_unspecified:
            found[str(address)] = None
    return tuple(found)


def _read(path: Path) -> bytes | str:
    """The file's octets, or why there are none."""
    try:
        # Opening a pipe that nobody writes to would block without O_NONBLOCK.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "is not a regular file"
            content = file.read(MAX_OCTETS + 1)
    except OSError as error:
        return of_system(error)
    return content if len(content) <= MAX_OCTETS else f"has over {MAX_OCTETS} octets, so it is no resolv.conf"

"""A resolv.conf(5) and its changes: the addresses of its nameservers, as long as it has any that can be used.

    nameserver 10.0.0.53        counts; so do IPv6 addresses, with %SCOPE if they are link-local
    any other line              is for stub resolvers alone

The file is small, so each look reads it: its content says more surely than its times whether it has changed. Two looks
in a row must find the same before it is taken, so that a file which is half written, empty or away for a moment is not
taken for a change; one that never rests is taken all the same, every MOVING_LOOKS looks. A file that names no server
that can be used leaves those in force that it named last.
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
"""Seconds between two looks, for whoever makes them."""
MOVING_LOOKS = 4
MAX_OCTETS = 1 << 16
MAX_SERVERS = 16
"""Nameservers that are used; glibc's stub resolver takes three."""


class ResolvConf:
    """What one file says, from its first look on."""

    def __init__(self, path: Path, usable: Callable[[str], bool]) -> None:
        """`usable` says of an address whether it can be asked: one of this server itself cannot."""
        self.path = path
        self.hosts: tuple[str, ...] = ()
        """Addresses that can be used, in their order; the last ones that were, when there are none now."""
        self.problem = ""
        """Why the file is of no use at the moment; empty: it is."""
        self.left_out = 0
        """Nameservers over MAX_SERVERS."""
        self._usable = usable
        self._seen: bytes | str | None = None
        self._taken: bytes | str | None = None
        self._moving = 0
        """Looks since which the file has not been what was taken."""

    def look(self) -> None:
        """Read the file, and take it if it may be; what `usable` says is asked each time. Blocks."""
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
            # What was in force may be this server by now: an address can move to this host.
            self.hosts = tuple(filter(self._usable, self.hosts))
            if self.hosts and problem != before:
                log.warning("%s: %s; the last servers stay in force: %s", self.path, problem, ", ".join(self.hosts))
            return
        if before and hosts == self.hosts:
            log.info("%s: names servers again, the same as before", self.path)
        self.hosts = hosts


def parse(content: bytes) -> tuple[str, ...]:
    """The addresses of the nameservers, in order, each once and as canonical text."""
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
        # A pipe that nobody writes to would keep us waiting.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "is not a regular file"
            content = file.read(MAX_OCTETS + 1)
    except OSError as error:
        return of_system(error)
    return content if len(content) <= MAX_OCTETS else f"has over {MAX_OCTETS} octets, so it is no resolv.conf"

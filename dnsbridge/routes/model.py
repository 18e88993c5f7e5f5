"""Routes as values: the input and output of every part of the companion.

    Route        a prefix, the next hops to it, and why it is wanted
    NextHop      a router's address, or a device alone, with its weight among equals (ECMP)
    Note         something a person should know about a wanted set; the rest of the set can be used all the same
    Wanted       all routes of one place, and the notes
    Reached      the routes that a sink has after it applied a wanted set, and the failures
    Changes      the differences between two sets

Sets are tuples in the order of `order`, so sets with the same routes are equal. Where a set follows another, an
unchanged route is the same object in both, so comparing thousands costs nothing. No value can be part of a cycle, so
the garbage collector skips them (`gc=False`); a collection would delay the questions that are answered meanwhile.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from msgspec import Struct

Prefix = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address


class Kind(StrEnum):
    """What is behind a prefix."""

    POD = "pod"
    SERVICE = "service"
    EXTERNAL = "external"
    """An external or LoadBalancer address of a service."""
    DNS = "dns"
    """The cluster's own DNS server, where nothing else covers it."""


class NextHop(Struct, frozen=True, gc=False):
    """Where packets go next: an address, a device, or an address on a device."""

    address: IPAddress | None = None
    """None: the destination itself is on the device's link."""
    device: str = ""
    """Empty: whichever device reaches the address."""
    weight: int = 1
    """Share among the next hops of a route (RFC 2992), 1 to 256."""

    def __str__(self) -> str:
        via = f"via {self.address}" if self.address else ""
        device = f"dev {self.device}" if self.device else ""
        weight = f"weight {self.weight}" if self.weight != 1 else ""
        return " ".join(part for part in (via, device, weight) if part)


class Route(Struct, frozen=True, gc=False):
    """A wanted route, or a route of ours that a sink holds."""

    prefix: Prefix
    next_hops: tuple[NextHop, ...]
    """At least one, in the order of `hop_order`, none twice."""
    kind: Kind = Kind.POD
    origin: str = ""
    """The object or the table's line that the route comes from, for people: `BlockAffinity node1-10-233-98-0-24`."""
    cluster: str = ""

    @property
    def same_way(self) -> tuple[Prefix, tuple[NextHop, ...]]:
        """The part that a router sees; routes that are equal in it need no change."""
        return self.prefix, self.next_hops


class Severity(StrEnum):
    """How much a note matters."""

    INFO = "info"
    """Explains what was decided."""
    WARNING = "warning"
    """Works, but not as well as somebody may think (two sources disagree, an MTU is small)."""
    ERROR = "error"
    """Something wanted was left out, and why: the exit status is 1."""


class Note(Struct, frozen=True):
    """One line for people about a wanted set: what, where, and what to do."""

    severity: Severity
    subject: str
    """What the note is about: a prefix, a node, a cluster; empty where a table is the only source about the cluster."""
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" if self.subject else self.text


class Wanted(Struct, frozen=True):
    """All routes that one place should have."""

    routes: tuple[Route, ...] = ()
    """In the order of `order`; one for each prefix."""
    notes: tuple[Note, ...] = ()


class Failure(Struct, frozen=True):
    """One route that a sink could not set or remove."""

    prefix: Prefix
    problem: str
    """What went wrong and what to do, in one line."""
    conflict: bool = False
    """Whether somebody else's route is in the way."""


class Reached(Struct, frozen=True):
    """The routes that a sink holds after it applied a wanted set, and the failures."""

    routes: tuple[Route, ...] = ()
    failures: tuple[Failure, ...] = ()


def order(prefix: Prefix) -> tuple[int, int, int]:
    """IPv4 first, by address, the shorter prefix first."""
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def hop_order(hop: NextHop) -> tuple[int, int, str]:
    """By address, then by device; next hops with a device alone come first."""
    return (hop.address.version, int(hop.address), hop.device) if hop.address else (0, 0, hop.device)


def in_order(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Routes in the order of their prefixes."""
    return tuple(sorted(routes, key=lambda route: order(route.prefix)))


class Changes(Struct, frozen=True):
    """The way from one set to another; a changed route is in both lists."""

    gone: list[Route]
    come: list[Route]
    now: tuple[Route, ...]
    """The second set; a route that is equal in both is the first set's object."""


STRIDE = 256
"""Routes that are compared at once."""


def changes(before: Sequence[Route], after: Sequence[Route]) -> Changes:
    """The differences between two ordered sets. For unordered sets, the result may list more than differs."""
    before, after = tuple(before), tuple(after)
    gone, come, now = list[Route](), list[Route](), list[Route]()
    at, to = 0, 0
    while at < len(before) and to < len(after):
        same = before[at : at + STRIDE]
        if same == after[to : to + STRIDE]:
            now += same
            at, to = at + STRIDE, to + STRIDE
            continue
        while at < len(before) and to < len(after) and before[at] == after[to]:
            now.append(before[at])
            at, to = at + 1, to + 1
        if at == len(before) or to == len(after):
            break
        old, new = order(before[at].prefix), order(after[to].prefix)
        if old <= new:
            gone.append(before[at])
            at += 1
        if new <= old:
            come.append(after[to])
            now.append(after[to])
            to += 1
    return Changes([*gone, *before[at:]], [*come, *after[to:]], (*now, *after[to:]))


def covers(prefix: Prefix, inner: Prefix) -> bool:
    """Whether a prefix contains another or equals it."""
    return prefix.version == inner.version and prefix.prefixlen <= inner.prefixlen and inner.network_address in prefix

"""Routes as values: what every part of the companion takes and gives.

    Route        a prefix, the next hops to it, and why it is wanted
    NextHop      a router's address, or a device alone, with its weight among equals (ECMP)
    Note         something a person should know about a wanted set, none of which keeps the rest from being used
    Wanted       the whole set for one place, and the notes
    Reached      what a sink has after it was given a wanted set, and what it could not do
    Changes      what differs between two sets

Sets are tuples in the order of `order`, so two that say the same are equal. Where a set follows another, a route that
is as it was is the very object that it was, so that to compare thousands costs nothing. None can be part of a cycle, so
the garbage collector need not look at them (`gc=False`): it would keep questions waiting that are answered meanwhile.
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
    """Where packets go next. Neither field empty in both: an address, a device, or an address on a device."""

    address: IPAddress | None = None
    """None: the destination itself is on the device's link."""
    device: str = ""
    """Empty: the device by which the address is reached."""
    weight: int = 1
    """Share among the next hops of a route (RFC 2992), 1 to 256."""

    def __str__(self) -> str:
        via = f"via {self.address}" if self.address else ""
        device = f"dev {self.device}" if self.device else ""
        weight = f"weight {self.weight}" if self.weight != 1 else ""
        return " ".join(part for part in (via, device, weight) if part)


class Route(Struct, frozen=True, gc=False):
    """A route that is wanted, or that a sink holds of ours."""

    prefix: Prefix
    next_hops: tuple[NextHop, ...]
    """At least one, in the order of `hop_order`, none twice."""
    kind: Kind = Kind.POD
    origin: str = ""
    """The object or the table's line that says so, for people: `BlockAffinity node1-10-233-98-0-24`."""
    cluster: str = ""

    @property
    def same_way(self) -> tuple[Prefix, tuple[NextHop, ...]]:
        """What a router sees of it; routes equal in this need no change."""
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
    """A prefix, a node, a cluster: what it is about; empty where a table is all that is known of the cluster."""
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
    """What, and what to do, in one line."""


class Reached(Struct, frozen=True):
    """What a sink holds after it took a wanted set over."""

    routes: tuple[Route, ...] = ()
    failures: tuple[Failure, ...] = ()


def order(prefix: Prefix) -> tuple[int, int, int]:
    """IPv4 first, by address, the shorter prefix first."""
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def hop_order(hop: NextHop) -> tuple[int, int, str]:
    """By address, then by device; those with a device alone first."""
    return (hop.address.version, int(hop.address), hop.device) if hop.address else (0, 0, hop.device)


def in_order(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Routes in the order of their prefixes."""
    return tuple(sorted(routes, key=lambda route: order(route.prefix)))


class Changes(Struct, frozen=True):
    """From one set to another; a route that changes is in both lists."""

    gone: list[Route]
    come: list[Route]
    now: tuple[Route, ...]
    """The other set, where what is equal is the object of the one."""


STRIDE = 256
"""Routes that are compared at once."""


def changes(before: Sequence[Route], after: Sequence[Route]) -> Changes:
    """What differs between two sets in order; of sets that are in none more may be said to differ than does."""
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
    """Whether a prefix holds another, or is the same."""
    return prefix.version == inner.version and prefix.prefixlen <= inner.prefixlen and inner.network_address in prefix

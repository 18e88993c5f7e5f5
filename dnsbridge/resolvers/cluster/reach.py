"""Reachability of answers: compares the addresses in an answer with the routes that are known here.

    Reach      prefixes with a route, and prefixes known to lead nowhere; the longest matching prefix decides
    judge      finds unrouted addresses in RRsets; `omit` leaves them out where a routed address remains
    Unrouted   the body of an answer that holds, or left out, an unrouted address; counted each time it is sent

Addresses are compared when an answer is composed. A prepared answer costs nothing more, unless it is counted, and is
dropped when the reach changes.
"""

from collections.abc import Iterable, Sequence

import msgspec

from dnsbridge.wire import addresses, edns
from dnsbridge.wire.addresses import Network
from dnsbridge.wire.compose import Body, RRset, octets, weight
from dnsbridge.wire.constants import ExtendedError, Type

_ADDRESSES = frozenset({int(Type.A), int(Type.AAAA)})


class Reach:
    """Where routes lead. An address in no prefix is not reached: the default route proves nothing."""

    def __init__(self, reached: Iterable[Network], nowhere: Iterable[Network] = ()) -> None:
        self.reached = frozenset(reached)
        self.nowhere = frozenset(nowhere) - self.reached
        self._by_length: dict[int, list[tuple[int, dict[int, bool]]]] = {}
        """By the octets of an address (4 or 16): bits to shift away and the prefixes so shifted, the longest first."""
        found: dict[tuple[int, int], dict[int, bool]] = {}
        for networks, leads in ((self.nowhere, False), (self.reached, True)):
            for network in networks:
                shift = network.max_prefixlen - network.prefixlen
                key = network.max_prefixlen // 8, shift
                found.setdefault(key, {})[int(network.network_address) >> shift] = leads
        for (size, shift), held in sorted(found.items()):
            self._by_length.setdefault(size, []).append((shift, held))

    def leads_to(self, packed: bytes) -> bool:
        """Whether there is a route to an address."""
        number = int.from_bytes(packed, "big")
        for shift, held in self._by_length.get(len(packed), ()):
            leads = held.get(number >> shift)
            if leads is not None:
                return leads
        return False


class Judged(msgspec.Struct, frozen=True):
    """The result of `judge`."""

    rrsets: tuple[RRset, ...]
    """The RRsets to answer with."""
    example: bytes = b""
    """A packed address without a route; empty: all have a route."""
    lost: bool = False
    """An RRset has no address with a route."""


def judge(rrsets: Sequence[RRset], reach: Reach, omit: bool) -> Judged:
    """Compare every address in RRsets with the reach."""
    kept: list[RRset] = []
    example = b""
    lost = False
    for rrset in rrsets:
        answered = rrset
        if rrset.rtype in _ADDRESSES:
            routed = tuple([data for data in rrset.data if reach.leads_to(data)])
            if len(routed) < len(rrset.data):
                example = example or next(data for data in rrset.data if data not in routed)
                lost = lost or not routed
                if omit and routed:
                    answered = msgspec.structs.replace(rrset, data=routed)
        kept.append(answered)
    return Judged(tuple(kept), example, lost)


class UnroutedCounts:
    """Counts of one cluster's answers with unrouted addresses."""

    __slots__ = ("answers", "example")

    def __init__(self) -> None:
        self.answers = 0
        self.example = b""
        """The packed unrouted address in the last such answer; empty: there was none."""


class Unrouted:
    """A body that is counted each time it is sent (see wire.compose.Varying)."""

    __slots__ = ("body", "counts", "example", "lost")

    def __init__(self, body: Body, counts: UnroutedCounts, example: bytes, lost: bool) -> None:
        self.body = body
        self.counts = counts
        self.example = example
        self.lost = lost

    @property
    def weight(self) -> int:
        """Octets that it holds."""
        return weight(self.body)

    def octets(self) -> bytes:
        """The body as it is sent now, counted."""
        self.counts.answers += 1
        self.counts.example = self.example
        return octets(self.body)

    def around(self, body: Body) -> "Unrouted":
        """The same for the body of an answer that holds this one's records."""
        return Unrouted(body, self.counts, self.example, self.lost)


def extended_error(example: bytes) -> bytes:
    """The extended error for an answer whose addresses have no route.

    Other (0): no code of RFC 8914 says that the answer is right but its addresses are out of reach. No Reachable
    Authority (22) and Network Error (23) are about servers that were asked, and here none was asked.
    """
    return edns.extended_error(ExtendedError.OTHER, f"no route from here to {addresses.text(example)}")

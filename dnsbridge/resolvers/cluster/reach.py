"""Answer and route coupled: which addresses in an answer can be reached, by the routes that are known here.

    Reach      prefixes with a route, and those that are known to lead nowhere; looked up by the longest prefix
    judge      what of some record sets is unrouted; `omit` leaves that out where something routed remains
    Unrouted   the body of an answer that holds, or left out, such an address: it counts each time that it is sent

All of it happens when an answer is composed. A prepared answer costs nothing more, unless it is one to be counted, and
is dropped when the reach changes.
"""

from collections.abc import Iterable, Sequence

import msgspec

from dnsbridge.wire import addresses, edns
from dnsbridge.wire.addresses import Network
from dnsbridge.wire.compose import Body, RRset, octets, weight
from dnsbridge.wire.constants import ExtendedError, Type

_ADDRESSES = frozenset({int(Type.A), int(Type.AAAA)})


class Reach:
    """Where routes lead. What stands in no prefix is not reached: the default route proves nothing."""

    def __init__(self, reached: Iterable[Network], nowhere: Iterable[Network] = ()) -> None:
        self.reached = frozenset(reached)
        self.nowhere = frozenset(nowhere) - self.reached
        self._by_length: dict[int, list[tuple[int, dict[int, bool]]]] = {}
        """By octets of an address: bits to shift away, and the prefixes so shifted; the longest prefix first."""
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
    """What was found in record sets."""

    rrsets: tuple[RRset, ...]
    """As they are to be answered."""
    example: bytes = b""
    """An address without a route; empty: all have one."""
    lost: bool = False
    """A set holds nothing else."""


def judge(rrsets: Sequence[RRset], reach: Reach, omit: bool) -> Judged:
    """Look at every address in record sets."""
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
    """What is known of one cluster's answers without a route."""

    __slots__ = ("answers", "example")

    def __init__(self) -> None:
        self.answers = 0
        self.example = b""
        """The packed address in the last of them; empty: there was none."""


class Unrouted:
    """A body to be counted (see wire.compose.Varying)."""

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
        """The same of an answer that holds this one's records."""
        return Unrouted(body, self.counts, self.example, self.lost)


def extended_error(example: bytes) -> bytes:
    """The extended error of an answer whose addresses have no route.

    Other (0): of the codes of RFC 8914 none says that the answer is right and its addresses are out of reach; No
    Reachable Authority (22) and Network Error (23) speak of servers that were asked, and here none was.
    """
    return edns.extended_error(ExtendedError.OTHER, f"no route from here to {addresses.text(example)}")

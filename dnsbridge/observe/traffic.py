"""What came and went over one transport and address family: plain integers, which a scrape adds up (see counters).

A prepared answer is counted by its kind (zone, type and source), a number that is kept beside it: the hot path adds one
to one integer for each answer. Sizes are counted likewise; the scrape puts them into buckets.
"""

from typing import NamedTuple

from dnsbridge.observe.histogram import Sizes

RCODES = 16
"""Of a header's four bits."""
OTHER = 0
"""In place of a type that has no label of its own, so that a client cannot make more counters."""


class Kind(NamedTuple):
    """What prepared answers are counted by."""

    zone: str
    """See resolvers.router.Router.zone_of."""
    rtype: int
    """A type with a label of its own, or OTHER."""
    source: str
    """See resolvers.resolver.Source."""


class Traffic:
    """The counts of one transport and address family."""

    __slots__ = ("asked", "family", "prepared", "received", "requests", "responses", "stream", "transport")

    def __init__(self, transport: str, family: str, kinds: int) -> None:
        """`kinds` is how many kinds there are so far."""
        self.transport = transport
        """`udp` or `tcp`."""
        self.family = family
        """`ipv4` or `ipv6`."""
        self.stream = transport != "udp"
        self.received = 0
        """Messages, whatever they hold."""
        self.asked: dict[tuple[str, int], int] = {}
        """Questions without a prepared answer, by zone and type."""
        self.prepared = [[0] * kinds for _ in range(RCODES)]
        """Prepared answers, by RCODE and by the number of their kind."""
        self.requests = Sizes()
        """Messages that came."""
        self.responses = Sizes()
        """Answers that went."""

    def ask(self, zone: str, rtype: int) -> None:
        """Count a question without a prepared answer."""
        key = zone, rtype
        self.asked[key] = self.asked.get(key, 0) + 1

"""Response rate limiting: keeps this server from reflecting the answers to forged questions at a victim.

Equal responses to one network (IPv4 /24, IPv6 /56) share an allowance per second. Over the allowance every other
response goes out truncated, as small as its question, so a real client in that network asks again over TCP, where
addresses cannot be forged. The rest is not sent.

    an answer with records            equal when name and type are equal
    no data, no such name, an error   equal when the RCODE is equal, so random names do not evade the limit

Time is an argument, in monotonic seconds.
"""

from enum import Enum

from cachetools import LRUCache
from msgspec import Struct

from dnsbridge.wire.compose import Sections, compose, octets
from dnsbridge.wire.constants import TC
from dnsbridge.wire.query import Query, parse

PER_SECOND = 20
"""The default allowance of a network: stub resolvers without a cache do repeat their questions."""
MAX_ALLOWANCES = 20_000


class Response(Enum):
    """What happens to a response."""

    SENT = "sent"
    TRUNCATED = "truncated"
    DROPPED = "dropped"


class _Allowance(Struct, gc=False):
    left: float
    at: float
    """When `left` was computed."""
    excess: int = 0
    """Responses over the allowance, in a row."""


class ResponseRate:
    """The allowances of all networks. Counters only grow."""

    def __init__(self, per_second: int, max_allowances: int = MAX_ALLOWANCES) -> None:
        """`per_second` is also the burst: so many responses may go at once."""
        self.evicted = 0
        """Allowances forgotten because there were too many, the least recently used first."""
        self._per_second = per_second
        # Keyed by hash: names are long, and a collision costs only an answer over TCP.
        self._allowances: LRUCache[int, _Allowance] = LRUCache(max_allowances)

    def response(self, address: bytes, body: bytes, now: float) -> Response:
        """What happens to a response to a packed address; `body` is the message after its ID."""
        key = hash((address[: 3 if len(address) == 4 else 7], _kind(body)))
        allowance = self._allowances.get(key)
        if allowance is None:
            self.evicted += len(self._allowances) >= self._allowances.maxsize
            allowance = self._allowances[key] = _Allowance(self._per_second, now)
        else:
            allowance.left = min(allowance.left + (now - allowance.at) * self._per_second, self._per_second)
            allowance.at = now
        if allowance.left >= 1:
            allowance.left -= 1
            allowance.excess = 0
            return Response.SENT
        allowance.excess += 1
        return Response.TRUNCATED if allowance.excess % 2 else Response.DROPPED


def truncated(message: bytes) -> bytes | None:
    """A body that only tells the client to ask again over TCP; None when the message has no valid question."""
    query = parse(message)
    if not isinstance(query, Query):
        return None
    body = octets(compose(query, Sections(authoritative=False)))
    return bytes((body[0] | TC >> 8,)) + body[1:]


def _kind(body: bytes) -> bytes:
    """What makes responses equal: the RCODE, or the question if there are records. Offsets are two less: no ID."""
    rcode = body[1] & 15
    if rcode or body[4:6] == b"\0\0":
        return bytes((rcode,))
    end = body.find(0, 10) + 1
    return body[10:end].lower() + body[end : end + 2]

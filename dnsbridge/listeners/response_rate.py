"""Response rate limiting: what keeps this server from being a mirror that throws forged questions' answers at a victim.

Equal responses to one network (/24, /56 of IPv6) share an allowance of so many a second. Over it every other one goes
out truncated, as small as its question, so that a real client behind that network asks again over TCP, where addresses
cannot be forged; the rest is not sent.

    an answer with records            equal when name and type are
    no data, no such name, an error   equal when the RCODE is, so names made up at random do not get round it

Time is an argument, in monotonic seconds.
"""

from enum import Enum

from cachetools import LRUCache
from msgspec import Struct

from dnsbridge.wire.compose import Sections, compose, octets
from dnsbridge.wire.constants import TC
from dnsbridge.wire.query import Query, parse

PER_SECOND = 20
"""What a network has unless configured otherwise: stub resolvers without a cache do repeat themselves."""
MAX_ALLOWANCES = 20_000


class Response(Enum):
    """What becomes of a response."""

    SENT = "sent"
    TRUNCATED = "truncated"
    DROPPED = "dropped"


class _Allowance(Struct, gc=False):
    left: float
    at: float
    """When `left` was reckoned."""
    excess: int = 0
    """Responses over it, in a row."""


class ResponseRate:
    """The allowances. Counters only grow."""

    def __init__(self, per_second: int, max_allowances: int = MAX_ALLOWANCES) -> None:
        """As many may come at once as in a second."""
        self.evicted = 0
        """Allowances forgotten because there were too many: the one used least recently."""
        self._per_second = per_second
        # By hash: names are long, and two that are mistaken for each other cost an answer over TCP.
        self._allowances: LRUCache[int, _Allowance] = LRUCache(max_allowances)

    def response(self, address: bytes, body: bytes, now: float) -> Response:
        """What becomes of a response, a message after its ID, to a packed address."""
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
    """The body that says no more than to ask again over TCP; None when there is no question to say it to."""
    query = parse(message)
    if not isinstance(query, Query):
        return None
    body = octets(compose(query, Sections(authoritative=False)))
    return bytes((body[0] | TC >> 8,)) + body[1:]


def _kind(body: bytes) -> bytes:
    """What makes responses equal: the RCODE, or the question of one with records. Without ID offsets are two less."""
    rcode = body[1] & 15
    if rcode or body[4:6] == b"\0\0":
        return bytes((rcode,))
    end = body.find(0, 10) + 1
    return body[10:end].lower() + body[end : end + 2]

"""dnstap messages, as octets of Protocol Buffers: a question of a client and its answer.

The schema is dnstap.proto of dnstap.info. Of Protocol Buffers only three kinds of field are needed: a varint, octets
with their length, and 32 bits. Of the libraries for this, protobuf is larger than this program, and none of the small
ones is maintained and typed.
"""

from functools import lru_cache
from struct import Struct as Layout

CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
"""What a stream of these messages calls itself (see frame_streams)."""

_SECOND = 1_000_000_000
_fixed32 = Layout("<I").pack
_SMALL = [bytes([value]) for value in range(128)]


def _varint(value: int) -> bytes:
    if value < 128:
        return _SMALL[value]
    if value < 1 << 14:
        return bytes((value & 127 | 128, value >> 7))
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


_seconds = lru_cache(2)(_varint)


def _number(field: int) -> bytes:
    """The tag of a varint."""
    return _varint(field << 3)


def _octets(field: int) -> bytes:
    """The tag of octets, which follow their length."""
    return _varint(field << 3 | 2)


def _short(field: int) -> bytes:
    """The tag of 32 bits."""
    return _varint(field << 3 | 5)


_CLIENT_QUERY = _number(1) + _varint(5)
_CLIENT_RESPONSE = _number(1) + _varint(6)
_ENDS = {
    (size, stream): b"".join(
        (_number(2), _varint(family), _number(3), _varint(2 if stream else 1), _octets(4), _varint(size))
    )
    for size, family in ((4, 1), (16, 2))
    for stream in (False, True)
}
"""The fields before the client's address: the address family, and TCP or UDP."""
_RESPONSE_ADDRESS, _QUERY_PORT, _RESPONSE_PORT = _octets(5), _number(6), _number(7)
_QUERY_SECONDS, _QUERY_NANOSECONDS, _QUERY = _number(8), _short(9), _octets(10)
_RESPONSE_SECONDS, _RESPONSE_NANOSECONDS, _RESPONSE = _number(12), _short(13), _octets(14)
_MESSAGE = _octets(14)


class Encoder:
    """Encodes exchanges with clients, as one server."""

    def __init__(self, identity: str, version: str) -> None:
        start = [(1, identity.encode()), (2, version.encode())]
        fields = [_octets(field) + _varint(len(value)) + value for field, value in start]
        self._start = b"".join(fields) + _number(15) + _varint(1) + _MESSAGE

    def exchange(
        self,
        stream: bool,
        client: tuple[bytes, int],
        server: tuple[bytes, int],
        query: tuple[int, bytes],
        response: tuple[int, bytes],
    ) -> tuple[bytes, bytes]:
        """A CLIENT_QUERY and its CLIENT_RESPONSE.

        `client` and `server` are packed addresses with ports; an empty address of the server is unknown. `query` and
        `response` are times in Unix nanoseconds with whole messages.
        """
        asked_at, question = query
        answered_at, answer = response
        both = b"".join(
            (
                _ENDS[len(client[0]), stream],
                client[0],
                _RESPONSE_ADDRESS + _varint(len(server[0])) + server[0] if server[0] else b"",
                _QUERY_PORT,
                _varint(client[1]),
                _RESPONSE_PORT,
                _varint(server[1]),
                _QUERY_SECONDS,
                _seconds(asked_at // _SECOND),
                _QUERY_NANOSECONDS,
                _fixed32(asked_at % _SECOND),
            )
        )
        asked = b"".join((_CLIENT_QUERY, both, _QUERY, _varint(len(question)), question))
        answered = b"".join(
            (
                _CLIENT_RESPONSE,
                both,
                _RESPONSE_SECONDS,
                _seconds(answered_at // _SECOND),
                _RESPONSE_NANOSECONDS,
                _fixed32(answered_at % _SECOND),
                _RESPONSE,
                _varint(len(answer)),
                answer,
            )
        )
        start = self._start
        return b"".join((start, _varint(len(asked)), asked)), b"".join((start, _varint(len(answered)), answered))

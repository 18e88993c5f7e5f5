"""Frame Streams, the transport of dnstap: data frames between control frames, as octets.

    data frame      length | data                             lengths and numbers: 4 octets, big-endian
    control frame   0 | length | kind | fields                a field: kind | length | value

    to a file       START, data ..., STOP
    to a reader     READY, then ACCEPT from the reader, START, data ..., STOP, then FINISH from the reader

Source: the fstrm library's description of control frames.
"""

from enum import IntEnum
from struct import Struct as Layout

MAX_CONTROL = 512
"""Octets of a control frame at most."""
PREFIX = 8
"""Octets of a control frame before its kind: an escape of zeros, and the length."""

_CONTENT_TYPE = 1
_number = Layout("!I").pack
_prefix = Layout("!II")


class Control(IntEnum):
    """The kinds of control frames."""

    ACCEPT = 1
    START = 2
    STOP = 3
    READY = 4
    FINISH = 5


def data(octets: bytes) -> bytes:
    """A data frame."""
    return _number(len(octets)) + octets


def control(kind: Control, content_type: bytes = b"") -> bytes:
    """A control frame, with the content type if there is one."""
    field = _number(_CONTENT_TYPE) + _number(len(content_type)) + content_type if content_type else b""
    return _prefix.pack(0, 4 + len(field)) + _number(kind) + field


def control_size(prefix: bytes) -> int | None:
    """The octets of a control frame after its prefix; None if it is none, or too long."""
    escape, size = _prefix.unpack(prefix)
    return size if not escape and 4 <= size <= MAX_CONTROL else None


def control_kind(rest: bytes) -> int:
    """The kind of a control frame, from its octets after the prefix."""
    return int.from_bytes(rest[:4], "big")

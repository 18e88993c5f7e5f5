"""EDNS: reading and writing OPT records and their options (RFC 6891, 7828, 8914).

OPT on the wire: 00 | 0029 | UDP size (2) | extended RCODE, version (1, 1) | DO and zero bits (2) | length (2) | options
option:          code (2) | length (2) | data
"""

from struct import Struct as Layout

import msgspec

from dnsbridge.wire.constants import ADVERTISED_UDP_SIZE, ExtendedError, Option

_OPT = Layout("!BHHBBHH")
_OPTION = Layout("!HH")

OPT_SIZE = 11
"""Octets of an OPT record without options."""
DO = 0x8000

HOP_BY_HOP = frozenset({Option.COOKIE, Option.TCP_KEEPALIVE, Option.PADDING})
"""Options that concern one connection and are never forwarded (RFC 7873, 7828, 7830)."""


class Edns(msgspec.Struct, frozen=True, gc=False):
    """The OPT record of a message."""

    start: int
    """Offset of the record in its message."""
    end: int
    """Offset of the first octet after the record."""
    udp_size: int
    version: int
    dnssec_ok: bool
    options: bytes
    """The options as they came, checked to be well-formed."""

    def has_option(self, code: int) -> bool:
        """Whether there is an option with this code."""
        return bool(self.options) and any(found == code for found, _ in split_options(self.options))


def read(message: bytes, start: int, end: int) -> Edns | None:
    """The OPT record from `start` (its owner, the root's zero octet) to `end`; None if its options are broken."""
    _, _, udp_size, _, version, flags, _ = _OPT.unpack_from(message, start)
    options = message[start + OPT_SIZE : end]
    position = 0
    while position < len(options):
        if position + 4 > len(options):
            return None
        position += 4 + _OPTION.unpack_from(options, position)[1]
    if position != len(options):
        return None
    return Edns(start, end, udp_size, version, bool(flags & DO), options)


def without_options(message: bytes, start: int, end: int) -> Edns:
    """The fixed part of an OPT record; its owner and options are ignored. `start` is the octet before its type."""
    _, _, udp_size, _, version, flags, _ = _OPT.unpack_from(message, start)
    return Edns(start, end, udp_size, version, bool(flags & DO), b"")


def split_options(options: bytes) -> list[tuple[int, bytes]]:
    """Well-formed options as (code, data)."""
    found = []
    position = 0
    while position < len(options):
        code, length = _OPTION.unpack_from(options, position)
        position += 4
        found.append((code, options[position : position + length]))
        position += length
    return found


def extended_errors(options: bytes) -> list[bytes]:
    """The extended error options among well-formed options (RFC 8914), each as it came."""
    return [option(code, data) for code, data in split_options(options) if code == Option.EXTENDED_ERROR]


def record(
    dnssec_ok: bool, options: bytes = b"", extended_rcode: int = 0, udp_size: int = ADVERTISED_UDP_SIZE
) -> bytes:
    """An OPT record; `extended_rcode` is the upper eight bits of the RCODE."""
    return _OPT.pack(0, 41, udp_size, extended_rcode, 0, DO if dnssec_ok else 0, len(options)) + options


def option(code: int, data: bytes) -> bytes:
    """One option."""
    return _OPTION.pack(code, len(data)) + data


def extended_error(code: ExtendedError, text: str = "") -> bytes:
    """The extended error option (RFC 8914 section 2)."""
    return option(Option.EXTENDED_ERROR, code.to_bytes(2, "big") + text.encode())


def keepalive(seconds: float) -> bytes:
    """The TCP keepalive option of an answer (RFC 7828 section 3.1): the idle timeout, in units of 100 ms."""
    return option(Option.TCP_KEEPALIVE, min(int(seconds * 10), 0xFFFF).to_bytes(2, "big"))

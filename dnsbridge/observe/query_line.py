"""One line about an exchange, for people or as JSON. Pure.

    console   2026-01-31T12:00:00.123Z 10.0.0.7#5353 udp web.shop.svc.cluster.local. A NOERROR 61 octets 0.08 ms
    json      {"time": ..., "client": ..., "port": ..., "transport": "udp" or "tcp", "name": ..., "type": ...,
              "rcode": ..., "octets": of the answer, "seconds": from question to answer}

Octets of a name that are not plain are escaped as in a master file, so no name breaks out of its line. A message whose
question cannot be read has an empty name and type.
"""

from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop

import msgspec

from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.log import Format, rfc3339
from dnsbridge.wire import name as names
from dnsbridge.wire import whole_message
from dnsbridge.wire.constants import HEADER_SIZE, Class, Rcode, Type
from dnsbridge.wire.presentation import type_to_text
from dnsbridge.wire.query import name_end

_RCODES = {int(each): each.name for each in Rcode}
_SECOND = 1_000_000_000


class _Line(msgspec.Struct):
    time: str
    client: str
    port: int
    transport: str
    name: str
    type: str
    rcode: str
    octets: int
    seconds: float


def query_line(form: Format, exchange: Exchange) -> bytes:
    """The line, with its end."""
    name, rtype = _question(exchange.query)
    rcode = _rcode(exchange.response)
    line = _Line(
        rfc3339(exchange.asked_at // 1_000_000),
        inet_ntop(AF_INET if len(exchange.client) == 4 else AF_INET6, exchange.client),
        exchange.client_port,
        "tcp" if exchange.stream else "udp",
        name,
        rtype,
        _RCODES.get(rcode, f"RCODE{rcode}"),
        len(exchange.response),
        # The wall clock may be set back meanwhile.
        max(0, exchange.answered_at - exchange.asked_at) / _SECOND,
    )
    if form == "json":
        return msgspec.json.encode(line) + b"\n"
    return (
        f"{line.time} {line.client}#{line.port} {line.transport} {line.name or '-'} {line.type or '-'} {line.rcode}"
        f" {line.octets} octets {line.seconds * 1000:.2f} ms\n"
    ).encode()


def _question(message: bytes) -> tuple[str, str]:
    """The name and type of a message's first question; both empty if there is none, or it is broken."""
    end = name_end(message, HEADER_SIZE)
    if not end or end + 4 > len(message) or message[4:6] == b"\0\0":
        return "", ""
    return _texts(message[HEADER_SIZE:end], message[end : end + 4])


@lru_cache(10_000)
def _texts(name: bytes, rest: bytes) -> tuple[str, str]:
    """A name, and its type with any class but IN."""
    rtype = type_to_text(int.from_bytes(rest[:2], "big"))
    rclass = int.from_bytes(rest[2:], "big")
    if rclass != Class.IN:
        rtype = f"{'CH' if rclass == Class.CH else f'CLASS{rclass}'} {rtype}"
    return names.to_text(name), rtype


def _rcode(response: bytes) -> int:
    """The whole RCODE, of which an OPT record may hold the upper bits (RFC 6891 section 6.1.3)."""
    low = response[3] & 15
    if low or response[6:8] != b"\0\0":
        return low  # of the RCODEs over 15, answers of this program have only BADVERS, and then no records
    found = whole_message.records(response)
    if isinstance(found, whole_message.Broken):
        return low
    return low | next((each.ttl >> 24 << 4 for each in found if each.rtype == Type.OPT), 0)

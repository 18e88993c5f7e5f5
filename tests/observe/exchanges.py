"""Exchanges that are numbered, for tests of what writes them."""

from dnsbridge.observe.exchange import Exchange


def numbered(count: int, size: int = 12) -> list[Exchange]:
    """So many exchanges, from port 0 on; `size` octets of each message."""
    return [Exchange(False, b"\x0a\0\0\1", port, b"", 53, 0, bytes(size), 0, bytes(size)) for port in range(count)]


def line(exchange: Exchange) -> bytes:
    """A line with the number."""
    return b"line %d\n" % exchange.client_port


def lines(numbers: range) -> bytes:
    """The lines of these."""
    return b"".join(b"line %d\n" % number for number in numbers)

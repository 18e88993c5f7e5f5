"""Packed addresses (4 or 16 octets) as labels, reverse names and prefixes.

10.0.0.1   10-0-0-1   1.0.0.10.in-addr.arpa.                   (RFC 1035 section 3.5)
fd00::1    fd00--1    1.0.0.0 ... 0.0.d.f.ip6.arpa.            (RFC 3596 section 2.5)
::1        0--1       a leading or trailing dash gets a 0: a label neither starts nor ends with one
"""

from collections.abc import Iterable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_network,
)

import msgspec

from dnsbridge.wire import name as names

IN_ADDR = b"\x07in-addr\x04arpa\x00"
IP6 = b"\x03ip6\x04arpa\x00"
_HEX = b"0123456789abcdef"
_SPELLING = frozenset(_HEX + b"-")
_OCTETS = [names.from_labels(b"%d" % octet) for octet in range(256)]
"""Each octet as a decimal label; made once, because every endpoint has a reverse name."""

Network = IPv4Network | IPv6Network


def text(address: bytes) -> str:
    """The address as people write it (IPv6: RFC 5952)."""
    return str(IPv4Address(address) if len(address) == 4 else IPv6Address(address))


def to_label(address: bytes) -> bytes:
    """The address with dashes, as a label."""
    if len(address) == 4:
        return b"%d-%d-%d-%d" % tuple(address)
    dashed = IPv6Address(address).compressed.replace(":", "-")
    return f"{'0' if dashed[0] == '-' else ''}{dashed}{'0' if dashed[-1] == '-' else ''}".encode()


def from_label(label: bytes) -> bytes | None:
    """The address that a folded label with dashes spells; None if it spells none."""
    # Without this the standard library would also accept colons, dots after colons, and an IPv6 scope.
    if not _SPELLING.issuperset(label):
        return None
    spelled = label.decode("latin-1")
    try:
        if spelled.count("-") == 3 and "--" not in spelled:
            return IPv4Address(spelled.replace("-", ".")).packed
        return IPv6Address(spelled.replace("-", ":")).packed
    except AddressValueError:
        return None


def reverse_name(address: bytes) -> bytes:
    """The owner of this address's PTR records."""
    if len(address) == 4:
        first, second, third, fourth = address
        return _OCTETS[fourth] + _OCTETS[third] + _OCTETS[second] + _OCTETS[first] + IN_ADDR
    return b"".join([b"\x01%c" % digit for digit in address.hex().encode()[::-1]]) + IP6


class ReversePrefix(msgspec.Struct, frozen=True):
    """The prefix that a name below in-addr.arpa or ip6.arpa spells."""

    packed: bytes
    """The address, with zero bits after the prefix."""
    bits: int
    """Length of the prefix: a multiple of 8 (IPv4) or 4 (IPv6)."""
    whole: bool
    """Whether the prefix is the whole name; otherwise further labels stand left of it that spell no address."""


def reverse_prefix(folded: bytes) -> ReversePrefix | None:
    """The prefix that a reverse name spells; None for a name that is not below in-addr.arpa or ip6.arpa."""
    if folded.endswith(IN_ADDR):
        suffix, size, step = IN_ADDR, 4, 8
    elif folded.endswith(IP6):
        suffix, size, step = IP6, 16, 4
    else:
        return None
    if not names.is_below(folded, suffix):
        return None
    spelled = names.labels(folded[: -len(suffix)])
    values: list[int] = []
    for label in reversed(spelled):
        value = _octet(label) if step == 8 else _nibble(label)
        if value < 0 or len(values) * step == size * 8:
            break
        values.append(value)
    number = 0
    for value in values:
        number = number << step | value
    bits = len(values) * step
    packed = (number << (size * 8 - bits)).to_bytes(size, "big")
    return ReversePrefix(packed, bits, len(values) == len(spelled))


def _octet(label: bytes) -> int:
    if not label.isdigit() or len(label) > 3 or (len(label) > 1 and label[0] == 0x30):
        return -1
    value = int(label)
    return value if value < 256 else -1


def _nibble(label: bytes) -> int:
    return _HEX.find(label) if len(label) == 1 else -1


def owning_prefix(prefix: ReversePrefix, networks: tuple[Network, ...]) -> int | None:
    """Prefix length of the reverse zone that holds this prefix; None if no network contains the prefix.

    A network whose length is not at a label boundary is split into zones at the next boundary, and no more than
    these: 10.233.0.0/18 is 64 zones of /24, 10.0.0.0/26 is 64 zones of /32.
    """
    size = len(prefix.packed)
    step = 8 if size == 4 else 4
    number = int.from_bytes(prefix.packed, "big")
    found = None
    for network in networks:
        if network.version != (4 if size == 4 else 6):
            continue
        zone_bits = -(-network.prefixlen // step) * step
        if prefix.bits < zone_bits:
            continue
        shift = size * 8 - network.prefixlen
        if number >> shift == int(network.network_address) >> shift:
            found = zone_bits if found is None else min(found, zone_bits)
    return found


def reverse_zone(prefix: ReversePrefix, bits: int) -> bytes:
    """The apex (folded) of the reverse zone for the first `bits` bits of a prefix."""
    if len(prefix.packed) == 4:
        return names.from_labels(*(b"%d" % octet for octet in reversed(prefix.packed[: bits // 8]))) + IN_ADDR
    return b"".join([b"\x01%c" % digit for digit in prefix.packed.hex().encode()[: bits // 4][::-1]]) + IP6


def reverse_zones(network: Network) -> list[bytes]:
    """The apexes of a network's reverse zones (see `owning_prefix`)."""
    step = 8 if network.version == 4 else 4
    bits = -(-network.prefixlen // step) * step
    subnets = network.subnets(new_prefix=bits)
    return [reverse_zone(ReversePrefix(each.network_address.packed, bits, True), bits) for each in subnets]


def networks_of(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """The fewest networks with the same addresses, from texts that decoding has checked."""
    networks = [ip_network(cidr) for cidr in cidrs]
    ipv4 = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    ipv6 = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return (*ipv4, *ipv6)

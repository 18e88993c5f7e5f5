"""A line of `route -n` or `netstat -rn`, of net-tools or busybox, as a route.

    Destination     Gateway         Genmask         Flags Metric Ref    Use Iface
    10.244.2.0      10.0.0.6        255.255.255.0   UG    0      0        0 eth0
    10.244.1.0      0.0.0.0         255.255.255.192 U     0      0        0 *            a blackhole
    10.233.99.0     -               255.255.255.0   !     0      -        0 -            unreachable or prohibit

    Destination     Gateway         Genmask         Flags   MSS Window  irtt Iface
    10.244.2.0      10.0.0.6        255.255.255.0   UG        0 0          0 eth0

    Destination                    Next Hop                   Flag Met Ref Use If        busybox: Flags Metric ...
    fd00:2::/64                    fd00::6                    UG   1024 1     0 eth0
    fd00:1::/64                    ::                         !n   1024 1     0 lo       blackhole or another

A row is recognised without a heading, since many people save only what `grep UG` left. The form shows neither the
protocol of a route nor the host's own address; `route -ee` cuts interface names after six letters.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

from dnsbridge.cluster.excerpt import excerpt
from dnsbridge.routes.model import NextHop
from dnsbridge.routes.pictures.kernel_table import (
    TableRoute,
    UnfitLine,
    address_of,
    device_of,
    number_of,
    prefix_of,
    remark_of,
)

_HEADINGS = (("kernel", "ip"), ("kernel", "ipv6"), ("destination", "gateway"), ("destination", "next"))
_FLAGS = re.compile(r"[U!][A-Za-z!]{0,12}")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_IPV6 = re.compile(r"\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_PREFIX6 = re.compile(r"\[?[0-9A-Fa-f:.]+\]?/[0-9]{1,3}")
"""A prefix of IPv4-compatible addresses has no colon: `0.0.0.0/96`."""
_FIGURE = re.compile(r"[0-9]+|-")
_COLUMNS, _COLUMNS6 = 8, 7


def is_heading(words: Sequence[str]) -> bool:
    """Whether a line is a heading above the rows."""
    return tuple(word.lower() for word in words[:2]) in _HEADINGS


def is_row(words: Sequence[str]) -> bool:
    """Whether a line is an IPv4 row."""
    return len(words) > 3 and bool(_IPV4.fullmatch(words[2]) and _FLAGS.fullmatch(words[3]))


def is_row6(words: Sequence[str]) -> bool:
    """Whether a line is an IPv6 row."""
    if len(words) < 3 or not _FLAGS.fullmatch(words[2]):
        return False
    return bool(_PREFIX6.fullmatch(words[0]) and (_IPV6.fullmatch(words[1]) or words[1] == "*"))


def row(words: Sequence[str], number: int, mss: bool) -> TableRoute:
    """The route of an IPv4 row; `mss`: the fifth column is not a metric. Raises UnfitLine."""
    if len(words) < _COLUMNS:
        raise UnfitLine(f"expected {_COLUMNS} columns as `route -n` prints them, got {len(words)}")
    destination = "0.0.0.0" if words[0] in ("default", "*") else words[0]
    mask = words[2]
    try:
        prefix = ip_network(f"{IPv4Address(destination)}/{mask}")
    except ValueError:
        raise UnfitLine(
            f"expected a destination and its mask, got {excerpt(destination)} and {excerpt(mask)}"
        ) from None
    flags, device = words[3], words[7]
    rest = list(words[_COLUMNS:])
    if len(rest) >= 3 and all(_FIGURE.fullmatch(word) for word in rest[:3]):
        rest = rest[3:]  # route -ee
    remark = remark_of(rest)
    if flags.startswith("!"):
        return TableRoute(number, prefix, "unreachable", remark=remark)
    if device == "*":
        return TableRoute(number, prefix, "blackhole", remark=remark)
    has_gateway = "G" in flags
    address = address_of(words[1], "Gateway") if has_gateway and words[1] != "0.0.0.0" else None
    hop = NextHop(address, device_of(device))
    metric = 0 if mss else number_of(words[4], "Metric")
    hidden = has_gateway and not address  # an IPv6 gateway
    return TableRoute(number, prefix, next_hops=(hop,), metric=metric, beyond=hidden, remark=remark)


def row6(words: Sequence[str], number: int) -> TableRoute:
    """The route of an IPv6 row. Raises UnfitLine."""
    if len(words) < _COLUMNS6:
        raise UnfitLine(f"expected {_COLUMNS6} columns as `route -6 -n` prints them, got {len(words)}")
    destination = words[0].replace("[", "").replace("]", "")
    prefix = prefix_of(destination if ":" in destination else f"::{destination}")
    flags, device = words[2], words[6]
    remark = remark_of(words[_COLUMNS6:])
    if flags.startswith("!"):
        return TableRoute(number, prefix, "unreachable", remark=remark)
    if "n" in flags:
        return TableRoute(number, prefix, "local", remark=remark)
    address = None
    if words[1] != "*" and "G" in flags:
        address = address_of(words[1].strip("[]"), "Next Hop")
    hop = NextHop(None if address == IPv6Address(0) else address, device_of(device))
    metric = number_of(words[3].removeprefix("-"), "Met")
    return TableRoute(number, prefix, next_hops=(hop,), metric=metric, remark=remark)

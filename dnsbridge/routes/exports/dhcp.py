"""DHCP option 121, classless static routes (RFC 3442): dhcp-dnsmasq, dhcp-kea, dhcp-hex.

A route in octets: the prefix length, the significant octets of the prefix, the router.

    10.17.0.0/16 via 10.0.0.1      10 0a 11 0a000001
    0.0.0.0/0 via 10.0.0.1         00 0a000001

A client that gets option 121 ignores option 3 (routers), so its default route must be in here: `About.default_gateway`.
An option has at most 255 octets. A longer one is split, and the client joins the parts (RFC 3396). Kea splits by
itself; dnsmasq refuses the line.
"""

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from dnsbridge.routes.exports.form import About, Devices, Format, Refused
from dnsbridge.routes.model import IPAddress, Note, Prefix, Route, Severity

OPTION = 121
LONGEST = 255
"""Octets in one option (RFC 2132 section 2)."""


def _pairs(routes: tuple[Route, ...], about: About) -> list[tuple[Prefix, IPAddress]]:
    pairs: list[tuple[Prefix, IPAddress]] = []
    if about.default_gateway:
        pairs.append((IPv4Network("0.0.0.0/0"), about.default_gateway))
    return pairs + [(route.prefix, route.next_hops[0].address or IPv4Address(0)) for route in routes]


def option_121(routes: tuple[Route, ...], about: About) -> bytes:
    """The option's data."""
    return b"".join(
        bytes([prefix.prefixlen]) + prefix.network_address.packed[: (prefix.prefixlen + 7) // 8] + router.packed
        for prefix, router in _pairs(routes, about)
    )


def _check(routes: tuple[Route, ...], about: About) -> tuple[Note, ...]:
    notes = []
    if routes and not about.default_gateway:
        text = "clients that get option 121 ignore option 3 (RFC 3442), and lose it; name --default-gateway ADDR"
        notes.append(Note(Severity.WARNING, "the default route", text))
    size = len(option_121(routes, about))
    if size > LONGEST:
        text = f"{size:,} octets, of which an option holds {LONGEST}: it must be split as RFC 3396 says"
        notes.append(Note(Severity.WARNING, "option 121", text))
    return tuple(notes)


def _check_dnsmasq(routes: tuple[Route, ...], about: About) -> tuple[Note, ...] | Refused:
    size = len(option_121(routes, about))
    if size > LONGEST:
        return Refused(
            f"dhcp-dnsmasq: {len(routes):,} routes are {size:,} octets of option 121, and dnsmasq sends {LONGEST}; "
            "make them fewer with --aggregate or larger routes.pod_cidrs, or use Kea, which splits them"
        )
    return _check(routes, about)


def _dnsmasq(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """dnsmasq(8): prefix and router in turn."""
    if pairs := _pairs(routes, about):
        yield f"dhcp-option=option:classless-static-route,{','.join(f'{prefix},{router}' for prefix, router in pairs)}"


def _kea(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """Kea's option-data as octets: versions with and without a form for the option take them."""
    data = option_121(routes, about)
    option = {"space": "dhcp4", "code": OPTION, "csv-format": False, "data": data.hex(), "always-send": True}
    yield from json.dumps({"option-data": [option] if data else []}, indent=2).splitlines()


def _hex(routes: tuple[Route, ...], about: About) -> Iterator[str]:
    """The octets alone, without the option's code and length."""
    if data := option_121(routes, about):
        yield data.hex()


FORMATS = (
    Format(
        "dhcp-dnsmasq",
        "Option 121 for dnsmasq; give --default-gateway too, as clients then ignore option 3.",
        _dnsmasq,
        "Put it into /etc/dnsmasq.d, and restart dnsmasq.",
        devices=Devices.NONE,
        ipv6=False,
        interface="",
        check=_check_dnsmasq,
    ),
    Format(
        "dhcp-kea",
        "Option 121 for Kea (JSON option-data); give --default-gateway too.",
        _kea,
        comment="",
        devices=Devices.NONE,
        ipv6=False,
        interface="",
        check=_check,
    ),
    Format(
        "dhcp-hex",
        "Option 121 as hexadecimal octets for any other DHCP server; give --default-gateway too.",
        _hex,
        comment="",
        devices=Devices.NONE,
        ipv6=False,
        interface="",
        check=_check,
    ),
)

"""The part of a set that a format can carry. The rest is removed here with a note, so that the formats only write.

    next hops     several, where the format has one: the first is taken
    weights       where the format has none: all next hops are alike
    devices       a device alone, or a link-local address on one, that the text's target does not have: left out
    names         a next hop on a device whose name is not a plain word: left out, so that no name becomes a line
    IPv6          where the format has none: left out

A note names at most three prefixes, however long the set is.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address

from msgspec import structs

from dnsbridge.routes.exports.form import Devices, Format, Hops
from dnsbridge.routes.model import NextHop, Note, Prefix, Route, Severity

NAMED = 3
"""Prefixes that a note names."""
_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,14}")
"""Names that every format takes unquoted; the kernel allows more (dev_valid_name), which nobody uses."""


def is_device(name: str) -> bool:
    """Whether a name can stand in any format without being quoted."""
    return _DEVICE.fullmatch(name) is not None


def needs_device(hop: NextHop) -> bool:
    """Whether a next hop is incomplete without its device."""
    return hop.address is None or (isinstance(hop.address, IPv6Address) and hop.address.is_link_local)


def carried(format_: Format, routes: tuple[Route, ...], interface: str) -> tuple[tuple[Route, ...], tuple[Note, ...]]:
    """The routes as the format can carry them on an interface (empty: not named), and notes about the rest."""
    routes, notes = _family(format_, routes)
    if format_.hops is Hops.NONE:
        return routes, notes
    kept: list[Route] = []
    foreign: list[Prefix] = []
    unnamed: list[Prefix] = []
    first: list[Prefix] = []
    alike: list[Prefix] = []
    for route in routes:
        hops: list[NextHop] = []
        for hop in map(_without_device, route.next_hops) if format_.devices is Devices.NONE else route.next_hops:
            if not hop.device or (format_.interface and hop.device == interface):
                hops.append(hop)
            elif format_.devices is not Devices.ANY:
                foreign.append(route.prefix)
            elif is_device(hop.device):
                hops.append(hop)
            else:
                unnamed.append(route.prefix)
        if not hops:
            continue
        if format_.hops is Hops.ONE and len(hops) > 1:
            del hops[1:]
            first.append(route.prefix)
        elif format_.hops is Hops.EQUAL and len({hop.weight for hop in hops}) > 1:
            alike.append(route.prefix)
        kept.append(structs.replace(route, next_hops=tuple(hops)))
    said = (
        (foreign, Severity.ERROR, "a next hop is left out: its device is not there; name a gateway by address"),
        (unnamed, Severity.ERROR, "a next hop is left out: its device's name cannot be written; rename the device"),
        (first, Severity.WARNING, "several next hops, of which this format carries one: the first was taken"),
        (alike, Severity.WARNING, "weights are not carried: all next hops are used alike"),
    )
    return tuple(kept), notes + tuple([Note(severity, some(of), text) for of, severity, text in said if of])


def _family(format_: Format, routes: tuple[Route, ...]) -> tuple[tuple[Route, ...], tuple[Note, ...]]:
    """The routes of the address families that the format has."""
    out = [route.prefix for route in routes if route.prefix.version == 6]
    if format_.ipv6 or not out:
        return routes, ()
    note = Note(Severity.WARNING, some(out), "left out: the format is for IPv4; announce IPv6 by router advertisements")
    return tuple([route for route in routes if route.prefix.version == 4]), (note,)


def _without_device(hop: NextHop) -> NextHop:
    return hop if needs_device(hop) else structs.replace(hop, device="")


def some(prefixes: Sequence[Prefix]) -> str:
    """A few of many prefixes."""
    different = list(dict.fromkeys(prefixes))
    shown = ", ".join(str(prefix) for prefix in different[:NAMED])
    return shown if len(different) <= NAMED else f"{shown} and {len(different) - NAMED:,} more"

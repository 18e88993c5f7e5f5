"""Exports: a set of routes as text for another program.

`export` is the whole interface; `FORMATS` is the table of formats, by name. Each module has the formats of one family:

    scripts       iproute2, route-add, macos          lines for a shell
    windows       windows, powershell
    linux         netplan, networkd, nmcli            network settings of a Linux host
    vpn           openvpn, wireguard                  settings for the clients of a VPN
    dhcp          dhcp-dnsmasq, dhcp-kea, dhcp-hex    option 121 (RFC 3442)
    daemons       bird, frr                           static routes of a routing daemon
    routers       junos, ios, huawei-vrp              static routes of a router
    documents     json

Text from outside (names of clusters, zones, devices) is quoted or passes an allow-list.
"""

import re
from collections.abc import Sequence

from msgspec import structs

from dnsbridge.routes.exports import daemons, dhcp, documents, linux, routers, scripts, vpn, windows
from dnsbridge.routes.exports.carry import carried, is_device
from dnsbridge.routes.exports.form import About, Exported, Format, Hops, Refused
from dnsbridge.routes.model import Note, Route, Severity

__all__ = ["FORMATS", "About", "Exported", "Format", "Hops", "Refused", "export"]

FORMATS: dict[str, Format] = {
    format_.name: format_
    for family in (scripts, windows, linux, vpn, dhcp, daemons, routers, documents)
    for format_ in family.FORMATS
}
CLUSTERS = 5
"""Clusters that the first comment names."""
_ZONE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_])){0,252}")
_NOT_IN_COMMENT = re.compile(r"[^A-Za-z0-9 .,:;'/()\[\]=@+_-]")


def export(name: str, routes: Sequence[Route], about: About = About()) -> Exported | Refused:  # noqa: B008  # frozen
    """Ordered routes as the text of a format; `name` is a key of FORMATS."""
    format_ = FORMATS[name]
    if about.interface and format_.interface and not _is_interface(format_, about.interface):
        return Refused(f"--interface: {about.interface[:60]!r} is no name of {format_.interface}")
    if format_.needs_interface and not about.interface:
        return Refused(f"--interface: {name} needs {format_.interface} to put the routes on; name it")
    kept, notes = carried(format_, tuple(routes), about.interface)
    checked = format_.check(kept, about)
    if isinstance(checked, Refused):
        return checked
    bad = tuple([zone for zone in about.zones if not _ZONE.fullmatch(zone)])
    notes += checked + tuple(Note(Severity.ERROR, repr(zone[:60]), "left out: no name of a zone") for zone in bad)
    about = structs.replace(about, zones=tuple([zone for zone in about.zones if zone not in bad]))
    lines = [*_comments(format_, kept, notes), *format_.lines(kept, about)]
    return Exported("".join(f"{line}\n" for line in lines), notes)


def _is_interface(format_: Format, name: str) -> bool:
    if format_.free_names:
        return name.isprintable() and not name.startswith("-") and len(name) <= 255
    return is_device(name)


def _comments(format_: Format, routes: tuple[Route, ...], notes: tuple[Note, ...]) -> list[str]:
    """What the text is, how it is used, and what it lacks."""
    if not format_.comment:
        return []
    clusters = list(dict.fromkeys(route.cluster for route in routes if route.cluster))
    more = f" and {len(clusters) - CLUSTERS:,} more" if len(clusters) > CLUSTERS else ""
    of = f" of {', '.join(clusters[:CLUSTERS])}{more}" if clusters else ""
    count = f"{len(routes):,} prefix{'' if len(routes) == 1 else 'es'}" if routes else "no prefixes"
    said = [f"dnsbridge routes export --format {format_.name}: {count}{of}"]
    said += [format_.use] if format_.use else []
    said += [f"{note.severity.upper()}: {note}" for note in notes if note.severity is not Severity.INFO]
    return [f"{format_.comment} {_NOT_IN_COMMENT.sub('?', text)}" for text in said]

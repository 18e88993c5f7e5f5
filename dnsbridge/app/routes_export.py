"""From settings to the text of an export: the wanted routes, and what a format needs beside them.

An export is for a place of which nothing is known here, so every next hop counts as reachable there, and the links of
this host do not matter; gateways that are named by address are therefore used for everything, unless `via` says nodes.
`here` makes it this host.

DNS servers, the first of these that says any:

    dns              as they are given
    ns_addresses     where the settings say that dnsbridge is
    listen           the addresses that it listens on, where they are no wildcards and not of loopback
    coredns          the cluster's own DNS server, where there is one cluster
    this host        its address that leads outside, where dnsbridge listens on all
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address

from msgspec import Struct, structs

from dnsbridge.app.discovery import own_addresses
from dnsbridge.app.once import read_once
from dnsbridge.app.parts import Parts, build
from dnsbridge.app.routes_wanted import wanted_routes
from dnsbridge.config import Loaded, Settings
from dnsbridge.routes.exports import FORMATS, About, Exported, Refused, export
from dnsbridge.routes.guards import guarded
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import IPAddress, Note, Severity
from dnsbridge.routes.this_host import this_host

_PORT = 53
"""None of the formats can say another."""


class Asked(Struct, frozen=True):
    """What the command line says beside the settings."""

    format: str
    here: bool = False
    interface: str = ""
    dns: tuple[IPAddress, ...] = ()
    default_gateway: IPv4Address | None = None


async def exported(loaded: Loaded, asked: Asked) -> Exported | Refused:
    """The text, with the notes about the wanted set before those about the text. Raises CannotStart, NoHost."""
    host = await this_host() if asked.here else Host()
    routes = loaded.settings.routes
    if not asked.here and routes.via == "auto" and routes.gateways.addresses:
        loaded = loaded.discovered("routes.via", "gateways", "gateways are named")
    async with _parts(loaded) as parts:
        wanted = guarded(await wanted_routes(loaded, parts, host, recurse=not asked.here), host)
        about, notes = _about(loaded.settings, parts, asked)
    made = export(asked.format, wanted.routes, about)
    if isinstance(made, Refused):
        return made
    return structs.replace(made, notes=(*wanted.notes, *notes, *made.notes))


@asynccontextmanager
async def _parts(loaded: Loaded) -> AsyncIterator[Parts]:
    """The clusters, read; unread where saved tables stand for them."""
    if not loaded.settings.routes.tables:
        async with read_once(loaded, routes=True) as parts:
            yield parts
        return
    parts = build(loaded.settings, loaded.settings.listen)
    try:
        yield parts
    finally:
        await parts.close()


def _about(settings: Settings, parts: Parts, asked: Asked) -> tuple[About, tuple[Note, ...]]:
    about = About(asked.interface, default_gateway=asked.default_gateway)
    if not FORMATS[asked.format].dns:
        return about, ()
    zones = [zone for cluster in settings.clusters for zone in (cluster.zone, *cluster.aliases)]
    note = Note(Severity.WARNING, "DNS server", "none is known, so none is in there; name one with --dns ADDR")
    if servers := asked.dns or settings.ns_addresses or _listening(settings):
        return structs.replace(about, dns=servers, zones=_once(zones)), ()
    if servers := _coredns(parts):
        zones = [settings.clusters[0].zone]
        text = "it is the cluster's own, and knows no aliases; name dnsbridge's address with --dns"
        note = Note(Severity.INFO, f"DNS server {_text(servers)}", text)
    elif servers := tuple([ip_address(host) for host in own_addresses(settings.listen)]):
        text = "it is this host, where dnsbridge would listen; name another with --dns"
        note = Note(Severity.INFO, f"DNS server {_text(servers)}", text)
    return structs.replace(about, dns=servers, zones=_once(zones)), (note,)


def _listening(settings: Settings) -> tuple[IPAddress, ...]:
    """The addresses that other hosts can ask."""
    found = [ip_address(host.partition("%")[0]) for host, port in settings.listen if port == _PORT]
    return tuple([each for each in found if not (each.is_unspecified or each.is_loopback or each.is_link_local)])


def _coredns(parts: Parts) -> tuple[IPAddress, ...]:
    """The cluster's own DNS server; with several clusters none, as each knows its own names alone."""
    if len(parts.clusters) != 1:
        return ()
    return tuple([ip_address(host) for host, port in parts.clusters[0].coredns.servers() if port == _PORT])


def _once(zones: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(zones))


def _text(servers: Iterable[IPAddress]) -> str:
    return ", ".join(str(server) for server in servers)

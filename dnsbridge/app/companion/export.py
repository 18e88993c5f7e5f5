"""From settings to the text of an export: the wanted routes, and the other values that a format needs.

An export is for a place that nothing is known about here. Every next hop counts as reachable there, and this host's
links do not matter. Gateways that are named by address are therefore used for everything, unless `via` says nodes. With
`here` the place is this host.

The DNS servers are the first of these that has any:

    dns              the addresses of the command line
    ns_addresses     the addresses of dnsbridge in the settings
    listen           the addresses that it listens on, without wildcards, loopback and link-local addresses
    coredns          the cluster's own DNS server, if there is one cluster
    this host        the address that it uses towards outside, where dnsbridge listens on all
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address

from msgspec import Struct, structs

from dnsbridge.app.companion.host import host_here
from dnsbridge.app.companion.plan import guarded_routes
from dnsbridge.app.feeds import Feed
from dnsbridge.app.read_once import feeds_once
from dnsbridge.app.this_machine import own_addresses
from dnsbridge.config import Cluster, Loaded, Settings
from dnsbridge.routes.aggregate import aggregate
from dnsbridge.routes.exports import FORMATS, About, Exported, Refused, export
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import IPAddress, Note, Severity

_PORT = 53
"""No format can name another port."""


class Asked(Struct, frozen=True):
    """What the command line says beside the settings."""

    format: str
    here: bool = False
    interface: str = ""
    dns: tuple[IPAddress, ...] = ()
    zone: str | None = None
    """The zone of a cluster that is known only from a saved table."""
    default_gateway: IPv4Address | None = None


async def exported(loaded: Loaded, asked: Asked) -> Exported | Refused:
    """The text, with notes: about the wanted set first, then about the text. Raises CannotStart, NoHost."""
    settings = loaded.settings
    if not asked.here and settings.routes.via == "auto" and settings.routes.gateways.addresses:
        loaded = loaded.discovered("routes.via", "gateways", "gateways are named")
    async with feeds_once(loaded) as feeds:
        host = await host_here(settings, feeds) if asked.here else Host()
        wanted = await guarded_routes(loaded, feeds, host, recurse=not asked.here)
        about, notes = _about(settings, feeds, asked)
    routes = aggregate(wanted.routes) if settings.routes.aggregate else wanted.routes
    made = export(asked.format, routes, about)
    if isinstance(made, Refused):
        return made
    return structs.replace(made, notes=(*wanted.notes, *notes, *made.notes))


def _about(settings: Settings, feeds: Sequence[Feed], asked: Asked) -> tuple[About, tuple[Note, ...]]:
    about = About(asked.interface, default_gateway=asked.default_gateway)
    if not FORMATS[asked.format].dns:
        return about, ()
    zones = [zone for cluster in settings.clusters for zone in (cluster.zone, *cluster.aliases)]
    zones = zones or [asked.zone or Cluster().zone]
    note = Note(Severity.WARNING, "DNS server", "none is known, so none is in there; name one with --dns ADDR")
    if servers := asked.dns or settings.ns_addresses or _listening(settings):
        return structs.replace(about, dns=servers, zones=_once(zones)), ()
    if servers := _coredns(feeds):
        zones = [settings.clusters[0].zone]
        text = "it is the cluster's own, and knows no aliases; name dnsbridge's address with --dns"
        note = Note(Severity.INFO, f"DNS server {_text(servers)}", text)
    elif servers := tuple([ip_address(host) for host in own_addresses(settings.listen)]):
        text = "it is this host, where dnsbridge would listen; name another with --dns"
        note = Note(Severity.INFO, f"DNS server {_text(servers)}", text)
    return structs.replace(about, dns=servers, zones=_once(zones)), (note,)


def _listening(settings: Settings) -> tuple[IPAddress, ...]:
    """The listen addresses that other hosts can ask."""
    found = [ip_address(host.partition("%")[0]) for host, port in settings.listen if port == _PORT]
    return tuple([each for each in found if not (each.is_unspecified or each.is_loopback or each.is_link_local)])


def _coredns(feeds: Sequence[Feed]) -> tuple[IPAddress, ...]:
    """The cluster's own DNS server; none with several clusters, as each server knows only its own cluster's names."""
    if len(feeds) != 1:
        return ()
    return tuple([ip_address(host) for host, port in feeds[0].coredns_servers() if port == _PORT])


def _once(zones: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(zones))


def _text(servers: Iterable[IPAddress]) -> str:
    return ", ".join(str(server) for server in servers)

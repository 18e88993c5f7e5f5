"""What `dnsbridge clients` tells clients and office DNS servers: the zones of all clusters, and where dnsbridge is."""

from collections.abc import Sequence

from dnsbridge.app.feeds import Feed
from dnsbridge.app.read_once import feeds_once
from dnsbridge.app.this_machine import own_addresses
from dnsbridge.clients.names import Names, Server
from dnsbridge.config import Address, Loaded
from dnsbridge.errors import CannotStart
from dnsbridge.wire import name as names
from dnsbridge.wire.addresses import reverse_zones

UNKNOWN = "no object says which prefixes {} has, so reverse zones are left out; set routes.service_cidrs and pod_cidrs"


async def office_names(loaded: Loaded, servers: Sequence[Address]) -> tuple[Names, list[str]]:
    """The names, and what is to be said about them. Raises CannotStart.

    `servers` are where clients reach dnsbridge; none: where it listens on this machine.
    """
    settings = loaded.settings
    if not settings.clusters:
        raise CannotStart("no cluster is configured; name one with --manifests or --kubeconfig")
    found = [Server(*each) for each in servers] or _listening(loaded)
    async with feeds_once(loaded) as feeds:
        reverse = [zone for feed in feeds for network in feed.networks() for zone in reverse_zones(network)]
        notes = [note for feed in feeds if (note := _unknown(feed))]
    zones = [zone for cluster in settings.clusters for zone in (cluster.zone, *cluster.aliases)]
    told = Names(
        tuple(dict.fromkeys(found)),
        tuple(dict.fromkeys([zone.rstrip(".") for zone in zones])),
        tuple(dict.fromkeys(map(_text, reverse))),
    )
    return told, notes


def _listening(loaded: Loaded) -> list[Server]:
    listen = loaded.settings.listen
    ports = dict(reversed(listen))
    found = [Server(host, ports.get(host, listen[0].port)) for host in own_addresses(listen)]
    if not found:
        raise CannotStart("this machine has no address that clients could ask; name dnsbridge's with --server ADDR")
    return found


def _unknown(feed: Feed) -> str:
    """That nothing says which prefixes a cluster has, or that it could not be read; empty: it is known."""
    if feed.networks():
        return ""
    if not feed.source.synced:
        return f"cluster {feed.name} could not be read, so its reverse zones are left out; see above why"
    return UNKNOWN.format(f"cluster {feed.name}")


def _text(zone: bytes) -> str:
    return names.to_text(zone).rstrip(".")

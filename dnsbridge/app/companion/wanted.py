"""From settings and the known objects of the clusters to the routes that one place should have.

    wanted_now      at once, from what is known now; for programs that follow the clusters
    wanted_routes   the same for a command; reads the saved tables of the settings as well

Half of a cluster is no base for a decision about routes. While a cluster is not fully read there is no answer at all,
so that nobody takes routes away because a list has not come yet.
"""

import asyncio
import time
from collections.abc import Sequence

from msgspec import structs

from dnsbridge.app.companion.tables import NotRead, Saved, read_tables
from dnsbridge.app.feeds import Feed, prefixes_of
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.selector import BadSelector, parse
from dnsbridge.config import Loaded, Settings
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import IPAddress, Note, Severity, Wanted
from dnsbridge.routes.pictures.from_objects import picture_of
from dnsbridge.routes.pictures.from_table import picture_of_tables
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.tables.joined import joined, nodes_by_tables, objects_with
from dnsbridge.routes.wanted import wanted

ROUTERS = frozenset({"bgp", "bird", "frr"})
"""Sinks that find the way to a next hop by themselves."""
_NONE = Saved()


async def wanted_routes(loaded: Loaded, feeds: Sequence[Feed], host: Host, *, recurse: bool | None = None) -> Wanted:
    """The routes that a host should have; see `wanted_now`. Raises NotRead."""
    saved = await asyncio.to_thread(read_tables, loaded.settings.routes.tables)
    return wanted_now(loaded.settings, feeds, host, saved=saved, recurse=recurse)


def wanted_now(
    settings: Settings,
    feeds: Sequence[Feed],
    host: Host,
    *,
    saved: Saved = _NONE,
    silent: frozenset[IPAddress] = frozenset(),
    recurse: bool | None = None,
) -> Wanted:
    """The routes that a host should have, from the saved tables, else from the clusters. Raises NotRead.

    `silent` are gateways that answer no probe. With `recurse` the routes are for routers, wherever this runs; None:
    only if all sinks of the settings are routers.
    """
    pictures = pictures_now(settings, feeds, saved)
    return wanted(pictures, choice_of(settings, silent, recurse), host)


def choice_of(settings: Settings, silent: frozenset[IPAddress] = frozenset(), recurse: bool | None = None) -> Choice:
    """The choice that the settings make. Raises NotRead for an invalid selector."""
    routes = settings.routes
    selector = parse(routes.gateways.selector)
    if isinstance(selector, BadSelector):
        raise NotRead(f"routes.gateways.selector: {selector.problem}")
    only_routers = bool(routes.sinks) and ROUTERS.issuperset(routes.sinks)
    return Choice(
        via=routes.via,
        selector=selector,
        gateways=routes.gateways.addresses,
        silent=silent,
        external=frozenset(routes.external),
        recurse=only_routers if recurse is None else recurse,
    )


def pictures_now(settings: Settings, feeds: Sequence[Feed], saved: Saved = _NONE) -> list[Picture]:
    """The pictures of the clusters, or of the one cluster whose nodes have the saved tables. Raises NotRead."""
    if replaces_clusters(feeds, saved):
        return [picture_of_saved(settings, feeds, saved)]
    if not feeds:
        raise NotRead("no cluster to read: name one with --manifests or --kubeconfig, or a table with routes.tables")
    check_listings(feeds, saved)
    return [_picture(each, saved) for each in feeds]


def replaces_clusters(feeds: Sequence[Feed], saved: Saved) -> bool:
    """Whether the saved files are the picture: nodes' tables always, listings of blocks only without a cluster."""
    return bool(saved.tables) or bool(saved.objects and not feeds)


def check_listings(feeds: Sequence[Feed], saved: Saved) -> None:
    """Raise NotRead if there is a listing of blocks and several clusters that it may belong to."""
    if saved.objects and len(feeds) > 1:
        names = ", ".join(each.name for each in feeds)
        raise NotRead(f"routes.tables: a listing has the blocks of one cluster, and there are {names}; leave one")


def picture_of_saved(settings: Settings, feeds: Sequence[Feed], saved: Saved) -> Picture:
    """The picture of nodes' tables, of listings, or of both."""
    names = [each.name for each in feeds]
    name = names[0] if len(names) == 1 else ""
    said = prefixes_of(settings)
    through = settings.routes.via == "gateways"
    of_tables = picture_of_tables(name, saved.tables, said, through=through) if saved.tables else None
    found = of_tables or Picture(name)
    if saved.objects:
        extra = nodes_by_tables(saved.objects, found)
        found = picture_of(name, objects_with(extra, saved.objects), said)
        found = joined(found, of_tables) if of_tables else found
    return structs.replace(found, notes=(*saved.notes, *found.notes))


def _picture(feed: Feed, saved: Saved) -> Picture:
    if not (feed.source.synced and feed.source.complete):
        raise NotRead(f"cluster {feed.name}: not fully read, so its routes are not known; see above why")
    objects = objects_with(feed.index.objects.values(), saved.objects)
    found = picture_of(feed.name, objects, feed.prefixes, feed.precedence)
    found = structs.replace(found, notes=(*saved.notes, *found.notes))
    now = time.monotonic()
    if feed.freshness(now) is Freshness.STALE:
        silence = now - feed.source.last_read_at
        note = Note(Severity.WARNING, feed.name, f"last heard of {silence:.0f} s ago; its nodes may have changed")
        found = structs.replace(found, notes=(*found.notes, note))
    return found

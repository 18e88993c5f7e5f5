"""From settings and what is known of the clusters to the routes that one place should have.

    wanted_now      at once, from what is known at this moment; for whoever follows the clusters
    wanted_routes   the same for a command, which reads the saved tables of the settings as well

Half of a cluster is no base for a decision about routes: while one is not fully read there is no answer at all, so that
nobody takes routes away because a list has not come yet.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import structs

from dnsbridge.app.parts import Bridged, CannotStart, Parts
from dnsbridge.cluster.selector import BadSelector, parse
from dnsbridge.config import Loaded, Settings
from dnsbridge.resolvers.cluster import Freshness
from dnsbridge.routes import kernel_table
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import IPAddress, Note, Severity, Wanted
from dnsbridge.routes.picture import Picture
from dnsbridge.routes.sources import picture_of
from dnsbridge.routes.table_picture import Table, picture_of_tables
from dnsbridge.routes.this_table import read_this_table
from dnsbridge.routes.wanted import wanted
from dnsbridge.zone.reverse import Prefixes

ROUTERS = frozenset({"bgp", "bird", "frr"})
"""Sinks that find the way to a next hop by themselves."""
MAX_TABLE = 64 << 20
"""Octets of a saved table."""


class NotRead(CannotStart):
    """A cluster, or a table, of which not enough is known to work out routes, in one line."""


async def wanted_routes(loaded: Loaded, parts: Parts, host: Host, *, recurse: bool | None = None) -> Wanted:
    """The routes that a host should have; see `wanted_now`. Raises NotRead."""
    tables = await asyncio.to_thread(read_tables, loaded.settings.routes.tables)
    return wanted_now(loaded.settings, parts, host, tables=tables, recurse=recurse)


def wanted_now(
    settings: Settings,
    parts: Parts,
    host: Host,
    *,
    tables: Sequence[Table] = (),
    silent: frozenset[IPAddress] = frozenset(),
    recurse: bool | None = None,
) -> Wanted:
    """The routes that a host should have, from these tables, else from the clusters. Raises NotRead.

    `silent` are gateways that answer no probe. With `recurse` the routes are for routers, wherever this runs; None:
    where the settings have only such sinks.
    """
    pictures = pictures_now(settings, parts, tables)
    return wanted(pictures, choice_of(settings, silent, recurse), host)


def choice_of(settings: Settings, silent: frozenset[IPAddress] = frozenset(), recurse: bool | None = None) -> Choice:
    """What the settings ask for. Raises NotRead for a selector that is none."""
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


def pictures_now(settings: Settings, parts: Parts, tables: Sequence[Table] = ()) -> list[Picture]:
    """The pictures of the clusters, or of the one whose nodes have these tables. Raises NotRead."""
    if tables:
        names = [each.cluster.name for each in parts.clusters]
        return [picture_of_tables(names[0] if len(names) == 1 else "", tables, _prefixes(settings))]
    if not parts.clusters:
        raise NotRead("no cluster to read: name one with --manifests or --kubeconfig, or a table with routes.tables")
    return [_picture(each) for each in parts.clusters]


def _prefixes(settings: Settings) -> Prefixes:
    routes = settings.routes
    return Prefixes(
        None if isinstance(routes.service_cidrs, str) else routes.service_cidrs,
        None if isinstance(routes.pod_cidrs, str) else routes.pod_cidrs,
    )


def _picture(bridged: Bridged) -> Picture:
    cluster = bridged.cluster
    if not (bridged.source.synced and bridged.source.complete):
        raise NotRead(f"cluster {cluster.name}: not fully read, so its routes are not known; see above why")
    found = picture_of(cluster.name, cluster.index.objects.values(), cluster.prefixes, bridged.precedence)
    now = time.monotonic()
    if bridged.freshness(now) is Freshness.STALE:
        silence = now - bridged.source.last_read_at
        note = Note(Severity.WARNING, cluster.name, f"last heard of {silence:.0f} s ago; its nodes may have changed")
        found = structs.replace(found, notes=(*found.notes, note))
    return found


def read_tables(sources: Sequence[Path | Literal["kernel"]]) -> list[Table]:
    """The tables in these files, or this host's own. Raises NotRead."""
    return [_this_table() if isinstance(source, str) else _saved_table(source) for source in sources]


def _this_table() -> Table:
    try:
        return read_this_table()
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise NotRead(f"this host's routes: {problem}; is this Linux, with rtnetlink?") from None


def _saved_table(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_TABLE + 1)
        text = octets.decode("utf-8-sig")  # editors of Windows put a mark first
    except OSError as error:
        raise NotRead(f"{path}: {(error.strerror or str(error)).lower()}; see routes.tables") from None
    except UnicodeDecodeError:
        raise NotRead(f"{path}: is no text; save the output of `ip route` there") from None
    if len(octets) > MAX_TABLE:
        raise NotRead(f"{path}: over {MAX_TABLE >> 20} MiB, too large for a table")
    found = kernel_table.parse(text)
    if isinstance(found, kernel_table.Malformed):
        raise NotRead(f"{path}:{found.line}: {found.problem}; save the output of `ip route` there")
    if not found:
        raise NotRead(f"{path}: holds no route; save the output of `ip route` there")
    return Table(path.name, found)

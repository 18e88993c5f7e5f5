"""The pictures of this program's own clusters, worked out again when an object that matters to routes has changed."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, structs

from dnsbridge.app.companion.tables import Saved, read_tables
from dnsbridge.app.companion.wanted import check_listings, picture_of_saved, replaces_clusters
from dnsbridge.app.feeds import Feed
from dnsbridge.cluster.changes import Change, Gone
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.cluster.objects import Object
from dnsbridge.config import Settings
from dnsbridge.routes.pictures.document import Told
from dnsbridge.routes.pictures.from_objects import picture_of
from dnsbridge.routes.pictures.matters import matters
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.tables.joined import objects_with


class _Drawn(Struct):
    """The last picture of one cluster; `dirty` when the cluster has changed since."""

    picture: Picture | None = None
    dirty: bool = True


class OwnPictures:
    """Follows the feeds, and keeps the picture of each."""

    def __init__(self, settings: Settings, feeds: Sequence[Feed]) -> None:
        self._settings = settings
        self._feeds = feeds
        self._external = bool(settings.routes.external)
        self.on_change: Callable[[], None] = lambda: None
        self._drawn = {each.name: _Drawn() for each in feeds}
        self.tables: Picture | None = None
        """The picture from the tables of the settings, once they are read, if it replaces the clusters."""
        self._saved = Saved()
        for feed in feeds:
            feed.told = self._listener(feed)

    @property
    def live(self) -> bool:
        """Whether this host's own table is the picture, and must be read again when it has changed."""
        return "kernel" in self._settings.routes.tables

    async def read_tables(self) -> None:
        """Read the tables of the settings; nodes' tables replace the clusters as the picture. Raises NotRead."""
        if not self._settings.routes.tables:
            return
        saved = await asyncio.to_thread(read_tables, self._settings.routes.tables)
        if saved == self._saved:
            return
        self._saved = saved
        if replaces_clusters(self._feeds, saved):
            self.tables = picture_of_saved(self._settings, self._feeds, saved)
        else:
            check_listings(self._feeds, saved)
            for drawn in self._drawn.values():
                drawn.dirty = True
        self.on_change()

    def told(self) -> tuple[Told, ...]:
        """The current pictures; a cluster that has not been read whole yet has only its name."""
        if self.tables:
            return (Told(self.tables, True),)
        for feed in self._dirty():
            self._take(feed, self._draw(feed, list(feed.index.objects.values())))
        return self._all()

    async def told_in_thread(self) -> tuple[Told, ...]:
        """The same, for a server that answers questions meanwhile."""
        if self.tables:
            return (Told(self.tables, True),)
        for feed in self._dirty():
            objects = list(feed.index.objects.values())
            self._drawn[feed.name].dirty = False
            try:
                picture = await asyncio.to_thread(self._draw, feed, objects)
            except BaseException:
                self._drawn[feed.name].dirty = True
                raise
            self._drawn[feed.name].picture = picture
        return self._all()

    def unfresh(self) -> frozenset[str]:
        """The clusters that are not fully known, or have been silent for long."""
        if self.tables:
            return frozenset()
        return frozenset(each.name for each in self._feeds if not _fresh(each))

    def outdated(self) -> bool:
        """Whether a picture would be different now."""
        return bool(self._dirty())

    def _listener(self, feed: Feed) -> Callable[[list[Change]], None]:
        def told(changes: list[Change]) -> None:
            held = feed.index.objects
            drawn = self._drawn[feed.name]
            for change in changes:
                before = held.get(change.key if isinstance(change, Gone) else change.object.key)
                if matters(change, before, all_services=self._external or not self._service_prefixes()):
                    drawn.dirty = True
                    self.on_change()
                    return

        return told

    def _service_prefixes(self) -> bool:
        return all(
            drawn.picture is not None
            and any(each.prefix.prefixlen < each.prefix.max_prefixlen for each in drawn.picture.services)
            for drawn in self._drawn.values()
        )

    def _dirty(self) -> list[Feed]:
        return [
            each for each in self._feeds if self._drawn[each.name].dirty and each.source.synced and each.source.complete
        ]

    def _draw(self, feed: Feed, objects: list[Object]) -> Picture:
        objects = objects_with(objects, self._saved.objects) if self._saved.objects else objects
        found = picture_of(feed.name, objects, feed.prefixes, feed.precedence)
        return structs.replace(found, notes=(*self._saved.notes, *found.notes)) if self._saved.notes else found

    def _take(self, feed: Feed, picture: Picture) -> None:
        drawn = self._drawn[feed.name]
        drawn.picture, drawn.dirty = picture, False

    def _all(self) -> tuple[Told, ...]:
        """The pictures as they were drawn last."""
        found = []
        for feed in self._feeds:
            name = feed.name
            picture = self._drawn[name].picture
            found.append(Told(picture or Picture(name), picture is not None and _fresh(feed)))
        return tuple(found)


def unfresh(told: Iterable[Told]) -> frozenset[str]:
    """The clusters whose picture is incomplete or old."""
    return frozenset(each.picture.cluster for each in told if not each.fresh)


def _fresh(feed: Feed) -> bool:
    return feed.source.complete and feed.freshness(time.monotonic()) is Freshness.FRESH

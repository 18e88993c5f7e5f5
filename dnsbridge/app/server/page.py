"""Puts together what the status page shows (see listeners.http.status_page.Facts)."""

from collections.abc import Callable

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.facts.status.changes import RecentChanges
from dnsbridge.app.facts.status.document import Status
from dnsbridge.app.facts.status.lookup import LookedUp, Lookups
from dnsbridge.app.facts.status.now import StatusNow
from dnsbridge.app.server.crew.protocol import Crew
from dnsbridge.app.server.routes_document import RoutesDocument
from dnsbridge.config import Loaded


class PageFacts:
    """The facts of a running server."""

    def __init__(
        self,
        loaded: Loaded,
        crew: Crew,
        parts: Parts,
        routes: RoutesDocument,
        changes: RecentChanges,
        not_ready: Callable[[], list[str]],
    ) -> None:
        self._now = StatusNow(
            loaded.settings, parts, changes, crew.collector, crew.gather, crew.upstreams, not_ready, routes.pictures
        )
        self._lookups = Lookups(loaded, parts, loaded.settings.listen)

    async def status(self) -> Status:
        """The status now. Raises NotNow."""
        return await self._now.status()

    async def look_up(self, name: str, rtype: str | None) -> LookedUp:
        """A name with its reasons. Raises ValueError."""
        return await self._lookups.look_up(name, rtype)

    async def close(self) -> None:
        """End what goes on."""
        await self._now.close()

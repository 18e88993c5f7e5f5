"""Decides whether streaming lists (KEP-3157) of one resource work on one server.

A streaming list that fails is followed at once by a list in pages, whatever the failure: HTTP 4xx or 5xx (429 too, with
its Retry-After counting if the pages are refused as well), an ERROR event, an end before the bookmark that completes
the list, no such bookmark, silence, nonsense. client-go does the same, except that it waits after a 429; but
"storage is (re)initializing" is a 429 during which pages are served. Three failures say nothing about streaming lists,
and pages would meet them too: no connection, no credentials, and HTTP 401.

The pages then decide the cause. Once a page has been read, streaming was to blame, and the resource is listed in pages
until the server's version changes. If no page is read either, the server was to blame, and the next attempt streams.
"""

from typing import Protocol

from dnsbridge.watch.api.refusal import Refused

STREAM_SILENCE = 0.5
"""Seconds without progress after which a streaming list is given up. The server has its objects in memory, needs 0.1 s
to see that they are up to date, and spends little more on a list in pages; so a longer wait gains nothing. A server
that ignores `sendInitialEvents` (before 1.27) sends the objects, but never the bookmark that completes the list. This
never cuts a long list: its objects are progress, and so are the octets of a large object."""


class Versions(Protocol):
    """The server's version, and signs that it may have changed."""

    generation: int
    """Grows whenever trouble with the server begins or ends."""

    async def version(self) -> str:
        """The version; empty if it cannot be read."""


class Streaming:
    """The record of one resource's streaming lists."""

    def __init__(self) -> None:
        self.refused = False
        """Streaming lists do not work: pages were read after one had failed."""
        self._failed = False
        """The last streaming list failed, and no page has been asked for since."""
        self._version = ""
        self._generation: int | None = None
        """The server's generation when its version was last asked for."""

    @property
    def wanted(self) -> bool:
        """Whether the next list is to be a streaming list."""
        return not self.refused and not self._failed

    def failed(self, refused: Refused) -> bool:
        """Note how a streaming list failed; returns whether pages are to be read at once."""
        self._failed = not (refused.unasked or refused.doubted)
        return self._failed

    def page_read(self) -> bool:
        """Note that a page was read; returns whether that has decided against streaming lists."""
        decided = self._failed and not self.refused
        self.refused = self.refused or self._failed
        self._failed = False
        return decided

    async def pages_ended(self, server: Versions) -> None:
        """Note the end or failure of a list in pages, and the server version that a refusal holds for."""
        self._failed = False
        if self.refused and self._generation is None:
            self._generation = server.generation
            self._version = await server.version()

    async def recall(self, server: Versions) -> None:
        """Before a list: forget a refusal if the server's version has changed."""
        if not self.refused or self._generation == server.generation:
            return
        self._generation = server.generation
        version = await server.version()
        if version and self._version and version != self._version:
            self.refused, self._generation = False, None
        self._version = self._version or version

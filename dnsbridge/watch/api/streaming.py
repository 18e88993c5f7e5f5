"""Whether streaming lists (KEP-3157) of one resource work on one server.

A streaming list that fails is followed by a list in pages at once, whatever the failure was: HTTP 4xx or 5xx (429 too,
whose Retry-After counts if the pages are refused as well), an ERROR event, an end before the bookmark that completes
the list, no such bookmark, silence, nonsense. client-go does the same, but for a 429, which it takes for a reason to
wait; "storage is (re)initializing" is a 429 under which pages are served. Three failures say nothing about streaming
lists, and pages would meet them too: no connection, no credentials, and HTTP 401.

The pages decide who was to blame. Once one page has been read, the resource is listed in pages until the server is one
of another version. Where no page is read either, the failure was the server's, and the next attempt streams again.
"""

from typing import Protocol

from dnsbridge.watch.api.refusal import Refused

STREAM_SILENCE = 0.5
"""Seconds without progress after which a streaming list is given up. The server has its objects in memory and needs
0.1 s to see that they are up to date, and a list in pages costs it little more; so a patient wait gains nothing. A
server that ignores `sendInitialEvents` (before 1.27) sends the objects, but never the bookmark that completes a list.
A long list is never cut by this: its objects are progress, and so are the octets of a large one."""


class Versions(Protocol):
    """What the server says about its version."""

    generation: int
    """Grows whenever trouble with the server begins or ends."""

    async def version(self) -> str:
        """The version; empty when it cannot be read."""


class Streaming:
    """What is known of one resource's streaming lists."""

    def __init__(self) -> None:
        self.refused = False
        """Pages were read where a streaming list had failed."""
        self._failed = False
        """The last streaming list failed, and no page has been asked for since."""
        self._version = ""
        self._generation: int | None = None
        """Of the server, when its version was asked for last."""

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
        """A list in pages has come to its end or failed; note of which server it is known what is known."""
        self._failed = False
        if self.refused and self._generation is None:
            self._generation = server.generation
            self._version = await server.version()

    async def recall(self, server: Versions) -> None:
        """Before a list: forget what is known when the server is another version than it was."""
        if not self.refused or self._generation == server.generation:
            return
        self._generation = server.generation
        version = await server.version()
        if version and self._version and version != self._version:
            self.refused, self._generation = False, None
        self._version = self._version or version

"""The document of GET /routes (see listeners.http.routes), made when somebody asks for it."""

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.companion.pictures import OwnPictures, unfresh
from dnsbridge.app.companion.pull import CannotPull, read_token
from dnsbridge.app.companion.wanted import choice_of
from dnsbridge.app.server.reach import wanted_here
from dnsbridge.config import Settings
from dnsbridge.config.routes import Serve
from dnsbridge.errors import CannotStart
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Prefix
from dnsbridge.routes.pictures.document import Told, encode, with_status
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.routes.wanted import wanted
from dnsbridge.watch.api.resources import ROUTES
from dnsbridge.watch.api.source import ApiSource
from dnsbridge.wire.addresses import text

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks at how fresh the clusters are, while a client waits for a change."""
PATIENCE = 3.0
"""Seconds that the first client waits for clusters to be read whole; then the document says that they were not."""
READ_LOOK = 0.02
LOAD = 4
"""After the document has been made, so many times as long passes before it is made again: questions come first."""


class RoutesDocument:
    """The document of this server's clusters."""

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        pushed: Callable[[Iterable[Prefix]], None] | None,
        unrouted: Callable[[], Awaitable[Mapping[str, int]]] | None = None,
    ) -> None:
        """`pushed` receives the prefixes of each new set. Raises CannotStart.

        `unrouted` gives the number of each cluster's unrouted answers, if workers answer instead of these parts.
        """
        self._unrouted = unrouted
        self._settings = settings
        self._parts = parts
        self._pushed = pushed
        self._token = _first_token(settings.routes.serve)
        self._moved = asyncio.Event()
        self._pictures = OwnPictures(settings, parts.feeds)
        self._pictures.on_change = self._change
        self._made: tuple[tuple[Told, ...], str, bytes] | None = None
        self._making = asyncio.Lock()
        self._reading = False
        self._tables: Picture | None = None
        self._tables_at = 0.0
        self._not_before = 0.0

    @property
    def pushes(self) -> bool:
        """Whether each new set is pushed to somebody; `follow` must run then."""
        return self._pushed is not None

    async def current(self) -> tuple[str, bytes]:
        """The entity tag, and the document with the current status."""
        _, etag, document = await self._make()
        return etag, with_status(document, await self._status())

    async def pictures(self) -> tuple[Told, ...]:
        """The clusters as routes see them; the same tuple as long as nothing has changed. Raises NotRead."""
        return (await self._make())[0]

    async def changed(self, etag: str, seconds: float) -> None:
        """Wait until the document has another entity tag, for so many seconds at most."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            moved = self._moved
            if (await self._make())[1] != etag:
                return
            try:
                async with asyncio.timeout(min(left, LOOK)):
                    await moved.wait()
            except TimeoutError:
                pass

    def token(self) -> str | None:
        """The current token: its file may be replaced while we run."""
        file = self._settings.routes.serve.token_file
        if file is None:
            return None
        try:
            self._token = read_token(file)
        except CannotPull as error:
            log.error("%s; the former token stays in force", error)
        return self._token

    async def _status(self) -> dict[str, Any]:
        """The unrouted answers of each cluster."""
        setting = self._settings.routes.unrouted
        others = await self._unrouted() if self._unrouted else None
        found = {}
        for each in self._parts.clusters:
            name, counts = each.cluster.name, each.cluster.unrouted
            compared = each.cluster.reach is not None if others is None else wanted_here(self._settings)
            found[name] = {
                "unrouted": setting if compared else "not compared",
                "unrouted_answers": counts.answers if others is None else others.get(name, 0),
                "example": text(counts.example) if counts.example else None,
            }
        return found

    async def follow(self) -> None:
        """Keep the document current, so that each new set is pushed, until cancelled."""
        while True:
            moved = self._moved
            await self._make()
            try:
                async with asyncio.timeout(LOOK):
                    await moved.wait()
            except TimeoutError:
                pass

    def _change(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _make(self) -> tuple[tuple[Told, ...], str, bytes]:
        async with self._making:
            if not self._reading:
                self._reading = True
                await self._read_whole()
            if self._made is None or (self._pictures.live and time.monotonic() - self._tables_at > LOOK):
                await self._pictures.read_tables()
                self._tables_at = time.monotonic()
            made = self._made if self._tables is self._pictures.tables else None
            if made and not self._pictures.outdated() and unfresh(made[0]) == self._pictures.unfresh():
                return made
            pause = self._not_before - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self._tables = self._pictures.tables
            began = time.monotonic()
            told = await self._pictures.told_in_thread()
            prefixes, etag, document = await asyncio.to_thread(self._document, told)
            self._made = told, etag, document
            now = time.monotonic()
            self._not_before = now + LOAD * (now - began)
            if self._pushed:
                self._pushed(prefixes)
            return self._made

    async def _read_whole(self) -> None:
        """Start to read the resources that only routes need, and wait for them, for PATIENCE at most."""
        sources = [each.source for each in self._parts.feeds if isinstance(each.source, ApiSource)]
        for source in sources:
            source.add(ROUTES)
        ends = time.monotonic() + PATIENCE
        while not all(source.complete for source in sources) and time.monotonic() < ends:  # noqa: ASYNC110  (no event)
            await asyncio.sleep(READ_LOOK)

    def _document(self, told: tuple[Told, ...]) -> tuple[tuple[Prefix, ...], str, bytes]:
        """The prefixes that are routed, the document's entity tag, and the document.

        The routes are for a place that reaches all nodes, by the next hops that the settings here choose. They end in
        the thread that made them: to free thousands takes the time of many answers.
        """
        nowhere = Host()
        routes = wanted([each.picture for each in told], choice_of(self._settings), nowhere).routes
        document = encode(told, routes)
        return tuple([route.prefix for route in routes]), f'"{hashlib.sha256(document).hexdigest()[:32]}"', document


def _first_token(said: Serve) -> str | None:
    try:
        return read_token(said.token_file) if said.token_file else None
    except CannotPull as error:
        raise CannotStart(f"routes.serve.token_file: {error}") from None


def check_serving(said: Serve) -> None:
    """Check that the token and the certificate of the HTTP address can be read. Raises CannotStart."""
    _first_token(said)
    server_context(said)


def server_context(said: Serve) -> ssl.SSLContext | None:
    """The TLS context of the HTTP address; None without a certificate. Raises CannotStart."""
    certificate, key = said.certificate, said.key
    if certificate is None:
        if key is not None:
            raise CannotStart("routes.serve.key: there is no routes.serve.certificate that it is of; name both")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        where = f"{certificate}{f', {key}' if key else ''}"
        why = (error.strerror or "").lower() if not isinstance(error, ssl.SSLError) else "not a certificate and its key"
        raise CannotStart(f"routes.serve.certificate: {where}: {why}; name PEM files of the two") from None
    return context

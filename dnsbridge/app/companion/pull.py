"""Pulls the pictures of clusters from another dnsbridge (GET /routes), and keeps the last good document.

    pull()    one request; with a wait the server answers when something changes (RFC 7240 `Prefer: wait=`)
    follow()  pulls for ever; a failure is tried again, and meanwhile the last good document counts
    restore() loads the document of an earlier run, if there is a state folder

An answer counts only if it is a valid document, whoever sent it (see routes.pictures.document).
"""

import asyncio
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dnsbridge.backoff import Backoff
from dnsbridge.config.routes import Pull
from dnsbridge.errors import of_system
from dnsbridge.files import replace
from dnsbridge.routes.host import Protected
from dnsbridge.routes.pictures.document import MAX_OCTETS, Told, Unusable, decode
from dnsbridge.routes.pictures.picture import Picture
from dnsbridge.tls import client_context, in_words

if TYPE_CHECKING:
    from aiohttp import ClientSession, StreamReader

log = logging.getLogger(__name__)

WAIT = 30
"""Seconds for which the server may wait for a change."""
TIMEOUT = 15.0
"""Seconds for everything else of a request."""
LOOKUP = 2.0
"""Seconds to look up the server's name."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts while the server is away."""
MAX_TOKEN = 4096
FILE = "pulled-routes.json"


class CannotPull(Exception):
    """Why nothing could be pulled, in one line: from where, what, and what to do."""


async def pulled_once(said: Pull, state_dir: Path | None) -> list[Picture]:
    """The pictures for a command: the current ones, else the last good ones with a warning. Raises CannotPull."""
    puller = Puller(said, state_dir)
    try:
        await puller.pull()
    except CannotPull as error:
        if not puller.restore():
            raise
        log.warning("%s; the last good routes are used", error)
    finally:
        await puller.close()
    told = puller.told or ()
    for each in told:
        if each.picture == Picture(each.picture.cluster):
            raise CannotPull(f"{said.url}: cluster {each.picture.cluster} has not been read there yet; try again")
    return [each.picture for each in told]


class Puller:
    """One server's document."""

    def __init__(self, said: Pull, state_dir: Path | None) -> None:
        """Raises CannotPull for an address or files of no use."""
        assert said.url is not None
        self.told: tuple[Told, ...] | None = None
        """The clusters as the server last told them; None: it never has."""
        self.alive = False
        """Whether the last request succeeded; if not, `told` may be old."""
        self.confirmed_at: float | None = None
        """Monotonic time at which the server last said that `told` is current; None: it never has."""
        self.url = _checked(said.url)
        self._token_file = said.token_file
        self._tls = _trust(said.ca, self.url)
        self._kept = state_dir / FILE if state_dir else None
        self.on_change: Callable[[], None] = lambda: None
        self._etag = ""
        self._problem = ""
        self._session: ClientSession | None = None

    @property
    def fresh(self) -> bool:
        """Whether `told` is current, so that it may withdraw routes."""
        return self.alive and self.told is not None

    def restore(self) -> bool:
        """Load the document of an earlier run; returns whether there was a good one."""
        if self._kept is None:
            return False
        try:
            if self._kept.stat().st_size > MAX_OCTETS:
                raise Unusable(f"over {MAX_OCTETS} octets")
            self.told = decode(self._kept.read_bytes())
        except FileNotFoundError:
            return False
        except (OSError, Unusable) as error:
            log.warning("%s: %s; not used", self._kept, of_system(error))
            return False
        log.info("routes of an earlier run from %s", self._kept)
        self.on_change()
        return True

    async def pull(self, wait: int = 0) -> bool:
        """Ask once; returns whether something has changed. Raises CannotPull."""
        from aiohttp import ClientError, ClientTimeout  # noqa: PLC0415  slow to load

        headers = {"Accept": "application/json", "User-Agent": "dnsbridge"}
        if self._token_file:
            headers["Authorization"] = f"Bearer {self._token(self._token_file)}"
        if self._etag:
            headers["If-None-Match"] = self._etag
            if wait:
                headers["Prefer"] = f"wait={wait}"
        session = self._open()
        timeout = ClientTimeout(total=wait + TIMEOUT, connect=TIMEOUT)
        try:
            # Only the server in the settings may say where packets go, so no redirection is followed.
            async with session.get(
                f"{self.url}/routes", headers=headers, timeout=timeout, ssl=self._tls, allow_redirects=False
            ) as response:
                if response.status == HTTPStatus.NOT_MODIFIED and self._etag:
                    self.confirmed_at = time.monotonic()
                    return False
                octets = await _read(response.content)
                status, etag = response.status, response.headers.get("ETag", "")
        except TimeoutError:  # an OSError as well
            raise CannotPull(f"{self.url}: no answer in time; see whether the server runs") from None
        except (ClientError, OSError) as error:
            raise CannotPull(f"{self.url}: {_why(error)}; see whether the server runs and is reachable") from None
        except ValueError as error:
            raise CannotPull(f"{self.url}: not HTTP as it should be: {_one_line(error)}") from None
        if status != HTTPStatus.OK:
            raise CannotPull(f"{self.url}: {_refusal(status, octets, self._token_file)}")
        try:
            self.told = decode(octets)
        except Unusable as error:
            raise CannotPull(f"{self.url}: {error}") from None
        self._etag, self.confirmed_at = etag, time.monotonic()
        self._keep(octets)
        return True

    async def follow(self) -> None:
        """Pull until cancelled."""
        backoff = Backoff(random.random, longest=LONGEST_PAUSE)
        try:
            while True:
                try:
                    changed = await self.pull(WAIT if self.alive else 0)
                except CannotPull as error:
                    if str(error) != self._problem:
                        kept = "; the last good routes stay" if self.told is not None else ""
                        log.error("%s%s", error, kept, extra={"event": "source_trouble"})
                    self._problem, self.alive = str(error), False
                    await asyncio.sleep(backoff.delay())
                    continue
                backoff.succeeded()
                if self._problem:
                    log.info("%s: answers again", self.url, extra={"event": "source_connected"})
                    self._problem = ""
                if changed or not self.alive:
                    self.alive = True
                    self.on_change()
                if not self._etag:
                    await asyncio.sleep(1)  # the server, or a proxy before it, does not say whether something changed
        finally:
            await self.close()

    async def protected(self) -> list[Protected]:
        """The server's own addresses; no route may divert packets for them."""
        host = urlsplit(self.url).hostname
        try:
            async with asyncio.timeout(LOOKUP):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, ValueError):
            return []  # pulling reports this better
        addresses = dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found)
        return [Protected(ip_address(address), f"the dnsbridge {self.url}") for address in addresses]

    async def close(self) -> None:
        """Close the connection."""
        if self._session:
            await self._session.close()
            self._session = None

    def _open(self) -> "ClientSession":
        from aiohttp import ClientSession  # noqa: PLC0415

        if self._session is None:
            self._session = ClientSession(trust_env=False, max_field_size=8190)
        return self._session

    def _token(self, path: Path) -> str:
        """Read the token each time: it may be replaced while we run."""
        return read_token(path)

    def _keep(self, octets: bytes) -> None:
        if self._kept is None:
            return
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            replace(self._kept, octets, 0o600)
        except OSError as error:
            log.warning("%s: %s; not kept for a restart", self._kept, of_system(error))


def read_token(path: Path) -> str:
    """The token in a file. Raises CannotPull."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_TOKEN + 1).strip()
    except OSError as error:
        raise CannotPull(f"{path}: {of_system(error)}; the token is read from it") from None
    if not octets or len(octets) > MAX_TOKEN or not all(0x21 <= octet <= 0x7E for octet in octets):
        raise CannotPull(f"{path}: no token; write one line of printable characters without a space")
    return octets.decode("ascii")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        good = good and not (parts.query or parts.fragment or parts.username)
    except ValueError:  # not a port number
        good = False
    if not good:
        raise CannotPull(f"{url}: not the HTTP address of a dnsbridge; write it like https://10.0.0.8:9153")
    return url.rstrip("/").removesuffix("/routes")


def _trust(ca: Path | None, url: str) -> ssl.SSLContext | bool:
    if not url.startswith("https:"):
        return True
    try:
        return client_context(ca)
    except OSError as error:
        raise CannotPull(f"{ca}: {of_system(error)}; name a PEM file of certificates") from None


async def _read(content: "StreamReader") -> bytes:
    """A body of at most MAX_OCTETS. Raises ValueError."""
    octets = bytearray()
    async for piece in content.iter_chunked(1 << 16):
        octets += piece
        if len(octets) > MAX_OCTETS:
            raise ValueError(f"over {MAX_OCTETS} octets")
    return bytes(octets)


def _refusal(status: int, octets: bytes, token_file: Path | None) -> str:
    if status == HTTPStatus.UNAUTHORIZED and token_file is None:
        return "it asks for a token; name its file with --token-file (routes.pull.token_file)"
    if status == HTTPStatus.UNAUTHORIZED:
        return "the token is not the one that it asks for; see routes.pull.token_file"
    if status == HTTPStatus.FORBIDDEN:
        return "it gives routes to its own host only; it needs routes.serve.token_file, and this host the token"
    said = _one_line(octets[:200].decode("utf-8", "replace"))
    return f"HTTP status {status}{f', {said}' if said else ''}; is this a dnsbridge?"


def _why(error: Exception) -> str:
    from aiohttp import (  # noqa: PLC0415
        ClientConnectorCertificateError,
        ClientConnectorDNSError,
        ClientConnectorError,
        ClientPayloadError,
    )

    if isinstance(error, ClientConnectorCertificateError) and isinstance(error.certificate_error, OSError):
        return in_words(error.certificate_error)
    if isinstance(error, ClientConnectorDNSError):
        return "no address is known for its name"
    if isinstance(error, ClientConnectorError):
        return in_words(error.os_error)
    if isinstance(error, ClientPayloadError):
        return "its answer ends too early"
    return _one_line(error) or type(error).__name__


def _one_line(text: object) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())[:200]

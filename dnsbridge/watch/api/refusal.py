"""A failed request to an API server: one value for HTTP statuses, ERROR events and broken connections."""

import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from dnsbridge.watch.api import frames
from dnsbridge.watch.api.connection import CONNECT_TIMEOUT, CannotConnect

MAX_RETRY_AFTER = 300.0
"""Seconds; a longer Retry-After is cut to this."""


class Refused(Exception):
    """A failed request: the problem in one line, and the properties that decide what follows."""

    def __init__(
        self,
        problem: str,
        *,
        code: int = 0,
        retry_after: float = 0.0,
        silent: bool = False,
        nowhere: bool = False,
        unconnected: bool = False,
        lasting: bool = False,
        garbled: bool = False,
        doubted: bool = False,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.code = code
        self.retry_after = retry_after
        self.silent = silent
        """Nothing came for too long."""
        self.garbled = garbled
        """Something came that is no event."""
        self.doubted = doubted
        """A complete list came, and is not believed."""
        self.unconnected = unconnected
        """There was no connection, or there were no credentials: the server was not asked."""
        self.lasting = lasting
        """A person has to mend it: a kubeconfig, credentials, a certificate."""
        self._nowhere = nowhere

    @property
    def expired(self) -> bool:
        """The resourceVersion or the continue token is too old (410 Gone)."""
        return self.code == 410

    @property
    def forbidden(self) -> bool:
        """The credentials do not suffice (403)."""
        return self.code == 403

    @property
    def invalid(self) -> bool:
        """The server does not take the parameters of the request (400, 422)."""
        return self.code in (400, 422)

    @property
    def not_found(self) -> bool:
        """The server has no such resource (404)."""
        return self.code == 404

    @property
    def of_server(self) -> bool:
        """Every resource meets the same failure: no connection, a broken connection, or an unknown user (401)."""
        return self._nowhere or self.unconnected or self.code == 401

    @property
    def unasked(self) -> bool:
        """The server did not judge the request: it did not reach the server, or came from an unknown user (401)."""
        return self.unconnected or self.code == 401

    @property
    def shared(self) -> bool:
        """Other resources of the same server are likely to meet the same failure."""
        return self.of_server or self.silent or self.code >= 500

    @property
    def away(self) -> bool:
        """The server, or something that it depends on, is away at present and will come back by itself."""
        return self.shared and not (self.silent or self.lasting or self.retry_after or self.code == 401)

    @property
    def not_offered(self) -> bool:
        """Asking again soon would change nothing."""
        return self.forbidden or self.not_found


def refusal_of(code: int, headers: Mapping[str, str], body: bytes | msgspec.Raw) -> Refused:
    """The Refused for an HTTP status, or for the Status of an ERROR event."""
    try:
        status = frames.status_decoder.decode(body)
    except frames.UNREADABLE:
        status = frames.Status()
    said = " ".join(status.message.split())[:300] or status.reason or "no reason given"
    if "Too large resource version" in said:
        code = 410  # the server has lost the state that our version is from: only a new list helps
    return Refused(f"HTTP {code}: {said}", code=code, retry_after=_retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a `Retry-After` header (RFC 9110 section 10.2.3)."""
    text = headers.get("Retry-After", "")
    if text.isdecimal():
        return min(float(text), MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)  # "-0000" says only that the time is UTC (RFC 5322 section 3.3)
    return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER)


def unreachable(error: Exception) -> Refused:
    """The Refused for an exception of the connection."""
    from aiohttp import (  # noqa: PLC0415  loaded with the first connection
        ClientConnectorError,
        ClientOSError,
        ClientPayloadError,
        ConnectionTimeoutError,
        ServerDisconnectedError,
    )

    if isinstance(error, ConnectionTimeoutError):
        return Refused(f"no connection within {CONNECT_TIMEOUT:g} s", unconnected=True)
    if isinstance(error, TimeoutError):
        return Refused("no sign of life", silent=True)
    if isinstance(error, (*frames.UNREADABLE, frames.LineTooLong)):
        return Refused(f"what came is no event: {str(error) or 'a line without end'}", garbled=True)
    if isinstance(error, CannotConnect):
        return Refused(str(error), unconnected=True, lasting=True)
    certificate = getattr(error, "certificate_error", None) or error.__cause__
    if isinstance(certificate, ssl.SSLError):
        said = getattr(certificate, "verify_message", "") or certificate.reason or certificate
        return Refused(f"TLS: {said}", unconnected=True, lasting=True)
    if isinstance(error, ClientConnectorError):
        number = error.os_error.errno or 0
        why = os.strerror(number) if number > 0 else error.os_error.strerror or str(error.os_error)
        return Refused(f"cannot connect to {error.host}:{error.port}: {why.lower()}", unconnected=True)
    if isinstance(error, ClientOSError | ClientPayloadError | ServerDisconnectedError | ConnectionError):
        return Refused("the connection broke", nowhere=True)
    text = " ".join(str(error).split())[:300]
    return Refused(f"{type(error).__name__}: {text}" if text else type(error).__name__, nowhere=True)

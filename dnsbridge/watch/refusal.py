"""Why a request to an API server gave nothing: one value for HTTP statuses, ERROR events and broken connections."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from dnsbridge.watch import frames
from dnsbridge.watch.connection import CannotConnect

MAX_RETRY_AFTER = 300.0
"""Seconds; a server that asks for more is asked sooner all the same."""


class Refused(Exception):
    """A request that failed, and what follows from it."""

    def __init__(
        self,
        problem: str,
        *,
        code: int = 0,
        retry_after: float = 0.0,
        no_streaming: bool = False,
        silent: bool = False,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.code = code
        self.retry_after = retry_after
        self.no_streaming = no_streaming
        """The server does not know streaming lists."""
        self.silent = silent
        """Nothing came for too long."""

    @property
    def expired(self) -> bool:
        """The resourceVersion or the continue token is too old (410 Gone)."""
        return self.code == 410

    @property
    def forbidden(self) -> bool:
        """The credentials do not suffice (403)."""
        return self.code == 403

    @property
    def not_found(self) -> bool:
        """The server has no such resource (404)."""
        return self.code == 404

    @property
    def not_offered(self) -> bool:
        """Asking again soon would change nothing."""
        return self.forbidden or self.not_found


def refusal_of(code: int, headers: Mapping[str, str], body: bytes | msgspec.Raw, streaming: bool = False) -> Refused:
    """The refusal that an HTTP status, or the Status of an ERROR event, is."""
    try:
        status = frames.status_decoder.decode(body)
    except msgspec.DecodeError:
        status = frames.Status()
    said = " ".join(status.message.split())[:300] or status.reason or "no reason given"
    no_streaming = streaming and code in (400, 422)
    return Refused(f"HTTP {code}: {said}", code=code, retry_after=_retry_after(headers), no_streaming=no_streaming)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a `Retry-After` header (RFC 9110 section 10.2.3)."""
    text = headers.get("Retry-After", "")
    if text.isdecimal():
        return min(float(text), MAX_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER)


def unreachable(error: Exception) -> Refused:
    """The refusal that an exception of the connection is."""
    if isinstance(error, TimeoutError):
        return Refused("no sign of life", silent=True)
    if isinstance(error, msgspec.DecodeError | frames.LineTooLong):
        return Refused(f"what came is no event: {str(error) or 'a line without end'}")
    if isinstance(error, CannotConnect):
        return Refused(str(error))
    certificate = getattr(error, "certificate_error", None) or error.__cause__
    if isinstance(certificate, ssl.SSLError):
        return Refused(f"TLS: {getattr(certificate, 'verify_message', '') or certificate.reason or certificate}")
    text = " ".join(str(error).split())[:300]
    return Refused(f"{type(error).__name__}: {text}" if text else type(error).__name__)

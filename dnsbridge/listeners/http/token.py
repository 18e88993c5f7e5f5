"""The token that a client shows, and the one that it must show (routes.serve.token_file)."""

import binascii
import hmac
import logging
from base64 import b64decode
from collections.abc import Callable

from aiohttp import web

from dnsbridge.errors import of_system

log = logging.getLogger(__name__)


def wanted_token(read: Callable[[], str | None], what: str) -> str | web.Response | None:
    """The token that must be shown; None: there is none; an answer where it cannot be read, and `what` is refused."""
    try:
        return read()
    except OSError as error:
        log.error("routes.serve.token_file: %s; %s is refused", of_system(error), what)
        return web.Response(status=503, text="the server cannot read its token; see its log\n")


def bearer(request: web.Request) -> str:
    """The token of `Authorization: Bearer TOKEN` (RFC 6750); empty: none."""
    return _credentials(request, "bearer")


def password(request: web.Request) -> str:
    """The password of Basic authentication (RFC 7617); empty: none."""
    try:
        return b64decode(_credentials(request, "basic"), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def is_token(shown: str, token: str) -> bool:
    """Whether a client shows the token, compared in constant time."""
    return hmac.compare_digest(shown.encode(), token.encode())


def _credentials(request: web.Request, wanted: str) -> str:
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == wanted else ""

"""TLS towards an upstream: whom to trust, the name in its certificate, and what went wrong in a few words."""

import os
import ssl
from pathlib import Path

from msgspec import Struct


class Tls(Struct, frozen=True):
    """How an upstream proves who it is."""

    context: ssl.SSLContext
    name: str = ""
    """The name that must be in the certificate; empty: the upstream's address."""


def client_context(ca: Path | None) -> ssl.SSLContext:
    """A context that trusts the certificates in a PEM file, and no others; None: those of the system.

    Raises OSError when the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca)
    # Names are in subjectAltName (RFC 9525 section 6.3); a common name can be anything.
    context.hostname_checks_common_name = False
    return context


def explained(error: OSError) -> str:
    """Why there is no connection, or no certificate, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'the handshake failed').replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, ConnectionResetError):
        return "the connection broke while it was being made"
    return os.strerror(error.errno) if error.errno else "the connection cannot be made"

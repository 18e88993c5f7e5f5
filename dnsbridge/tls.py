"""TLS to an upstream: trusted authorities, the name in the certificate, and errors in a few words."""

import os
import ssl
from pathlib import Path

from msgspec import Struct

_WRONG_NAME = "certificate is not valid for "
_UNTRUSTED = "its certificate is of no authority that is trusted"
_CERTIFICATE_WORDS = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: _UNTRUSTED,  # a self-signed certificate
    19: _UNTRUSTED,  # a self-signed authority in the chain
    20: _UNTRUSTED,
    21: _UNTRUSTED,  # the chain to an authority was not sent
}
"""By OpenSSL's error number (x509_vfy.h)."""


class Tls(Struct, frozen=True):
    """How an upstream proves its identity."""

    context: ssl.SSLContext
    name: str = ""
    """The name that must be in the certificate; empty: the upstream's address."""


def client_context(ca: Path | None) -> ssl.SSLContext:
    """A context that trusts only the certificates in a PEM file; None: the system's certificates.

    Raises OSError when the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca)
    # Names are in subjectAltName (RFC 9525 section 6.3); a common name can be anything.
    context.hostname_checks_common_name = False
    return context


def explained(error: OSError) -> str:
    """Why the connection or its certificate failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'the handshake failed').replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, ConnectionResetError):
        return "the connection broke while it was being made"
    return os.strerror(error.errno) if error.errno else "the connection cannot be made"


def in_words(error: OSError) -> str:
    """The same, for readers who do not know OpenSSL's terms."""
    if isinstance(error, ssl.SSLCertVerificationError):
        _, mark, name = error.verify_message.partition(_WRONG_NAME)
        if mark:
            name = name.strip(".'")
            return f"the certificate is not valid for {name}"
        return _CERTIFICATE_WORDS.get(error.verify_code, explained(error))
    return "its port is closed" if isinstance(error, ConnectionRefusedError) else explained(error)

"""Reads a certificate's end of validity: a TLS server that refuses an expired one often hangs up without a word."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

_EXPLICIT_VERSION, _UTC_TIME = 0xA0, 0x17
_MAX_LENGTH_OCTETS = 4


def not_after(path: Path) -> datetime | None:
    """The `notAfter` of the first certificate of a PEM file (RFC 5280 section 4.1.2.5); None if it cannot be read."""
    try:
        pem = path.read_text(encoding="latin-1")
    except OSError:
        return None
    start = pem.find(ssl.PEM_HEADER)
    end = pem.find(ssl.PEM_FOOTER, start)
    if start < 0 or end < 0:
        return None
    try:
        der = ssl.PEM_cert_to_DER_cert(pem[start : end + len(ssl.PEM_FOOTER)])
        # Certificate > TBSCertificate > version?, serialNumber, signature, issuer, validity > notBefore, notAfter
        signed = _children(_children(der)[0][1])[0][1]
        fields = _children(signed)
        validity = fields[4 if fields[0][0] == _EXPLICIT_VERSION else 3][1]
        tag, written = _children(validity)[1]
        text = written.decode("ascii")
        if tag == _UTC_TIME:
            text = ("19" if text[0] >= "5" else "20") + text
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (ValueError, IndexError):
        return None


def _children(der: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of consecutive values (X.690, definite lengths)."""
    found = []
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            if size > _MAX_LENGTH_OCTETS:
                raise ValueError("no length that a certificate has")
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        found.append((tag, der[at : at + length]))
        at += length
    return found

"""Certificates of DNS servers over TLS, good and bad: an authority, and server contexts with certificates of it."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


class Authority:
    """A certificate authority."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def write(self, file: Path) -> Path:
        """Its own certificate as a PEM file."""
        self._ca.cert_pem.write_to_path(str(file))
        return file

    def server(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """For a server with a certificate for these names and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issue(names, expired).configure_cert(context)
        return context

    def write_server(self, folder: Path, *names: str) -> tuple[Path, Path]:
        """A server's certificate and its key as PEM files."""
        issued = self._issue(names, expired=False)
        certificate, key = folder / "server.pem", folder / "server.key"
        certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return certificate, key

    def _issue(self, names: tuple[str, ...], expired: bool) -> trustme.LeafCert:
        now = datetime.now(UTC)
        if not expired:
            return self._ca.issue_cert(*names)
        return self._ca.issue_cert(*names, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))

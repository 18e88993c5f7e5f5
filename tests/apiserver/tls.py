"""The certificates: one authority for the server and its clients."""

import ssl
from collections.abc import Sequence
from datetime import datetime

import trustme


class Authority:
    """A certificate authority; certificates are PEM."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.certificate = self._ca.cert_pem.bytes()

    def server_context(self, client_certificates: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
        """For a server at 127.0.0.1 and localhost; CERT_REQUIRED refuses clients without a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("127.0.0.1", "localhost", "::1").configure_cert(context)
        self._ca.configure_trust(context)
        context.verify_mode = client_certificates
        return context

    def client_context(self) -> ssl.SSLContext:
        """For a client that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def client_certificate(
        self, user: str, groups: Sequence[str] = (), not_after: datetime | None = None
    ) -> tuple[bytes, bytes]:
        """A user's certificate and its key; one group at most is said in it. `not_after` in the past: expired."""
        organisation = groups[0] if groups else None
        not_before = None if not_after is None else not_after.replace(year=not_after.year - 1)
        issued = self._ca.issue_cert(
            common_name=user, organization_name=organisation, not_before=not_before, not_after=not_after
        )
        return issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()

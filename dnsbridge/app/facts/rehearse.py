"""The problems that would keep `dnsbridge serve` from starting, found without sending a packet; for `config check`.

Files are read as `serve` reads them: manifests, kubeconfigs, the token and the certificate of the HTTP address. The
check runs no credential plugin of a kubeconfig, and tries no configured port: the running server may have it.
"""

from collections.abc import Iterator

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.feeds import overlap
from dnsbridge.app.server.routes_document import check_serving
from dnsbridge.app.server.sockets import absent
from dnsbridge.config import Loaded
from dnsbridge.errors import CannotStart
from dnsbridge.watch.api.connection import CannotConnect, check_files
from dnsbridge.watch.manifests.source import ManifestError, ManifestSource


async def rehearse(loaded: Loaded) -> list[str]:
    """Every problem, one line each."""
    found = list(_listen(loaded))
    parts = build(loaded.settings, loaded.settings.listen)
    try:
        found += _sources(parts)
        found += filter(None, [overlap(parts.feeds)])
    finally:
        await parts.close()
    if loaded.settings.http is not None:
        try:
            check_serving(loaded.settings.routes.serve)
        except CannotStart as error:
            found.append(str(error))
    return found


def _listen(loaded: Loaded) -> Iterator[str]:
    """Addresses that this machine does not have; one of the defaults may be missing (no IPv6)."""
    if "listen" in loaded.origins:
        yield from filter(None, map(absent, loaded.settings.listen))


def _sources(parts: Parts) -> Iterator[str]:
    """Sources that cannot be read at all."""
    for feed in parts.feeds:
        source = feed.source
        try:
            if isinstance(source, ManifestSource):
                source.load()
            else:
                check_files(source.connection.address)
        except (ManifestError, CannotConnect) as error:
            yield str(error)

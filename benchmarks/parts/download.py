"""The lists that dnsbridge asks for, downloaded as it asks for them and thrown away: the server's own time."""

import asyncio
import base64
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from benchmarks.parts.run import Failed

SECONDS = 60.0
_PATHS = ("/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices", "/api/v1/namespaces", "/api/v1/nodes")
_PARAMETERS = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
_END = b"k8s.io/initial-events-end"
_CHUNK = 1 << 16


def download(kubeconfig: Path) -> float:
    """Seconds from the first connection to the end of the last list. Raises Failed."""
    config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    url = urlsplit(cluster["server"])
    begin = time.monotonic()
    asyncio.run(_all(url.hostname or "", url.port or 443, context, user["token"]))
    return time.monotonic() - begin


async def _all(host: str, port: int, context: ssl.SSLContext, token: str) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(_list(host, port, context, token, path) for path in _PATHS))
    except (OSError, TimeoutError) as error:
        raise Failed(f"the lists cannot be downloaded: {type(error).__name__}: {error}") from None


async def _list(host: str, port: int, context: ssl.SSLContext, token: str, path: str) -> None:
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=1 << 22)
    request = f"GET {path}?{_PARAMETERS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(request.encode())
    last = b""
    try:
        # The mark may lie across two chunks.
        while _END not in last:
            octets = await reader.read(_CHUNK)
            if not octets:
                raise Failed(f"{path} ended before its end")
            last = last[-len(_END) :] + octets
    finally:
        writer.transport.abort()

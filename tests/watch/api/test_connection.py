"""How long a response may be silent, and that a connection that is left is gone, on a real server."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import SocketTimeoutError

from dnsbridge.watch.api.connection import ApiAddress, Connection, bear
from tests.apiserver.server import ApiServer, in_thread
from tests.support.waiting import DEADLINE, until

WATCH = "/api/v1/services?watch=1&resourceVersion=0"


def test_silence_of_a_watch(tmp_path: Path) -> None:
    """What a watch may be silent for is changed while it is open, also between two events, when nothing is unread."""
    with in_thread(ApiServer()) as server:

        async def work() -> None:
            connection = Connection(ApiAddress(server.kubeconfig(tmp_path / "config")))
            async with asyncio.timeout(DEADLINE), connection.get(WATCH, 2 * DEADLINE) as response:
                bear(response, 0.05)
                with pytest.raises(SocketTimeoutError):
                    await response.content.read()
            await until(lambda: server.call(server.streams) == 0)
            await connection.close()

        asyncio.run(work())

"""One question to an upstream over TCP: a connection, a question, a reply, each after its length (RFC 1035, 4.2.2)."""

import asyncio
import os
from enum import Enum

from dnsbridge.resolvers import transparent


class FetchFailure(Enum):
    """Why there is no reply."""

    UNREACHABLE = "cannot connect, or the connection broke"
    CLOSED = "the upstream closed the connection before its reply was complete"
    TIMEOUT = "no reply in time"
    MISMATCHED = "the reply answers another question"


async def fetch(address: str, port: int, wire: bytes, question: bytes, seconds: float) -> bytes | FetchFailure:
    """The reply to a message (`wire`: the message after its ID octets; `question`: its question section), ID included.

    All of it takes at most `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _exchange(address, port, os.urandom(2) + wire, question)
    except TimeoutError:
        return FetchFailure.TIMEOUT
    except OSError:
        return FetchFailure.UNREACHABLE
    except EOFError:
        return FetchFailure.CLOSED


async def _exchange(address: str, port: int, message: bytes, question: bytes) -> bytes | FetchFailure:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = await reader.readexactly(length)
    finally:
        # Nothing is left to say: an orderly close would wait for the other side.
        writer.transport.abort()
    if reply[:2] != message[:2] or not transparent.matches(reply, question):
        return FetchFailure.MISMATCHED
    return reply

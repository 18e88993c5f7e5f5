"""Answers in JSON."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from dnsbridge.listeners.http.not_now import NotNow


async def json_answer(act: Callable[[], Awaitable[Any]], headers: Mapping[str, str] | None = None) -> web.Response:
    """The result of `act`, a value of msgspec; 503 where it raises NotNow, 400 where it raises ValueError."""
    try:
        body = msgspec.json.encode(await act())
    except NotNow as error:
        return web.Response(status=503, text=f"{error}\n")
    except ValueError as error:
        return web.Response(status=400, text=f"{error}\n")
    return web.Response(body=body, content_type="application/json", headers=headers)

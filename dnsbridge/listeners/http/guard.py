"""Who may see what over HTTP, and the headers that keep a browser from showing it to anybody else.

/metrics, /healthz, /readyz      everybody
asked at a loopback address      whoever is on this host; the Host header must name this host, or a web page of another
                                 site could ask in the name of its visitor (DNS rebinding)
asked at another address         who shows the token: `Authorization: Bearer TOKEN`, or as the password of Basic
                                 authentication, which browsers ask for

Requests to paths that have a rule of their own (see server) are only kept from DNS rebinding here.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address

from aiohttp import web

from dnsbridge.listeners.http.token import bearer, is_token, password, wanted_token

OPEN = frozenset({"/metrics", "/healthz", "/readyz"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CHALLENGES = (
    'Basic realm="dnsbridge, any user, the token as the password", charset="UTF-8"',
    'Bearer realm="dnsbridge"',
)
_NO_TOKEN = "this is for clients on the server's own host, at a loopback address; others need routes.serve.token_file\n"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """Checks requests before they are handled."""

    def __init__(self, token: Callable[[], str | None], own_rule: Iterable[str]) -> None:
        """`token` gives the token, None without one, and raises OSError; `own_rule` are paths with one of their own."""
        self._token = token
        self._own_rule = frozenset(own_rule)
        self._names = own_names()

    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request, or refuse it."""
        if request.path in OPEN:
            return await handler(request)
        shown = bearer(request) or password(request)
        token = wanted_token(self._token, "HTTP") if shown or not asked_at_loopback(request) else None
        if isinstance(token, web.Response):
            return token
        if token and shown and is_token(shown, token):
            return await handler(request)
        if request.path in self._own_rule or asked_at_loopback(request):
            if not self._names_this_host(request):
                text = "the Host header names another host than this; ask for localhost, or for an address\n"
                return web.Response(status=421, text=text)
            return await handler(request)
        if token is None:
            return web.Response(status=403, text=_NO_TOKEN)
        response = web.Response(status=401, text="show the token of routes.serve.token_file\n")
        for challenge in _CHALLENGES:
            response.headers.add("WWW-Authenticate", challenge)
        return response

    def _names_this_host(self, request: web.Request) -> bool:
        host = request.headers.get("Host", "")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] or host
        try:
            ip_address(name.partition("%")[0])
        except ValueError:
            return name.lower().rstrip(".") in self._names
        return True


def own_names() -> frozenset[str]:
    """The names of this host that need no look-up."""
    name = socket.gethostname().lower()
    return frozenset({"localhost", name, name.partition(".")[0]})


def asked_at_loopback(request: web.Request) -> bool:
    """Whether a request came to a loopback address, which only programs of this host can ask."""
    asked = request.transport.get_extra_info("sockname") if request.transport else None
    if not asked:
        return False
    address = ip_address(asked[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on a response that is about to be sent."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)

"""Asks a running server on this host, through its HTTP side."""

import http.client
import ssl
import urllib.error
import urllib.request

import click

from dnsbridge.cli.options import Command, Failed, load
from dnsbridge.config import Address

_TIMEOUT = 5.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_LARGEST = 64 << 20
"""The most octets of an answer that are read."""


_PLACE = (
    click.option("--config", "file", metavar="FILE", help="The server's configuration file, for where it listens."),
    click.option("--http", metavar="ADDR:PORT", help="Its HTTP address.  [default: 127.0.0.1:9153]"),
)


class NoAnswer(Exception):
    """Why a server gave no answer, in one line."""


class NoServer(NoAnswer):
    """Nobody answers: the address, and the system's reason, as in `http://127.0.0.1:9153 (connection refused)`."""


def place_options(command: Command) -> Command:
    """The options that say where a running server is; the command gets them as `file` and `http`."""
    for option in reversed(_PLACE):
        command = option(command)
    return command


def place(file: str | None, http: str | None) -> Address | None:
    """The HTTP address of the server that these options mean. Raises Failed."""
    return load(file, **({} if http is None else {"http": http})).settings.http


def answer(method: str, path: str, address: Address | None) -> bytes:
    """The answer of the server with this HTTP address, for a command that can do nothing without one. Raises Failed."""
    try:
        return ask(method, path, address)
    except NoServer as error:
        raise Failed(f"no server answers at {error}; start one, or say where with --http") from None
    except NoAnswer as error:
        raise Failed(str(error)) from None


def ask(method: str, path: str, address: Address | None) -> bytes:
    """The answer of the server with this HTTP address. Raises NoAnswer."""
    if address is None:
        raise NoAnswer("the server has no HTTP address (http: null); name one with --http, for it too")
    if address.port == 0:
        raise NoAnswer(f"{address}: port 0 is any; the server's log says which one it has, give it with --http")
    address = Address(_WILDCARDS.get(address.host, address.host), address.port)
    # A proxy (from $http_proxy) cannot reach this host's loopback.
    for scheme in ("http", "https"):
        # A certificate (routes.serve.certificate) has the name for other hosts; a server on this host needs no proof.
        tls = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)
        request = urllib.request.Request(f"{scheme}://{address}{path}", method=method)
        try:
            with opener.open(request, timeout=_TIMEOUT) as response:
                return bytes(response.read(_LARGEST))
        except urllib.error.HTTPError as error:
            said = error.read(1000).decode("utf-8", "replace").strip()
            raise NoAnswer(f"{address}: {said or error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            why = error.reason if isinstance(error, urllib.error.URLError) else error
            if scheme == "http" and isinstance(why, ConnectionResetError | http.client.HTTPException):
                continue
            text = (getattr(why, "strerror", None) or str(why) or type(why).__name__).lower()
            raise NoServer(f"http://{address} ({text})") from None
    raise NoServer(f"http://{address} (no HTTP)")

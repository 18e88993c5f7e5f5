"""The commands `dnsbridge cache show|flush`: they ask a running server on this host, through its HTTP side."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

import click

from dnsbridge.cli.options import Failed, load, output_option
from dnsbridge.cli.output import print_json, print_table
from dnsbridge.config import Address

_TIMEOUT = 5.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_LARGEST = 64 << 20
"""Octets of an answer that are read at most."""

_server_options = (
    click.option("--config", "file", metavar="FILE", help="The server's configuration file, for where it listens."),
    click.option("--http", metavar="ADDR:PORT", help="Its HTTP address.  [default: 127.0.0.1:9153]"),
)


def _options(command: Any) -> Any:
    for option in reversed(_server_options):
        command = option(command)
    return output_option(command)


@click.group("cache", epilog="Example: dnsbridge cache show www.example.com")
def cache_group() -> None:
    """Look into the cache of a running server on this host, and flush it."""


@cache_group.command(epilog="Example: dnsbridge cache show www.example.com --output json")
@click.argument("name")
@_options
def show(name: str, output: str, file: str | None, http: str | None) -> None:
    """Show what the cache holds of NAME."""
    found = _ask("GET", f"/cache?{urlencode({'name': name})}", file, http)
    if output == "json":
        print_json(found)
        return
    if not found:
        click.echo(f"{name}: nothing is held")
    for one in found:
        asked = "".join(text for key, text in (("dnssec_ok", " DO"), ("checking_disabled", " CD")) if one[key])
        left = f"stale for {one['stale_since']} s" if one["ttl"] == 0 else f"{one['ttl']} s left"
        head = f"{one['name']} {one['type']}{asked}: {one['rcode']}"
        click.echo(f"{head}, {one['age']} s old, {left}, {one['octets']} octets")
        if one["records"]:
            rows = [
                (each["section"], each["name"], str(each["ttl"]), each["type"], each["data"]) for each in one["records"]
            ]
            print_table(("section", "name", "ttl", "type", "data"), rows)


@cache_group.command(epilog="Example: dnsbridge cache flush www.example.com")
@click.argument("name", required=False)
@_options
def flush(name: str | None, output: str, file: str | None, http: str | None) -> None:
    """Forget what the cache holds of NAME, or all that it holds."""
    query = "" if name is None else f"?{urlencode({'name': name})}"
    found = _ask("POST", f"/cache/flush{query}", file, http)
    if output == "json":
        print_json(found)
    else:
        count = found["flushed"]
        click.echo(f"{count} {'answer' if count == 1 else 'answers'} forgotten")


def _ask(method: str, path: str, file: str | None, http_address: str | None) -> Any:
    """What the server says, decoded. Raises Failed."""
    flags = {} if http_address is None else {"http": http_address}
    address = load(file, **flags).settings.http
    if address is None:
        raise Failed("the server has no HTTP address (http: null); name one with --http, for it too")
    if address.port == 0:
        raise Failed(f"{address}: port 0 is any; the server's log says which one it has, give it with --http")
    address = Address(_WILDCARDS.get(address.host, address.host), address.port)
    # A proxy, which $http_proxy may name, has no way to this host's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    try:
        with opener.open(request, timeout=_TIMEOUT) as response:
            return json.loads(response.read(_LARGEST))
    except urllib.error.HTTPError as error:
        said = error.read(1000).decode("utf-8", "replace").strip()
        raise Failed(f"{address}: {said or error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        text = (getattr(why, "strerror", None) or str(why) or type(why).__name__).lower()
        raise Failed(f"no server answers at http://{address} ({text}); start one, or say where with --http") from None
    except ValueError:
        raise Failed(f"{address}: what answers there is no dnsbridge; say where it is with --http") from None

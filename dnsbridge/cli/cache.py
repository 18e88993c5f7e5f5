"""The commands `dnsbridge cache show|flush`: they ask a running server on this host, through its HTTP side."""

import json
from typing import Any
from urllib.parse import urlencode

import click

from dnsbridge.cli.options import Failed, output_option
from dnsbridge.cli.output import print_json, print_table
from dnsbridge.cli.running_server import answer, place, place_options


@click.group("cache", epilog="Example: dnsbridge cache show www.example.com")
def cache_group() -> None:
    """Look into the cache of a running server on this host, and flush it."""


@cache_group.command(epilog="Example: dnsbridge cache show www.example.com --output json")
@click.argument("name")
@place_options
@output_option
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
        where = f", worker {one['worker']}" if "worker" in one else ""
        click.echo(f"{head}, {one['age']} s old, {left}, {one['octets']} octets{where}")
        if one["records"]:
            rows = [
                (each["section"], each["name"], str(each["ttl"]), each["type"], each["data"]) for each in one["records"]
            ]
            print_table(("section", "name", "ttl", "type", "data"), rows)


@cache_group.command(epilog="Example: dnsbridge cache flush www.example.com")
@click.argument("name", required=False)
@place_options
@output_option
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
    """The server's answer, decoded. Raises Failed."""
    try:
        return json.loads(answer(method, path, place(file, http_address)))
    except ValueError:
        raise Failed("what answers there is no dnsbridge; say where it is with --http") from None

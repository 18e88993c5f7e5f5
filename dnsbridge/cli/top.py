"""The command `dnsbridge top`: the figures of the status page in a terminal."""

import sys
import time
from typing import TYPE_CHECKING

import click

from dnsbridge.cli.options import Failed, output_option
from dnsbridge.cli.running_server import answer, place, place_options

if TYPE_CHECKING:
    from dnsbridge.app.facts.status.document import Status
    from dnsbridge.config import Address

INTERVAL = 1.0
"""Seconds between two looks at the server: its own figures are of one second."""


@click.command(epilog="Example: dnsbridge top --http 127.0.0.1:9153")
@place_options
@output_option
def top(file: str | None, http: str | None, output: str) -> None:
    """Show what a running server on this host is doing, until Ctrl-C; once where the output is no terminal."""
    address = place(file, http)
    if output == "json":
        octets = _ask(address)
        _decoded(octets)  # what is not of this version is refused here as well
        click.echo(octets.decode())
        return
    from rich.console import Console

    from dnsbridge.cli.top_view import view

    if not sys.stdout.isatty():
        Console(width=120, highlight=False).print(view(_decoded(_ask(address)), None))
        return
    from rich.live import Live

    try:
        status = _decoded(_ask(address))
        with Live(view(status, None), screen=True, auto_refresh=False) as live:
            while True:
                live.update(view(status, live.console.height), refresh=True)
                time.sleep(INTERVAL)
                status = _decoded(_ask(address))
    except KeyboardInterrupt:
        return


def _ask(address: "Address | None") -> bytes:
    return answer("GET", "/api/status", address)


def _decoded(octets: bytes) -> "Status":
    """What the server shows of itself. Raises Failed."""
    import msgspec

    from dnsbridge.app.facts.status.document import Status

    try:
        return msgspec.json.decode(octets, type=Status)
    except msgspec.DecodeError:
        raise Failed("what answers there is no dnsbridge of this version; say where it is with --http") from None

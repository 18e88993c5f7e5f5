"""The command `dnsbridge top`: the figures of the status page in a terminal."""

import sys
import time
from typing import TYPE_CHECKING

import click

from dnsbridge.cli.options import Failed, load, output_option
from dnsbridge.cli.running_server import NoAnswer, NoServer, ask

if TYPE_CHECKING:
    from dnsbridge.app.facts.status.document import Status
    from dnsbridge.config import Address

INTERVAL = 1.0
"""Seconds between two looks at the server: its own figures are of one second."""


@click.command(epilog="Example: dnsbridge top --http 127.0.0.1:9153")
@click.option("--config", "file", metavar="FILE", help="The server's configuration file, for where it listens.")
@click.option("--http", metavar="ADDR:PORT", help="Its HTTP address.  [default: 127.0.0.1:9153]")
@output_option
def top(file: str | None, http: str | None, output: str) -> None:
    """Show what a running server on this host is doing, until Ctrl-C; once where the output is no terminal."""
    address = load(file, **({} if http is None else {"http": http})).settings.http
    if output == "json":
        _read(address)  # what is not of this version is refused here as well
        click.echo(_ask(address).decode())
        return
    from rich.console import Console

    from dnsbridge.cli.top_view import view

    if not sys.stdout.isatty():
        Console(width=120, highlight=False).print(view(_read(address), None))
        return
    from rich.live import Live

    try:
        status = _read(address)
        with Live(view(status, None), screen=True, auto_refresh=False) as live:
            while True:
                live.update(view(status, live.console.height), refresh=True)
                time.sleep(INTERVAL)
                status = _read(address)
    except KeyboardInterrupt:
        return


def _read(address: "Address | None") -> "Status":
    """What the server shows of itself. Raises Failed."""
    import msgspec

    from dnsbridge.app.facts.status.document import Status

    try:
        return msgspec.json.decode(_ask(address), type=Status)
    except msgspec.DecodeError:
        raise Failed("what answers there is no dnsbridge of this version; say where it is with --http") from None


def _ask(address: "Address | None") -> bytes:
    try:
        return ask("GET", "/api/status", address)
    except NoServer as error:
        raise Failed(f"no server answers at {error}; start one, or say where with --http") from None
    except NoAnswer as error:
        raise Failed(str(error)) from None

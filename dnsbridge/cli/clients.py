"""The command `dnsbridge clients`: ready configuration for a client or an office DNS server."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from dnsbridge.cli.options import BadUsage, Failed, addresses, load_complete, output_option, source_options
from dnsbridge.cli.output import print_json, print_table


@click.command("clients", epilog="Example: dnsbridge clients unbound --server 10.0.0.8 --config dnsbridge.yaml")
@click.argument("kind", required=False)
@click.option(
    "--server",
    "servers",
    metavar="ADDR[:PORT]",
    multiple=True,
    help="Where clients reach dnsbridge; may be repeated.  [default: where it listens on this host]",
)
@source_options
@output_option
def clients(kind: str | None, servers: Sequence[str], output: str, file: str | None, **flags: Any) -> None:
    """Print the configuration of an office DNS server or a client, for this host's clusters; without KIND the kinds."""
    from dnsbridge.app.facts.office_names import office_names
    from dnsbridge.clients import KINDS
    from dnsbridge.config import Address
    from dnsbridge.errors import CannotStart
    from dnsbridge.observe.log import start_logging

    if kind is None:
        rows = [(name, each.file, each.what) for name, each in KINDS.items()]
        if output == "json":
            print_json([{"kind": name, "file": file_name, "what": what} for name, file_name, what in rows])
        else:
            print_table(("kind", "file", "what"), rows)
        return
    if kind not in KINDS:
        raise BadUsage(f"{kind}: no such kind; there is: {', '.join(KINDS)}")
    asked = addresses("--server", servers, "10.0.0.8")
    loaded = load_complete(file, **flags)
    start_logging()
    try:
        names, notes = asyncio.run(office_names(loaded, asked))
    except CannotStart as error:
        raise Failed(str(error)) from None
    for note in notes:
        click.echo(note, err=True)
    text = KINDS[kind].text(names)
    if output == "json":
        print_json(
            {
                "kind": kind,
                "file": KINDS[kind].file,
                "servers": [str(Address(each.host, each.port)) for each in names.servers],
                "zones": names.zones,
                "reverse_zones": names.reverse,
                "notes": notes,
                "text": text,
            }
        )
    else:
        click.echo(text, nl=False)

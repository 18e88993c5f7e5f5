"""The command `dnsbridge routes export`: the wanted routes as text that another program takes."""

import asyncio
import difflib
from ipaddress import IPv4Address, ip_address
from typing import Any

import click

from dnsbridge.cli.options import BadUsage, Failed
from dnsbridge.cli.routes.options import load_routes, routes_options
from dnsbridge.errors import CannotStart
from dnsbridge.routes.exports import FORMATS


class _Formats(click.ParamType[str]):
    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in FORMATS:
            return str(value)
        near = difflib.get_close_matches(str(value)[:60].lower(), FORMATS, 1, 0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(FORMATS)}"
        raise BadUsage(f"--format: there is no format {str(value)[:60]!r}; {hint}")


class _Address(click.ParamType[Any]):
    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return ip_address(value)
        except ValueError:
            flag = param.opts[0] if param else "address"
            raise BadUsage(f"{flag}: {str(value)[:60]!r} is no IP address; write one like 10.96.0.10") from None


class _Command(click.Command):
    """Its help lists the formats."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Formats"):
            formatter.write_dl([(each.name, each.help) for each in FORMATS.values()])
        super().format_options(ctx, formatter)


@click.command(
    "export",
    cls=_Command,
    short_help="Print the wanted routes as what another program takes.",
    epilog="Example: dnsbridge routes export --format route-add --table gateway.txt --via gateways --gateway 10.0.0.9",
)
@click.option("--format", "format_", type=_Formats(), required=True, metavar="FORMAT", help="One of those above.")
@click.option("--interface", metavar="NAME", default="", help="The interface (or connection, adapter) of the routes.")
@click.option(
    "--dns",
    type=_Address(),
    multiple=True,
    metavar="ADDR",
    help="DNS server for VPN clients; may be repeated.  [default: dnsbridge's own address, else the cluster's server]",
)
@click.option("--default-gateway", type=_Address(), metavar="ADDR", help="The default route of DHCP clients.")
@click.option("--here", is_flag=True, help="For this host, by its links; else for a place of which nothing is known.")
@routes_options
def export_command(
    format_: str,
    interface: str,
    dns: tuple[Any, ...],
    default_gateway: Any,
    here: bool,
    file: str | None,
    **flags: Any,
) -> int:
    """Print the wanted routes as FORMAT on standard output; what the format cannot carry is said on standard error."""
    from dnsbridge.app.companion.export import Asked, exported
    from dnsbridge.netlink.this_host import NoHost
    from dnsbridge.observe.log import start_logging
    from dnsbridge.routes.exports import Refused
    from dnsbridge.routes.model import Severity

    if default_gateway is not None and not isinstance(default_gateway, IPv4Address):
        raise BadUsage("--default-gateway: DHCP option 121 is for IPv4; name an IPv4 address")
    asked = Asked(format_, here, interface, dns, flags["zone"], default_gateway)
    loaded = load_routes(file, **flags)
    start_logging()
    try:
        made = asyncio.run(exported(loaded, asked))
    except (CannotStart, NoHost) as error:
        raise Failed(str(error)) from None
    if isinstance(made, Refused):
        raise (BadUsage if made.problem.startswith("--") else Failed)(made.problem)
    for note in made.notes:
        click.echo(f"{note.severity}: {note}", err=True)
    click.echo(made.text, nl=False)
    return 1 if any(note.severity is Severity.ERROR for note in made.notes) else 0

"""The commands `dnsbridge routes ...`: the companion that makes the answers reachable."""

import click

from dnsbridge.cli.routes_export import export_command


@click.group("routes", epilog="Example: dnsbridge routes export --format iproute2")
def routes_group() -> None:
    """Push the routes that the answers need."""


routes_group.add_command(export_command)

"""The command `dnsbridge routes run`."""

from typing import Any

import click

from dnsbridge.cli.options import Failed
from dnsbridge.cli.routes.options import load_routes, routes_options, sink_option
from dnsbridge.errors import CannotStart


@click.command(
    short_help="Keep the routes true while nodes come and go.",
    epilog="Example: dnsbridge routes run --from https://10.0.0.8:9153 --token-file /etc/dnsbridge/token",
)
@routes_options
@sink_option
@click.option("--http", "routes_http", metavar="ADDR:PORT", help="Metrics and health of this program.  [default: none]")
@click.option("--allow-mass-change", is_flag=True, help="Also where more than half of the routes would go at once.")
def run(file: str | None, allow_mass_change: bool, **flags: Any) -> None:
    """Keep the routes true while nodes come and go, until SIGINT or SIGTERM; the routes then stay."""
    from contextlib import AsyncExitStack

    import uvloop

    from dnsbridge.app.companion.run import run_routes
    from dnsbridge.app.companion.sinks import sinks_of
    from dnsbridge.netlink.this_host import NoHost
    from dnsbridge.observe.log import start_logging
    from dnsbridge.routes.sink import SinkProblem

    loaded = load_routes(file, **flags)

    async def work() -> None:
        async with AsyncExitStack() as opened:
            sinks = sinks_of(loaded.settings.routes, lasting=True)
            for sink in sinks:
                opened.push_async_callback(sink.close)
            await run_routes(loaded, sinks, allow_mass_change)

    start_logging(loaded.settings.log.format, loaded.settings.log.level)
    try:
        uvloop.run(work())
    except (CannotStart, NoHost, SinkProblem) as error:
        raise Failed(str(error)) from None

"""The command `dnsbridge doctor`: the chain from a name to its service, link by link."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from dnsbridge.cli.options import BadUsage, Failed, addresses, complete_or_fail, load, output_option, source_options
from dnsbridge.cli.output import print_json, print_table


@click.command(epilog="Example: dnsbridge doctor kafka-0.kafka.data.svc.cluster.local --port 9092")
@click.argument("name")
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="TCP port.  [default: the service's first]")
@click.option(
    "--resolver",
    "resolvers",
    metavar="ADDR[:PORT]",
    multiple=True,
    help="Name server to ask, instead of those of this host; may be repeated.",
)
@source_options
@output_option
def doctor(name: str, port: int | None, resolvers: Sequence[str], output: str, file: str | None, **flags: Any) -> int:
    """Say whether NAME can be reached from here, and which link of the chain is broken; changes nothing."""
    from dnsbridge.app.doctor.gather import gather
    from dnsbridge.app.facts.lookup import question
    from dnsbridge.app.found_settings import without_unfound
    from dnsbridge.config import Loaded
    from dnsbridge.doctor.chain import diagnose, is_broken
    from dnsbridge.doctor.link import State
    from dnsbridge.observe.log import start_logging

    if isinstance(problem := question(name, None), str):
        raise BadUsage(problem)
    servers = addresses("--resolver", resolvers, "10.0.0.53")
    loaded: Loaded | str
    try:
        loaded = complete_or_fail(without_unfound(load(file, **flags)))
    except Failed as error:
        loaded = error.message
    start_logging()
    links = diagnose(asyncio.run(gather(name.rstrip(".") or ".", port, servers, loaded)))
    if output == "json":
        print_json({"name": name, "ok": not is_broken(links), "links": links})
    else:
        print_table(("link", "state", "evidence"), [(each.link, each.state.value, each.evidence) for each in links])
        for each in links:
            if each.state is State.FAILED:
                click.echo(f"\n{each.link}: {each.cause}\n  mend: {each.mend}")
        if not is_broken(links):
            click.echo("\nno link is broken, as far as it can be seen from here")
    return 1 if is_broken(links) else 0

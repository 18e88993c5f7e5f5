"""The commands: serve, demo, lookup, zone, config check|show|schema; cache and routes have modules of their own."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from dnsbridge import __version__
from dnsbridge.cli.cache import cache_group
from dnsbridge.cli.clients import clients
from dnsbridge.cli.doctor import doctor
from dnsbridge.cli.options import BadUsage, Failed, load, load_complete, output_option, server_options, source_options
from dnsbridge.cli.output import print_json, print_table
from dnsbridge.cli.routes.commands import routes_group
from dnsbridge.cli.routes.run import run as routes_run
from dnsbridge.cli.running_server import NoAnswer, NoServer, ask
from dnsbridge.cli.top import top
from dnsbridge.errors import CannotStart

DEMO_LISTEN = "127.0.0.1:5300"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: dnsbridge demo, and in another terminal: dig @127.0.0.1 -p 5300 web.shop.svc.cluster.local",
)
@click.version_option(__version__, prog_name="dnsbridge", message="%(prog)s %(version)s")
def dnsbridge() -> None:
    """Make a Kubernetes cluster part of the office network: its names, answered where the office asks."""


@dnsbridge.command(
    epilog="Example: dnsbridge serve --listen 127.0.0.1:5300 --manifests cluster.yaml --upstream 10.0.0.53"
)
@source_options
@server_options
def serve(file: str | None, **flags: Any) -> None:
    """Answer cluster names, and forward all others, until SIGINT or SIGTERM."""
    _serve(file, flags)


@dnsbridge.command(epilog="Example: dnsbridge demo")
def demo() -> None:
    """Serve the example cluster of the package on 127.0.0.1:5300."""
    example = Path(str(files("dnsbridge") / "example"))
    ask = f"dig @127.0.0.1 -p {DEMO_LISTEN.rpartition(':')[2]}"
    greeting = "\n".join(
        [
            "Try, in another terminal:",
            f"  {ask} web.shop.svc.cluster.local",
            f"  {ask} kafka-0.kafka.data.svc.cluster.local",
            f"  {ask} _broker._tcp.kafka.data.svc.cluster.local SRV",
        ]
    )
    _serve(None, {"listen": (DEMO_LISTEN,), "manifests": str(example)}, lambda: click.echo(greeting))


def _serve(file: str | None, flags: dict[str, Any], on_ready: Callable[[], None] = lambda: None) -> None:
    import uvloop

    from dnsbridge.observe.log import start_logging

    loaded = load_complete(file, **flags)
    start_logging(loaded.settings.log.format, loaded.settings.log.level)
    try:
        if loaded.settings.workers > 1:
            from dnsbridge.app.server.crew.fork import run

            run(loaded, on_ready)
        else:
            from dnsbridge.app.server.crew.alone import Alone
            from dnsbridge.app.server.life import serve

            uvloop.run(serve(loaded, Alone, on_ready))
    except CannotStart as error:
        raise Failed(str(error)) from None


@dnsbridge.command(epilog="Example: dnsbridge lookup kafka-0.kafka.data.svc.cluster.local --manifests cluster.yaml")
@click.argument("name")
@click.argument("rtype", metavar="[TYPE]", required=False)
@source_options
@output_option
def lookup(name: str, rtype: str | None, output: str, file: str | None, **flags: Any) -> int:
    """Say what would be answered to NAME and TYPE (default A; PTR for an address), from which source, and why."""
    from dnsbridge.app.answering.parts_once import parts_once
    from dnsbridge.app.facts.lookup import explain, question

    query = question(name, rtype)
    if isinstance(query, str):
        raise BadUsage(query)
    loaded = load_complete(file, **flags)

    async def run() -> Any:
        async with parts_once(loaded) as parts:
            return await explain(parts, query)

    found = _run(run())
    if output == "json":
        print_json(found)
    else:
        click.echo(f"{found.name} {found.type}: {found.rcode}, from {_source(found)}")
        click.echo(f"because: {found.because}")
        for one in found.objects:
            place = f"{one.namespace}/{one.name}" if one.namespace else one.name
            version = f" (resourceVersion {one.resource_version})" if one.resource_version else ""
            click.echo(f"object: {one.kind} {place}{version}")
        for link in found.links:
            leads = f" -> {link.target}" if link.target else ""
            click.echo(f"link: {link.name}{leads}, from {_source(link)}: {link.because}")
        if found.records:
            click.echo()
            rows = [(each.section, each.name, str(each.ttl), each.type, each.data) for each in found.records]
            print_table(("section", "name", "ttl", "type", "data"), rows)
    return 1 if found.failed else 0


def _source(found: Any) -> str:
    return {
        "cluster": f"cluster {found.cluster}",
        "coredns": f"the CoreDNS of cluster {found.cluster}",
        "forward": "the upstreams",
    }.get(found.source, "nowhere")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a command other than a server. Raises Failed."""
    from dnsbridge.observe.log import start_logging

    start_logging()
    try:
        return asyncio.run(work)
    except CannotStart as error:
        raise Failed(str(error)) from None


@dnsbridge.command(epilog="Example: dnsbridge zone --manifests cluster.yaml > cluster.local.zone")
@click.option("--cluster", metavar="NAME", help="Which of several clusters of the configuration.")
@source_options
@output_option
def zone(cluster: str | None, output: str, file: str | None, **flags: Any) -> None:
    """Print the whole zone of a cluster as a master file (RFC 1035 section 5)."""
    from dnsbridge.app.answering.parts_once import parts_once
    from dnsbridge.cluster.freshness import Freshness
    from dnsbridge.wire.name import to_text
    from dnsbridge.wire.presentation import data_to_text, type_to_text
    from dnsbridge.zone import master

    loaded = load_complete(file, **flags)
    names = [each.name for each in loaded.settings.clusters]
    if cluster is not None and cluster not in names:
        raise BadUsage(f"--cluster: no cluster {cluster}; there is: {', '.join(names) or 'none'}")
    if cluster is None and len(names) != 1:
        raise BadUsage(f"--cluster: say which cluster; there is: {', '.join(names) or 'none'}")

    async def run() -> Any:
        async with parts_once(loaded) as parts:
            bridged = next(each for each in parts.clusters if cluster in (None, each.cluster.name))
            if bridged.cluster.freshness is Freshness.UNSYNCED:
                raise Failed(f"cluster {bridged.cluster.name} could not be read; see above why")
            return bridged.cluster

    found = _run(run())
    if output == "table":
        for line in master.to_lines(found.index, found.settings, found.zone):
            click.echo(line)
        return
    print_json(
        [
            {
                "name": to_text(rrset.owner),
                "ttl": rrset.ttl,
                "type": type_to_text(rrset.rtype),
                "data": data_to_text(rrset.rtype, data),
            }
            for rrset in master.rrsets(found.index, found.settings, found.zone)
            for data in rrset.data
        ]
    )


dnsbridge.add_command(cache_group)
dnsbridge.add_command(clients)
dnsbridge.add_command(doctor)
dnsbridge.add_command(top)
dnsbridge.add_command(routes_group)
routes_group.add_command(routes_run)


@dnsbridge.group("config", epilog="Example: dnsbridge config check --config dnsbridge.yaml")
def config_group() -> None:
    """Check and show the settings."""


@config_group.command(epilog="Example: dnsbridge config check --config dnsbridge.yaml")
@source_options
@server_options
@output_option
def check(output: str, file: str | None, **flags: Any) -> int:
    """Check a configuration as serve would on this machine, without a packet; every problem is one line."""
    from dnsbridge.app.facts.rehearse import rehearse

    try:
        loaded = load_complete(file, **flags)
        if problems := _run(rehearse(loaded)):
            raise Failed("\n".join(problems))
    except Failed as error:
        if output == "table":
            raise
        print_json({"ok": False, "problems": error.message.splitlines()})
        return error.exit_code
    if output == "json":
        print_json({"ok": True, "problems": []})
    else:
        click.echo(f"{file or 'settings'}: well")
    return 0


@config_group.command(epilog="Example: dnsbridge config show --config dnsbridge.yaml --output json")
@source_options
@server_options
@output_option
def show(output: str, file: str | None, **flags: Any) -> None:
    """Show every setting as it is in effect, and where it came from; then how upstreams do and clusters are read."""
    from dnsbridge.app.facts.cluster_states import ClusterState, shown_clusters
    from dnsbridge.app.facts.shown_upstreams import ShownUpstream, shown_upstreams
    from dnsbridge.app.facts.upstream_states import State
    from dnsbridge.app.found_settings import discover, shown
    from dnsbridge.config import effective

    loaded = load(file, **flags)
    found = _running("/upstreams", list[State], loaded.settings.http)
    clusters = _running("/clusters", list[ClusterState], loaded.settings.http)
    rows = [*effective(shown(loaded)), *shown_upstreams(discover(loaded), found), *shown_clusters(loaded, clusters)]
    if output == "json":
        print_json(rows)
        return

    def text(value: Any) -> str:
        if isinstance(value, ShownUpstream):
            return f"{value.server}: {value.what}; {value.doing}"
        return value if isinstance(value, str) else json.dumps(value)

    print_table(("setting", "value", "origin"), [(row.key, text(row.value), row.origin) for row in rows])
    if isinstance(found, str):
        click.echo(f"how they are doing is not known: {found}", err=True)


def _running(path: str, of: Any, address: Any) -> Any:
    """The running server's answer at a path, as this type, or why there is none."""
    from msgspec import ValidationError
    from msgspec.json import decode

    try:
        found = decode(ask("GET", path, address), type=of)
    except NoServer as error:
        return f"no server answers on {error}"
    except NoAnswer as error:
        return str(error)
    except (ValidationError, ValueError):
        return "what answers there is no dnsbridge, or one of another version"
    return found


@config_group.command(epilog="Example: dnsbridge config schema > dnsbridge.schema.json")
@click.option("--output", type=click.Choice(["table", "json"]), default="json", show_default=True, help="As for show.")
def schema(output: str) -> None:
    """Print all settings with their types, defaults and meanings (JSON Schema, or a table)."""
    from dnsbridge.config import schema as json_schema
    from dnsbridge.config import settings_table

    if output == "json":
        print_json(json_schema())
    else:
        print_table(("setting", "default", "meaning"), settings_table())

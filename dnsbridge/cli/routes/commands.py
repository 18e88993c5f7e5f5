"""The commands `dnsbridge routes plan|apply|withdraw`, and the group that export and run join.

plan       exit status 0: nothing would change, 2: something would, 1: an error, or something wanted cannot be done
apply      0: all is as wanted, 1: something is not; what could be done is done
withdraw   0: none of our routes is left, 1: some are

With `--output json` each prints one document, also when it fails: `problems` then says why.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from dnsbridge.cli.options import Failed, load, output_option
from dnsbridge.cli.output import print_json
from dnsbridge.cli.routes.export import export_command
from dnsbridge.cli.routes.options import load_routes, routes_options, sink_option
from dnsbridge.config import Loaded
from dnsbridge.errors import CannotStart

CHANGES = 2
"""The exit status of a plan that changes something."""
_SHOWN_FAILURES = 100
"""The most failed routes that a table names one by one; JSON has all."""
_dry_run = click.option("--dry-run", is_flag=True, help="Change nothing.")


@click.group("routes", epilog="Example: dnsbridge routes plan --manifests cluster.yaml")
def routes_group() -> None:
    """Work out the routes to a cluster's pods and services, show them, set them, and take them back."""


routes_group.add_command(export_command)


@routes_group.command(
    short_help="Show which routes would change.",
    epilog="Example: dnsbridge routes plan --manifests cluster.yaml --via nodes",
)
@routes_options
@sink_option
@output_option
def plan(output: str, file: str | None, **flags: Any) -> int:
    """Show which routes would change; exit status 0: none, 2: some, 1: an error."""
    from dnsbridge.app.companion.plan import look

    async def work(sinks: list[Any]) -> int:
        looked = await look(loaded, sinks)
        _show(looked, output)
        return 1 if looked.failed else CHANGES if looked.changes else 0

    with _failures_in(output):
        loaded = load_routes(file, **flags)
        return _with_sinks(loaded, work)


@routes_group.command(epilog="Example: dnsbridge routes apply --manifests cluster.yaml --dry-run")
@routes_options
@sink_option
@_dry_run
@click.option("--allow-mass-change", is_flag=True, help="Also where more than half of the routes would go at once.")
@output_option
def apply(output: str, file: str | None, dry_run: bool, allow_mass_change: bool, **flags: Any) -> int:
    """Print the plan, then carry it out."""
    from dnsbridge.app.companion.plan import carry_out, look, mass_change

    async def work(sinks: list[Any]) -> int:
        looked = await look(loaded, sinks)
        if output == "table":
            _show(looked, output)
        refused = [
            f"sink {each.sink.name}: {mass_change(each.plan)}; nothing was changed"
            for each in looked.planned
            if each.plan.is_mass_change() and not (allow_mass_change or dry_run)
        ]
        done = [] if dry_run or refused else await carry_out(looked)
        if output == "json":
            _show(looked, output, done, refused)
        for problem in refused:
            click.echo(problem, err=True)
        return _ended(done, output, looked.failed or bool(refused))

    with _failures_in(output):
        loaded = load_routes(file, **flags)
        return _with_sinks(loaded, work)


@routes_group.command(epilog="Example: dnsbridge routes withdraw --dry-run")
@click.option("--config", "file", metavar="FILE", help="Configuration file (YAML).")
@sink_option
@_dry_run
@output_option
def withdraw(output: str, file: str | None, dry_run: bool, **flags: Any) -> int:
    """Take all routes back that are ours; needs no cluster."""
    from dnsbridge.app.companion.plan import carry_out, look_at_ours

    async def work(sinks: list[Any]) -> int:
        looked = await look_at_ours(sinks)
        if output == "table":
            _show(looked, output)
        done = [] if dry_run else await carry_out(looked, withdraw=True)
        if output == "json":
            _show(looked, output, done)
        return _ended(done, output, looked.failed)

    with _failures_in(output):
        loaded = load(file, **flags)
        return _with_sinks(loaded, work)


@contextmanager
def _failures_in(output: str) -> Iterator[None]:
    """Have JSON also say why a command failed before it had a plan."""
    try:
        yield
    except Failed as error:
        if output == "json":
            _print_document([], (), (), error.message.splitlines())
        raise


def _with_sinks(loaded: Loaded, work: Callable[[list[Any]], Awaitable[int]]) -> int:
    """Run a command with the sinks of the settings; returns its exit status. Raises Failed."""
    from contextlib import AsyncExitStack

    import uvloop

    from dnsbridge.app.companion.sinks import sinks_of
    from dnsbridge.netlink.this_host import NoHost
    from dnsbridge.observe.log import start_logging
    from dnsbridge.routes.sink import SinkProblem

    async def run() -> int:
        async with AsyncExitStack() as opened:
            sinks = sinks_of(loaded.settings.routes)
            for sink in sinks:
                opened.push_async_callback(sink.close)
            return await work(sinks)

    start_logging()
    try:
        return uvloop.run(run())
    except (CannotStart, NoHost, SinkProblem) as error:
        raise Failed(str(error)) from None


def _show(looked: Any, output: str, done: Any = (), refused: Any = ()) -> None:
    """Print the plans and the notes; in JSON also their results, or why there are none."""
    from dnsbridge.routes.plan_text import plan_facts, plan_lines, summary

    if output == "json":
        plans = [{"sink": each.sink.name, **plan_facts(each.plan)} for each in looked.planned]
        _print_document(plans, looked.notes, done, [*looked.problems, *refused])
        return
    for each in looked.planned:
        for line in plan_lines(each.plan):
            click.echo(line)
        click.echo(f"{each.sink.name}: {summary(each.plan)}")
    for note in looked.notes:
        click.echo(f"{note.severity}: {note}")
    for problem in looked.problems:
        click.echo(problem, err=True)


def _print_document(plans: Any, notes: Any, done: Any, problems: list[str]) -> None:
    from dnsbridge.routes.plan_text import note_facts

    reached = [_reached_fact(each) for each in done]
    print_json({"sinks": plans, "notes": note_facts(notes), "reached": reached, "problems": problems})


def _reached_fact(done: Any) -> dict[str, Any]:
    from dnsbridge.routes.plan_text import failure_facts, route_facts

    return {
        "sink": done.sink.name,
        "routes": route_facts(done.reached.routes),
        "failures": failure_facts(done.reached.failures),
        "problem": done.problem,
    }


def _ended(done: Any, output: str, failed: bool) -> int:
    """Print what did not work; returns the exit status."""
    for each in done:
        failures = each.reached.failures
        failed = failed or bool(each.problem or failures)
        if each.problem:
            click.echo(each.problem, err=True)
        if output == "table":
            for failure in failures[:_SHOWN_FAILURES]:
                click.echo(f"{failure.prefix}: {failure.problem}", err=True)
            if len(failures) > _SHOWN_FAILURES:
                click.echo(f"{len(failures) - _SHOWN_FAILURES} more failed; --output json has all", err=True)
    return 1 if failed else 0

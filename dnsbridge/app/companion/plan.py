"""One look at the clusters and the sinks, the plan for each sink, and the execution of the plans.

look        reads the clusters once -> for each sink the routes wanted in it, and the plan
carry_out   executes the plans; a sink that cannot be used does not keep the others from theirs
"""

from collections.abc import Sequence

from msgspec import Struct

from dnsbridge.app.companion.host import host_here
from dnsbridge.app.companion.pull import CannotPull, pulled_once
from dnsbridge.app.companion.wanted import ROUTERS, choice_of, wanted_routes
from dnsbridge.app.feeds import Feed
from dnsbridge.app.read_once import feeds_once
from dnsbridge.config import Loaded
from dnsbridge.errors import CannotStart
from dnsbridge.routes.aggregate import aggregate
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Note, Reached, Route, Severity, Wanted
from dnsbridge.routes.plan import Plan, make_plan
from dnsbridge.routes.sink import Sink, SinkProblem
from dnsbridge.routes.wanted import wanted


class Planned(Struct, frozen=True):
    """The wanted routes of one sink, and the plan to get there."""

    sink: Sink
    wanted: tuple[Route, ...]
    plan: Plan


class Looked(Struct, frozen=True):
    """The result of one look."""

    planned: tuple[Planned, ...] = ()
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()
    """One line for each sink that cannot be used."""

    @property
    def failed(self) -> bool:
        """Whether something that is wanted cannot be done."""
        conflicts = any(each.plan.conflict for each in self.planned)
        return bool(self.problems) or conflicts or any(note.severity is Severity.ERROR for note in self.notes)

    @property
    def changes(self) -> int:
        """How many routes change, over all sinks."""
        return sum(each.plan.changes for each in self.planned)


class Done(Struct, frozen=True):
    """What a sink has reached; `problem` says why it could not be used."""

    sink: Sink
    reached: Reached = Reached()
    problem: str = ""


async def look(loaded: Loaded, sinks: Sequence[Sink]) -> Looked:
    """Read the clusters and the sinks. Raises CannotStart and NoHost."""
    async with feeds_once(loaded) as feeds:
        host = await host_here(loaded.settings, feeds)
        found: dict[bool, Wanted] = {}
        planned, problems = list[Planned](), list[str]()
        for sink in sinks:
            recurse = sink.name in ROUTERS
            if recurse not in found:
                found[recurse] = await guarded_routes(loaded, feeds, host, recurse)
            try:
                planned.append(await _plan(sink, found[recurse].routes, loaded.settings.routes.aggregate))
            except SinkProblem as problem:
                problems.append(str(problem))
    notes = dict.fromkeys(note for wanted in found.values() for note in wanted.notes)
    return Looked(tuple(planned), (*notes, *_mass_changes(planned)), tuple(problems))


async def look_at_ours(sinks: Sequence[Sink]) -> Looked:
    """Read only the sinks, and plan the withdrawal of all our routes."""
    planned, problems = list[Planned](), list[str]()
    for sink in sinks:
        try:
            planned.append(await _plan(sink, (), False))
        except SinkProblem as problem:
            problems.append(str(problem))
    return Looked(tuple(planned), (), tuple(problems))


async def guarded_routes(loaded: Loaded, feeds: Sequence[Feed], host: Host, recurse: bool | None = None) -> Wanted:
    """The routes wanted on a host, without those that must never be set. Raises CannotStart."""
    settings = loaded.settings
    if settings.routes.pull.url is not None:
        try:
            pictures = await pulled_once(settings.routes.pull, settings.state_dir)
        except CannotPull as error:
            raise CannotStart(str(error)) from None
        return wanted(pictures, choice_of(settings, recurse=recurse), host)
    return await wanted_routes(loaded, feeds, host, recurse=recurse)


async def carry_out(looked: Looked, withdraw: bool = False) -> list[Done]:
    """Give each sink its wanted routes, or have it withdraw all our routes."""
    done = []
    for each in looked.planned:
        try:
            reached = await (each.sink.withdraw() if withdraw else each.sink.apply(each.wanted))
            done.append(Done(each.sink, reached))
        except SinkProblem as problem:
            done.append(Done(each.sink, problem=str(problem)))
    return done


async def _plan(sink: Sink, wanted: tuple[Route, ...], fewer: bool) -> Planned:
    held = await sink.held()
    if fewer:
        wanted = aggregate(wanted, [each.prefix for each in held.foreign])
    return Planned(sink, wanted, make_plan(held, wanted))


def _mass_changes(planned: Sequence[Planned]) -> list[Note]:
    return [
        Note(Severity.WARNING, f"sink {each.sink.name}", mass_change(each.plan))
        for each in planned
        if each.plan.is_mass_change()
    ]


def mass_change(plan: Plan) -> str:
    """Why a plan is not carried out without a word from the user."""
    had = len(plan.change) + len(plan.remove) + len(plan.keep)
    return (
        f"{len(plan.remove)} of {had} routes would go at once; see whether the cluster was read right,"
        " then say --allow-mass-change"
    )

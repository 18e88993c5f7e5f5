"""One look at the clusters and at the sinks, and what that means for each sink; then, if that is wanted, the doing.

look        the clusters read once -> for each sink what is wanted in it, and the plan
carry_out   the plans done; one sink that cannot be used does not keep the others from it
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
    """What one sink is to be given."""

    sink: Sink
    wanted: tuple[Route, ...]
    plan: Plan


class Looked(Struct, frozen=True):
    """What was found."""

    planned: tuple[Planned, ...] = ()
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()
    """Of each sink that cannot be used, one line."""

    @property
    def failed(self) -> bool:
        """Whether something that is wanted will not be."""
        conflicts = any(each.plan.conflict for each in self.planned)
        return bool(self.problems) or conflicts or any(note.severity is Severity.ERROR for note in self.notes)

    @property
    def changes(self) -> int:
        """How many routes are touched in all sinks."""
        return sum(each.plan.changes for each in self.planned)


class Done(Struct, frozen=True):
    """What a sink has reached; with a problem it could not be used."""

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
    """Read the sinks alone: what would go if all of ours were withdrawn."""
    planned, problems = list[Planned](), list[str]()
    for sink in sinks:
        try:
            planned.append(await _plan(sink, (), False))
        except SinkProblem as problem:
            problems.append(str(problem))
    return Looked(tuple(planned), (), tuple(problems))


async def guarded_routes(loaded: Loaded, feeds: Sequence[Feed], host: Host, recurse: bool | None = None) -> Wanted:
    """What is wanted on a host, without what must never be routed. Raises CannotStart."""
    settings = loaded.settings
    if settings.routes.pull.url is not None:
        try:
            pictures = await pulled_once(settings.routes.pull, settings.state_dir)
        except CannotPull as error:
            raise CannotStart(str(error)) from None
        return wanted(pictures, choice_of(settings, recurse=recurse), host)
    return await wanted_routes(loaded, feeds, host, recurse=recurse)


async def carry_out(looked: Looked, withdraw: bool = False) -> list[Done]:
    """Give each sink its set, or have it withdraw all of ours."""
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

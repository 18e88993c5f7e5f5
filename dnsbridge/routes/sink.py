"""The interface of every sink of routes. A sink takes the whole wanted set, and can be given the same set again.

    held()             our routes that the sink has now, and the routes of others in their way
    apply(routes)      makes these our whole set: missing routes are added before surplus routes are removed
    withdraw()         removes all our routes
    close()            leaves the routes as they are

No method raises for a single route: that is a Failure in Reached. A sink that cannot work at all (no right, no such
program, a file that cannot be written) raises SinkProblem, whose text is one line for the user.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from dnsbridge.routes.model import Prefix, Reached, Route


class SinkProblem(Exception):
    """Why a sink cannot be used, in one line: what, where, and what to do."""


class Foreign(Struct, frozen=True):
    """Somebody else's route where a wanted one would go; never touched."""

    prefix: Prefix
    owner: str
    """For people: `protocol bird`, `protocol static, metric 100`."""
    text: str
    """The route as `ip route` shows it, or in the sink's own form."""


class Held(Struct, frozen=True):
    """The routes that a sink has."""

    own: tuple[Route, ...] = ()
    """Our routes, recognised by the sink's own mark even after a crash; kind, origin and cluster may be unknown."""
    foreign: tuple[Foreign, ...] = ()
    outdated: tuple[Prefix, ...] = ()
    """Our prefixes whose next hops are right but whose metric is not the one configured now: they must be set again."""


class Sink(Protocol):
    """Somewhere that routes are pushed to."""

    name: str
    """As in the setting `routes.sinks`."""
    exclusive: bool
    """Only one of the processes that share the sink may drive it (a router's session): leader election is needed."""

    async def held(self) -> Held:
        """The routes that it has now. Raises SinkProblem."""
        ...

    async def apply(self, routes: Sequence[Route]) -> Reached:
        """Make these ordered routes our whole set. Raises SinkProblem."""
        ...

    async def withdraw(self) -> Reached:
        """Remove all our routes. Raises SinkProblem."""
        ...

    async def close(self) -> None:
        """Release sockets and child processes; the routes stay."""
        ...

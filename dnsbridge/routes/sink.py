"""What every sink of routes is: it takes the whole wanted set, and can be given the same one again.

    held()             what it has of ours now, and what stands in our way
    apply(routes)      makes that the set it has: what is missing is added before what is too much goes
    withdraw()         takes all of ours back
    close()            leaves what is there as it is

None of them raises for a single route: that is a Failure of the Reached. A sink that cannot work at all (no right, no
such program, a file that cannot be written) raises SinkProblem, whose text is one line for the user.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from dnsbridge.routes.model import Prefix, Reached, Route


class SinkProblem(Exception):
    """Why a sink cannot be used, in one line: what, where, and what to do."""


class Foreign(Struct, frozen=True):
    """A route that somebody else owns, where a wanted one would go; never touched."""

    prefix: Prefix
    owner: str
    """For people: `protocol bird`, `protocol static, metric 100`."""
    text: str
    """The route as `ip route` shows it, or as the sink's own form has it."""


class Held(Struct, frozen=True):
    """What a sink has."""

    own: tuple[Route, ...] = ()
    """Ours, recognised by the sink's own mark also after a crash; kind, origin and cluster may be unknown."""
    foreign: tuple[Foreign, ...] = ()
    outdated: tuple[Prefix, ...] = ()
    """Ours that must be set anew though their next hops are right: they have another metric than is configured now."""


class Sink(Protocol):
    """Somewhere that routes are pushed to."""

    name: str
    """As in the setting `routes.sinks`."""
    exclusive: bool
    """Only one process of all that share it may drive it (a router's session): leader election is needed."""

    async def held(self) -> Held:
        """What it has now. Raises SinkProblem."""
        ...

    async def apply(self, routes: Sequence[Route]) -> Reached:
        """Make the routes, in order, all that it has of ours. Raises SinkProblem."""
        ...

    async def withdraw(self) -> Reached:
        """Take all of ours back. Raises SinkProblem."""
        ...

    async def close(self) -> None:
        """Let go of sockets and children, and leave the routes."""
        ...

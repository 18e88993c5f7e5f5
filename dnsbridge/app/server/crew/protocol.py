"""The crew of a server: the processes that answer, as the life of the server sees them (see life)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from prometheus_client.registry import Collector

from dnsbridge.app.answering.forward_zones import Hosts
from dnsbridge.app.answering.parts import Bridged, Parts
from dnsbridge.app.facts.upstream_states import State
from dnsbridge.app.server.sockets import Listening
from dnsbridge.app.server.upkeep import Work
from dnsbridge.config import Settings
from dnsbridge.routes.model import Prefix

if TYPE_CHECKING:
    from dnsbridge.listeners.http.server import Cache


class Crew(Protocol):
    """The processes that answer."""

    @property
    def collector(self) -> Collector:
        """The metrics of all processes."""

    @property
    def cache(self) -> "Cache":
        """The cached answers of all processes."""

    @property
    def push(self) -> Callable[[Iterable[Prefix]], None] | None:
        """Receives the prefixes that are pushed elsewhere; None: nobody compares answers with routes."""

    @property
    def unrouted(self) -> Callable[[], Awaitable[Mapping[str, int]]] | None:
        """Gives the number of each cluster's unrouted answers; None: the clusters of the parts count them."""

    async def upstreams(self) -> Sequence[State]:
        """How the upstreams are doing."""

    async def start(self) -> None:
        """Answer from now on, or begin to."""

    async def settled(self) -> None:
        """Returns when all processes answer."""

    def works(self) -> list[Work]:
        """The background work."""

    async def moved(self, clusters: list[Bridged]) -> None:
        """The freshness of these clusters has changed; returns when all processes act on it."""

    def named(self, hosts: Hosts) -> None:
        """The followed resolv.conf files name other servers."""

    def not_ready(self) -> list[str]:
        """The processes that do not answer yet, one line each."""

    async def gather(self) -> None:
        """Returns when `collector` has the counts of all processes."""

    async def leave(self) -> None:
        """Take no new question."""

    async def end(self) -> None:
        """Answer the questions in flight, for GRACE at most, and end."""


MakeCrew = Callable[[Settings, Parts, list[Listening]], Crew]

"""The crew of one: this process answers by itself (see protocol.Crew)."""

from collections.abc import Sequence

from dnsbridge.app.answering.forward_zones import Hosts
from dnsbridge.app.answering.parts import Bridged, Parts
from dnsbridge.app.facts.cache import Cache
from dnsbridge.app.facts.upstream_states import State, states
from dnsbridge.app.server.answering import Answering
from dnsbridge.app.server.sockets import Listening
from dnsbridge.app.server.upkeep import Work
from dnsbridge.config import Settings
from dnsbridge.listeners.udp_socket import queue


class Alone:
    """The only worker. It answers from the parts that are kept up to date, so nobody has to be told of changes."""

    unrouted = None
    """The clusters of these parts count unrouted answers themselves."""

    def __init__(self, settings: Settings, parts: Parts, opened: Sequence[Listening]) -> None:
        self._parts = parts
        self._answering = Answering(settings, parts, opened, lambda: sum(queue(each.udp).lost for each in opened))
        self.collector = self._answering.collector
        self.cache = Cache(parts)
        self.push = self._answering.reach.push if self._answering.reach else None

    async def start(self) -> None:
        """Answer from now on."""
        await self._answering.start()

    def works(self) -> list[Work]:
        """The background work."""
        return self._answering.works()

    async def moved(self, clusters: list[Bridged]) -> None:
        """See protocol.Crew."""

    def named(self, hosts: Hosts) -> None:
        """See protocol.Crew."""

    async def settled(self) -> None:
        """Returns at once: this process answers from `start` on."""

    def not_ready(self) -> list[str]:
        """Empty: nobody is waited for."""
        return []

    async def upstreams(self) -> list[State]:
        """How the upstreams are doing."""
        return states(self._parts)

    async def gather(self) -> None:
        """Nothing to do: all counts are in this process."""

    async def leave(self) -> None:
        """Take no new question."""
        await self._answering.leave()

    async def end(self) -> None:
        """Wait until the questions in flight are answered, for GRACE at most."""
        await self._answering.end()

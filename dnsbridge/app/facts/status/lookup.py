"""A name looked up on the status page: the answer with its reasons, and the links of the doctor's chain seen from here.

The server sends no packet for the chain: it knows the settings, the clusters and this host's routes. The other links,
such as what the office's resolvers say, are for `dnsbridge doctor` on the host where the name does not work.
"""

import asyncio
import shlex
from contextlib import suppress

from msgspec import Struct, structs

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.doctor import objects
from dnsbridge.app.doctor.packets import MAX_ADDRESSES
from dnsbridge.app.doctor.ways import ways
from dnsbridge.app.facts.lookup import Explanation, explain, question
from dnsbridge.config import Address, Loaded
from dnsbridge.doctor.chain import diagnose
from dnsbridge.doctor.facts import Facts, Reply
from dnsbridge.doctor.link import Link, unknown
from dnsbridge.listeners.http.not_now import NotNow
from dnsbridge.wire.constants import Type

SEEN = frozenset({"settings", "server", "source", "object", "endpoints", "answer", "route", "next hop"})
"""The links that need no packet."""
ELSEWHERE = "not seen from here; the doctor sees it"
MAX_WAITING = 10
"""Look-ups that wait for their turn."""


class LookedUp(Struct, frozen=True):
    """A name with its reasons. The field names are keys of a JSON document, so they stay."""

    explanation: Explanation
    chain: list[Link]
    command: str
    """The command that looks at the whole chain."""


class Lookups:
    """Looks names up, one at a time."""

    def __init__(self, loaded: Loaded, parts: Parts, listening: tuple[Address, ...]) -> None:
        self._loaded = loaded
        self._parts = parts
        self._listening = listening
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def look_up(self, name: str, rtype: str | None) -> LookedUp:
        """The answer for a name and a type (None: A, or PTR of an address). Raises ValueError and NotNow."""
        query = question(name, rtype)
        if isinstance(query, str):
            raise ValueError(query)
        if self._waiting >= MAX_WAITING:
            raise NotNow("too many names are looked up at once; try again")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._look_up(name.rstrip(".") or ".", rtype)
        finally:
            self._waiting -= 1

    async def _look_up(self, name: str, rtype: str | None) -> LookedUp:
        # Parts of its own over the same objects: with those that serve, others' questions would mix with the reasons.
        parts = build(self._loaded.settings, self._listening, self._parts)
        for own, serving in zip(parts.clusters, self._parts.clusters, strict=True):
            own.cluster.reach, own.cluster.omit_unrouted = serving.cluster.reach, serving.cluster.omit_unrouted
            own.feed.source = serving.feed.source
        try:
            query = question(name, rtype)
            assert not isinstance(query, str)
            found = await explain(parts, query)
            chain = await self._chain(parts, name, found) if query.qtype in (Type.A, Type.AAAA) else []
            return LookedUp(found, chain, shlex.join(["dnsbridge", "doctor", name]))
        finally:
            await parts.close()

    async def _chain(self, parts: Parts, name: str, found: Explanation) -> list[Link]:
        record = await objects.record(parts, name)
        facts = Facts(
            name,
            settings_from=self._loaded.origins.get("") or "flags and defaults",
            here=Reply("this server", found.rcode, record.addresses),
            sources=tuple(objects.sources(parts)),
            record=record,
            service=objects.service(parts, name),
        )
        with suppress(OSError):  # without netlink nothing is known
            facts = structs.replace(facts, ways=await asyncio.to_thread(ways, facts.wanted[:MAX_ADDRESSES]))
        return [link if link.link in SEEN else unknown(link.link, ELSEWHERE) for link in diagnose(facts)]

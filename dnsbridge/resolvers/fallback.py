"""Between a cluster and its CoreDNS: which of them answers, and what when neither can.

    cache says          fallback asks CoreDNS when
    unsynced, stale     always, but for `never`
    unknown shape       `unknown`, `miss`
    no such name        `miss`

CoreDNS is asked below the cluster's own zone whatever alias the client used, and its answer is renamed to that alias.
The question goes out in random case, which it has in common with nothing else: one that arrives here in just that case,
while it is out, is our own come back (CoreDNS forwards to us) and is refused.
"""

import os
from collections.abc import Callable
from typing import Literal

from dnsbridge.resolvers.cluster import Cluster, Freshness, Place
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver, pending
from dnsbridge.wire import edns, rename, walk
from dnsbridge.wire.compose import Sections, compose, octets
from dnsbridge.wire.constants import AA, Rcode
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.wire.query import compose as compose_query
from dnsbridge.zone import outcome

Mode = Literal["never", "unsynced", "unknown", "miss"]

MAX_WAITING = 1000
"""Questions that may wait for one cluster's CoreDNS at a time."""


class OwnQuestions:
    """The names that are out as our own questions, in the case in which they went."""

    def __init__(self) -> None:
        self._names: dict[bytes, int] = {}

    def __contains__(self, name: bytes) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: bytes) -> None:
        """Note a name that goes out."""
        self._names[name] = self._names.get(name, 0) + 1

    def remove(self, name: bytes) -> None:
        """Forget a name that was answered."""
        left = self._names[name] - 1
        if left:
            self._names[name] = left
        else:
            del self._names[name]


class Fallback:
    """A cluster with its CoreDNS behind it."""

    def __init__(
        self, cluster: Cluster, mode: Mode, coredns: Callable[[], Resolver | None], own_questions: OwnQuestions
    ) -> None:
        self.cluster = cluster
        self.mode = mode
        self.asked = 0
        self.failed = 0
        self.overloads = 0
        self._coredns = coredns
        self._own_questions = own_questions
        self._waiting = 0

    def resolve(self, query: Query, place: Place) -> Outcome | Pending:
        """The answer of the cluster, or of its CoreDNS."""
        cluster = self.cluster
        freshness = cluster.freshness
        coredns = None if self.mode == "never" else self._coredns()
        if freshness is Freshness.UNSYNCED:
            if coredns is None:
                return Failure.NOT_READY
            return self._ask(query, place, coredns, lambda: Failure.NETWORK_ERROR)
        said = cluster.lookup(query, place)
        if coredns is not None:
            if freshness is Freshness.STALE:
                return self._ask(query, place, coredns, lambda: cluster.answer(query, place, said))
            if isinstance(said, outcome.NoSuchName):
                if not said.defined and self.mode in ("unknown", "miss"):
                    return self._ask(query, place, coredns, lambda: Failure.NETWORK_ERROR)
                if self.mode == "miss":
                    return self._ask(query, place, coredns, lambda: cluster.answer(query, place, said))
        return cluster.answer(query, place, said)

    def _ask(
        self, query: Query, place: Place, coredns: Resolver, otherwise: Callable[[], Outcome | Pending]
    ) -> Outcome | Pending:
        if self._waiting >= MAX_WAITING:
            self.overloads += 1
            return Failure.OVERLOAD
        self.asked += 1

        async def wait() -> Outcome:
            found = await self._exchange(query, place, coredns)
            if isinstance(found, Answer):
                return found
            self.failed += 1
            instead = otherwise()
            return await instead if isinstance(instead, Pending) else instead

        return pending(wait())

    async def _exchange(self, query: Query, place: Place, coredns: Resolver) -> Outcome:
        """CoreDNS's answer in the client's terms, or any failure."""
        zone = self.cluster.zone
        suffix = place.suffix if place.prefix else query.name[len(query.name) - len(place.suffix) :]
        name = random_case(query.folded if place.prefix else rename.rename(query.folded, place.suffix, zone))
        opt = edns.record(bool(query.edns and query.edns.dnssec_ok))
        question = parse(compose_query(name, query.qtype, query.qclass, 0, query.flags, opt), stream=True)
        if not isinstance(question, Query):
            return Failure.INTERNAL  # a longer suffix has made the name too long
        self._waiting += 1
        self._own_questions.add(name)
        try:
            reached = coredns.resolve(question)
            found = await reached if isinstance(reached, Pending) else reached
        finally:
            self._own_questions.remove(name)
            self._waiting -= 1
        if isinstance(found, Failure):
            return found
        message = walk.read(b"\0\0" + octets(found.body))
        if isinstance(message, walk.Broken) or message.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
            return Failure.NETWORK_ERROR
        answer, authority, additional = (
            [rename.rename_set(rrset, zone, suffix, query.name) for rrset in section]
            for section in (message.answer, message.authority, message.additional)
        )
        said = Sections(Rcode(message.rcode), answer, authority, additional, bool(message.flags & AA))
        return Answer(compose(query, said))


def random_case(name: bytes) -> bytes:
    """A folded name with some of its letters in upper case, at least one if it has any."""
    letters = [at for at, octet in enumerate(name) if 0x61 <= octet <= 0x7A]
    if not letters:
        return name
    bits = int.from_bytes(os.urandom(-(-len(letters) // 8)), "big") | 1
    mixed = bytearray(name)
    for order, at in enumerate(letters):
        if bits >> order & 1:
            mixed[at] -= 0x20
    return bytes(mixed)

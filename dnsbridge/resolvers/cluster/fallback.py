"""The fallback from a cluster's cache to its CoreDNS: which of them answers, and what happens when neither can.

    cache says          CoreDNS is asked in mode
    unsynced, stale     any but `never`
    unknown shape       `unknown`, `miss`
    no such name        `miss`

CoreDNS is asked below the cluster's own zone whatever alias the client used, and its answer is renamed to that alias.
The question goes out in random case. A question that arrives here in exactly that case while ours is in flight is our
own question come back (CoreDNS forwards to us), and is refused.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import structs

from dnsbridge.cluster.freshness import Freshness
from dnsbridge.resolvers.chain import Link
from dnsbridge.resolvers.cluster.names import Cluster, Place
from dnsbridge.resolvers.forward.random_case import random_case
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending, Resolver, pending
from dnsbridge.wire import edns, rename, whole_message
from dnsbridge.wire.compose import Sections, compose, octets
from dnsbridge.wire.constants import AA, HEADER_SIZE, RD, Rcode
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query, parse
from dnsbridge.wire.query import compose as compose_query
from dnsbridge.wire.scrub import Scrubbed, scrub
from dnsbridge.zone import outcome
from dnsbridge.zone.coredns import KEY

Mode = Literal["never", "unsynced", "unknown", "miss"]

MAX_WAITING = 1000
"""Questions that may wait for one cluster's CoreDNS at a time."""


class OwnQuestions:
    """The names of our own questions in flight, in the case in which they were sent."""

    def __init__(self) -> None:
        self.names: dict[bytes, int] = {}
        """How often each name is in flight."""

    def add(self, name: bytes) -> None:
        """Note a name that is sent."""
        self.names[name] = self.names.get(name, 0) + 1

    def remove(self, name: bytes) -> None:
        """Forget a name whose question has its outcome."""
        left = self.names[name] - 1
        if left:
            self.names[name] = left
        else:
            del self.names[name]


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
        self._exchanges: dict[bytes, Pending] = {}
        """Questions in flight, by the message in lower case: an identical question joins.

        A loop that changes the case of our question hides that it is ours. Such a loop ends in one wait instead of one
        more packet for each round.
        """

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
        if coredns is not None and freshness is Freshness.STALE:
            return self._ask(query, place, coredns, lambda: self._held(query, place))
        if isinstance(said, outcome.NoSuchName) and self._leaves_open(said):
            if coredns is None:
                # CoreDNS may appear: the answer is right only as long as there is none.
                said = structs.replace(said, depends=(*said.depends, KEY))
            elif said.defined:
                return self._ask(query, place, coredns, lambda: self._held(query, place))
            else:
                return self._ask(query, place, coredns, lambda: Failure.NETWORK_ERROR)
        return cluster.answer(query, place, said)

    def _held(self, query: Query, place: Place) -> Outcome | Pending:
        """The answer from the cache, looked up now: the cache may have changed while CoreDNS was asked."""
        return self.cluster.answer(query, place, self.cluster.lookup(query, place))

    def _leaves_open(self, said: outcome.NoSuchName) -> bool:
        """Whether CoreDNS may know a name that the cache does not."""
        return self.mode == "miss" or (self.mode == "unknown" and not said.defined)

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
            if isinstance(found, Link) and self.cluster.beyond:
                reached = self.cluster.beyond.chains.follow(query, found)
            else:
                self.failed += 1
                reached = otherwise()
            return await reached if isinstance(reached, Pending) else reached

        return pending(wait())

    async def _exchange(self, query: Query, place: Place, coredns: Resolver) -> Outcome | Link:
        """CoreDNS's answer under the client's names, a link that leads on to another source, or any failure."""
        zone = self.cluster.zone
        suffix = place.suffix if place.prefix else query.name[len(query.name) - len(place.suffix) :]
        name = random_case(query.folded if place.prefix else rename.rename(query.folded, place.suffix, zone))
        opt = edns.record(bool(query.edns and query.edns.dnssec_ok))
        question = parse(compose_query(name, query.qtype, query.qclass, 0, query.flags, opt), stream=True)
        if not isinstance(question, Query):
            return Failure.INTERNAL  # a longer suffix has made the name too long
        key = question.message[:HEADER_SIZE] + question.folded + question.message[question.question_end - 4 :]
        self._waiting += 1
        try:
            reached = self._exchanges.get(key) or self._send(key, name, coredns.resolve(question))
            found = await reached if isinstance(reached, Pending) else reached
        finally:
            self._waiting -= 1
        if isinstance(found, Failure):
            return found
        message = whole_message.read(b"\0\0" + octets(found.body))
        if isinstance(message, whole_message.Broken) or message.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
            return Failure.NETWORK_ERROR
        answer, authority, additional = (
            [rename.rename_set(rrset, zone, suffix, query.name) for rrset in section]
            for section in (message.answer, message.authority, message.additional)
        )
        beyond = self.cluster.beyond
        if beyond and query.flags & RD:
            renamed = whole_message.Message(message.flags, answer, authority, additional)
            dnssec_ok = bool(query.edns and query.edns.dnssec_ok)
            kept = scrub(renamed, query.name, query.qtype, dnssec_ok, beyond.whose)
            if isinstance(kept, Scrubbed) and kept.leads_on:
                return Link(kept.answer, authoritative=bool(message.flags & AA))
        said = Sections(Rcode(message.rcode), answer, authority, additional, bool(message.flags & AA))
        return Answer(compose(query, said), source="fallback")

    def _send(self, key: bytes, name: bytes, reached: Outcome | Pending) -> Outcome | Pending:
        """Note a question in flight, until it has its outcome."""
        if isinstance(reached, Pending):

            def ended(_: Outcome) -> None:
                self._own_questions.remove(name)
                del self._exchanges[key]

            self._own_questions.add(name)
            self._exchanges[key] = reached
            reached.then(ended)
        return reached

"""What the tests of the cache share: a cache before one scripted upstream, with a clock that the tests turn."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from dnsbridge.resolvers.chain import Beyond
from dnsbridge.resolvers.forward.answer_table import CacheStore
from dnsbridge.resolvers.forward.cached_zone import Cached
from dnsbridge.resolvers.forward.exchange import Asking
from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.wire.compose import octets
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from tests.support.forwarding import ask, forwarding
from tests.support.scripted_upstream import Behaviour, Reply, ScriptedUpstream, answer, silence

SERVFAIL, REFUSED = answer(rcode=2), answer(rcode=5)
SOA = "example.com. 300 IN SOA ns.example.com. admin.example.com. 1 7200 1800 86400 20"


def negative(rcode: int, *authority: str) -> Behaviour:
    """A reply without data."""

    def behave(message: bytes) -> Sequence[Reply]:
        response = dns.message.make_response(dns.message.from_wire(message), recursion_available=True)
        response.set_rcode(dns.rcode.Rcode(rcode))
        for record in authority:
            owner, ttl, rclass, rtype, data = record.split(None, 4)
            response.authority.append(dns.rrset.from_text(owner, int(ttl), rclass, rtype, data))
        return [Reply(response.to_wire())]

    return behave


class Setting:
    """A cache, its upstream and its clock."""

    def __init__(self, server: ScriptedUpstream, forward: Forward, options: dict[str, Any]) -> None:
        self.server = server
        self.forward = forward
        self.now = 1000
        self.store = CacheStore(options.pop("size", 1000))
        said = {"serve_stale": 3600.0, "prefetch": False, **options}
        self.cached = Cached(self, self.store, lambda: self.now, **said)
        self.fetches = 0
        """Questions that the cache gave to the forwarder, which may ask each more than once."""

    def resolve(self, query: Query, beyond: Beyond | None = None) -> Outcome | Pending:
        """The forwarder, counted."""
        self.fetches += 1
        return self.forward.resolve(query, beyond)

    def ask(self, asking: Asking) -> None:
        """The forwarder, counted."""
        self.fetches += 1
        self.forward.ask(asking)

    async def outcome(self, query: Query) -> Outcome:
        """What a question gets in the end."""
        got = self.cached.resolve(query)
        return await got if isinstance(got, Pending) else got

    async def say(self, query: Query | None = None, **keywords: Any) -> str:
        """The same in a few words: RCODE unless NOERROR, address ends and TTL of the answer, extended errors."""
        query = query or ask(**keywords)
        got = await self.outcome(query)
        return got.name if isinstance(got, Failure) else words(query, got)

    @property
    def asked(self) -> int:
        """Questions that the upstream was asked over UDP."""
        return len(self.server.asked)

    def at_rest(self) -> bool:
        """Whether nothing is out."""
        return not self.cached.fetches and self.forward.in_flight == 0


def read(query: Query, got: Outcome) -> dns.message.Message:
    """What the client gets, as dnspython reads it."""
    assert isinstance(got, Answer), got
    body = octets(got.body)
    assert len(body) + 2 <= query.limit
    message = dns.message.from_wire(query.message[:2] + body)
    assert message.question == dns.message.from_wire(query.message).question
    assert (message.edns >= 0) is (query.edns is not None)
    return message


def words(query: Query, got: Outcome) -> str:
    """See Setting.say."""
    message = read(query, got)
    said = [] if message.rcode() == 0 else [dns.rcode.to_text(message.rcode())]
    for rrset in (*message.answer, *message.authority):
        said.append(f"{' '.join(str(item).rpartition('.')[2] for item in rrset)}/{rrset.ttl}")
    return " ".join([*said, *(f"EDE{int(error.code)}" for error in message.extended_errors())])


@asynccontextmanager
async def setting(
    *behaviours: Behaviour, tcp: Sequence[Behaviour] = (silence,), attempt: float = 0.05, **options: Any
) -> AsyncIterator[Setting]:
    """A cache before one upstream."""
    server = ScriptedUpstream(
        *behaviours, tcp=tcp, keep=options.pop("keep", False), probe=options.pop("probe", silence)
    )
    times = {name: options.pop(name) for name in ("deadline", "patience") if name in options}
    async with forwarding(server, attempt_timeout=attempt, **times) as forward:
        yield Setting(server, forward, options)

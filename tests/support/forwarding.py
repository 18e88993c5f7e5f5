"""What the tests of forwarding share: questions, a forwarder to scripted upstreams, and outcomes in a few words."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode

from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.zone import Forward
from dnsbridge.resolvers.resolver import Answer, Outcome, Pending
from dnsbridge.wire import query as wire_query
from dnsbridge.wire.failure import Failure
from dnsbridge.wire.query import Query
from tests.support.driven_loop import run_driven
from tests.support.scripted_upstream import ADDRESS, ScriptedUpstream, answer
from tests.support.waiting import until as until  # noqa: PLC0414 - tests find it here as well

ONE = answer("@ 60 IN A 192.0.2.1")
TWO = answer("@ 60 IN A 192.0.2.2")
FAST = 0.05
"""Seconds that an attempt has in these tests."""


def ask(name: str = "www.example.com", rtype: str = "A", *, stream: bool = False, **keywords: Any) -> Query:
    """A client's question, made by dnspython."""
    parsed = wire_query.parse(dns.message.make_query(name, rtype, **keywords).to_wire(), stream)
    assert isinstance(parsed, Query)
    return parsed


@asynccontextmanager
async def forwarding(
    *servers: ScriptedUpstream,
    attempt_timeout: float = FAST,
    deadline: float = 1.0,
    patience: float | None = None,
    **options: Any,
) -> AsyncIterator[Forward]:
    """A forwarder to these servers, which are started and stopped with it; without `patience` no question outlives
    `deadline`.
    """
    for server in servers:
        await server.__aenter__()
    upstreams = [UdpUpstream(ADDRESS, server.port) for server in servers]
    options["patience"] = deadline if patience is None else patience
    forward = Forward(upstreams, attempt_timeout=attempt_timeout, deadline=deadline, **options)
    try:
        yield forward
    finally:
        await forward.close()
        for server in servers:
            await server.__aexit__(None, None, None)


def udp(forward: Forward, number: int = 0) -> UdpUpstream:
    """One of its upstreams, which is asked over UDP."""
    upstream = forward.upstreams[number]
    assert isinstance(upstream, UdpUpstream)
    return upstream


async def outcome(forward: Forward, query: Query) -> Outcome:
    """What a question gets in the end."""
    got = forward.resolve(query)
    return await got if isinstance(got, Pending) else got


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; only its own waiting makes time pass."""
    run_driven(test)


def message(query: Query, got: Outcome) -> dns.message.Message:
    """What the client gets, as dnspython reads it."""
    assert isinstance(got, Answer), got
    assert isinstance(got.body, bytes)
    assert len(got.body) + 2 <= query.limit
    return dns.message.from_wire(query.message[:2] + got.body)


def said(query: Query, got: Outcome) -> str:
    """An outcome in a few words: the last octets of the addresses, or the RCODE, or the failure."""
    if isinstance(got, Failure):
        return got.name
    read = message(query, got)
    addresses = " ".join(str(item).rpartition(".")[2] for rrset in read.answer for item in rrset)
    return ("TC " if read.flags & dns.flags.TC else "") + (addresses or dns.rcode.to_text(read.rcode()))


def option(code: int, data: bytes) -> dns.edns.Option:
    """An EDNS option of any code."""
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), data)

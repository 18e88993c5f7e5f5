"""How the upstreams of a running server are doing, for the HTTP side: GET /upstreams."""

import time
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, structs

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.facts.times import utc
from dnsbridge.config import Address
from dnsbridge.resolvers.forward.upstream import Upstream

_ERRORS = ("malformed", "refused_by_icmp", "connect_failures", "broken")
"""Counters of failures other than silence; some exist for datagrams only, some for connections only."""


Condition = Literal["up", "suspect", "down"]


class Edns(Struct, frozen=True):
    """An upstream that is asked without EDNS. The field names are keys of a JSON document, so they stay."""

    problem: str
    """Its reaction to EDNS: `FORMERR`, `NOTIMP`, `BADVERS` or `silence`."""
    since: str | None
    again: str
    """When it is asked with EDNS again. Both in UTC (RFC 3339)."""


class State(Struct, frozen=True):
    """One upstream. The field names are keys of a JSON document, so they stay."""

    zone: str
    """The forward zone; empty for a cluster's CoreDNS."""
    cluster: str
    """The cluster whose CoreDNS it is; empty for the others."""
    server: str
    """As the settings write it: `10.0.0.53:53`, `tls://10.0.0.53:853#dns.corp.example`."""
    condition: Condition
    since: str | None
    """When the condition last changed, in UTC (RFC 3339); null: it never has."""
    questions: int
    """Questions sent to it."""
    srtt_ms: float | None
    """Smoothed round trip time; null before the first reply."""
    timeouts: int
    errors: int
    """SERVFAIL and REFUSED, replies that do not parse, closed ports, connections that failed or broke."""
    problem: str
    """Why it is not up, or why it last was not; empty: it has always been up."""
    service: str = ""
    """The Service that stands for it, as the settings write it; empty for all other upstreams."""
    without_edns: Edns | None = None
    """Null while it is asked with EDNS."""
    slow: bool = False
    """In the last minute a question waited for over 2.4 s, while others were answered."""
    slow_since: str | None = None
    """When it last became slow; null: it never was."""
    slow_questions: int = 0
    """Questions that waited so long."""


def states(parts: Parts) -> list[State]:
    """All upstreams, by zone and in the order of their lists."""
    return list(_states(parts))


def _states(parts: Parts) -> Iterator[State]:
    services = parts.zones.services.by_address
    behind = {str(server): str(address) for address, one in services.items() for server in one.servers}
    for zone, forward in parts.zones.forwards.items():
        for upstream in forward.upstreams:
            yield structs.replace(_state(zone, "", upstream), service=behind.get(str(upstream), ""))
    for zone, address in parts.zones.services_of_zones():
        if problem := services[address].problem:
            yield State(zone, "", str(address), "down", None, 0, None, 0, 0, problem, str(address))
    for bridged in parts.clusters:
        name, coredns = bridged.cluster.name, bridged.coredns
        asked = {str(each): each for each in coredns.forward.upstreams} if coredns.forward else {}
        for server in map(str, (Address(*each) for each in coredns.servers())):
            if server in asked:
                yield _state("", name, asked[server])
            else:
                yield State("", name, server, "up", None, 0, None, 0, 0, "")


def _state(zone: str, cluster: str, upstream: Upstream) -> State:
    health = upstream.health
    now = time.monotonic()
    edns = health.edns
    return State(
        zone,
        cluster,
        str(upstream),
        _CONDITIONS[health.condition],
        _utc(health.since),
        upstream.sent,
        round(health.srtt * 1000, 3) if health.srtt else None,
        upstream.timeouts,
        health.errors + sum(getattr(upstream, each, 0) for each in _ERRORS),
        health.problem,
        without_edns=Edns(edns.problem, _utc(edns.since), _text(edns.without_until))
        if edns.asks_without(now)
        else None,
        slow=health.is_slow(now),
        slow_since=_utc(health.slow_since),
        slow_questions=health.slow_questions,
    )


_CONDITIONS: tuple[Condition, ...] = ("up", "suspect", "down")
"""Indexed by resolvers.forward.health.Condition."""


def _utc(moment: float | None) -> str | None:
    return None if moment is None else _text(moment)


def _text(moment: float) -> str:
    """A time in monotonic seconds, as text."""
    return utc(time.time() - (time.monotonic() - moment))

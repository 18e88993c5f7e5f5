"""The link from this host to dnsbridge: the name servers of the office give the same answer."""

from dnsbridge.doctor.facts import Facts, Reply
from dnsbridge.doctor.link import Link, failed, ok, unknown
from dnsbridge.doctor.routing_domains import STUBS, asked, explain

_REBINDING = (
    "it strips private addresses from answers (protection against DNS rebinding)",
    "name the zone as an exception there: dnsbridge clients",
)
_OLDER = (
    "it has an older answer, or another zone of that name",
    "wait for the TTL, or flush its cache; see which zones it has",
)
_BOGUS = range(5, 13)
"""Extended errors of DNSSEC validation (RFC 8914 section 4.6 to 4.13)."""


def check(facts: Facts) -> Link:
    """Every name server that this host asks gives the name's addresses; our own is judged by server and answer."""
    if not facts.resolvers:
        return unknown("resolver", "this host names no server to ask (resolv.conf)")
    shown = "; ".join(_shown(reply, facts) for reply in facts.resolvers)
    for reply in facts.resolvers:
        if facts.is_right(reply) or (reply.rcode and not facts.wanted):
            continue
        if facts.here and reply.server == facts.here.server:
            return unknown("resolver", f"{shown}, a dnsbridge of this host: see server and answer")
        cause, mend = _why(reply, facts)
        return failed("resolver", _shown(reply, facts), cause, mend)
    return ok("resolver", shown) if facts.wanted else unknown("resolver", shown)


def _why(reply: Reply, facts: Facts) -> tuple[str, str]:
    """What a wrong answer of an office resolver comes from, and what mends it."""
    name, behind = facts.name, _behind(reply, facts)
    if reply.server in STUBS and (explained := explain(facts)):
        return explained
    for each in behind:
        if not facts.is_right(each):
            return _why(each, facts)
    if not reply.rcode:
        return "the name server of this host does not answer", f"dig @{reply.server} {name}"
    if set(reply.unchecked) == set(facts.wanted) or any(int(each.partition(" ")[0]) in _BOGUS for each in reply.errors):
        return (
            "it validates with DNSSEC, and the clusters' zones are not signed",
            "except the zones from validation there: dnsbridge clients unbound, or bind",
        )
    if reply.has_zone or behind:
        return _of_the_zone(reply, facts)
    match reply.rcode:
        case "NXDOMAIN":
            return (
                "it does not forward the name to dnsbridge",
                "forward the zone there: dnsbridge clients; if it does, flush its cache",
            )
        case "NOERROR" if not reply.addresses:
            return _REBINDING
        case "NOERROR":
            return _OLDER
        case "REFUSED":
            return (
                "it does not answer this host, or has nobody to ask for the name",
                "allow this host's address there (access-control, allow-query); forward the zone: dnsbridge clients",
            )
        case _:
            return (
                f"it cannot get the answer ({reply.rcode}): dnsbridge does not answer it, or validation fails",
                f"on its host: dig @DNSBRIDGE {name}; except the zone from validation: dnsbridge clients",
            )


def _of_the_zone(reply: Reply, facts: Facts) -> tuple[str, str]:
    """Why an answer is wrong although others from the cluster's zone get through."""
    if reply.rcode == "NXDOMAIN":
        flush = "resolvectl flush-caches" if reply.server in STUBS else "flush its cache"
        return (
            f"it has the zone, and remembers from before that there was no {facts.name} (negative cache, RFC 2308)",
            f"{flush}, or wait until that has expired",
        )
    return _REBINDING if not reply.addresses else _OLDER


def _behind(reply: Reply, facts: Facts) -> list[Reply]:
    """What the servers say that systemd-resolved asks for the name, where that is who answers."""
    domain, scopes = asked(facts.scopes, facts.name)
    scopes = scopes if domain else list(facts.scopes)
    return [each for scope in scopes for each in scope.replies] if reply.server in STUBS else []


def _shown(reply: Reply, facts: Facts) -> str:
    said = ", ".join(reply.addresses) or reply.rcode or reply.problem
    more = f" ({'; '.join(reply.errors)})" if reply.errors else ""
    behind = "; ".join(_shown(each, facts) for each in _behind(reply, facts))
    return f"{reply.server}: {said}{more}" + (f" (systemd-resolved, before {behind})" if behind else "")

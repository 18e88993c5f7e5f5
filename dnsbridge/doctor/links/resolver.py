"""The link from this host to dnsbridge: the name servers of the office give the same answer."""

from dnsbridge.doctor.facts import Facts, Reply
from dnsbridge.doctor.link import Link, failed, ok, unknown

_BOGUS = range(5, 13)
"""Extended errors of DNSSEC validation (RFC 8914 section 4.6 to 4.13)."""


def check(facts: Facts) -> Link:
    """Every name server that this host asks gives the addresses of the name."""
    if not facts.resolvers:
        return unknown("resolver", "this host names no server to ask (resolv.conf)")
    if not facts.wanted:
        return unknown("resolver", "; ".join(map(_shown, facts.resolvers)))
    for reply in facts.resolvers:
        if set(reply.addresses) != set(facts.wanted):
            cause, mend = _why(reply, facts)
            return failed("resolver", _shown(reply), cause, mend)
    return ok("resolver", "; ".join(map(_shown, facts.resolvers)))


def _why(reply: Reply, facts: Facts) -> tuple[str, str]:
    """What a wrong answer of an office resolver comes from, and what mends it."""
    name = facts.name
    if not reply.rcode:
        return "the name server of this host does not answer", f"dig @{reply.server} {name}"
    if any(int(error.partition(" ")[0]) in _BOGUS for error in reply.errors):
        return (
            "it validates with DNSSEC, and the clusters' zones are not signed",
            "except the zones from validation there: dnsbridge clients unbound, or bind",
        )
    match reply.rcode:
        case "NXDOMAIN":
            return (
                "it does not forward the name to dnsbridge, or remembers that it was not there",
                "forward the zone there: dnsbridge clients; if it does, flush its cache",
            )
        case "NOERROR" if not reply.addresses:
            return (
                "it strips private addresses from answers (protection against DNS rebinding)",
                "name the zone as an exception there: dnsbridge clients",
            )
        case "NOERROR":
            return (
                "it has an older answer, or another zone of that name",
                "wait for the TTL, or flush its cache; see which zones it has",
            )
        case "REFUSED":
            return "it does not answer this host", "allow this host's address there (access-control, allow-query)"
        case _:
            return (
                f"it cannot get the answer ({reply.rcode}): dnsbridge does not answer it, or validation fails",
                f"on its host: dig @DNSBRIDGE {name}; except the zone from validation: dnsbridge clients",
            )


def _shown(reply: Reply) -> str:
    said = ", ".join(reply.addresses) or reply.rcode or reply.problem
    more = f" ({'; '.join(reply.errors)})" if reply.errors else ""
    return f"{reply.server}: {said}{more}"

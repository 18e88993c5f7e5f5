"""The link from a program of this host to its name servers: nsswitch.conf(5), hosts(5), the search list."""

from dnsbridge.doctor.facts import Facts, Reply
from dnsbridge.doctor.link import Link, failed, ok, unknown
from dnsbridge.doctor.routing_domains import explain

_MDNS = ("mdns", "mdns4", "mdns6", "mdns_minimal", "mdns4_minimal", "mdns6_minimal")


def check(facts: Facts) -> Link:
    """Programs of this host get the addresses that the name servers give."""
    got = facts.system
    if got is None:
        return unknown("this host", "not asked")
    said = ", ".join(got.addresses) or got.problem
    if not facts.wanted:
        return unknown("this host", said)
    # A resolver library may leave a family out that this host cannot use.
    if got.addresses and set(got.addresses) <= set(facts.wanted):
        return ok("this host", said)
    own = [reply for reply in facts.resolvers if reply.server in facts.name_servers]
    if got.addresses and any(set(got.addresses) <= set(reply.addresses) for reply in own):
        return ok("this host", f"{said}, as {own[0].server} says")
    if why := _why(facts, got):
        return failed("this host", said, *why)
    return unknown("this host", said)


def _why(facts: Facts, got: Reply) -> tuple[str, str] | None:
    """Why programs do not get what the name servers give, and what mends it; None where those are wrong too."""
    others = [reply.server for reply in facts.resolvers if reply.server not in facts.name_servers]
    if others and not got.addresses:
        own = ", ".join(facts.name_servers) or "none"
        return (
            f"this host asks other name servers ({own}) than {', '.join(others)}",
            f"put nameserver {others[0]} into /etc/resolv.conf, or have those forward the zone: dnsbridge clients",
        )
    if search := _search_list(facts):
        return search
    if not got.addresses and not any(map(facts.is_right, facts.resolvers)):
        return None
    if "resolve" in _before_dns(facts) and (explained := explain(facts)):
        return explained
    if mdns := _mdns_first(facts):
        return (
            f"/etc/nsswitch.conf asks {mdns} before dns, and multicast DNS keeps all names below .local (RFC 6762)",
            "in its line hosts put dns before that word, or use an alias of the zone that does not end in .local",
        )
    if got.addresses:
        return (
            "programs of this host get another answer than its name servers give (hosts, a cache)",
            f"getent ahosts {facts.name}; see /etc/hosts",
        )
    return (
        "programs of this host do not find the name, although its name servers have it",
        f"getent ahosts {facts.name}; with systemd-resolved: resolvectl query {facts.name}",
    )


def _search_list(facts: Facts) -> tuple[str, str] | None:
    """The failure of a search list that comes before the name itself, which alone is found."""
    dots, found = facts.name.count("."), facts.absolute
    if dots >= facts.ndots or not found or not found.addresses or not set(found.addresses) <= set(facts.wanted):
        return None
    return (
        f"the search list ({' '.join(facts.search)}) comes before the name itself (ndots:{facts.ndots} in resolv.conf)",
        f"options ndots:{dots} in /etc/resolv.conf, or a final dot behind the name",
    )


def _before_dns(facts: Facts) -> list[str]:
    """The modules of nsswitch.conf that are asked before DNS."""
    words = [word for word in facts.nsswitch if not word.startswith("[")]
    return words[: words.index("dns")] if "dns" in words else words


def _mdns_first(facts: Facts) -> str:
    """The module that answers for .local before DNS is asked, where the name is below it; empty: none."""
    if not facts.name.endswith(".local"):
        return ""
    return next((word for word in _before_dns(facts) if word in _MDNS), "")

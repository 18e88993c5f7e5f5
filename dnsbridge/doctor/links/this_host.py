"""The link from a program of this host to its name servers: nsswitch.conf(5), hosts(5), the search list."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, failed, ok, unknown

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
    if mdns := _mdns_first(facts):
        return failed(
            "this host",
            said,
            f"/etc/nsswitch.conf asks {mdns} before dns, and multicast DNS keeps all names below .local (RFC 6762)",
            "in its line hosts put dns before that word, or use an alias of the zone that does not end in .local",
        )
    others = [reply.server for reply in facts.resolvers if reply.server not in facts.name_servers]
    if others and not got.addresses:
        own = ", ".join(facts.name_servers) or "none"
        return failed(
            "this host",
            said,
            f"this host asks other name servers ({own}) than {', '.join(others)}",
            f"put nameserver {others[0]} into /etc/resolv.conf, or have those forward the zone: dnsbridge clients",
        )
    if got.addresses:
        return failed(
            "this host",
            said,
            "programs of this host get another answer than its name servers give (hosts, a search list, a cache)",
            f"getent ahosts {facts.name}; see /etc/hosts and the search list: {' '.join(facts.search) or 'none'}",
        )
    if not any(set(reply.addresses) == set(facts.wanted) for reply in facts.resolvers):
        return unknown("this host", said)
    return failed(
        "this host",
        said,
        "programs of this host do not find the name, although its name servers have it",
        f"getent ahosts {facts.name}; with systemd-resolved: resolvectl query {facts.name}",
    )


def _mdns_first(facts: Facts) -> str:
    """The module that answers for .local before DNS is asked, where the name is below it; empty: none."""
    if not facts.name.endswith(".local"):
        return ""
    words = [word for word in facts.nsswitch if not word.startswith("[")]
    before = words[: words.index("dns")] if "dns" in words else words
    return next((word for word in before if word in _MDNS), "")

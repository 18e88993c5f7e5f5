"""Which name servers systemd-resolved asks for a name (systemd-resolved.service(8), Protocols and Routing).

The longest domain that is the name or above it decides, on whichever links it is. Where there is none, links that are a
default route for names are asked; but for names below .local, which are for multicast DNS (RFC 6762), nobody is.
"""

from collections.abc import Sequence

from dnsbridge.doctor.facts import Facts, Scope

STUBS = ("127.0.0.53", "127.0.0.54")
"""Where systemd-resolved answers."""


def asked(scopes: Sequence[Scope], name: str) -> tuple[str, list[Scope]]:
    """The domain that decides, and the scopes that have it; an empty domain: there is none."""
    above = [domain for scope in scopes for domain in scope.domains if _is_above(domain, name)]
    best = max(above, key=_labels, default="")
    return best, [scope for scope in scopes if best and _bare(best) in map(_bare, scope.domains)]


def explain(facts: Facts) -> tuple[str, str] | None:
    """Why a server that has the right answer is not asked, and what mends it; None where that is not so."""
    right = [scope for scope in facts.scopes if any(map(facts.is_right, scope.replies))]
    domain, reached = asked(facts.scopes, facts.name)
    local = facts.name.endswith(".local")
    if not right or any(scope in reached for scope in right) or not (domain or local):
        return None
    server = next(reply.server for reply in right[0].replies if facts.is_right(reply))
    if domain:
        why = f"systemd-resolved asks for it on {_shown(reached)}, because of the domain {domain}, and not {server}"
    else:
        why = f"systemd-resolved asks nobody for names below .local (RFC 6762), unless a domain sends them to {server}"
    return why, _mend(right[0], facts.zone)


def _mend(scope: Scope, zone: str) -> str:
    if not scope.link:
        # With domains of its own it takes no servers from resolv.conf any more (resolved.conf(5), Domains).
        lines = f"[Resolve], DNS={' '.join(scope.servers)}, Domains={' '.join([*scope.domains, f'~{zone}'])}"
        file = "/etc/systemd/resolved.conf.d/cluster.conf"
        return f"the lines {lines} in {file}; then systemctl restart systemd-resolved"
    words = " ".join(f"'{each}'" for each in (*scope.domains, f"~{zone}"))
    return f"resolvectl domain {scope.link} {words}; to last, Domains= in the link's .network file"


def _shown(scopes: Sequence[Scope]) -> str:
    return " and ".join(scope.link or "all links" for scope in scopes)


def _bare(domain: str) -> str:
    return domain.removeprefix("~").strip(".").lower()


def _labels(domain: str) -> int:
    bare = _bare(domain)
    return bare.count(".") + 1 if bare else 0


def _is_above(domain: str, name: str) -> bool:
    bare = _bare(domain)
    return not bare or f".{name.lower()}".endswith(f".{bare}")

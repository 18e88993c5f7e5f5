"""There is an object by that name."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, failed, ok, unknown


def check(facts: Facts) -> Link:
    """There is an object by that name."""
    found = facts.record
    if "." not in facts.name and ":" not in facts.name:
        return _bare(facts)
    if found is None:
        return unknown("object", "no cluster has been read")
    if found.source in ("forward", "none") or found.rcode not in ("NOERROR", "NXDOMAIN"):
        return unknown("object", found.because or "no cluster of the settings has this name")
    if found.objects:
        return ok("object", f"{', '.join(found.objects)}: {found.because}")
    if found.rcode == "NOERROR":
        return ok("object", found.because)
    if facts.service and not facts.service.ready:
        return ok("object", f"Service {facts.service.name}, which has no names while no endpoint is ready")
    like = f"dnsbridge doctor {found.nearest[0]}" if found.nearest else "kubectl get services --all-namespaces"
    cause = f"there is no such name; {', '.join(found.nearest)} there is" if found.nearest else "there is no such name"
    return failed("object", f"{found.rcode}: {found.because}", cause, like)


def _bare(facts: Facts) -> Link:
    """A name without a dot is none of a cluster by itself."""
    search = " ".join(facts.search) or "none"
    if facts.system and facts.system.addresses:
        return ok("object", f"a bare word, found by the search list of this host ({search})")
    return failed(
        "object",
        f"a bare word; the search list of this host is: {search}",
        "only a search list makes a name of a bare word, and this host's finds nothing",
        f"dnsbridge doctor {facts.name}.NAMESPACE.svc.cluster.local",
    )

"""A server answers on this host."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, failed, ok, unknown


def check(facts: Facts) -> Link:
    """A server answers here. Where none does, another host may have it, unless this host's own programs ask here."""
    here = facts.here
    if here is None:
        return unknown("server", "not asked")
    if here.rcode:
        return ok("server", f"{here.server} answers {here.rcode}")
    text = f"no dnsbridge answers at {here.server}: {here.problem}"
    if here.server in [reply.server for reply in facts.resolvers]:
        cause = f"this host's programs ask {here.server}, and no dnsbridge runs there"
        return failed("server", text, cause, "systemctl start dnsbridge, or dnsbridge serve; the log says why it ended")
    return unknown("server", text)

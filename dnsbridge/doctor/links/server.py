"""A server answers on this host."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, ok, unknown


def check(facts: Facts) -> Link:
    """A server answers here. Where none does, another host may have it, so that alone is no fault."""
    here = facts.here
    if here is None:
        return unknown("server", "not asked")
    if not here.rcode:
        return unknown("server", f"no dnsbridge answers at {here.server}: {here.problem}")
    return ok("server", f"{here.server} answers {here.rcode}")

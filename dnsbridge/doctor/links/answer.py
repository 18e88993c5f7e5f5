"""The name has an address, and the server on this host gives the same."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, State, failed, ok, unknown
from dnsbridge.doctor.links import record as record_link
from dnsbridge.doctor.links import source


def check(facts: Facts) -> Link:
    """The name has an address, and the server here gives the same."""
    record = facts.record
    if record and record.rcode not in ("NOERROR", "NXDOMAIN"):
        if State.FAILED in (source.check(facts).state, record_link.check(facts).state):
            return unknown("answer", f"{record.rcode}: {record.because}")
        cause = "nobody who is asked for the name has an answer"
        return failed("answer", f"{record.rcode}: {record.because}", cause, "dnsbridge config show, for its upstreams")
    if not facts.wanted:
        return unknown("answer", "no address is known for the name")
    here, wanted = facts.here, ", ".join(facts.wanted)
    if here is None or not here.rcode or facts.record is None or not facts.record.addresses:
        return ok("answer", wanted)
    if set(here.addresses) != set(facts.wanted):
        said = ", ".join(here.addresses) or here.rcode
        return failed(
            "answer",
            f"{here.server} says {said}, the objects {wanted}",
            "the server here knows another state of the cluster, or another program has its port",
            f"dnsbridge config show, and `ss -lnptu` for who listens at {here.server}",
        )
    return ok("answer", f"{wanted} (from {here.server} too)")

"""A TCP connection to the port comes about, and its replies come back."""

from dnsbridge.doctor import silence
from dnsbridge.doctor.facts import DEAD, Connect, Facts
from dnsbridge.doctor.link import PLAN, Link, State, failed, ok, unknown
from dnsbridge.doctor.links import endpoints, route

_UNREACHABLE = "a router on the way says that it has no way there"


def check(facts: Facts) -> Link:
    """A TCP connection to the port comes about."""
    if not facts.connects:
        return unknown("connection", "no address, or no port to connect to; name one with --port")
    lost = route.check(facts).state is State.FAILED
    for each in facts.connects:
        if each.result != "open":
            return _failed(facts, each, lost)
    text = ", ".join(f"{each.address} port {each.port}: {each.seconds * 1000:.0f} ms" for each in facts.connects)
    return ok("connection", text)


def _failed(facts: Facts, each: Connect, lost: bool) -> Link:
    """A connection that does not come about; it is no fault of its own where an earlier link explains it."""
    where = f"{each.address} port {each.port}"
    way = facts.way_to(each.address)
    if endpoints.check(facts).state is State.FAILED:
        return unknown("connection", f"{where}: {each.result}, as no endpoint is ready")
    if each.result == "refused":
        return failed(
            "connection",
            f"{where}: refused after {each.seconds * 1000:.0f} ms",
            "packets go there and come back, and nothing listens at the port",
            f"kubectl describe service, for its ports and endpoints; --port names another than {each.port}",
        )
    if lost:
        return unknown("connection", f"{where}: nothing gets there (see route)")
    if way and way.neighbour in DEAD:
        return unknown("connection", f"{where}: nothing gets past the next hop")
    if each.result == "unreachable":
        return failed("connection", f"{where}: {each.problem}", _UNREACHABLE, PLAN)
    return failed("connection", f"{where}: no reply", *silence.explain(facts, each.address, each.port, way))

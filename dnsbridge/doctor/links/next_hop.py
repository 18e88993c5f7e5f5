"""The next hop is alive on its link."""

from dnsbridge.doctor.facts import DEAD, Facts, Way
from dnsbridge.doctor.link import Link, failed, ok, unknown


def check(facts: Facts) -> Link:
    """The next hop answers on its link."""
    ways = [way for way in facts.ways if way.kind == "unicast"]
    if not ways:
        return unknown("next hop", "no route to look at")
    for way in ways:
        if way.neighbour in DEAD:
            hop = way.via or way.address
            return failed(
                "next hop",
                f"{hop} on {way.device}: {way.neighbour}",
                f"nobody answers for {hop} on the link of {way.device} (ARP, neighbour discovery)",
                f"ip neigh show {hop}; see whether the node is up, and on that link",
            )
    return ok("next hop", "; ".join(_neighbour(way) for way in ways))


def _neighbour(way: Way) -> str:
    hop = way.via or way.address
    return f"{hop} on {way.device}: {way.neighbour or 'needs none'}"

"""Large packets fit the way."""

from dnsbridge.doctor.facts import Connect, Facts
from dnsbridge.doctor.link import Link, failed, ok, unknown

_SMALL = 1400
"""Octets: a way that takes less is worth a word."""


def check(facts: Facts) -> Link:
    """Large packets fit the way."""
    known = [each for each in facts.connects if each.result == "open" and each.mtu]
    if not known:
        return unknown("path MTU", "no connection, so nothing is known of the way")
    for each in known:
        if 0 < each.fits < each.mtu:
            return _black_hole(facts, each)
    least = min(known, key=lambda each: each.mtu)
    if least.mtu < _SMALL:
        more = "so a tunnel is on the way"
    else:
        more = "and one of that size arrives" if least.fits else "as far as the kernel knows"
    return ok("path MTU", f"{least.mtu} octets to {least.address}, {more}")


def _black_hole(facts: Facts, each: Connect) -> Link:
    way = facts.way_to(each.address)
    through = f" via {way.via}" if way and way.via else ""
    device = f" dev {way.device}" if way else ""
    return failed(
        "path MTU",
        f"packets of {each.mtu} octets to {each.address} get lost, those of {each.fits} arrive",
        "something on the way drops large packets, and the ICMP message that would say so (a black hole, RFC 2923)",
        f"ip route add {each.address}{through}{device} mtu {each.fits}, until the routers let that message through",
    )

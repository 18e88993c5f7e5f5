"""Large packets fit the way."""

from dnsbridge.doctor.facts import Facts
from dnsbridge.doctor.link import Link, ok, unknown

_SMALL = 1400
"""Octets: a way that takes less is worth a word."""


def check(facts: Facts) -> Link:
    """Large packets fit the way."""
    known = [each for each in facts.connects if each.result == "open" and each.mtu]
    if not known:
        return unknown("path MTU", "no connection, so nothing is known of the way")
    least = min(known, key=lambda each: each.mtu)
    word = f"{least.mtu} octets to {least.address}"
    more = "as far as the kernel knows" if least.mtu >= _SMALL else "so a tunnel is on the way"
    return ok("path MTU", f"{word}, {more}")

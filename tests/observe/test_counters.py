"""Counting by kind: what a prepared answer adds is found again by zone, type, source and RCODE."""

import pytest

from dnsbridge.observe.counters import ALWAYS, NOWHERE, Counters
from dnsbridge.observe.traffic import OTHER


def test_nothing_yet() -> None:
    """The RCODEs of RFC 1035 are there from the start, so that a rate finds the first of them."""
    counters = Counters()
    assert counters.by_source() == {(NOWHERE, rcode): 0 for rcode in ALWAYS}
    assert counters.by_question(counters.traffic("udp", "ipv4")) == {("", OTHER): 0}


@pytest.mark.parametrize("late", [False, True], ids=["before the kinds", "after the kinds"])
def test_prepared_and_not(late: bool) -> None:
    """Prepared answers are added to the others; transports that begin after a kind was made know it too."""
    counters = Counters()
    udp = None if late else counters.traffic("udp", "ipv6")
    web, none = counters.kind("cluster.local", 1, "cluster"), counters.kind("corp.", 28, "cache")
    assert (web, none, counters.kind("cluster.local", 1, "cluster")) == (1, 2, 1)
    udp = udp or counters.traffic("udp", "ipv6")
    udp.prepared[0][web] += 5
    udp.prepared[3][none] += 2
    udp.ask("corp.", 28)
    udp.received = 9
    counters.answered("forward", 0, 0.002)
    counters.answered(NOWHERE, 2, 1.0)
    assert +counters.by_source() == {("cluster", 0): 5, ("cache", 3): 2, ("forward", 0): 1, (NOWHERE, 2): 1}
    assert counters.by_question(udp) == {("cluster.local", 1): 5, ("corp.", 28): 3, ("", OTHER): 1}
    assert [(source, one.total) for source, one in counters.latency.items() if one.total] == [
        ("forward", 0.002),
        (NOWHERE, 1.0),
    ]

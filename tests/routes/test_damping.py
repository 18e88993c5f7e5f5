"""Damping: what may be pushed at once, and what must be wanted for a while first; the clock is a number."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.routes.damping import Damper
from dnsbridge.routes.model import NextHop, Route

A, B, C = (NextHop(ip_address(f"10.0.0.{number}")) for number in (1, 2, 3))


def route(prefix: str, *hops: NextHop) -> Route:
    """A route as it is wanted."""
    return Route(ip_network(prefix), hops)


def ways(damper: Damper, now: float, **wanted: tuple[NextHop, ...]) -> dict[str, str]:
    """What may be pushed: the last digit of each next hop, by the name of its prefix."""
    prefixes = {"p": "10.1.0.0/24", "q": "10.2.0.0/24"}
    settled = damper.settle([route(prefixes[name], *hops) for name, hops in wanted.items()], now)
    names = {ip_network(prefix): name for name, prefix in prefixes.items()}
    return {names[each.prefix]: "".join(str(hop.address)[-1] for hop in each.next_hops) for each in settled.routes}


Step = tuple[float, dict[str, tuple[NextHop, ...]], dict[str, str]]
"""When, what is wanted, what may be pushed."""
SCENARIOS: dict[str, list[Step]] = {
    "the first set is pushed at once, and is no change": [
        (0, {"p": (A,), "q": (B,)}, {"p": "1", "q": "2"}),
        (1, {"q": (B,)}, {"q": "2"}),
        (2, {"p": (A,), "q": (B,)}, {"p": "1", "q": "2"}),
    ],
    "two changes are pushed at once": [
        (0, {"q": (B,)}, {"q": "2"}),
        (1, {"p": (A,), "q": (B,)}, {"p": "1", "q": "2"}),
        (2, {"p": (B,), "q": (B,)}, {"p": "2", "q": "2"}),
    ],
    "the third in a minute waits for the hold time, and only what comes does": [
        (-1, {"q": (C,)}, {"q": "3"}),
        (0, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
        (1, {"q": (C,)}, {"q": "3"}),
        (2, {"p": (A,), "q": (C,)}, {"q": "3"}),
        (11.9, {"p": (A,), "q": (C,)}, {"q": "3"}),
        (12, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
    ],
    "also when nothing else is wanted": [
        (0, {"p": (A,)}, {"p": "1"}),
        (1, {}, {}),
        (2, {"p": (A,)}, {"p": "1"}),
        (3, {}, {}),
        (4, {"p": (A,)}, {"p": "1"}),
        (5, {}, {}),
        (6, {"p": (A,)}, {}),
        (16, {"p": (A,)}, {"p": "1"}),
    ],
    "a change during the hold time begins it anew": [
        (-1, {"q": (C,)}, {"q": "3"}),
        (0, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
        (1, {"q": (C,)}, {"q": "3"}),
        (2, {"p": (A,), "q": (C,)}, {"q": "3"}),
        (8, {"q": (C,)}, {"q": "3"}),
        (9, {"p": (A,), "q": (C,)}, {"q": "3"}),
        (18.9, {"p": (A,), "q": (C,)}, {"q": "3"}),
        (19, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
    ],
    "three changes in more than a minute are none too many": [
        (-1, {"q": (C,)}, {"q": "3"}),
        (0, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
        (30, {"q": (C,)}, {"q": "3"}),
        (61, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
    ],
    "of two gateways the one that flaps does not take the steady one with it": [
        (0, {"p": (A, B)}, {"p": "12"}),
        (1, {"p": (B,)}, {"p": "2"}),
        (2, {"p": (A, B)}, {"p": "12"}),
        (3, {"p": (B,)}, {"p": "2"}),
        (4, {"p": (A, B)}, {"p": "2"}),
        (14, {"p": (A, B)}, {"p": "12"}),
    ],
    "what goes goes at once, also from a route that flaps": [
        (0, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
        (1, {"p": (B,), "q": (C,)}, {"p": "2", "q": "3"}),
        (2, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
        (3, {"p": (B,), "q": (C,)}, {"q": "3"}),
        (4, {"q": (C,)}, {"q": "3"}),
    ],
    "a minute of rest is forgiven": [
        (-1, {"q": (C,)}, {"q": "3"}),
        (0, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
        (1, {"q": (C,)}, {"q": "3"}),
        (2, {"p": (A,), "q": (C,)}, {"q": "3"}),
        (70, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
        (71, {"q": (C,)}, {"q": "3"}),
        (72, {"p": (A,), "q": (C,)}, {"p": "1", "q": "3"}),
    ],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(name: str) -> None:
    """Each step of a scenario pushes what it says."""
    damper = Damper()
    for now, wanted, expected in SCENARIOS[name]:
        assert ways(damper, now, **wanted) == expected, f"at {now} s"


def test_again_is_when_the_first_that_waits_may_come() -> None:
    """Whoever comes back at `again` finds that the route may be pushed; then nothing waits."""
    damper = Damper()
    other, wanted = [route("10.2.0.0/24", A)], [route("10.1.0.0/24", A), route("10.2.0.0/24", A)]
    for now, routes in ((-1, other), (0, wanted), (1, other)):
        damper.settle(routes, now)
    settled = damper.settle(wanted, 2)
    assert (settled.again, settled.held, settled.routes) == (12, (wanted[0].prefix,), tuple(other))
    settled = damper.settle(wanted, 12)
    assert (settled.again, settled.held, settled.routes) == (None, (), tuple(wanted))


def test_memory_is_bounded() -> None:
    """However many prefixes change, only so many are remembered, and each is still pushed."""
    damper = Damper(remembered=10)
    for number in range(200):
        wanted = [route(f"10.{number}.0.0/16", A)]
        assert damper.settle(wanted, number * 0.01).routes == tuple(wanted)
    assert len(damper._seen) <= 10


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 3.0, 9.9, 10.0, 61.0]), st.sets(st.sampled_from([A, B, C]))), max_size=30
    )
)
def test_never_more_than_is_wanted_and_all_of_it_in_the_end(steps: list[tuple[float, set[NextHop]]]) -> None:
    """What may be pushed is always a part of what is wanted, and after the hold time all of it."""
    damper = Damper()
    now = 0.0
    for passed, hops in steps:
        now += passed
        wanted = [route("10.1.0.0/24", *sorted(hops, key=str))] if hops else []
        settled = damper.settle(wanted, now)
        pushed = {hop for each in settled.routes for hop in each.next_hops}
        assert pushed <= hops
        assert (pushed == hops) == (settled.again is None)
        later = Damper()
        later._wanted, later._seen = damper._wanted, dict(damper._seen)
        assert later.settle(wanted, now + 10.0).routes == tuple(wanted)

"""The policies by numbers: who is first how often, and where those that are not up stand."""

import random
from collections import Counter
from typing import get_args

import pytest

from dnsbridge.resolvers.forward.health import Condition, Health
from dnsbridge.resolvers.forward.policy import EXPLORATION, Ordering, Policy

QUESTIONS = 20_000


def healths(*srtts: float) -> list[Health]:
    """Upstreams with these smoothed RTTs, all up."""
    made = []
    for srtt in srtts:
        health = Health()
        health.srtt = srtt
        made.append(health)
    return made


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("policy", get_args(Policy))
def test_every_order_has_each_once(policy: Policy, count: int) -> None:
    """No policy leaves an upstream out or names it twice."""
    ordering = Ordering(policy, healths(*[0.01 * number for number in range(count)]), random.Random(1).random)
    assert all(sorted(ordering.order()) == list(range(count)) for _ in range(2000))


@pytest.mark.parametrize(
    ("policy", "srtts", "shares"),
    [
        ("sequential", (0.3, 0.1, 0.2), (1, 0, 0)),
        ("random", (0.1, 0.1), (1 / 2, 1 / 2)),
        ("random", (0.1, 0.1, 0.1, 0.1), (1 / 4, 1 / 4, 1 / 4, 1 / 4)),
        ("round_robin", (0.1, 0.1), (1 / 2, 1 / 2)),
        ("round_robin", (0.1, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 3)),
        ("fastest", (0.3, 0.1), (EXPLORATION, 1 - EXPLORATION)),
        ("fastest", (0.3, 0.1, 0.2), (EXPLORATION / 2, 1 - EXPLORATION, EXPLORATION / 2)),
        ("fastest", (0.3, 0.0), (EXPLORATION, 1 - EXPLORATION)),
    ],
)
def test_who_is_first(policy: Policy, srtts: tuple[float, ...], shares: tuple[float, ...]) -> None:
    """Shares of first places, with a chi-square far beyond what chance gives as the limit."""
    ordering = Ordering(policy, healths(*srtts), random.Random(2).random)
    first = Counter(ordering.order()[0] for _ in range(QUESTIONS))
    assert all(first[position] == 0 for position, share in enumerate(shares) if not share)
    expected = [(first[position], share * QUESTIONS) for position, share in enumerate(shares) if share]
    chi_square = sum((seen - mean) ** 2 / mean for seen, mean in expected)
    print(f"{policy} {srtts}: {dict(first)}, chi-square {chi_square:.2f}")  # noqa: T201 - a figure to look at
    assert chi_square < 20


def test_round_robin_goes_round() -> None:
    """One after the other."""
    ordering = Ordering("round_robin", healths(0, 0, 0), random.random)
    assert [ordering.order() for _ in range(4)] == [(0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 1, 2)]


UP, SUSPECT, DOWN = Condition.UP, Condition.SUSPECT, Condition.DOWN


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((UP, UP), (0, 1)),
        ((SUSPECT, UP), (1, 0)),
        ((DOWN, SUSPECT), (1, 0)),
        ((SUSPECT, SUSPECT), (0, 1)),
        ((UP, DOWN), (0, 1)),
        ((DOWN, UP, SUSPECT), (1, 2, 0)),
        ((SUSPECT, DOWN, UP, UP), (2, 3, 0, 1)),
        ((DOWN,), (0,)),
    ],
)
def test_by_condition(conditions: tuple[Condition, ...], expected: tuple[int, ...]) -> None:
    """Those that are up first, those that are down last, else as the policy says."""
    made = healths(*[0.1] * len(conditions))
    for health, condition in zip(made, conditions, strict=True):
        health.condition = condition
    assert Ordering("sequential", made, random.random).order() == expected


@pytest.mark.parametrize("policy", get_args(Policy))
def test_two_upstreams_need_no_new_tuples(policy: Policy) -> None:
    """All orders of two are the same two objects, also while one of them is down."""
    made = healths(0.1, 0.2)
    ordering = Ordering(policy, made, random.Random(4).random)
    seen = {id(ordering.order()) for _ in range(100)}
    made[0].condition = DOWN
    seen |= {id(ordering.order()) for _ in range(100)}
    assert len(seen) <= 2

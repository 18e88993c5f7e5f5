"""When a question is asked again, and the bounds on what is extra, by a clock of the test's own."""

import pytest

from dnsbridge.resolvers.forward.allowance import Allowance
from dnsbridge.resolvers.forward.patience import MOST_ROUNDS, PATIENCE, next_round


def test_rounds_reach_to_the_deadline() -> None:
    """At a timeout of 50 ms the gaps grow, and the last of eight datagrams goes when most of the time is over."""
    ages, due = [0.0], 0.05
    while len(ages) < MOST_ROUNDS:
        ages.append(due)
        # The second round begins when the timeout of the first is over, whatever the rule says.
        due = 0.1 if len(ages) == 2 else next_round(100.0, 100.0 + due, len(ages), 0.5) - 100.0
    assert ages == pytest.approx([0, 0.05, 0.1, 0.15, 0.225, 0.3375, 0.50625, 2.4])
    assert PATIENCE / 2 <= ages[-1] < PATIENCE


def test_jitter() -> None:
    """What was lost together is not asked again together, but within a tenth of its age."""
    dues = [next_round(100.0, 101.0, 3, draw) for draw in (0.0, 0.5, 0.999)]
    assert dues == pytest.approx([101.4, 101.5, 101.5998])


def test_an_allowance() -> None:
    """A burst at first, then a share of what is ordinary, saved up to the burst."""
    allowance = Allowance(0.5, 3)
    assert [allowance.take(0) for _ in range(5)] == [True, True, True, False, False]
    assert [allowance.take(done) for done in (1, 2, 3, 4)] == [False, True, False, True]
    assert [allowance.take(1000) for _ in range(4)] == [True, True, True, False]

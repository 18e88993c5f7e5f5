"""One upstream's health by a clock of the test's own: timeouts, percentiles, down and up again, probes."""

import random
import statistics
from collections.abc import Callable

import pytest

from dnsbridge.resolvers.forward.health import (
    LATELY,
    MAX_PROBE_INTERVAL,
    MAX_TIMEOUT,
    MIN_HEDGE,
    MIN_TIMEOUT,
    SLOW_SECONDS,
    Condition,
    Health,
)


def healthy(rtt: float = 0.02, replies: int = 100) -> tuple[Health, float]:
    """One with that many replies in the past, one each 10 ms; and the time."""
    health = Health()
    for number in range(replies):
        health.replied(100 + number / 100, 100 + number / 100 - rtt)
    return health, 100 + replies / 100


def condition(health: Health) -> Condition:
    """Its condition of now: a type checker takes the attribute for constant."""
    return health.condition


@pytest.mark.parametrize(
    ("rtts", "srtt", "rttvar"),
    [
        # RFC 6298 section 2, reckoned by hand.
        ([0.08], 0.08, 0.04),
        ([0.08, 0.16], 0.09, 0.05),
        ([0.08, 0.16, 0.09], 0.09, 0.0375),
    ],
)
def test_smoothed_rtt(rtts: list[float], srtt: float, rttvar: float) -> None:
    """Smoothed RTT, its variation and the timeout made of both."""
    health = Health()
    for number, rtt in enumerate(rtts):
        health.replied(10.0 + number, 10.0 + number - rtt)
    assert health.srtt == pytest.approx(srtt)
    assert health.rttvar == pytest.approx(rttvar)
    assert health.timeout == pytest.approx(srtt + 4 * rttvar)


@pytest.mark.parametrize(("rtt", "timeout"), [(0.0001, MIN_TIMEOUT), (0.3, 0.3), (0.79, 0.79), (2.0, MAX_TIMEOUT)])
def test_timeout_bounds(rtt: float, timeout: float) -> None:
    """With a steady RTT the timeout comes near it, within its bounds."""
    assert healthy(rtt)[0].timeout == pytest.approx(timeout, abs=0.001)


def test_timeouts_double() -> None:
    """Each timeout of a question asked after the last one doubles the timeout; those in flight together count once."""
    health, now = healthy()
    seen = []
    for number in range(5):
        for asked_at in (now + number, now + number):
            health.timed_out(now + number + 0.5, asked_at)
        seen.append(health.timeout)
    assert seen == pytest.approx([0.1, 0.2, 0.4, 0.8, 0.8])
    health.replied(now + 10, now + 9.98)
    assert health.timeout < 0.1


@pytest.mark.parametrize("draw", ["uniform", "exponential", "two modes"])
def test_percentile(draw: str) -> None:
    """hedge_after is near the true 95th percentile of the RTTs, on average over a long time."""
    source = random.Random(5)
    draws: dict[str, Callable[[], float]] = {
        "uniform": lambda: source.uniform(0.02, 0.06),
        "exponential": lambda: 0.01 + source.expovariate(100),
        "two modes": lambda: 0.02 if source.random() < 0.85 else 0.2,
    }
    rtts = [draws[draw]() for _ in range(4000)]
    health = Health()
    seen = []
    for number, rtt in enumerate(rtts):
        health.replied(100 + number / 100, 100 + number / 100 - rtt)
        if number > 64:
            seen.append(health.hedge_after)
    true = sorted(rtts)[int(len(rtts) * 0.95)]
    print(f"{draw}: p95 {true * 1000:.1f} ms, seen {statistics.mean(seen) * 1000:.1f} ms")  # noqa: T201 - a figure to look at
    assert statistics.mean(seen) == pytest.approx(true, rel=0.15)


def test_no_percentile_without_samples() -> None:
    """Nothing is hedged on a guess, and never before 10 ms."""
    assert healthy(0.001, 10)[0].hedge_after == float("inf")
    assert healthy(0.001, 100)[0].hedge_after == MIN_HEDGE


def test_percentile_follows() -> None:
    """After 64 slower replies the old ones are forgotten."""
    health, now = healthy(0.02)
    for number in range(64):
        health.replied(now + number / 10, now + number / 10 - 0.2)
    assert health.hedge_after == pytest.approx(0.2)


def test_one_timeout_makes_suspect_and_any_reply_clears() -> None:
    """A reply of any age within the longest timeout shows that it is alive; a slower one does not."""
    health, now = healthy()
    health.timed_out(now + 0.05, now)
    assert condition(health) is Condition.SUSPECT
    health.late(now + 1.0, now)
    assert condition(health) is Condition.SUSPECT
    health.late(now + 1.1, now + 0.9)
    assert condition(health) is Condition.UP
    assert health.bad == 0


def test_three_timeouts_in_a_row_make_down() -> None:
    """Of questions asked one after the other; then only a reply to something asked since brings it back."""
    health, now = healthy()
    for number in range(3):
        assert condition(health) is not Condition.DOWN
        health.timed_out(now + number + 0.5, now + number)
    assert condition(health) is Condition.DOWN
    health.replied(now + 2.6, now + 2.4)
    assert condition(health) is Condition.DOWN
    health.replied(now + 2.8, now + 2.7)
    assert condition(health) is Condition.UP


def test_problem_and_since() -> None:
    """Why it is not up and since when; the problem is remembered when it is up again."""
    health, now = healthy()
    seen = [(health.problem, health.since)]

    def note() -> None:
        seen.append((health.problem, health.since))

    health.timed_out(now + 1, now)
    note()
    health.replied(now + 2, now + 1.9)
    note()
    health.refused(now + 3)
    note()
    health.timed_out(now + 4, now + 3.5)  # no news: it is down
    note()
    health.replied(now + 5, now + 4.9)
    note()
    for number in range(5):
        health.replied_with_error(now + 20 + number, now + 20 + number - 0.02)
        health.erred(now + 20 + number)
    note()
    health.replied(now + 30, now + 29.9)
    for _ in range(5):
        health.failed(now + 40)
    note()
    assert seen == [
        ("", None),
        ("no reply in time", now + 1),
        ("no reply in time", now + 2),
        ("its port is closed", now + 3),
        ("its port is closed", now + 3),
        ("its port is closed", now + 5),
        ("it replies with errors where others have an answer", now + 24),
        ("its replies do not parse", now + 40),
    ]
    assert health.errors == 5


@pytest.mark.parametrize(("loss", "down"), [(0.02, False), (0.2, False), (0.75, True), (1.0, True)])
def test_failure_ratio(loss: float, down: bool) -> None:
    """Losing a part of the questions puts it down only when it is the greater part."""
    source = random.Random(3)
    health, now = healthy()
    went_down = False
    for number in range(2000):
        asked_at = now + number / 200
        if source.random() < loss:
            health.timed_out(asked_at + 0.05, asked_at)
        else:
            health.replied(asked_at + 0.02, asked_at)
        went_down |= condition(health) is Condition.DOWN
    assert went_down is down


def test_errors_put_it_down_and_another_error_does_not_end_that() -> None:
    """SERVFAIL where others have answers; a good answer to something asked since ends it."""
    health, now = healthy()
    for number in range(5):
        health.replied_with_error(now + number / 10, now + number / 10 - 0.02)
        health.erred(now + number / 10)
    assert condition(health) is Condition.DOWN
    health.replied_with_error(now + 2, now + 1.9)
    assert condition(health) is Condition.DOWN
    health.replied(now + 3, now + 2.9)
    assert condition(health) is Condition.UP
    health.timed_out(now + 5, now + 4)
    health.replied_with_error(now + 5.1, now + 5)
    assert condition(health) is Condition.UP


def test_probes() -> None:
    """The first within a second, then further apart, never more than 4.5 s; a relapse goes on where it was."""
    health, now = healthy()
    assert health.probe_at == float("inf")
    health.refused(now)
    source = random.Random(1)
    gaps = []
    for _ in range(12):
        gaps.append(health.probe_at - now)
        now = health.probe_at
        health.probed(now, source.random())
    assert gaps[0] == pytest.approx(1.0)
    assert 1.0 < gaps[1] <= 1.5
    assert all(MAX_PROBE_INTERVAL * 0.8 <= gap <= MAX_PROBE_INTERVAL for gap in gaps[5:])
    health.replied(now + 0.1, now)
    assert health.probe_at == float("inf")
    health.refused(now + 5)
    assert health.probe_at == pytest.approx(now + 5 + MAX_PROBE_INTERVAL)
    health.replied(now + 12, now + 11.9)
    health.refused(now + 30)
    assert health.probe_at == pytest.approx(now + 31)


def test_alive() -> None:
    """An upstream is alive for a question when something asked later has a reply, also an error or a late one."""
    health, now = healthy()
    assert not health.alive_since(now)
    health.replied(now + 2, now - 1)
    assert not health.alive_since(now), "it was asked before"
    health.replied(now + 3, now + 1)
    assert health.alive_since(now)
    assert not health.alive_since(now + 1)
    health.replied_with_error(now + 4, now + 2)
    assert health.alive_since(now + 1)
    health.late(now + 5, now + 3)
    assert health.alive_since(now + 2)


def test_replied_lately() -> None:
    """For five seconds after a reply, unless its port is closed meanwhile."""
    health, now = healthy()
    last = now - 0.01
    assert health.replied_lately(last + LATELY - 0.1)
    assert not health.replied_lately(last + LATELY + 0.1)
    health.replied(now, now - 0.02)
    health.refused(now + 1)
    assert health.replied_lately(now + 1) is False


def test_slow() -> None:
    """From the first slow question on, until there was none for a minute."""
    health, now = healthy()
    seen = [health.found_slow(now + seconds) for seconds in (0, 30, 80, 150)]
    assert seen == [True, False, False, True]
    assert (health.slow_since, health.slow_questions) == (now + 150, 4)
    assert health.is_slow(now + 150 + SLOW_SECONDS - 1)
    assert not health.is_slow(now + 150 + SLOW_SECONDS)
    assert condition(health) is Condition.UP


def test_the_first_probe_goes_at_once() -> None:
    """With the first timeout, the second a second later; of a closed port the first goes after a second."""
    health, now = healthy()
    health.timed_out(now + 0.05, now)
    assert health.probe_at == now + 0.05
    health.probed(now + 0.05, 0.0)
    assert health.probe_at == pytest.approx(now + 1.05)
    health.replied(now + 0.07, now + 0.05)
    assert condition(health) is Condition.UP
    health.timed_out(now + 0.2, now + 0.1)
    assert health.probe_at == now + 0.2


def test_caution() -> None:
    """One flag says whether a question needs more than to be sent: the condition, and doubts about EDNS."""
    health, now = healthy()
    seen = [health.caution]
    health.timed_out(now + 0.05, now)
    seen.append(health.caution)
    health.replied(now + 0.07, now + 0.06)
    seen.append(health.caution)
    health.edns.refused(now, "FORMERR")
    health.weigh()
    seen.append(health.caution)
    health.edns.answered(now, now)
    health.weigh()
    seen.append(health.caution)
    assert seen == [False, True, False, True, False]

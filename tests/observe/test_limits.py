"""Limits on log lines, by a clock of the test's own."""

from dnsbridge.observe.limits import BURST, INTERVAL, KindLimits, LineLimit


def test_a_line_limit() -> None:
    """So many lines at once, then one each interval, which says how many were held back."""
    lines = LineLimit(2, 60.0)
    assert [lines.take(now) for now in (100.0, 101.0, 102.0, 103.0)] == [0, 0, None, None]
    assert [lines.take(now) for now in (162.0, 163.0, 223.0)] == [2, None, 1]


def test_kinds_are_limited_apart() -> None:
    """A kind that floods holds no other back, and each held line is told of once."""
    limits = KindLimits()
    assert [limits.take("flood", 100.0) for _ in range(BURST + 3)] == [0] * BURST + [None] * 3
    assert limits.take("other", 100.0) == 0
    assert limits.take("flood", 100.0 + INTERVAL) == 3
    assert limits.take("flood", 100.0 + INTERVAL) is None
    assert (limits.untold(), limits.untold()) == (1, 0)
    assert limits.take("flood", 100.0 + 2 * INTERVAL) == 0


def test_the_table_is_bounded() -> None:
    """Kinds over the bound are limited together, until others have been quiet for a whole burst."""
    limits = KindLimits(max_kinds=3)
    for kind in range(3):
        assert limits.take(kind, 100.0) == 0
    assert [limits.take(3 + number, 100.0) for number in range(BURST + 2)] == [0] * BURST + [None] * 2
    assert limits.take(0, 100.0) == 0
    later = 100.0 + BURST * INTERVAL
    assert [limits.take(("new", number), later) for number in range(2)] == [0, 0]
    assert limits.untold() == 2

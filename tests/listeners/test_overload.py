"""When a socket is behind."""

from functools import partial

import pytest

from dnsbridge.listeners.overload import Overload, Queue

SHORT, LONG = 10, 1000
BEHIND = [
    ("a long queue all the time", [(0, LONG, 0), (0.5, LONG, 0), (1, LONG, 0)], 1),
    ("not yet", [(0, LONG, 0), (0.5, LONG, 0), (0.9, LONG, 0)], None),
    ("a short queue", [(0, SHORT, 0), (1, SHORT, 0), (2, SHORT, 0)], None),
    ("a short queue that overflows", [(0, SHORT, 7), (1, SHORT, 8)], 1),
    ("one that overflowed long ago", [(0, SHORT, 7), (1, SHORT, 7), (2, SHORT, 7)], None),
    ("a counter that begins anew", [(0, SHORT, 2**32 - 1), (1, SHORT, 3)], 1),
    ("it becomes long", [(0, SHORT, 0), (1, SHORT, 0), (1.5, LONG, 0), (2, LONG, 0)], 2),
    ("found empty in between", [(0, LONG, 0), (0.5, None, 0), (1, LONG, 1), (1.5, LONG, 2)], None),
    ("found empty before", [(0, LONG, 0), (0.5, None, 0), (1, LONG, 1), (2, LONG, 1)], 2),
]


@pytest.mark.parametrize(("looks", "behind_at"), [case[1:] for case in BEHIND], ids=[case[0] for case in BEHIND])
def test_falls_behind(looks: list[tuple[float, int | None, int]], behind_at: float | None) -> None:
    """Each look: when, octets in the queue (None: found empty), datagrams lost so far; a second of patience."""
    overload = Overload(1, LONG - 1)
    found = None
    for now, octets, lost in looks:
        if octets is None:
            overload.full_since = None
        elif overload.falls_behind(now, partial(Queue, octets, lost)):
            found = now
            break
    assert found == behind_at


def test_catches_up() -> None:
    """When nothing had to be shed for as long as it took to fall behind; then all begins anew."""
    overload = Overload(1, LONG - 1)
    overload.falls_behind(0, lambda: Queue(LONG, 0))
    assert overload.falls_behind(1, lambda: Queue(LONG, 0))
    looks = [(1.5, False), (2, True), (2.9, False), (3, False)]
    assert [overload.catches_up(now, shed) for now, shed in looks] == [False, False, False, True]
    assert not overload.falls_behind(3, lambda: Queue(LONG, 0))
    assert overload.falls_behind(4, lambda: Queue(LONG, 0))


def test_the_kernel_is_not_asked_each_time() -> None:
    """Once when the socket is first not found empty, and when patience ends."""
    asked = []

    def queue() -> Queue:
        asked.append(1)
        return Queue(SHORT, 0)

    overload = Overload(1)
    for step in range(20):
        overload.falls_behind(step / 10, queue)
    assert len(asked) == 2

"""The garbage collector's pauses are counted, from the moment they are watched."""

import gc

from dnsbridge.observe.pauses import Pauses


def test_pauses() -> None:
    """One more for each collection; the longest is one of them."""
    pauses = Pauses()
    gc.collect()
    assert (pauses.count, pauses.total, pauses.longest) == (0, 0, 0)
    pauses.watch()
    try:
        gc.collect()
        first = pauses.total
        assert (pauses.count, pauses.longest) == (1, first)
        gc.collect()
    finally:
        gc.callbacks.remove(pauses)
    assert pauses.count == 2
    assert 0 < pauses.longest <= pauses.total > first
    gc.collect()
    assert pauses.count == 2

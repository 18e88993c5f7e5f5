"""A recorder never keeps anybody waiting: what its destination does not take is lost, counted, and said once."""

import threading

import pytest

from dnsbridge.observe import recorder
from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.recorder import MAX_OCTETS, MAX_WAITING, Recorder, Wrote
from tests.observe.exchanges import numbered
from tests.support.waiting import DEADLINE, eventually


class Slow:
    """Takes what it is given when the test lets it."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.busy = threading.Event()
        self.problem = ""
        self.got: list[Exchange] = []
        self.closed = False

    def write(self, exchanges: list[Exchange]) -> Wrote:
        """See Destination."""
        self.busy.set()
        assert self.may.wait(DEADLINE)
        if self.problem == "error":
            raise ValueError("of a test")
        if self.problem:
            return Wrote(len(exchanges), self.problem)
        self.got += exchanges
        return Wrote()

    def close(self) -> None:
        """See Destination."""
        self.closed = True


@pytest.fixture
def slow() -> Slow:
    """A destination that takes nothing yet."""
    return Slow()


def test_all_is_written_in_order(slow: Slow) -> None:
    """In the end what waits is written, then the destination is closed."""
    slow.may.set()
    made = Recorder("query_log", "here", slow)
    made.start()
    for each in numbered(1000):
        made.put(each)
    made.stop()
    assert slow.got == numbered(1000)
    assert slow.closed
    assert (made.taken, made.lost) == (1000, 0)


@pytest.mark.parametrize(("size", "room"), [(12, MAX_WAITING), (32768, MAX_OCTETS // 65536)])
def test_what_has_no_room_is_lost(slow: Slow, size: int, room: int) -> None:
    """While a destination blocks, so many exchanges or octets wait; `put` returns at once for the others too."""
    made = Recorder("query_log", "here", slow)
    made.start()
    made.put(numbered(1, size)[0])
    assert slow.busy.wait(DEADLINE)
    for _ in range(room + 7):
        made.put(numbered(1, size)[0])
    assert made.lost == 7
    slow.may.set()
    eventually(lambda: len(slow.got) == 1 + room)
    made.put(numbered(1)[0])
    made.stop()
    assert (len(slow.got), made.taken, made.lost) == (room + 2, room + 9, 7)


def test_a_destination_that_never_returns_does_not_hold_the_end(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends without it."""
    monkeypatch.setattr(recorder, "END", 0.01)
    made = Recorder("query_log", "here", slow)
    made.start()
    made.put(numbered(1)[0])
    assert slow.busy.wait(DEADLINE)
    made.stop()
    assert not slow.closed
    slow.may.set()
    eventually(lambda: slow.closed)


@pytest.mark.parametrize(("problem", "said"), [("no space", "no space"), ("error", "internal error: ValueError: of a")])
def test_a_problem_is_logged_once(slow: Slow, problem: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Its beginning, and its end with what was lost meanwhile."""
    caplog.set_level("INFO")
    slow.may.set()
    slow.problem = problem
    made = Recorder("query_log", "/here", slow)
    made.start()
    for count in (1, 2, 3):
        made.put(numbered(1)[0])
        eventually(lambda count=count: made.lost == count)  # type: ignore[misc]  # mypy knows no defaults of lambdas
    slow.problem = ""
    made.put(numbered(1)[0])
    made.stop()
    first, second = caplog.records
    assert first.getMessage().startswith(f"query_log: /here: {said}")
    assert first.__dict__["event"] == "recorder_trouble"
    assert second.getMessage() == "query_log: /here: written again, 3 records were lost"
    assert second.__dict__["event"] == "recorder_well"

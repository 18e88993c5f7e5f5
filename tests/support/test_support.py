"""What the tests themselves stand on: a loop that drives its clock, waiting, and the check that refuses sleeps."""

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import waiting
from tests.support.driven_loop import clock, pass_time, run_driven
from tests.support.program import ROOT
from tests.support.properties import examples
from tests.support.waiting import until


def test_a_day_passes_at_once_and_in_order() -> None:
    """Timers fire by their times, and all clocks of the process show the loop's."""
    fired: list[str] = []

    async def test() -> None:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        for seconds, name in ((86400.0, "day"), (1.0, "second"), (3600.0, "hour")):
            loop.call_later(seconds, fired.append, name)
        await pass_time(86401)
        now = time.monotonic()
        assert now == clock() >= began + 86401

    run_driven(test())
    assert fired == ["second", "hour", "day"]


def test_what_has_been_sent_is_read_before_time_passes() -> None:
    """A thousand datagrams arrive in one and the same second."""

    async def test() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            theirs.setblocking(False)
            began = clock()
            for _ in range(1000):
                ours.send(b"x")
                assert await asyncio.wait_for(loop.sock_recv(theirs, 1), 60) == b"x"
            assert clock() - began < 1

    run_driven(test())


def test_threads_are_waited_for() -> None:
    """The clock stands still while an executor works."""

    async def test() -> None:
        began = clock()
        done = await asyncio.wait_for(asyncio.to_thread(subprocess.run, ["true"], check=True), 60)
        assert done.returncode == 0
        assert clock() - began < 1

    run_driven(test())


def test_what_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that never holds ends the wait, and says what was waited for."""
    monkeypatch.setattr(waiting, "DEADLINE", 0.1)
    with pytest.raises(AssertionError, match=r"^not within 0\.1 s: tea$"):
        run_driven(until(lambda: False, "tea"))


def test_real_time_does_not_pass_as_if_driven() -> None:
    """A test that lets time pass on an ordinary loop fails at once."""
    with pytest.raises(AssertionError):
        asyncio.run(pass_time(86400))


def test_examples_keep_what_holds_for_all() -> None:
    """A property with a number of its own has no deadline either."""
    assert examples(7).deadline is None
    assert examples(7).max_examples in (7, 700)


REFUSED = [
    ("a sleep", "time.sleep(0.1)", "a sleep"),
    ("a sleep of a loop", "await asyncio.sleep(1)", "a sleep"),
    ("a turn of the loop", "await asyncio.sleep(0)", ""),
    ("a delay with its reason", "await asyncio.sleep(1)  # delay: a slow server", ""),
    ("a short limit", "asyncio.timeout(5)", "a limit under 30 s"),
    ("a short limit of a socket", "client.settimeout(2.5)", "a limit under 30 s"),
    ("a socket that does not block", "client.settimeout(0)", ""),
    ("a short limit by its name", "socket.create_connection(place, timeout=5)", "a limit under 30 s"),
    ("patience", "asyncio.timeout(30)", ""),
    ("a verdict", "assert time.monotonic() - start < 2", "a verdict by the clock"),
    ("a deadline", "DEADLINE = 5.0", "a deadline under 30 s"),
]


@pytest.mark.parametrize(("line", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_waits_that_are_refused(line: str, said: str, tmp_path: Path) -> None:
    """`make check` names the line and what to do instead."""
    module = tmp_path / "tests" / "test_it.py"
    module.parent.mkdir()
    module.write_text(f"async def test() -> None:\n    {line}\n", encoding="utf-8")
    command = [sys.executable, str(ROOT / "tools" / "check_waits.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == bool(said)
    assert done.stdout.startswith(f"tests/test_it.py:2: {said}" if said else "")
    assert len(done.stdout.splitlines()) == bool(said)

"""Log lines: their form for people and for collectors, and the bound on lines of one kind."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dnsbridge.observe import log as observed
from dnsbridge.observe.limits import BURST, INTERVAL
from dnsbridge.observe.log import LimitedHandler, start_logging

log = logging.getLogger("dnsbridge.test")


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[str]]]:
    """Gives the lines on standard error since the last call; the log of the tests is put back in the end."""
    root, ours = logging.getLogger(), logging.getLogger("dnsbridge")
    before, levels = root.handlers[:], (root.level, ours.level)
    root.handlers[:] = []  # else they would be closed

    def lines() -> list[str]:
        return capsys.readouterr().err.splitlines()

    yield lines
    root.handlers[:] = before
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def say(level: int, text: str, *args: object, **more: Any) -> None:
    """One line; all come from one place in the code."""
    log.log(level, text, *args, **more)


LINES = [
    ("plain", (logging.INFO, "ready"), {}, "INFO    ready", {"level": "info", "message": "ready"}),
    ("cluster", (logging.ERROR, "cluster %s: stale", "dev"), {}, "ERROR   cluster dev: stale",
     {"level": "error", "message": "cluster dev: stale", "cluster": "dev"}),
    ("event", (logging.WARNING, "upstream %s %s", "[::1]:53", "is down"), {"extra": {"event": "upstream_down"}},
     "WARNING upstream [::1]:53 is down",
     {"level": "warning", "message": "upstream [::1]:53 is down", "event": "upstream_down", "upstream": "[::1]:53"}),
    ("peer", (logging.INFO, "BGP peer %s: session established", "10.0.0.1"), {},
     "INFO    BGP peer 10.0.0.1: session established",
     {"level": "info", "message": "BGP peer 10.0.0.1: session established", "bgp_peer": "10.0.0.1"}),
    ("text from outside is no subject", (logging.INFO, "%s", "cluster evil: x"), {}, "INFO    cluster evil: x",
     {"level": "info", "message": "cluster evil: x"}),
    ("control characters", (logging.CRITICAL, "%s", 'a\n\x1b[31m\x7f\x9b\u202e\udc80"<b>'), {},
     r'CRITICAL a\n\x1b[31m\x7f\x9b\u202e\udc80"<b>',
     {"level": "error", "message": r'a\n\x1b[31m\x7f\x9b\u202e\udc80"<b>'}),
    ("long", (logging.INFO, "x" * 5000), {}, None, {"level": "info", "message": "x" * 2000}),
]  # fmt: skip


@pytest.mark.parametrize(("args", "more", "console", "fields"), [each[1:] for each in LINES], ids=[c[0] for c in LINES])
def test_a_line(
    written: Callable[[], list[str]],
    args: tuple[Any, ...],
    more: dict[str, Any],
    console: str | None,
    fields: dict[str, Any],
) -> None:
    """The same event for people and as JSON, one printable line each."""
    start_logging()
    say(*args, **more)
    (line,) = written()
    assert line.isprintable()
    assert len(line) <= 2000
    if console is not None:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} " + re.escape(console), line)
    start_logging("json")
    say(*args, **more)
    (line,) = written()
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert line.isprintable()
    assert found == fields


def test_a_worker_says_its_number(written: Callable[[], list[str]]) -> None:
    """In front of the message for people, a field in JSON."""
    start_logging(worker=3)
    log.info("ready")
    start_logging("json", worker=3)
    log.info("ready")
    console, line = written()
    assert console.endswith("INFO    worker 3: ready")
    assert (json.loads(line)["worker"], json.loads(line)["message"]) == (3, "ready")


def test_an_error_is_one_line(written: Callable[[], list[str]]) -> None:
    """A traceback shrinks to the error itself."""
    start_logging()
    try:
        raise ValueError("a\nb")
    except ValueError:
        log.exception("broken")
    (line,) = written()
    assert line.endswith(r"ERROR   broken: ValueError: a\nb")


@pytest.mark.parametrize(
    ("level", "wanted"),
    [("debug", "debug info warning error"), ("info", "info warning error"), ("error", "error")],
)
def test_levels(written: Callable[[], list[str]], level: str, wanted: str) -> None:
    """Lines from the level up; lines of libraries only from INFO up, whatever the level."""
    start_logging("json", level)
    for name in ("debug", "info", "warning", "error"):
        log.log(logging.getLevelNamesMapping()[name.upper()], name)
    logging.getLogger("library").debug("chatter")
    assert [json.loads(line)["message"] for line in written()] == wanted.split()


def test_a_flood_of_one_kind() -> None:
    """A burst of one kind is written, then one line an interval with the count; other kinds go on."""
    stream = io.StringIO()
    now = [100.0]
    later: list[tuple[float, Callable[[], None]]] = []
    handler = LimitedHandler(stream, lambda: now[0], lambda seconds, call: later.append((seconds, call)))
    handler.setFormatter(observed._Json(None))
    logger = logging.getLogger("dnsbridge")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.truncate(0)
        stream.seek(0)
        return found

    try:
        for number in range(BURST + 5):
            say(logging.INFO, "cluster %s: %d", "dev", number)
        assert len(lines()) == BURST
        say(logging.INFO, "cluster %s: %d", "prod", 1)
        (line,) = lines()
        assert line["cluster"] == "prod"
        now[0] += INTERVAL
        say(logging.INFO, "cluster %s: %d", "dev", 7)
        (line,) = lines()
        assert line["message"] == "cluster dev: 7 (5 lines like this were held back)"
        assert line["held_back"] == 5
        say(logging.INFO, "cluster %s: %d", "dev", 8)
        assert lines() == []
        ((_, remind),) = later
        remind()
        (line,) = lines()
        assert line["message"] == "1 more log lines were held back"
        say(logging.INFO, "cluster %s: %d", "dev", 9)
        assert len(later) == 2
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)

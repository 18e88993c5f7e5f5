"""Log lines for people and for log collectors: one line per event, on standard error.

    console   TIME LEVEL message
    json      {"time": "2026-01-31T12:00:00.123Z", "level": "warning", "message": "..."}, and where a line has them:
              "event"       the name of a change of state, such as upstream_down
              a subject     "cluster", "upstream", "forward", "gateway", "bgp_peer", "sink" or "worker"
              "held_back"   how many lines of its kind were held back before this one

A line about one thing begins with its kind and name, as in `log.info("cluster %s: ...", name)`: that is its subject.
Lines of one place in the code about one subject are one kind, and each kind is limited (see limits).
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, TextIO

import msgspec

from dnsbridge.observe.limits import KindLimits

Format = Literal["console", "json"]
Later = Callable[[float, Callable[[], None]], object]
"""Has something called after so many seconds."""

_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}
_MAX_LINE = 2000
"""Characters; text from outside can be longer than anybody wants to read."""
_SUBJECT = re.compile(r"(cluster|upstream|forward|gateway|BGP peer|sink|worker) %[sd]")
_KEYS = {"BGP peer": "bgp_peer"}
_REMIND = 60.0
"""Seconds after a held line to the line that says how many were held back, if no line of that kind came by then."""
_OURS = "dnsbridge"

log = logging.getLogger(__name__)


def one_line(text: str) -> str:
    """A text without characters that could break out of a line or act on a terminal, cut to a readable length."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return text[:_MAX_LINE]


def rfc3339(milliseconds: int) -> str:
    """A time in Unix milliseconds as RFC 3339, in UTC."""
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _subject(record: logging.LogRecord) -> tuple[str, str] | None:
    """The kind and name of what a line is about."""
    found = _SUBJECT.match(str(record.msg))
    if found is None or not isinstance(record.args, tuple) or not record.args:
        return None
    return found[1], str(record.args[0])


def _message(record: logging.LogRecord) -> str:
    """The message with the count of held lines; a traceback shrinks to the error itself."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        text = f"{text}: {type(error).__name__}: {error}"
    held_back = getattr(record, "held_back", 0)
    return f"{text} ({held_back} lines like this were held back)" if held_back else text


class _Console(logging.Formatter):
    """`TIME LEVEL message`, whatever the message holds."""

    def __init__(self, colour: bool, worker: int | None) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S%z")
        self._colour = colour
        self._prefix = "" if worker is None else f"worker {worker}: "

    def format(self, record: logging.LogRecord) -> str:
        """One printable line."""
        at = self.formatTime(record, self.datefmt)
        line = one_line(f"{at} {record.levelname:7} {self._prefix}{_message(record)}")
        colour = _COLOURS.get(record.levelno) if self._colour else None
        return f"{colour}{line}\x1b[0m" if colour else line


class _Json(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """One object, its keys in the order of the module's text."""
        fields: dict[str, str | int] = {
            "time": rfc3339(int(record.created * 1000)),
            "level": "error" if record.levelno >= logging.ERROR else record.levelname.lower(),
            "message": one_line(_message(record)),
        }
        if event := getattr(record, "event", None):
            fields["event"] = event
        if self._worker is not None:
            fields["worker"] = self._worker
        if subject := _subject(record):
            fields[_KEYS.get(subject[0], subject[0])] = one_line(subject[1])
        if held_back := getattr(record, "held_back", 0):
            fields["held_back"] = held_back
        return msgspec.json.encode(fields).decode()


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes lines as far as the limit of their kind allows; the others are counted, and their count is written."""

    def __init__(self, stream: TextIO, clock: Callable[[], float], later: Later) -> None:
        """`clock` in monotonic seconds."""
        super().__init__(stream)
        self._limits = KindLimits()
        self._clock = clock
        self._later = later
        self._reminding = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, or count it; the caller holds the handler's lock."""
        kind = record.pathname, record.lineno, _subject(record)
        held_back = self._limits.take(kind, self._clock())
        if held_back is not None:
            record.held_back = held_back
            super().emit(record)
        elif not self._reminding:
            self._reminding = True
            self._later(_REMIND, self._remind)

    def _remind(self) -> None:
        self.acquire()
        try:
            self._reminding = False
            untold = self._limits.untold()
        finally:
            self.release()
        if untold:
            log.info("%d more log lines were held back", untold)


def _in_thread(seconds: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()


def start_logging(form: Format = "console", level: str = "info", worker: int | None = None) -> None:
    """Send lines from a level up to standard error; `worker` is the number of this process, if it is a worker."""
    handler = LimitedHandler(sys.stderr, time.monotonic, _in_thread)
    handler.setFormatter(_Json(worker) if form == "json" else _Console(sys.stderr.isatty(), worker))
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(least, logging.INFO), handlers=[handler], force=True)
    logging.getLogger(_OURS).setLevel(least)
    # The HTTP server's own access and error chatter is not about DNS.
    logging.getLogger("aiohttp").setLevel(logging.ERROR)

"""Log lines for people and for log collectors: one line per event, on standard error."""

import logging
import sys

_COLOURS = {logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m", logging.CRITICAL: "\x1b[31m"}
_MAX_LINE = 2000
"""Characters; text from outside can be longer than anybody wants to read."""


class _OneLine(logging.Formatter):
    """`TIME LEVEL message`, whatever the message holds."""

    def __init__(self, colour: bool, prefix: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {prefix}%(message)s", "%Y-%m-%dT%H:%M:%S%z")
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One printable line; a traceback shrinks to the error itself."""
        if record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            record.msg = f"{record.getMessage()}: {type(error).__name__}: {error}"
            record.args = ()
            record.exc_info = None
        record.exc_text = None
        record.stack_info = None
        line = super().format(record)
        line = "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)
        colour = _COLOURS.get(record.levelno) if self._colour else None
        line = line[:_MAX_LINE]
        return f"{colour}{line}\x1b[0m" if colour else line


def start_logging(prefix: str = "") -> None:
    """Send everything from INFO up to standard error, each message after a prefix."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(sys.stderr.isatty(), prefix))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # The HTTP server's own access and error chatter is not about DNS.
    logging.getLogger("aiohttp").setLevel(logging.ERROR)

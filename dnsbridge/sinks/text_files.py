"""The files of sinks."""

from pathlib import Path

from dnsbridge.files import replace
from dnsbridge.routes.sink import SinkProblem


def replace_file(sink: str, path: Path, text: str) -> None:
    """Write or replace a file in one step. An old file's mode stays; all may read a new one. Raises SinkProblem."""
    try:
        if path.exists() and not path.is_file():
            raise _no_file(sink, path)
        replace(path, text.encode(), path.stat().st_mode & 0o7777 if path.exists() else 0o644)
    except OSError as error:
        raise SinkProblem(f"{sink}: {path} cannot be written: {error.strerror}; see its folder") from None


def read_file(sink: str, path: Path) -> str | None:
    """The text of a file; None if there is none. Raises SinkProblem."""
    try:
        if path.exists() and not path.is_file():
            raise _no_file(sink, path)
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SinkProblem(f"{sink}: {path} cannot be read: {error.strerror}") from None


def _no_file(sink: str, path: Path) -> SinkProblem:
    """The problem with a device, pipe or folder: reading may never end, and replacing would take it from others."""
    return SinkProblem(f"{sink}: {path} is no regular file; name another")

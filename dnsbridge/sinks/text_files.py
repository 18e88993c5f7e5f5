"""Files that others read while we write them: they see the old one or the new one, and never a part."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from dnsbridge.routes.sink import SinkProblem


def replace_file(sink: str, path: Path, text: str) -> None:
    """Put a text where a file is or not; it keeps its mode, and a new one can be read by all. Raises SinkProblem."""
    try:
        target = path.resolve()  # a link stays a link
        if target.exists() and not target.is_file():
            raise _no_file(sink, path)
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o644
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as output:
                output.write(text)
                output.flush()
                os.fchmod(output.fileno(), mode)
                os.fsync(output.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
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
    """A device, a pipe, a folder: to read it may never end, and to replace it would take it from others."""
    return SinkProblem(f"{sink}: {path} is no regular file; name another")

"""Files that others read while we write them: readers see the old content or the new one, and never a part."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def replace(path: Path, octets: bytes, mode: int) -> None:
    """Put octets where a file is or not; a link stays a link. Raises OSError."""
    target = path.resolve()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(octets)
            output.flush()
            os.fchmod(output.fileno(), mode)
            os.fsync(output.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise

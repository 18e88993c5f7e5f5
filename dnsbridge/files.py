"""Files that others read or move while we write them.

replace       puts octets where a file is: readers see the old content or the new one, and never a part
is_still_at   whether an open file is the one at a path, which another program may have renamed
"""

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


def is_still_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one at a path. Raises OSError, but not where there is none."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False

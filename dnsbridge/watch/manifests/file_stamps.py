"""Finds the manifest files below a path, with a stamp of each that shows when it has changed.

scan(path)   -> Scan: each file with its stamp, in the order of their paths
              | Unreadable: nothing is known
"""

import os
import stat
from pathlib import Path

from msgspec import Struct

from dnsbridge.errors import of_system

MAX_FILES = 10_000
"""How many files are followed."""
MAX_FOLDERS = 10_000
"""How many folders are searched for files."""
SUFFIXES = (".yaml", ".yml", ".json")


class Stamp(Struct, frozen=True):
    """A file's state: equal stamps mean equal content."""

    device: int
    inode: int
    size: int
    changed: int
    """`st_mtime_ns`."""


class Scan(Struct, frozen=True):
    """The files of one look."""

    stamps: dict[Path, Stamp]
    over_bound: bool = False
    """There are more than MAX_FILES files or MAX_FOLDERS folders."""


class Unreadable(Struct, frozen=True):
    """A path, or a folder below it, that cannot be read."""

    path: Path
    problem: str


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file with this status."""
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def scan(path: Path) -> Scan | Unreadable:
    """Looks at one file, or at all manifests of a folder in the order of their paths.

    Hidden files and folders are skipped (a mounted ConfigMap keeps its versions in hidden folders). Symbolic links are
    followed; a folder that is reached twice counts once.
    """
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            return Scan({path: stamp_of(status)})
        if not stat.S_ISDIR(status.st_mode):
            return Unreadable(path, "is neither a file nor a folder")
    except OSError as error:
        return Unreadable(path, of_system(error))
    except ValueError:
        return Unreadable(path, "is no path")
    return _scan_folder(path)


def _scan_folder(root: Path) -> Scan | Unreadable:
    stamps: dict[Path, Stamp] = {}
    folders: set[tuple[int, int]] = set()
    waiting = [str(root)]
    while waiting:
        current = waiting.pop()
        try:
            status = os.stat(current)
            if stat.S_ISREG(status.st_mode):
                if len(stamps) == MAX_FILES:
                    return Scan(stamps, over_bound=True)
                stamps[Path(current)] = stamp_of(status)
                continue
            if not stat.S_ISDIR(status.st_mode) or (status.st_dev, status.st_ino) in folders:
                continue
            if len(folders) == MAX_FOLDERS:
                return Scan(stamps, over_bound=True)
            folders.add((status.st_dev, status.st_ino))
            with os.scandir(current) as entries:
                names = sorted((entry.name for entry in entries if _followed(entry)), reverse=True)
            waiting.extend(os.path.join(current, name) for name in names)
        except FileNotFoundError as error:
            if current == str(root):
                return Unreadable(root, (error.strerror or "").lower())
        except OSError as error:
            return Unreadable(Path(current), of_system(error))
    return Scan(stamps)


def _followed(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return False
    return entry.name.endswith(SUFFIXES) or entry.is_dir()

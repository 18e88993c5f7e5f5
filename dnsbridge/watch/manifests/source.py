"""The manifest source: Kubernetes objects from a file or a folder, and their changes.

    load()     reads everything once
    follow()   looks every quarter of a second, for ever, and reads what has changed

A changed file is read once it has stood still from one look to the next, so that a save under way (a file that is half
written, empty or away for a moment) is not taken for the cluster's state. A file that never rests is read all the same,
every MOVING_LOOKS looks. If a file cannot be read, its last good state stays in force.
"""

import asyncio
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from dnsbridge.cluster.changes import Change, difference
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.cluster.selection import EVERYTHING, Selections
from dnsbridge.errors import of_system
from dnsbridge.watch.manifests.file import (
    MAX_OCTETS,
    Broken,
    FileObjects,
    Problem,
    keep_last_good,
    read_file,
    shown,
)
from dnsbridge.watch.manifests.file_stamps import MAX_FILES, Scan, Stamp, Unreadable, scan, stamp_of
from dnsbridge.watch.manifests.notes import MAX_LINES, Notes

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.25
"""Seconds between two looks, but at least ten times the duration of a look."""
MOVING_LOOKS = 4
"""The number of looks after which a file that never rests is read all the same."""
PROGRESS_INTERVAL = 2.0
"""Seconds of reading between two progress lines."""


class ManifestError(Exception):
    """Manifests that cannot be read at all; the message is one line for the user."""


class ManifestCounts(Struct):
    """Counters of what went wrong; integers that only grow."""

    broken_files: int = 0
    """Attempts to read a file that did not parse or could not be read."""
    invalid_objects: int = 0
    """Objects left out, and objects that came twice in a file; counted each time their file was read."""
    invalid_parts: int = 0
    """Parts left out of objects that are used; counted each time their file was read."""
    duplicate_objects: int = 0
    """Objects that came in two files; counted each time that was new."""
    failed_looks: int = 0
    """Looks at the path that failed."""
    looks_over_bound: int = 0
    """Looks that found more than MAX_FILES files, or too many folders."""


class _File(Struct):
    """The state of one file."""

    seen: Stamp | None = None
    """The stamp at the last look; None if the file was not there."""
    looks: int = 0
    """The number of looks in a row at which the file differed from the state last read."""
    read: Stamp | None = None
    """The stamp when the file was last read."""
    good: FileObjects | None = None
    complaint: str = ""
    """Why the file could not be opened, so that the problem is logged once."""


class ManifestSource:
    """Follows one path, and hands each change of its objects to `on_changes`, in the event loop's thread."""

    def __init__(
        self, path: Path, on_changes: Callable[[list[Change]], None], selections: Selections = EVERYTHING
    ) -> None:
        self.path = path
        self.objects: dict[Key, Object] = {}
        """The result of all changes handed to `on_changes`; replaced as a whole."""
        self.synced = False
        """Whether any file has ever been read successfully."""
        self.last_read_at = 0.0
        """`time.monotonic` of the last look that saw the path: the sign of life."""
        self.counts = ManifestCounts()
        self._on_changes = on_changes
        self._selections = selections
        self._notes = Notes(path)
        self._files: dict[Path, _File] = {}
        self._duplicates: set[tuple[Key, Path, Path]] = set()
        self._complaint = ""
        self._over_bound = False

    @property
    def complete(self) -> bool:
        """Whether everything was read: all files are read together."""
        return self.synced

    def load(self) -> None:
        """Reads all files once and hands over their objects.

        Raises ManifestError if the path does not exist or cannot be read. Broken files are logged, and read again when
        they change; an empty file counts as read once a later look has found it still empty.
        """
        found = scan(self.path)
        if isinstance(found, Unreadable):
            raise ManifestError(f"{shown(found.path)}: {found.problem}; name a file or folder of Kubernetes objects")
        if self.path in found.stamps:
            try:
                self.path.open("rb").close()
            except OSError as error:
                problem = of_system(error)
                raise ManifestError(f"{shown(self.path)}: {problem}; make it readable for this user") from None
        self._hand_over(self._take(found, at_once=True))
        self._seen_alive()
        if not found.stamps:
            log.warning("%s: no *.yaml, *.yml or *.json file in this folder yet", shown(self.path))
        elif not any(stamp.size for stamp in found.stamps.values()):
            log.warning("%s: is empty so far; put Kubernetes objects into it", shown(self.path))

    def say_not_used(self) -> None:
        """Logs the kinds of objects that are not used, now and whenever they change."""
        self._notes.start()

    async def follow(self) -> None:
        """Looks for changes until cancelled; no state of a file or folder ends it."""
        while True:
            started = time.monotonic()
            try:
                changes = await asyncio.to_thread(self._look)
                if changes is not None:
                    self._hand_over(changes)
                    self._seen_alive()
            except Exception as error:
                self._complain(f"{shown(self.path)}: internal error: {type(error).__name__}: {error}")
            await asyncio.sleep(max(LOOK_INTERVAL, 10 * (time.monotonic() - started)))

    def _seen_alive(self) -> None:
        self.last_read_at = time.monotonic()
        self.synced = self.synced or any(file.good is not None for file in self._files.values())

    def _hand_over(self, changes: tuple[dict[Key, Object], list[Change]]) -> None:
        self.objects, told = changes
        if told:
            self._on_changes(told)

    def _look(self) -> tuple[dict[Key, Object], list[Change]] | None:
        """Looks once. Returns the wanted objects and their changes, or None if the path cannot be read."""
        found = scan(self.path)
        if isinstance(found, Unreadable):
            self.counts.failed_looks += 1
            self._complain(f"{shown(found.path)}: {found.problem}; the last good state stays in force")
            return None
        if self._complaint:
            log.info("%s: can be read again", shown(self.path), extra={"event": "source_connected"})
            self._complaint = ""
        return self._take(found, at_once=False)

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            log.error("%s", text, extra={"event": "source_trouble"})
        self._complaint = text

    def _take(self, found: Scan, *, at_once: bool) -> tuple[dict[Key, Object], list[Change]]:
        """Reads the files that a look has found changed. Returns the wanted objects, and their changes."""
        if found.over_bound:
            self.counts.looks_over_bound += 1
            if not self._over_bound:
                log.error("%s: over %d files; the rest is not read", shown(self.path), MAX_FILES)
        self._over_bound = found.over_bound
        ready: list[Path] = []
        gone: list[Path] = []
        for path in found.stamps:
            self._files.setdefault(path, _File())
        for path, file in self._files.items():
            stamp = found.stamps.get(path)
            still = file.seen == stamp and file.looks > 0
            file.seen = stamp
            file.looks = 0 if stamp == file.read and stamp is not None else file.looks + 1
            if stamp is None:
                if still:
                    gone.append(path)
            elif file.looks and (still or (stamp.size and (at_once or file.looks >= MOVING_LOOKS))):
                ready.append(path)
        for path in gone:
            del self._files[path]
        changed = bool(gone)
        if ready:
            with self._progress(len(ready)) as done:
                for path in ready:
                    changed = self._read(path, self._files[path]) or changed
                    done[0] += 1
        if not changed:
            return self.objects, []
        wanted = self._merged()
        return wanted, difference(self.objects, wanted.values())

    def _read(self, path: Path, file: _File) -> bool:
        """Reads one file. Returns whether its objects may have changed."""
        try:
            with path.open("rb") as opened:
                status = os.fstat(opened.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise OSError("is not a file any more")
                content = opened.read(MAX_OCTETS + 1)
        except OSError as error:
            complaint = of_system(error)
            if complaint != file.complaint:
                self._broken(path, None, complaint, file)
            file.complaint = complaint
            return False
        file.complaint = ""
        file.read = stamp_of(status)
        file.looks = 0
        outcome = read_file(path, content, self._selections)
        if isinstance(outcome, Broken):
            self._broken(path, outcome.line, outcome.problem, file)
            return False
        self.counts.invalid_objects += len(outcome.problems) + len(outcome.doubts)
        self.counts.invalid_parts += len(outcome.flaws)
        _warn(path, outcome.problems, "such objects")
        _warn(path, outcome.doubts, "such objects")
        said = {flaw.text for flaw in file.good.flaws} if file.good else set()
        _warn(path, [flaw for flaw in outcome.flaws if flaw.text not in said], "parts that are left out")
        file.good = keep_last_good(file.good, outcome) if file.good else outcome
        return True

    def _broken(self, path: Path, line: int | None, problem: str, file: _File) -> None:
        self.counts.broken_files += 1
        where = shown(path) if line is None else f"{shown(path)}:{line}"
        force = "the last good state stays in force" if file.good else "it is left out"
        log.error("%s: %s; %s", where, problem, force)

    def _merged(self) -> dict[Key, Object]:
        """All wanted objects; if an object comes in two files, the one with the later path counts."""
        wanted: dict[Key, Object] = {}
        origin: dict[Key, Path] = {}
        duplicates: set[tuple[Key, Path, Path]] = set()
        for path in sorted(self._files, key=lambda path: path.parts):
            good = self._files[path].good
            for key, obj in good.objects.items() if good else ():
                if key in origin:
                    duplicates.add((key, origin[key], path))
                wanted[key] = obj
                origin[key] = path
        new = sorted(duplicates - self._duplicates)
        self.counts.duplicate_objects += len(new)
        for key, first, second in new[:MAX_LINES]:
            log.warning("%s: in %s and in %s; the latter is taken", key, shown(first), shown(second))
        if len(new) > MAX_LINES:
            log.warning("%s: and %d more objects that come in two files", shown(self.path), len(new) - MAX_LINES)
        self._duplicates = duplicates
        read = {path: file.good for path, file in self._files.items() if file.good}
        self._notes.say(read, wanted, origin)
        return wanted

    @contextmanager
    def _progress(self, total: int) -> Iterator[list[int]]:
        """Logs every PROGRESS_INTERVAL how many files are read; the block counts them in the list's only item."""
        done = [0]
        finished = threading.Event()

        def say() -> None:
            while not finished.wait(PROGRESS_INTERVAL):
                objects = sum(len(file.good.objects) for file in list(self._files.values()) if file.good)
                log.info("%s: read %d of %d files, %d objects so far", shown(self.path), done[0], total, objects)

        thread = threading.Thread(target=say, name="manifest progress", daemon=True)
        thread.start()
        try:
            yield done
        finally:
            finished.set()
            thread.join()


def _warn(path: Path, problems: Sequence[Problem], called: str) -> None:
    for problem in problems[:MAX_LINES]:
        log.warning("%s:%d: %s", shown(path), problem.line, problem.text)
    if len(problems) > MAX_LINES:
        log.warning("%s: and %d more %s", shown(path), len(problems) - MAX_LINES, called)

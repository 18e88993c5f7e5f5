"""One manifest file: octets in, the cluster's objects out.

    read_file(path, content, selections)    -> FileObjects | Broken
    keep_last_good(before, now)             -> FileObjects

A file that does not parse is Broken as a whole. An invalid object is one Problem, and only this object is left out. An
invalid part of an object is one Problem, and only this part is left out.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from dnsbridge.cluster.checks import quoted
from dnsbridge.cluster.decode import Flawed, Invalid, Unused, decode, key_of, objects_of
from dnsbridge.cluster.objects import Endpoints, EndpointSlice, Key, Object, Service
from dnsbridge.cluster.selection import EVERYTHING, Selections, takes
from dnsbridge.routes.tables.objects_text import holds_listing
from dnsbridge.routes.tables.reading import Refused, read
from dnsbridge.watch.manifests.documents import Document, MalformedError, json_documents, yaml_documents

MAX_OCTETS = 256 * 1024 * 1024
"""How large a manifest file may be."""


class Problem(Struct, frozen=True):
    """An object that is left out or comes twice, or a part that is left out of an object."""

    line: int
    key: Key
    text: str


class FileObjects(Struct, frozen=True):
    """The content of a file."""

    objects: dict[Key, Object] = {}
    problems: tuple[Problem, ...] = ()
    """Objects that are left out, or come twice."""
    flaws: tuple[Problem, ...] = ()
    """Parts that are left out of objects, by line."""
    doubts: tuple[Problem, ...] = ()
    """Valid objects that are not used, though their author may expect it."""
    unused: dict[str, int] = {}
    """Number of objects that are not used, by kind."""
    unselected: frozenset[Key] = frozenset()
    """Services that the selectors leave out."""
    lines: dict[Key, int] = {}
    """Line numbers of EndpointSlices and Endpoints."""


class Broken(Struct, frozen=True):
    """A file with nothing in it that could be trusted."""

    line: int
    problem: str


def read_file(path: Path, content: bytes, selections: Selections = EVERYTHING) -> FileObjects | Broken:
    """The selected objects of a file: JSON if its name ends in `.json`, else YAML, or a listing of Calico's blocks.

    Never raises.
    """
    if len(content) > MAX_OCTETS:
        return Broken(1, f"has over {MAX_OCTETS >> 20} MiB; split it into several files")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Broken(content.count(b"\n", 0, error.start) + 1, "is not UTF-8")
    if "\0" in text:
        return Broken(text.count("\n", 0, text.index("\0")) + 1, "holds a NUL octet")
    if holds_listing(text):
        return _listing(text)
    try:
        return _read(json_documents(text) if path.suffix == ".json" else yaml_documents(text), selections)
    except MalformedError as error:
        problem = " ".join(error.problem.split())[:200]
        return Broken(error.line, problem if problem.isprintable() else ascii(problem))


def _listing(text: str) -> FileObjects | Broken:
    """The objects in a listing of Calico's blocks."""
    found = read(text)
    if isinstance(found, Refused):
        return Broken(found.line or 1, found.problem)
    lines = [Problem(each.line, Key("Line", "", str(each.line)), each.problem) for each in found.left_out]
    return FileObjects({each.key: each for each in found.objects}, tuple(lines))


def _read(documents: Iterator[Document], selections: Selections) -> FileObjects:
    objects: dict[Key, Object] = {}
    problems: list[Problem] = []
    flaws: list[Problem] = []
    doubts: list[Problem] = []
    unused: Counter[str] = Counter()
    unselected: set[Key] = set()
    object_lines: dict[Key, int] = {}
    for document in documents:
        items = objects_of(document.data)
        place = _Places(document, len(items))
        for index, item in enumerate(items):
            if isinstance(item, dict) and not takes(selections, item):
                key = key_of(item)
                unused[f"{key.kind} by the selectors"] += 1
                if key.kind == Service.kind:
                    unselected.add(key)
                continue
            decoded = decode(item)
            if isinstance(decoded, Unused):
                unused[decoded.key.kind] += decoded.counted and not decoded.problem
                if decoded.problem:
                    doubts.append(place.problem(index, decoded.key, f"{decoded.key}: {decoded.problem}"))
                continue
            if isinstance(decoded, Invalid):
                problems.append(place.problem(index, decoded.key, str(decoded)))
                continue
            if isinstance(decoded, Flawed):
                key = decoded.object.key
                for flaw in decoded.flaws:
                    text = f"{key}: {flaw}; only this is left out"
                    flaws.append(place.problem(index, key, text, flaw.path))
                decoded = decoded.object
            if decoded.key in objects:
                text = f"{decoded.key}: comes twice in this file; the later one is taken"
                problems.append(place.problem(index, decoded.key, text))
            objects[decoded.key] = decoded
            if isinstance(decoded, EndpointSlice | Endpoints):
                object_lines[decoded.key] = place.line(index)
    return FileObjects(
        objects,
        tuple(problems),
        tuple(sorted(flaws, key=lambda flaw: flaw.line)),
        tuple(doubts),
        dict(+unused),
        frozenset(unselected),
        object_lines,
    )


class _Places:
    """The line numbers of a document's objects, as far as they are known."""

    def __init__(self, document: Document, count: int) -> None:
        self._document = document
        self._count = count
        self._lines: list[int] | None = None

    @property
    def _exact(self) -> list[int]:
        """One line for each object, or no lines at all."""
        if self._lines is None:
            lines = self._document.object_lines()
            self._lines = lines if len(lines) == self._count else []
        return self._lines

    def line(self, index: int) -> int:
        """The line of an object, or the line of its document."""
        return self._exact[index] if self._exact else self._document.line

    def problem(self, index: int, key: Key, text: str, part: str = "") -> Problem:
        """A problem with an object, or with its part at the path `part`."""
        where = "" if self._exact or self._count == 1 else f"item {index + 1}: "
        part_line = self._document.part_line if part and self._exact else None
        return Problem(part_line(index, part) if part_line else self.line(index), key, f"{where}{text}")


def keep_last_good(before: FileObjects, now: FileObjects) -> FileObjects:
    """The content of a file, with the last good version of each object that has become invalid."""
    kept = {
        problem.key: before.objects[problem.key]
        for problem in now.problems
        if problem.key in before.objects and problem.key not in now.objects
    }
    return replace(now, objects=now.objects | kept) if kept else now


def shown(path: Path) -> str:
    """A path in printable form, for messages."""
    text = str(path)
    return text if text.isprintable() else quoted(text)

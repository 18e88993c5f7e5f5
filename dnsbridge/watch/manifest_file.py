"""One manifest file: octets in, the cluster's objects out.

    read_file(path, content)        -> FileObjects | Broken
    keep_last_good(before, now)     -> FileObjects

A file that does not parse is Broken as a whole; an object that does not fit is one Problem and is left out alone.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from dnsbridge.cluster.checks import quoted
from dnsbridge.cluster.decode import Invalid, Unused, decode, objects_of
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.routes.tables.objects_text import holds_listing
from dnsbridge.routes.tables.reading import Refused, read
from dnsbridge.watch.documents import Document, MalformedError, json_documents, yaml_documents

MAX_OCTETS = 256 * 1024 * 1024
"""How large a manifest file may be."""


class Problem(Struct, frozen=True):
    """An object that is left out, or one that comes twice."""

    line: int
    key: Key
    text: str


class FileObjects(Struct, frozen=True):
    """What a file says."""

    objects: dict[Key, Object] = {}
    problems: tuple[Problem, ...] = ()


class Broken(Struct, frozen=True):
    """A file that says nothing that could be trusted."""

    line: int
    problem: str


def read_file(path: Path, content: bytes) -> FileObjects | Broken:
    """The objects of a file: JSON if its name ends in `.json`, else YAML, or a listing of Calico's. Never raises."""
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
        return _read(json_documents(text) if path.suffix == ".json" else yaml_documents(text))
    except MalformedError as error:
        problem = " ".join(error.problem.split())[:200]
        return Broken(error.line, problem if problem.isprintable() else ascii(problem))


def _listing(text: str) -> FileObjects | Broken:
    """The objects that a listing of Calico's blocks stands for."""
    found = read(text)
    if isinstance(found, Refused):
        return Broken(found.line or 1, found.problem)
    lines = [Problem(each.line, Key("Line", "", str(each.line)), each.problem) for each in found.left_out]
    return FileObjects({each.key: each for each in found.objects}, tuple(lines))


def _read(documents: Iterator[Document]) -> FileObjects:
    objects: dict[Key, Object] = {}
    problems: list[Problem] = []
    for document in documents:
        items = objects_of(document.data)
        lines: list[int] = []
        for index, item in enumerate(items):
            decoded = decode(item)
            if isinstance(decoded, Unused):
                continue
            if isinstance(decoded, Object) and decoded.key not in objects:
                objects[decoded.key] = decoded
                continue
            lines = lines or document.object_lines()
            exact = len(lines) == len(items)
            line = lines[index] if exact else document.line
            where = "" if exact or len(items) == 1 else f"item {index + 1}: "
            if isinstance(decoded, Invalid):
                problems.append(Problem(line, decoded.key, f"{where}{decoded}"))
            else:
                objects[decoded.key] = decoded
                text = f"{where}{decoded.key}: comes twice in this file; the later one is taken"
                problems.append(Problem(line, decoded.key, text))
    return FileObjects(objects, tuple(problems))


def keep_last_good(before: FileObjects, now: FileObjects) -> FileObjects:
    """What a file says, with the last good version of each object that has become invalid."""
    kept = {
        problem.key: before.objects[problem.key]
        for problem in now.problems
        if problem.key in before.objects and problem.key not in now.objects
    }
    return replace(now, objects=now.objects | kept) if kept else now


def shown(path: Path) -> str:
    """A path as a message may show it."""
    text = str(path)
    return text if text.isprintable() else quoted(text)

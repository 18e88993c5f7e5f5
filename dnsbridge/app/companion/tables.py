"""Reads the files of `routes.tables` and this host's own table: tables of nodes, and listings of Calico's blocks.

A file's form is recognised (see routes.tables). Text may be UTF-8 or, as Windows saves it, UTF-16.
"""

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from dnsbridge.cluster.objects import Object
from dnsbridge.errors import CannotStart, of_system
from dnsbridge.netlink.this_table import read_this_table
from dnsbridge.routes.model import Note, Severity
from dnsbridge.routes.pictures.from_table import Table
from dnsbridge.routes.tables.objects_text import holds_objects, without_prompts
from dnsbridge.routes.tables.reading import FORMS, Refused, Text, read
from dnsbridge.watch.manifests.file import Broken, read_file

MAX_TABLE = 64 << 20
"""The most octets of a saved table."""
_MAX_PROBLEMS = 20
"""The most left-out objects that are named one by one."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotRead(CannotStart):
    """Why too little is known of a cluster or a table to work out routes, in one line."""


class Saved(Struct, frozen=True):
    """The content of the tables of the settings."""

    tables: tuple[Table, ...] = ()
    objects: tuple[Object, ...] = ()
    """Calico's objects, from listings."""
    notes: tuple[Note, ...] = ()
    """What was left out."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was read."""
        return not (self.tables or self.objects)


def read_tables(sources: Sequence[Path | Literal["kernel"]]) -> Saved:
    """The content of these files, and of this host's own table (`kernel`). Raises NotRead."""
    found = [_this_table() if isinstance(source, str) else _saved(source) for source in sources]
    return Saved(
        tuple([table for each in found for table in each.tables]),
        tuple([obj for each in found for obj in each.objects]),
        tuple([note for each in found for note in each.notes]),
    )


def _this_table() -> Saved:
    try:
        return Saved((read_this_table(),))
    except OSError as error:
        problem = of_system(error)
        raise NotRead(f"this host's routes: {problem}; is this Linux, with rtnetlink?") from None


def _saved(path: Path) -> Saved:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_TABLE + 1)
    except OSError as error:
        raise NotRead(f"{path}: {of_system(error)}; see routes.tables") from None
    if len(octets) > MAX_TABLE:
        raise NotRead(f"{path}: over {MAX_TABLE >> 20} MiB, too large for a table")
    try:
        text = octets.decode("utf-16" if octets.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise NotRead(f"{path}: is no text; save the output of {FORMS} there") from None
    if holds_objects(text):
        return _objects(path, text)
    found = read(text)
    if isinstance(found, Refused):
        where = f"{path}:{found.line}" if found.line else f"{path}"
        raise NotRead(f"{where}: {found.problem}; save the output of {FORMS} there")
    tables = [Table(path.name, tuple(each.routes), each.host) for each in found.hosts]
    return Saved(tuple(tables), tuple(found.objects), tuple(_left_out(path, found)))


def _objects(path: Path, text: str) -> Saved:
    """The objects that `calicoctl get ... -o yaml` or `-o json` printed."""
    suffix = ".json" if text.lstrip().startswith("{") else ".yaml"
    found = read_file(path.with_suffix(suffix), without_prompts(text).encode())
    if isinstance(found, Broken):
        raise NotRead(f"{path}:{found.line}: {found.problem}; save the output of {FORMS} there")
    notes = [Note(Severity.ERROR, f"{path.name}:{each.line}", each.text) for each in found.problems[:_MAX_PROBLEMS]]
    if len(found.problems) > _MAX_PROBLEMS:
        text = f"and {len(found.problems) - _MAX_PROBLEMS} more objects that are left out"
        notes.append(Note(Severity.ERROR, path.name, text))
    if not found.objects:
        why = str(notes[0]) if notes else f"{path}: none of these objects says which pods are where"
        raise NotRead(f"{why}; save the output of {FORMS} there")
    return Saved((), tuple(found.objects.values()), tuple(notes))


def _left_out(path: Path, found: Text) -> Iterator[Note]:
    """Notes about the lines of a text that gave no route or block."""
    for each in found.left_out:
        severity = Severity.ERROR if each.is_route else Severity.WARNING
        yield Note(severity, f"{path.name}:{each.line}", f"left out: {each.problem}")
    if found.more_left_out:
        severity = Severity.ERROR if found.more_routes_left_out else Severity.WARNING
        yield Note(severity, path.name, f"and {found.more_left_out} more lines left out")
    if found.other_keys:
        keys = "1 key" if found.other_keys == 1 else f"{found.other_keys} keys"
        yield Note(Severity.INFO, path.name, f"{keys} of etcd that say nothing of blocks")

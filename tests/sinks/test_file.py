"""The sink `file`."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from dnsbridge.routes.exports import Exported, export
from dnsbridge.routes.model import Kind, Reached, Route
from dnsbridge.routes.sink import Held, SinkProblem
from dnsbridge.sinks.file import FileSink
from tests.sinks.routers import routes

WANTED = routes("10.233.98.0/24 via 10.200.20.105 10.200.20.106\nfd00:98::/64 via fd00:20::105")


def render(wanted: Sequence[Route]) -> str:
    """The script of iproute2."""
    made = export("iproute2", wanted)
    assert isinstance(made, Exported)
    return made.text


def test_written_and_withdrawn(tmp_path: Path) -> None:
    """The file has the text, what it says is known to a later run whatever the format, and withdraw leaves nothing."""
    path = tmp_path / "routes.sh"
    wanted = (Route(WANTED[0].prefix, WANTED[0].next_hops, Kind.SERVICE, 'ServiceCIDR "x"', "dev"), WANTED[1])
    sink = FileSink(path, render)
    assert asyncio.run(sink.held()) == Held()
    assert asyncio.run(sink.apply(wanted)) == Reached(wanted)
    assert path.read_text(encoding="utf-8") == render(wanted)
    assert asyncio.run(FileSink(path, render).held()).own == wanted
    written = path.stat().st_ino
    assert asyncio.run(sink.apply(wanted)) == Reached(wanted)
    assert path.stat().st_ino == written
    asyncio.run(sink.withdraw())
    assert list(tmp_path.iterdir()) == []
    assert asyncio.run(sink.withdraw()) == Reached()


def test_changed_by_somebody_else(tmp_path: Path) -> None:
    """A text that is not what was written holds nothing of ours, and is written anew; its mode stays."""
    path = tmp_path / "routes.sh"
    sink = FileSink(path, render)
    asyncio.run(sink.apply(WANTED))
    path.write_text("mine now\n", encoding="utf-8")
    path.chmod(0o750)
    assert asyncio.run(sink.held()) == Held()
    assert asyncio.run(sink.apply(WANTED)) == Reached(WANTED)
    assert path.read_text(encoding="utf-8") == render(WANTED)
    assert path.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("memory", ["", "{", '{"sha256": "", "routes": [{}]}', "[1]", '{"sha256": 1}'])
def test_damaged_memory(tmp_path: Path, memory: str) -> None:
    """A damaged file beside is none."""
    path = tmp_path / "routes.sh"
    sink = FileSink(path, render)
    asyncio.run(sink.apply(WANTED))
    (tmp_path / ".routes.sh.dnsbridge").write_text(memory, encoding="utf-8")
    assert asyncio.run(sink.held()) == Held()
    asyncio.run(sink.apply(WANTED))
    assert asyncio.run(sink.held()).own == WANTED


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be written is a problem in one line, which names it."""
    with pytest.raises(SinkProblem, match=r"file: .*missing/.* cannot be written: No such file or directory"):
        asyncio.run(FileSink(tmp_path / "missing" / "routes", render).apply(WANTED))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe"])
def test_no_regular_file(tmp_path: Path, kind: str) -> None:
    """What is no file is neither read, which might not end, nor replaced."""
    path = other = tmp_path / "routes.sh"
    if kind == "link to a pipe":
        other = tmp_path / "pipe"
        path.symlink_to(other)
    if kind == "folder":
        other.mkdir()
    else:
        os.mkfifo(other)
    sink = FileSink(path, render)
    before = sorted(each.name for each in tmp_path.iterdir())
    for doing in (sink.held(), sink.apply(WANTED)):
        with pytest.raises(SinkProblem, match="is no regular file; name another"):
            asyncio.run(doing)
    assert sorted(each.name for each in tmp_path.iterdir()) == before

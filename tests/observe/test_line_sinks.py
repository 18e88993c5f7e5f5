"""Where lines go: a file that is rotated or full, a pipe that nobody reads, the journal's socket."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbridge.observe import line_sinks
from dnsbridge.observe.line_sinks import FileSink, JournalSink
from dnsbridge.observe.recorder import Wrote
from tests.observe.exchanges import line, lines, numbered


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    """Also one of an earlier run, and of another process at the same time."""
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    first, second = FileSink(path, line), FileSink(path, line)
    assert first.write(numbered(1000)) == Wrote()
    assert second.write(numbered(2)) == Wrote()
    assert first.write(numbered(1)) == Wrote()
    assert path.read_bytes() == b"before\n" + lines(range(1000)) + lines(range(2)) + lines(range(1))
    first.close()
    second.close()


def test_nobody_else_may_read_a_new_file(tmp_path: Path) -> None:
    """Names that people ask for are personal data."""
    sink = FileSink(tmp_path / "log", line)
    sink.write(numbered(1))
    assert (tmp_path / "log").stat().st_mode & 0o007 == 0
    sink.close()


@pytest.mark.parametrize("rotate", [lambda path: path.rename(f"{path}.1"), lambda path: path.unlink()])
def test_rotation(tmp_path: Path, rotate: Callable[[Path], object]) -> None:
    """A file that was renamed or removed is begun anew with the next line."""
    path = tmp_path / "log"
    sink = FileSink(path, line)
    sink.write(numbered(3))
    rotate(path)
    assert sink.write(numbered(1)) == Wrote()
    assert path.read_bytes() == lines(range(1))
    path.rename(tmp_path / "log.2")
    path.write_bytes(b"of somebody else\n")
    sink.write(numbered(2))
    assert path.read_bytes() == b"of somebody else\n" + lines(range(2))
    sink.close()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/dev/full", "no space left on device"),
        ("missing/log", "no such file or directory"),
        (".", "is a directory"),
        ("fifo", "no such device or address"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, path: str, problem: str) -> None:
    """All lines are lost, whether the disk is full, the folder is missing, or nobody reads."""
    os.mkfifo(tmp_path / "fifo")
    sink = FileSink(tmp_path / path, line)
    assert sink.write(numbered(5)) == Wrote(5, problem)
    sink.close()


def test_a_folder_that_comes_later(tmp_path: Path) -> None:
    """The next lines are written."""
    sink = FileSink(tmp_path / "folder" / "log", line)
    assert sink.write(numbered(1)).lost == 1
    (tmp_path / "folder").mkdir()
    assert sink.write(numbered(2)) == Wrote()
    assert (tmp_path / "folder" / "log").read_bytes() == lines(range(2))
    sink.close()


def test_a_pipe_that_nobody_empties(tmp_path: Path) -> None:
    """What it holds comes as whole lines, the rest is lost."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(path, line)
    wrote = sink.write(numbered(20_000))
    assert wrote.problem == "resource temporarily unavailable"
    got = b""
    while True:
        try:
            octets = os.read(reader, 65536)
        except BlockingIOError:
            break
        got += octets
    assert got == lines(range(20_000 - wrote.lost))
    os.close(reader)
    sink.close()


def test_a_line_that_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up in the middle of a line: the next line begins on a line of its own."""
    room = [10]

    def write(descriptor: int, octets: bytes) -> int:
        wrote = os.write(descriptor, octets[: room[0]]) if room[0] else 0
        room[0] -= wrote
        return wrote

    path = tmp_path / "log"
    sink = FileSink(path, line)
    sink.write([])
    monkeypatch.setattr(line_sinks, "write", write)
    assert sink.write(numbered(3)) == Wrote(2, "no room")
    room[0] = 1000
    assert sink.write(numbered(1)) == Wrote()
    assert path.read_bytes() == b"line 0\nlin\nline 0\n"
    sink.close()


def test_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come in pieces that the kernel keeps together; a reader that has gone costs lines."""
    reader, writer = os.pipe()
    monkeypatch.setattr(line_sinks, "STDOUT", writer)
    sink = FileSink(None, line)
    assert sink.write(numbered(2)) == Wrote()
    assert os.read(reader, 100) == lines(range(2))
    os.close(reader)
    assert sink.write(numbered(2)) == Wrote(2, "broken pipe")
    sink.close()
    os.close(writer)


def test_the_journal(tmp_path: Path) -> None:
    """A datagram an entry; while there is no journal, or it reads nothing, entries are lost."""
    path = tmp_path / "socket"
    sink = JournalSink(line, str(path))
    assert sink.write(numbered(2)) == Wrote(2, "no such file or directory")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(path))
        assert sink.write(numbered(2)) == Wrote()
        entries = [journal.recv(4096) for _ in range(2)]
        assert entries == [
            b"SYSLOG_IDENTIFIER=dnsbridge\nPRIORITY=6\nMESSAGE=line %d\n" % number for number in range(2)
        ]
    assert sink.write(numbered(2)) == Wrote(2, "connection refused")
    sink.close()

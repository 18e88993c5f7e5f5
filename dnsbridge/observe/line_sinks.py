"""Where the lines of the query log go: a file, standard output, or the journal of systemd.

Several processes may write to one file or pipe. Each write is of whole lines and at most PIPE_BUF octets, which the
kernel keeps together: at the end of a file that is open for appending, and in a pipe (pipe(7)).
"""

import os
import select
import socket
from collections.abc import Callable, Iterator
from os import write
from pathlib import Path

from dnsbridge.errors import of_system
from dnsbridge.files import is_still_at
from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.recorder import Wrote

JOURNAL = "/run/systemd/journal/socket"
"""Where systemd-journald takes entries in its native protocol."""
STDOUT = 1
PATIENCE = 1.0
"""Seconds that the journal has for one entry."""
MODE = 0o640
"""Of a new file: names that people ask for are personal data."""

ToLine = Callable[[Exchange], bytes]


class FileSink:
    """A file. If it was renamed or removed since the last write, a new one begins, so it can be rotated at any time."""

    def __init__(self, path: Path | None, to_line: ToLine) -> None:
        """Without a path: standard output."""
        self._path = path
        self._to_line = to_line
        self._descriptor = -1
        self._torn = False
        """The last write was cut short in the middle of a line."""

    def write(self, exchanges: list[Exchange]) -> Wrote:
        """Write a line for each."""
        lines = [self._to_line(each) for each in exchanges]
        try:
            self._open()
        except OSError as error:
            return Wrote(len(lines), of_system(error))
        lost, problem = 0, ""
        for chunk in _chunks(lines):
            try:
                missing = self._write(chunk)
            except OSError as error:
                missing, problem = chunk.count(b"\n"), of_system(error)
            else:
                problem = "no room" if missing else problem
            lost += missing
        return Wrote(lost, problem)

    def close(self) -> None:
        """Close the file."""
        if self._path and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        """Have the file open that is at the path now. Raises OSError."""
        if self._path is None:
            self._descriptor = STDOUT
            return
        if self._descriptor >= 0:
            if is_still_at(self._path, self._descriptor):
                return
            self.close()
        # Without O_NONBLOCK a FIFO that nobody reads would hold the thread for ever.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = os.open(self._path, flags, MODE)
        self._torn = False

    def _write(self, chunk: bytes) -> int:
        """Write some lines; returns how many of them are lost. Raises OSError."""
        if self._torn:
            chunk = b"\n" + chunk
        wrote = write(self._descriptor, chunk)
        if wrote:
            self._torn = chunk[wrote - 1 : wrote] != b"\n"
        return chunk[wrote:].count(b"\n")


class JournalSink:
    """The journal of systemd, by its native protocol: a datagram an entry, of lines KEY=value."""

    def __init__(self, to_line: ToLine, path: str = JOURNAL) -> None:
        self._to_line = to_line
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(PATIENCE)

    def write(self, exchanges: list[Exchange]) -> Wrote:
        """Write an entry for each."""
        for position, each in enumerate(exchanges):
            entry = b"SYSLOG_IDENTIFIER=dnsbridge\nPRIORITY=6\nMESSAGE=" + self._to_line(each)
            try:
                self._socket.sendto(entry, self._path)
            except OSError as error:
                # What waits meanwhile must not wait for each entry's own patience.
                return Wrote(len(exchanges) - position, of_system(error))
        return Wrote()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _chunks(lines: list[bytes]) -> Iterator[bytes]:
    """The lines together, in chunks of whole lines; one octet is left for the end of a torn line."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and size + len(line) >= select.PIPE_BUF:
            yield b"".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    yield b"".join(chunk)

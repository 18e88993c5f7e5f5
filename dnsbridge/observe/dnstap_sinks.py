"""Where dnstap messages go: to a reader on a Unix socket, or into a file, each as a frame stream.

A reader that does not read within PATIENCE seconds is left, because a frame that was cut short cannot be mended; it, or
another, is connected anew after a growing delay. A file of an earlier run is kept beside the new one, as FILE.old: a
stream that has ended cannot be continued.
"""

import os
import random
import socket
import stat
from contextlib import suppress
from os import write
from pathlib import Path
from time import monotonic

from dnsbridge.backoff import Backoff
from dnsbridge.errors import of_system
from dnsbridge.files import is_still_at
from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.line_sinks import MODE
from dnsbridge.observe.recorder import Wrote
from dnsbridge.wire.dnstap import CONTENT_TYPE, Encoder
from dnsbridge.wire.frame_streams import PREFIX, Control, control, control_kind, control_size, data

PATIENCE = 1.0
"""Seconds that a reader has for a write, and for its side of a handshake."""
LONGEST = 10.0
"""Seconds between two attempts to connect, at most."""
BUFFER = 1 << 20
"""Octets that wait in the kernel for the reader."""

_START = control(Control.START, CONTENT_TYPE)
_STOP = control(Control.STOP)


def _frames(encoder: Encoder, exchange: Exchange) -> bytes:
    query, response = encoder.exchange(
        exchange.stream,
        (exchange.client, exchange.client_port),
        (exchange.server, exchange.server_port),
        (exchange.asked_at, exchange.query),
        (exchange.answered_at, exchange.response),
    )
    return data(query) + data(response)


class SocketSink:
    """A reader such as fstrm_capture or dnscollector."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self._path = path
        self._encoder = encoder
        self._connection: socket.socket | None = None
        self._backoff = Backoff(random.random, longest=LONGEST)
        self._again_at = 0.0
        self._problem = ""

    def write(self, exchanges: list[Exchange]) -> Wrote:
        """Send what the reader takes."""
        connection = self._connected()
        if connection is None:
            return Wrote(len(exchanges), self._problem)
        for position, each in enumerate(exchanges):
            try:
                connection.sendall(_frames(self._encoder, each))
            except OSError as error:
                self._leave("it does not read" if isinstance(error, TimeoutError) else of_system(error))
                return Wrote(len(exchanges) - position, self._problem)
        return Wrote()

    def close(self) -> None:
        """End the stream, and wait until the reader has all."""
        if self._connection:
            with suppress(OSError):
                self._connection.sendall(_STOP)
                _expect(self._connection, Control.FINISH)
            self._connection.close()

    def _connected(self) -> socket.socket | None:
        if self._connection is None and monotonic() >= self._again_at:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                connection.settimeout(PATIENCE)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
                connection.connect(str(self._path))
                connection.sendall(control(Control.READY, CONTENT_TYPE))
                _expect(connection, Control.ACCEPT)
                connection.sendall(_START)
            except OSError as error:
                connection.close()
                self._leave("no handshake in time" if isinstance(error, TimeoutError) else of_system(error))
            else:
                self._backoff.succeeded()
                self._connection = connection
        return self._connection

    def _leave(self, problem: str) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
        self._problem = problem
        self._again_at = monotonic() + self._backoff.delay()


class StreamFile:
    """A file for one stream. If it was renamed or removed since the last write, a new one begins."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self._path = path
        self._encoder = encoder
        self._descriptor = -1

    def write(self, exchanges: list[Exchange]) -> Wrote:
        """Write all, or as many as there is room for."""
        for position, each in enumerate(exchanges):
            try:
                if not position:
                    self._open()
                self._append(_frames(self._encoder, each))
            except OSError as error:
                return Wrote(len(exchanges) - position, of_system(error))
        return Wrote()

    def close(self) -> None:
        """End the stream."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._append(_STOP)
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        """Have the file open that is at the path. Raises OSError."""
        if self._descriptor >= 0:
            if is_still_at(self._path, self._descriptor):
                return
            self.close()
        with suppress(FileNotFoundError):
            found = os.stat(self._path)
            if stat.S_ISREG(found.st_mode) and found.st_size:
                os.replace(self._path, f"{self._path}.old")
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
        self._append(_START)

    def _append(self, octets: bytes) -> None:
        """Write all octets or none. Raises OSError."""
        start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        try:
            while octets:
                octets = octets[write(self._descriptor, octets) :]
        except OSError:
            # Half a frame would make all that follows unreadable.
            os.ftruncate(self._descriptor, start)
            os.lseek(self._descriptor, start, os.SEEK_SET)
            raise


def _expect(connection: socket.socket, kind: Control) -> None:
    """Read a control frame of this kind. Raises OSError."""
    size = control_size(_read(connection, PREFIX))
    if size is None or control_kind(_read(connection, size)) != kind:
        raise OSError("it does not speak Frame Streams")


def _read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        octets = connection.recv(size - len(found))
        if not octets:
            raise ConnectionError("it has closed the connection")
        found += octets
    return found

"""One end of the pair of sockets between the main process and a worker.

A message is written at once, in the call that sends it, so the other process is woken before this one does anything
else. Octets that the socket has no room for wait here, up to a bound.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from dnsbridge.app.server.crew.messages import Frames

READ = 1 << 14
"""Octets that are read at once: applying them takes a millisecond or two, and questions wait meanwhile."""
BUFFER = 1 << 20
"""Octets of the kernel's send buffer; the kernel may allow fewer."""
BACKLOG = 32 << 20
"""Octets that may wait for an end that does not read, before a new message comes: about 100,000 changed slices."""


class Channel:
    """One end. `take` receives each message that comes; `ended` is called once, when the other process has gone."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        take: Callable[[bytes], None],
        ended: Callable[[], None],
        backlog: int = BACKLOG,
    ) -> None:
        """`loop` need not run yet; `backlog` in octets."""
        self._socket = sock
        self._take = take
        self._ended = ended
        self._backlog = backlog
        self._frames = Frames()
        self._waiting: deque[memoryview] = deque()
        self._loop = loop
        self._open = True
        self.waiting = 0
        """Octets that wait for the other end."""
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._loop.add_reader(sock, self._read)

    def send(self, frame: bytes) -> bool:
        """Write a frame, or keep it until there is room; False if more than the bound waits already."""
        if not self._open:
            return True  # _read finds the end, and reports it
        sent = 0
        if self._waiting:
            if self.waiting > self._backlog:
                return False
        else:
            try:
                sent = self._socket.send(frame)
            except BlockingIOError:
                pass
            except OSError:
                return True  # the same
            if sent == len(frame):
                return True
            self._loop.add_writer(self._socket, self._write)
        self._waiting.append(memoryview(frame)[sent:])
        self.waiting += len(frame) - sent
        return True

    def close(self) -> None:
        """Close this end, and drop what waits."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._waiting.clear()
            self._socket.close()

    async def drained(self) -> None:
        """Wait until all is written, or nobody is there to read it; the caller sets a deadline."""
        while self._open and self._waiting:  # noqa: ASYNC110 - for the one end of a process
            await asyncio.sleep(0.001)

    def _write(self) -> None:
        try:
            while self._waiting:
                first = self._waiting[0]
                sent = self._socket.send(first)
                self.waiting -= sent
                if sent < len(first):
                    self._waiting[0] = first[sent:]
                    return
                self._waiting.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()
            self.waiting = 0
        self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            octets = self._socket.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self.close()
            self._ended()
            return
        for message in self._frames.feed(octets):
            if not self._open:
                return
            self._take(message)

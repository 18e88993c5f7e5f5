"""One worker as the main process sees it: its process, the channel to it, the questions to it, and its counts."""

import asyncio
import os
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from typing import Protocol

from msgspec import DecodeError, Raw

from dnsbridge.app.facts.families import Family
from dnsbridge.app.server.crew.channel import Channel
from dnsbridge.app.server.crew.messages import Ask, End, Leaving, Ready, Said, What, frame, read_body, to_main

REAP_INTERVAL = 0.01
"""Seconds between two looks at whether a process that has closed its channel has ended."""


class Supervisor(Protocol):
    """Hears what happens to a worker."""

    def answers(self, member: "WorkerProcess") -> None:
        """The worker has begun to answer questions."""

    def leaves(self, member: "WorkerProcess") -> None:
        """The worker takes no new question."""

    def is_behind(self, member: "WorkerProcess") -> None:
        """The worker does not read what it is sent, and is killed for that."""

    def has_ended(self, member: "WorkerProcess", status: int) -> None:
        """The worker's process has ended, with this wait status; its last counts are in `counts`."""


class WorkerProcess:
    """A worker's process from fork to end."""

    def __init__(
        self, number: int, pid: int, sock: socket.socket, loop: asyncio.AbstractEventLoop, supervisor: Supervisor
    ) -> None:
        """`number` counts from 1; `sock` is this process's end of the channel."""
        self.number = number
        self.pid = pid
        self.ready = False
        self.leaving = False
        """The worker takes no new question."""
        self.told_to_end_at: float | None = None
        """Monotonic seconds."""
        self.started_at = time.monotonic()
        """Monotonic seconds; its first word is due from then on."""
        self.counts: list[Family] = []
        """Its last counts."""
        self._loop = loop
        self._supervisor = supervisor
        self._gone = False
        """It has ended, or was killed."""
        self._asked: dict[int, tuple[float, asyncio.Future[Raw]]] = {}
        self._counting: set[int] = set()
        """The numbers of the questions for counts."""
        self._last_number = 0
        self._channel = Channel(loop, sock, self._take, self._closed)

    @property
    def silent_since(self) -> float | None:
        """Since when it owes its first word, an answer or its end (monotonic seconds); None: it owes nothing."""
        if not self.ready:
            return self.started_at
        if self.told_to_end_at is not None:
            return self.told_to_end_at
        return min((since for since, _ in self._asked.values()), default=None)

    def forgive(self) -> None:
        """Count its silence from now on: this process itself did not listen."""
        now = time.monotonic()
        self.started_at = now
        self._asked = {number: (now, future) for number, (_, future) in self._asked.items()}

    def tell(self, octets: bytes) -> None:
        """Send a frame; a worker that leaves too many unread is killed."""
        if self._gone or self.told_to_end_at is not None:
            return
        if not self._channel.send(octets):
            self._supervisor.is_behind(self)
            self.kill()

    def ask(self, what: What, name: bytes | None = None) -> "asyncio.Future[Raw]":
        """Ask a question; the future gets the answer, or is cancelled if the worker ends before."""
        future: asyncio.Future[Raw] = self._loop.create_future()
        if self._gone or self.told_to_end_at is not None:
            future.cancel()
            return future
        self._last_number += 1
        self._asked[self._last_number] = time.monotonic(), future
        self.tell(frame(Ask(self._last_number, what, name)))
        return future

    def count(self) -> "asyncio.Future[Raw]":
        """Ask for its counts; they are in `counts` when the future is done."""
        future = self.ask("counts")
        self._counting.add(self._last_number)
        return future

    def end(self) -> None:
        """Have it answer the questions in flight, then end."""
        if self.told_to_end_at is None:
            self.tell(frame(End()))
            self.told_to_end_at = time.monotonic()

    def kill(self) -> None:
        """End it at once."""
        self._gone = True
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _take(self, octets: bytes) -> None:
        try:
            message = to_main.decode(octets)
            if isinstance(message, Ready):
                self.ready = True
                self._supervisor.answers(self)
            elif isinstance(message, Leaving):
                self.leaving = True
                self._supervisor.leaves(self)
            else:
                self._heard(message)
        except DecodeError:
            self.kill()  # a worker in order sends no such message

    def _heard(self, said: Said) -> None:
        if said.number == 0 or said.number in self._counting:
            self._counting.discard(said.number)
            self.counts = read_body(said.body, list[Family])
        if said.number in self._asked:
            _, future = self._asked.pop(said.number)
            if not future.done():
                future.set_result(Raw(bytes(said.body)))

    def _closed(self) -> None:
        """The channel has ended, so the process has ended too, or must."""
        self._gone = True
        for _, future in self._asked.values():
            future.cancel()
        self._asked.clear()
        self._counting.clear()
        self._reap(patience=2)

    def _reap(self, patience: int) -> None:
        """Ask for the exit status until it is there: the process is about to end by itself, or is killed."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self._supervisor.has_ended(self, status)
            return
        if patience == 0:
            self.kill()
        self._loop.call_later(REAP_INTERVAL, partial(self._reap, patience - 1))

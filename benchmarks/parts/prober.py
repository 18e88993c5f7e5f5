"""Clients that measure when an answer comes, each in a process of its own on the core that the server does not have.

first_answers    polls until each question has the address that is waited for
follow           asks for one name as fast as it can until its new address is there, then for the next
round_trips      the same without a change: what `follow` cannot be faster than
paced            so many questions a second, whatever becomes of them; the kernel says when each answer came
"""

import math
import multiprocessing
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from multiprocessing.connection import Connection
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar

from benchmarks.parts.peers import ADDRESS
from benchmarks.parts.run import Failed

PATIENCE = 30.0
"""Seconds that something may take before the measurement has failed."""
LATE = 1.0
"""Seconds after which an answer does not come any more."""

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the socket module has no name for it
_TIMESTAMP = struct.Struct("@qq")

Question = tuple[str, IPv4Address]
"""An owner and the address that is waited for."""
_HEADER = b"\0\0\x01\0\0\x01" + bytes(6)
"""RD and one question."""
_A_IN = b"\0\x01\0\x01"
_Arrival = tuple[int, int, int]
"""Nanoseconds of the system's clock, RCODE, last octet."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Probe(Generic[_T]):
    """A function that runs in a process of its own; its first argument tells it by a message to end."""

    def __init__(
        self, core: int, function: Callable[Concatenate[Connection, _P], _T], *arguments: _P.args, **keywords: _P.kwargs
    ) -> None:
        """Returns when the process has begun."""
        self._connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_run, args=(theirs, core, function, arguments, keywords), daemon=True
        )
        self._process.start()
        theirs.close()
        if self._receive() is not None:
            raise Failed("a prober did not start")

    def tell(self, message: object) -> None:
        """Something that the function understands."""
        self._connection.send(message)

    def stop(self) -> _T:
        """Tell it to end; what the function returned."""
        self._connection.send(None)
        return self.result()

    def result(self, seconds: float = PATIENCE) -> _T:
        """Wait for what the function returns; raises Failed."""
        result: _T = self._receive(seconds)
        self._process.join(10)
        return result

    def _receive(self, seconds: float = PATIENCE) -> Any:
        try:
            if self._connection.poll(seconds):
                return self._connection.recv()
        except EOFError:
            pass
        raise Failed("a prober has ended without a result")


def _run(
    connection: Connection, core: int, function: Callable[..., Any], arguments: Any, keywords: dict[str, Any]
) -> None:
    os.sched_setaffinity(0, {core})
    connection.send(None)
    connection.send(function(connection, *arguments, **keywords))


def query(owner: str) -> bytes:
    """The octets of a question for an address, without EDNS; a library would take seconds for so many."""
    labels = owner.removesuffix(".").encode().split(b".")
    return _HEADER + b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + _A_IN


def first_answers(port: int, wanted: Sequence[Question], check: Callable[[], object], interval: float) -> list[float]:
    """When the answer of each held its address (monotonic seconds), asked at an interval in seconds. Raises Failed."""
    found: dict[int, float] = {}
    questions = [(query(owner), address.packed) for owner, address in wanted]
    deadline = time.monotonic() + PATIENCE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((ADDRESS, port))
        sock.settimeout(LATE)
        while len(found) < len(questions):
            for number, (message, address) in enumerate(questions):
                if number not in found and _is_there(sock, message, address):
                    found[number] = time.monotonic()
            if time.monotonic() > deadline:
                missing = [wanted[number][0] for number in range(len(wanted)) if number not in found]
                raise Failed(f"{missing[0]} and {len(missing) - 1} more have no answer after {PATIENCE:g} s")
            check()
            time.sleep(interval)
    return [found[number] for number in range(len(questions))]


def _is_there(sock: socket.socket, message: bytes, address: bytes) -> bool:
    try:
        sock.send(message)
        return address in sock.recv(4096)
    except OSError:  # nobody listens yet
        return False


def follow(_: Connection, port: int, wanted: Sequence[Question], source: int = 0) -> list[float]:
    """When the prober had each new address (monotonic seconds); the changes must come in this order.

    `source` is the client's port: of several workers it decides which one is asked.
    """
    found: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ADDRESS, source))
        sock.connect((ADDRESS, port))
        sock.settimeout(LATE)
        for owner, address in wanted:
            message, packed = query(owner), address.packed
            deadline = time.monotonic() + PATIENCE
            while not _is_there(sock, message, packed):
                if time.monotonic() > deadline:
                    return found
            found.append(time.monotonic())
    return found


def round_trips(connection: Connection, port: int, owner: str, source: int = 0) -> list[float]:
    """The seconds of each round trip, one question after the other; `source` as for `follow`."""
    found = []
    message = query(owner)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((ADDRESS, source))
        sock.connect((ADDRESS, port))
        sock.settimeout(LATE)
        while not connection.poll():
            for _ in range(100):
                begin = time.monotonic()
                _is_there(sock, message, b"")
                found.append(time.monotonic() - begin)
    return found


class Sample(NamedTuple):
    """A question and its answer."""

    sent: float
    """Monotonic seconds."""
    seconds: float
    """Until its answer reached this host's socket; infinity if it never did."""
    rcode: int
    """-1 without an answer."""
    last: int
    """The last octet of the answer: where its last record is an A, that of the address."""


def paced(
    connection: Connection,
    port: int,
    owners: Sequence[str],
    rate: float,
    source: str = ADDRESS,
    late: float = LATE,
) -> list[Sample]:
    """paced_messages for the addresses of these names."""
    return paced_messages(connection, port, [query(owner) for owner in owners], rate, source, late)


def paced_messages(
    connection: Connection,
    port: int,
    questions: Sequence[bytes],
    rate: float,
    source: str = ADDRESS,
    late: float = LATE,
) -> list[Sample]:
    """So many of these questions a second in turn, until it is told to end.

    Questions are sent by the clock, so a server that stands still is asked on;
    when this process itself was kept waiting, it sends what is due at once. `source` is the client's address,
    `late` the seconds after the last question in which answers may still come.
    """
    messages = [question[2:] for question in questions]
    offset = time.time_ns() - time.monotonic_ns()
    sent: list[int] = []
    came: dict[int, _Arrival] = {}
    interval = int(1e9 / rate)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((source, 0))
        sock.connect((ADDRESS, port))
        sock.setblocking(False)
        due = time.time_ns()
        while not connection.poll():
            while due <= time.time_ns():
                number = len(sent)
                sent.append(time.time_ns())
                sock.send((number & 0xFFFF).to_bytes(2, "big") + messages[number % len(messages)])
                due += interval
            _receive(sock, len(sent), came)
            wait = (due - time.time_ns()) / 1e9
            if wait > 0:
                select.select([sock], [], [], wait)
        deadline = time.monotonic() + late
        while len(came) < len(sent) and time.monotonic() < deadline:
            select.select([sock], [], [], 0.01)
            _receive(sock, len(sent), came)
    return [_sample(moment, offset, came.get(number)) for number, moment in enumerate(sent)]


def _sample(sent: int, offset: int, arrival: _Arrival | None) -> Sample:
    if arrival is None:
        return Sample((sent - offset) / 1e9, math.inf, -1, -1)
    received, rcode, last = arrival
    return Sample((sent - offset) / 1e9, (received - sent) / 1e9, rcode, last)


def _receive(sock: socket.socket, sent: int, came: dict[int, _Arrival]) -> None:
    """Note when and what answers have come; an ID is that of the latest question that had it."""
    try:
        while True:
            message, ancillary, _, _ = sock.recvmsg(4096, 64)
            latest = sent - 1
            number = latest - ((latest - int.from_bytes(message[:2], "big")) & 0xFFFF)
            seconds, nanoseconds = _TIMESTAMP.unpack(ancillary[0][2])
            came.setdefault(number, (seconds * 1_000_000_000 + nanoseconds, message[3] & 15, message[-1]))
    except BlockingIOError:
        pass

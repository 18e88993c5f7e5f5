"""A flood: questions sent by the clock, whatever becomes of them, far more than are answered.

dnsperf stops to send when too many of its questions wait for an answer, and an overloaded server makes it do so.
"""

import array
import select
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

import dns.message
from msgspec import Struct

from benchmarks.parts.peers import ADDRESS
from benchmarks.parts.prober import LATE

SOCKETS = 8
TICK = 0.001
"""Seconds between two looks at what is due."""
DIGITS = 10
_NUMBER_AT = 13
"""Offset of the number in a question: after the header and the length of the first label."""
_BUFFER = 4 << 20


class Flooded(Struct, frozen=True):
    """What became of a flood."""

    seconds: float
    sent: int
    answered: int
    """New names that have their answer."""
    others: int
    """Questions of the fixed set that were sent."""
    others_answered: int
    latencies: list[float]
    """Seconds until the answer of a new name was read, of every so many."""


def flood(
    connection: Connection, port: int, zone: str, fixed: Sequence[str], share: float, rate: float, seconds: float
) -> Flooded:
    """Ask for new names in a zone in which every name exists, and for a fixed set as that share of all."""
    head, tail = _template(zone)
    constant = [dns.message.make_query(owner, "A").to_wire()[2:] for owner in fixed]
    begun = array.array("d")
    latencies: list[float] = []
    sent = answered = others = others_answered = 0
    sockets = [_socket(port) for _ in range(SOCKETS)]
    start = now = time.monotonic()
    try:
        while (passed := now - start) < seconds and not connection.poll():
            due = int(passed * rate)
            while sent < due:
                identity = (sent & 0xFFFF).to_bytes(2, "big")
                if constant and others < (sent + 1) * share:
                    message = identity + constant[others % len(constant)]
                    others += 1
                else:
                    message = identity + head + b"%0*d" % (DIGITS, len(begun)) + tail
                    begun.append(now)
                with suppress(BlockingIOError):  # as lost as any other
                    sockets[sent % SOCKETS].send(message)
                sent += 1
            new, fixed_ones = _receive(sockets, begun, latencies)
            answered += new
            others_answered += fixed_ones
            wait = TICK - (time.monotonic() - now)
            if wait > 0:
                time.sleep(wait)
            now = time.monotonic()
        deadline = now + LATE
        while time.monotonic() < deadline and select.select(sockets, [], [], LATE)[0]:
            new, fixed_ones = _receive(sockets, begun, latencies)
            answered += new
            others_answered += fixed_ones
    finally:
        for sock in sockets:
            sock.close()
    return Flooded(now - start, sent, answered, others, others_answered, latencies)


def _template(zone: str) -> tuple[bytes, bytes]:
    """A question without its ID, before and after the number that makes its name new."""
    message = dns.message.make_query(f"{'0' * DIGITS}.{zone}", "A").to_wire()
    return message[2:_NUMBER_AT], message[_NUMBER_AT + DIGITS :]


def _socket(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    made.connect((ADDRESS, port))
    made.setblocking(False)
    return made


def _receive(sockets: Sequence[socket.socket], begun: Sequence[float], latencies: list[float]) -> tuple[int, int]:
    """Count the answers with records that have come, to new names and to others."""
    new = others = 0
    for sock in sockets:
        try:
            while True:
                reply = sock.recv(4096)
                if reply[3] & 15 or reply[6:8] == b"\0\0":
                    continue
                digits = reply[_NUMBER_AT : _NUMBER_AT + DIGITS]
                if not digits.isdigit():
                    others += 1
                    continue
                new += 1
                if not new & 15:
                    latencies.append(time.monotonic() - begun[int(digits)])
        except BlockingIOError:
            pass
    return new, others

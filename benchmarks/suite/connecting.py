"""TCP with one question per connection: dnsperf waits between its connections, so the load is made here.

So many connections are open at any moment. The kernel of loopback accepts one at once, so only answers are waited for.
"""

import select
import socket
import time
from collections.abc import Sequence
from itertools import cycle
from multiprocessing.connection import Connection

from benchmarks.parts.load import MICROSECONDS_PER_TICK, Round
from benchmarks.parts.peers import ADDRESS, Peer
from benchmarks.parts.prober import PATIENCE, Probe
from benchmarks.parts.run import Failed

OPEN = 4
"""Fewer than the shortest queue of connections that a server has not accepted yet: a full one costs a second."""
LATE = 2.0
"""Seconds without any answer after which the server has failed."""


def run_connections(peer: Peer, messages: Sequence[bytes], seconds: float, core: int) -> Round:
    """A round, as load.run_round gives it; raises Failed when an answer did not come."""
    before = peer.cpu_ticks()
    answered, taken = Probe(core, connect, peer.port, messages, seconds).result(seconds + PATIENCE)
    if not answered:
        raise Failed(f"{peer.name} left a connection without an answer")
    ticks = zip(before, peer.cpu_ticks(), strict=True)
    user, system = ((after - start) * MICROSECONDS_PER_TICK / answered for start, after in ticks)
    rate = answered / taken
    return Round(user, system, rate, (user + system) * rate / 1_000_000)


def connect(_: Connection, port: int, messages: Sequence[bytes], seconds: float) -> tuple[int, float]:
    """How many were answered in how many seconds; none when one was not."""
    asked = cycle(len(message).to_bytes(2, "big") + message for message in messages)
    answered = 0
    begun = time.monotonic()
    waiting: dict[int, socket.socket] = {}
    with select.epoll() as poll:
        try:
            while (passed := time.monotonic() - begun) < seconds or waiting:
                while len(waiting) < OPEN and passed < seconds:
                    sock = socket.create_connection((ADDRESS, port), LATE)
                    sock.send(next(asked))
                    waiting[sock.fileno()] = sock
                    poll.register(sock, select.EPOLLIN)
                ready = poll.poll(LATE)
                if not ready:
                    return 0, seconds
                for number, _event in ready:
                    with waiting.pop(number) as sock:
                        if len(sock.recv(65535)) <= 2:
                            return 0, seconds
                        answered += 1
        except OSError:
            return 0, seconds
        finally:
            for sock in waiting.values():
                sock.close()
    return answered, time.monotonic() - begun

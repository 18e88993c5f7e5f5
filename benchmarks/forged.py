"""A million forged replies, each wrong in one field, in front of the true ones: what the program makes of them.

Before each true reply the upstream (tests/support/forger.py) sends several forged ones of each kind, no more at a time
than the buffer of a socket has room for, so that the program must look at every one that reaches its sockets. In the
end the upstream is silent and every name is asked again: what is in the cache must be true too.

    python -m benchmarks.forged [--replies N] [--json FILE]
"""

import argparse
import select
import socket
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import dns.message

from benchmarks.parts.figures import Figure
from benchmarks.parts.peers import ADDRESS
from benchmarks.parts.prober import query
from benchmarks.parts.run import report
from tests.support.forger import FORGED, FORGERIES, Forger
from tests.support.program import ROOT, Program

ROUNDS = 4
"""Forged replies of each kind before each true one."""
FIRST = IPv4Address("198.18.0.1")
"""The true address of name 0; the others follow (RFC 2544 has so many for benchmarks)."""
MOST_NAMES = 65_536
OUTSTANDING = 4
"""Questions under way: with more, their forged replies might overflow a socket by chance."""
PATIENCE = 10.0
"""Seconds that an answer may take."""


def address_of(question: dns.message.Message) -> IPv4Address:
    """The true address of a name."""
    return FIRST + int(question.question[0].name.labels[0].removeprefix(b"n"))


def measure(replies: int) -> Iterator[Figure]:
    """The figures; raises Failed."""
    names = min(-(-replies // (ROUNDS * len(FORGERIES))), MOST_NAMES)
    with Forger(address_of) as forger:
        upstream = f"{ADDRESS}:{forger.port}"
        with Program(ROOT / "dnsbridge" / "example", upstreams=[upstream], http=True) as program:

            def counter(name: str) -> int:
                return int(program.metrics()[f'dnsbridge_upstream_{name}_total{{upstream="{upstream}",zone="."}}'])

            begin = time.monotonic()
            ask(program.port, 1)  # so that there is a port from which a question came
            forger.forgeries = FORGERIES * ROUNDS
            wrong, forged, lost = ask(program.port, names, 1)
            seconds = time.monotonic() - begin
            sent = forger.forged.total()
            received = sum(forger.forged[forgery.field] for forgery in FORGERIES if forgery.received)
            asked = forger.asked
            yield Figure("forged replies", sent, "")
            yield Figure("forged replies a second", sent / seconds, "/s")
            yield Figure("names asked", names, "")
            yield Figure("answers with a forged address", forged, "", 0)
            yield Figure("other wrong answers", wrong, "", 0)
            yield Figure("names without an answer", lost, "", 0)
            yield Figure("forged replies that reached a socket of ours", received, "")
            yield Figure("of them not counted as mismatched", received - counter("mismatched"), "", 0)
            yield Figure("questions sent more than once", asked - names, "")
            yield Figure("replies taken beside one for each question", counter("received") - asked, "", 0)
            forger.silent = True
            wrong, forged, lost = ask(program.port, names)
            yield Figure("from the cache: answers with a forged address", forged, "", 0)
            yield Figure("from the cache: wrong or missing", wrong + lost, "", 0)
            yield Figure("from the cache: questions to the upstream", forger.asked - asked, "", 0)


def ask(port: int, names: int, first: int = 0) -> tuple[int, int, int]:
    """Ask for names from number `first` on: how many answers were wrong, had the forged address, never came."""
    wrong = forged = 0
    waiting: dict[bytes, tuple[int, float]] = {}
    lost = 0
    following = first
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((ADDRESS, port))
        while waiting or following < names:
            while following < names and len(waiting) < OUTSTANDING:
                identity = following.to_bytes(2, "big")
                client.send(identity + query(f"n{following}.example.")[2:])
                waiting[identity] = following, time.monotonic()
                following += 1
            if not select.select([client], [], [], 0.1)[0]:
                late = [identity for identity, (_, sent) in waiting.items() if time.monotonic() - sent > PATIENCE]
                for identity in late:
                    del waiting[identity]
                lost += len(late)
                continue
            message = client.recv(4096)
            number, _ = waiting.pop(message[:2], (-1, 0.0))
            if FORGED.packed in message:
                forged += 1
            # Without EDNS the address is the end of the message.
            elif message[3] & 15 or message[6:8] != b"\0\1" or message[-4:] != (FIRST + number).packed:
                wrong += 1
    return wrong, forged, lost


def main() -> int:
    """Measure and print; 1 when something did not work."""
    parser = argparse.ArgumentParser(description="forged replies, each wrong in one field")
    parser.add_argument("--replies", type=int, default=1_000_000, help="forged replies, about")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    if not 1 <= options.replies <= MOST_NAMES * ROUNDS * len(FORGERIES):
        parser.error(f"1 to {MOST_NAMES * ROUNDS * len(FORGERIES)} replies")
    return report(lambda _: list(measure(options.replies)), options.json)


if __name__ == "__main__":
    sys.exit(main())

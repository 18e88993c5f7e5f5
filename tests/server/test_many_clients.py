"""Many clients of the program ask the same at once."""

import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import dns.message
import dns.rrset

from tests.support.program import DEADLINE, ROOT, Program, RunningUpstream, eventually, total
from tests.support.scripted_upstream import Reply, ScriptedUpstream, answer

CLIENTS = 500
BATCH = 125
"""No more than a socket's buffer has room for while the program is kept waiting."""
EXAMPLE = ROOT / "dnsbridge" / "example"
NAME = "new.example."


def test_one_new_name_is_asked_once() -> None:
    """Each of 500 clients gets the answer under its own ID, and the upstream was asked one question."""
    released = threading.Event()
    told = answer("@ 60 IN A 192.0.2.1")

    def behave(message: bytes) -> Sequence[Reply]:
        assert released.wait(DEADLINE)
        return told(message)

    with ExitStack() as opened:
        upstream = opened.enter_context(RunningUpstream(ScriptedUpstream(behave)))
        program = opened.enter_context(Program(EXAMPLE, upstreams=[upstream.address], http=True))
        questions = [dns.message.make_query(NAME, "A", id=number) for number in range(CLIENTS)]
        clients = []
        for number, question in enumerate(questions, 1):
            client = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.settimeout(DEADLINE)
            client.connect(("127.0.0.1", program.port))
            client.send(question.to_wire())
            clients.append(client)
            if number % BATCH == 0:
                eventually(partial(received, program, number))
        released.set()
        for client, question in zip(clients, questions, strict=True):
            got = dns.message.from_wire(client.recv(65535))
            assert got.id == question.id
            assert got.answer == [dns.rrset.from_text(NAME, 60, "IN", "A", "192.0.2.1")]
        # Where this machine stood still for so long that a timeout passed, the question went out again.
        timeouts = program.metrics()[f'dnsbridge_upstream_timeouts_total{{upstream="{upstream.address}",zone="."}}']
        assert upstream.count() <= 1 + timeouts
        assert program.metrics()['dnsbridge_cache_misses_total{zone="."}'] == CLIENTS


def received(program: Program, count: int) -> bool:
    """Whether so many questions have come to the program."""
    return total(program.metrics(), "dnsbridge_queries_total", 'transport="udp"') == count

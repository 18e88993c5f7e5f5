"""The program when more is asked than it can or should answer."""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.support.program import DEADLINE, ROOT, Program, RunningUpstream, eventually, framed, receive_frame, total
from tests.support.scripted_upstream import ScriptedUpstream, answer

EXAMPLE = ROOT / "dnsbridge" / "example"
GOOD = "web.shop.svc.cluster.local"
FLOOD = 30_000
"""More than a socket can hold: it has 8 MiB at most."""
MAX_GROWTH = 50 << 20
"""Octets of memory."""


def received(metrics: Mapping[str, float]) -> float:
    """Messages that came over UDP."""
    return total(metrics, "dnsbridge_queries_total", 'transport="udp"')


def resident(program: Program) -> int:
    """Octets of its memory that are in use."""
    pages = int(Path(f"/proc/{program.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_flood_that_no_socket_can_hold() -> None:
    """Every question is accounted for, memory hardly grows, and right after it questions are answered as before."""
    upstream = ScriptedUpstream(answer("@ 60 IN A 192.0.2.1"))
    with RunningUpstream(upstream) as running, Program(EXAMPLE, upstreams=[running.address], http=True) as program:
        program.ask(GOOD)
        program.ask("first.example.com")
        before, memory = program.metrics(), resident(program)
        os.kill(program.pid, signal.SIGSTOP)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", program.port))
            template = dns.message.make_query("flood-00000.example.com", "A").to_wire()
            at = template.index(b"00000")
            for number in range(FLOOD):
                client.send(template[:at] + b"%05d" % number + template[at + 5 :])
        os.kill(program.pid, signal.SIGCONT)

        def grown(name: str) -> float:
            return program.metrics()[name] - before.get(name, 0)

        lost = "dnsbridge_udp_lost_total"
        eventually(lambda: received(program.metrics()) - received(before) + grown(lost) == FLOOD)
        assert grown(lost) > 0
        eventually(lambda: program.metrics()["dnsbridge_waiting"] == 0)
        assert resident(program) - memory < MAX_GROWTH
        for name in (GOOD, "first.example.com", "second.example.com"):
            assert program.ask(name).rcode() == dns.rcode.NOERROR


def test_equal_responses_are_limited_over_udp() -> None:
    """Over the rate every other answer is truncated, so that a real client asks over TCP, which is never limited."""
    count = 200
    query = dns.message.make_query(GOOD, "A")
    with (
        Program(EXAMPLE, settings={"access": {"response_rate": 1}}, http=True) as program,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.connect(("127.0.0.1", program.port))
        for _ in range(count):
            client.send(query.to_wire())
        dropped = 'dnsbridge_ignored_total{reason="response_rate"}'
        eventually(lambda: received(program.metrics()) == count)
        metrics = program.metrics()
        client.settimeout(DEADLINE)
        answers = [dns.message.from_wire(client.recv(4096)) for _ in range(count - int(metrics[dropped]))]
        truncated = [response for response in answers if response.flags & dns.flags.TC]
        assert len(truncated) == metrics["dnsbridge_responses_truncated_total"]
        assert len(truncated) - metrics[dropped] in (0, 1)
        assert not any(response.answer for response in truncated)
        assert len(answers) - len(truncated) < count / 4, "one a second, on a machine however slow"
        for _ in range(5):
            assert program.ask(GOOD, transport="tcp").answer


@pytest.mark.parametrize("rate", ["auto", 0])
def test_private_clients_are_not_limited(rate: str | int) -> None:
    """Unless configured so."""
    with Program(EXAMPLE, settings={"access": {"response_rate": rate}}) as program:
        for _ in range(100):
            assert program.ask(GOOD).answer


def test_a_connection_goes_on_after_as_many_questions_as_may_be_in_flight() -> None:
    """It is read no further until there is room, and then it is."""
    limit = 5
    names = [f"name-{number}.example.com" for number in range(limit)]
    upstream = ScriptedUpstream(answer("@ 60 IN A 192.0.2.1", delay=0.05))
    settings = {"tcp": {"queries_in_flight": limit}}
    with (
        RunningUpstream(upstream) as running,
        Program(EXAMPLE, settings=settings, upstreams=[running.address]) as program,
        socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client,
    ):
        for _ in range(3):
            client.sendall(b"".join(framed(dns.message.make_query(name, "A").to_wire()) for name in names))
            for _ in names:
                assert receive_frame(client) is not None

"""The program under messages and clients that mean no good: it stays up, small, and answers everybody else."""

import os
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import pytest

from tests.support.program import (
    DEADLINE,
    ROOT,
    TRANSPORTS,
    Program,
    Transport,
    eventually,
    framed,
    receive_frame,
    records,
    total,
)

EXAMPLE = ROOT / "dnsbridge" / "example"
PER_CLIENT = 20
IDLE = 2.0
"""Seconds; what should come after it may be late on a busy machine."""
MAX_GROWTH = 20 << 20
"""Octets of memory."""
BATCH = 100

GOOD = "web.shop.svc.cluster.local"
QUESTIONS = [
    (GOOD, "A"),
    (GOOD, "ANY"),
    ("kafka.data.svc.cluster.local", "SRV"),
    ("_broker._tcp.kafka.data.svc.cluster.local", "SRV"),
    ("10-244-0-21.shop.pod.cluster.local", "A"),
    ("docs.shop.svc.cluster.local", "A"),
    ("no-such.shop.svc.cluster.local", "AAAA"),
    ("34.12.96.10.in-addr.arpa", "PTR"),
    ("7.0.8.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa", "PTR"),
    ("cluster.local", "SOA"),
    ("cluster.local", "AXFR"),
    ("www.example.com", "TXT"),
    (".", "NS"),
]


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """A program with tight limits. That its log is free of errors of its own is checked when it stops."""
    settings = {"tcp": {"connections_per_client": PER_CLIENT, "idle_timeout": f"{IDLE:g}s"}}
    with Program(EXAMPLE, settings=settings, http=True) as started:
        yield started


@pytest.fixture(autouse=True)
def _unharmed(program: Program) -> Iterator[None]:
    """After each test a good question is answered, all files are closed again, and memory has hardly grown."""
    for transport in TRANSPORTS:
        program.ask(GOOD, transport=transport)
        program.ask("www.example.com", transport=transport)
    program.metrics()
    files, memory = open_files(program), resident(program)
    yield
    for transport in TRANSPORTS:
        eventually(partial(answers_well, program, transport))
    eventually(lambda: open_files(program) <= files)
    assert resident(program) - memory < MAX_GROWTH
    assert program.metrics()["dnsbridge_internal_errors_total"] == 0


def answers_well(program: Program, transport: Transport) -> bool:
    """Whether a good question gets its answer; over TCP the limit of connections may still be used up."""
    octets = program.exchange_raw(dns.message.make_query(GOOD, "A").to_wire(), transport)
    if octets is None:
        return False
    return records(dns.message.from_wire(octets).answer) == [f"{GOOD}. 5 IN A 10.96.12.34"]


def open_files(program: Program) -> int:
    """File descriptors of the process."""
    return len(os.listdir(f"/proc/{program.pid}/fd"))


def resident(program: Program) -> int:
    """Octets of its memory that are in use."""
    pages = int(Path(f"/proc/{program.pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def mutations(seed: int, count: int) -> Iterator[bytes]:
    """Queries with a few things wrong, all different in their first two octets."""
    chance = random.Random(seed)
    originals = []
    for name, rtype in QUESTIONS:
        query = dns.message.make_query(name, rtype)
        originals.append(query.to_wire())
        options: list[dns.edns.Option] = [
            dns.edns.GenericOption(dns.edns.OptionType.make(code), chance.randbytes(8)) for code in (10, 11, 12)
        ]
        query.use_edns(0, dns.flags.DO, 4096, options=options)
        originals.append(query.to_wire())
    for number in range(count):
        message = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 1, 2, 5))):
            change(message, chance)
        yield number.to_bytes(2, "big") + bytes(message[2:])


def change(message: bytearray, chance: random.Random) -> None:
    """One thing wrong."""
    place = chance.randrange(2, max(3, len(message)))
    match chance.randrange(8):
        case 0:
            message[place:] = b""
        case 1:
            message[place:place] = chance.randbytes(chance.randrange(1, 40))
        case 2:
            message += chance.randbytes(chance.randrange(1, 600))
        case 3:  # a compression pointer, often to itself or forwards
            message[place : place + 2] = (0xC000 | chance.randrange(len(message) + 2)).to_bytes(2, "big")
        case 4:  # a count of records
            at = chance.choice((4, 6, 8, 10))
            message[at : at + 2] = chance.choice((0, 1, 2, 255, 65535)).to_bytes(2, "big")
        case 5:  # opcode and flags
            message[2:4] = chance.randbytes(2)
        case 6:
            message[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x3f\x40\x80\xc0"))
        case _:
            for at in range(place, min(len(message), place + chance.randrange(1, 4))):
                message[at] ^= 1 << chance.randrange(8)


LAST_ID = 1000
LAST = dns.message.make_query(GOOD, "A", id=LAST_ID).to_wire()
"""What is asked after all others."""


def gets_an_answer(message: bytes) -> bool:
    """Whole headers that are no response get an answer, whatever it is."""
    return len(message) >= 12 and not message[2] & 0x80


@pytest.mark.parametrize("seed", range(3))
def test_broken_messages_over_udp(program: Program, seed: int) -> None:
    """Each gets exactly one answer that parses, or none at all if it is too short or a response; all are counted."""
    before = program.metrics()
    messages = list(mutations(seed, LAST_ID))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", program.port))
        for start in range(0, len(messages), BATCH):
            batch = messages[start : start + BATCH]
            waiting = {message[:2]: message for message in batch if gets_an_answer(message)}
            for message in batch:
                client.send(message)
            while waiting:
                reply = client.recv(65535)
                assert reply[:2] in waiting, "an answer to what gets none, or a second one"
                check_reply(waiting.pop(reply[:2]), reply)
        client.send(LAST)
        assert client.recv(65535)[:2] == LAST[:2], "a second answer"
    after = program.metrics()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    messages.append(LAST)
    answered = sum(gets_an_answer(message) for message in messages)
    assert total(grown, "dnsbridge_queries_total", 'transport="udp"') == len(messages)
    assert sum(value for name, value in grown.items() if "answers_total{" in name) == answered
    ignored = sum(value for name, value in grown.items() if "ignored_total{" in name)
    assert ignored == len(messages) - answered


def check_reply(message: bytes, reply: bytes) -> None:
    """What any answer is: a response of the same opcode, well-formed, and within the size that the client can take."""
    read = dns.message.from_wire(reply)
    assert read.flags & dns.flags.QR
    assert read.opcode() == dns.opcode.from_flags(int.from_bytes(message[2:4], "big"))
    assert len(reply) <= 4096
    if not read.opt:
        assert len(reply) <= 512


def test_broken_messages_over_tcp(program: Program) -> None:
    """A connection with broken messages ends, at the latest with its idle timeout; no answer is half a message."""
    messages = list(mutations(3, 3000))
    for start in range(0, len(messages), BATCH // 4):
        with socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client:
            try:
                client.sendall(b"".join(framed(message) for message in messages[start : start + BATCH // 4]))
                client.shutdown(socket.SHUT_WR)
                while (reply := receive_frame(client)) is not None:
                    assert dns.message.from_wire(reply).flags & dns.flags.QR
            except ConnectionError:
                pass  # a message that gets no answer ends its connection at once


def test_octets_without_sense_over_tcp(program: Program) -> None:
    """Frames of random octets and lengths that lead nowhere."""
    chance = random.Random(4)
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client:
            try:
                client.sendall(chance.randbytes(chance.randrange(1, 3000)))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65535):
                    pass
            except ConnectionError:
                pass


UNFINISHED = [
    ("nothing at all", b""),
    ("half a length", b"\0"),
    ("a length without a message", b"\xff\xff"),
    ("half a message", framed(dns.message.make_query(GOOD, "A", id=1).to_wire())[:20]),
]


def idle_closed(program: Program) -> float:
    """How many connections the idle timeout has ended."""
    return program.metrics()["dnsbridge_tcp_idle_closed_total"]


def test_an_unfinished_frame_ends_with_the_idle_timeout(program: Program) -> None:
    """It is this timeout that ends the connection, and no error."""
    before = idle_closed(program)
    with ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection(("127.0.0.1", program.port), DEADLINE)) for _ in UNFINISHED
        ]
        for client, (_, octets) in zip(clients, UNFINISHED, strict=True):
            client.sendall(octets)
        for client, (what, _) in zip(clients, UNFINISHED, strict=True):
            assert ended(client), what
    assert idle_closed(program) == before + len(UNFINISHED)


def test_octets_that_trickle_do_not_keep_a_connection(program: Program) -> None:
    """Only a whole question does: the idle timeout runs from the last one."""
    message = framed(dns.message.make_query(GOOD, "A").to_wire())
    with socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client:
        client.sendall(message)
        assert receive_frame(client) is not None
        before = idle_closed(program)
        client.settimeout(IDLE / 3)
        for octet in message:
            try:
                client.send(bytes([octet]))
                assert client.recv(1) == b"", "the whole question was waited for"
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert idle_closed(program) == before + 1


@pytest.mark.parametrize("octets", [b"\0\0", framed(b"x"), framed(bytes(11)), framed(b"\0\1\x80\0" + bytes(8))])
def test_a_message_that_gets_no_answer_ends_its_connection(program: Program, octets: bytes) -> None:
    """An empty frame, one under 12 octets, a response: at once, without an answer."""
    before = idle_closed(program)
    with socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client:
        client.sendall(octets)
        assert ended(client)
    assert idle_closed(program) == before


def ended(client: socket.socket) -> bool:
    """Whether the other side closes the connection without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_connections_over_the_limit_of_a_client() -> None:
    """The first 20 of 300 connections are served, the others closed at once; another client is not concerned."""
    message = framed(dns.message.make_query(GOOD, "A").to_wire())
    # With its own idle timeout, so that none of the first ones makes room on a busy machine.
    settings = {"tcp": {"connections_per_client": PER_CLIENT, "idle_timeout": "60s"}}
    with Program(EXAMPLE, settings=settings, http=True) as program, ExitStack() as opened:
        clients = [
            opened.enter_context(socket.create_connection(("127.0.0.1", program.port), DEADLINE)) for _ in range(300)
        ]
        served = 0
        for client in clients:
            try:
                client.sendall(message)
                served += receive_frame(client) is not None
            except ConnectionError:
                continue
        assert served == PER_CLIENT
        assert program.metrics()["dnsbridge_tcp_rejected_total"] == 300 - PER_CLIENT
        other = opened.enter_context(
            socket.create_connection(("127.0.0.1", program.port), DEADLINE, source_address=("127.0.0.2", 0))
        )
        other.sendall(message)
        assert receive_frame(other) is not None
        assert answers_well(program, "udp")
        assert not answers_well(program, "tcp")
        opened.close()
        eventually(partial(answers_well, program, "tcp"))


def test_a_client_that_never_reads(program: Program) -> None:
    """Its answers are not piled up: it is read no further, then disconnected; meanwhile others are answered."""
    query = dns.message.make_query("_broker._tcp.kafka.data.svc.cluster.local", "SRV")
    frames = framed(query.to_wire()) * 1000
    memory = resident(program)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(IDLE / 4)
        client.connect(("127.0.0.1", program.port))
        sent = 0
        with suppress(TimeoutError, ConnectionError):
            while sent < 200 << 20:
                sent += client.send(frames)
        assert sent < 200 << 20, "it reads on and on"
        assert answers_well(program, "udp")
        assert answers_well(program, "tcp")
        client.settimeout(DEADLINE)
        with suppress(ConnectionError):
            while sent < 200 << 20:
                sent += client.send(frames)
        assert sent < 200 << 20, "it reads on and on"
    assert resident(program) - memory < MAX_GROWTH


def test_the_end_of_a_stream_after_many_questions(program: Program) -> None:
    """All questions before it are answered, also more than may be in flight, those for upstreams too; then it ends."""
    names = ["www.example.com" if number % 7 == 0 else GOOD for number in range(1000)]
    queries = [dns.message.make_query(name, "A", id=number) for number, name in enumerate(names)]
    with socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client:
        client.sendall(b"".join(framed(query.to_wire()) for query in queries))
        client.shutdown(socket.SHUT_WR)
        answered = set()
        while (reply := receive_frame(client)) is not None:
            read = dns.message.from_wire(reply)
            assert read.question == queries[read.id].question
            answered.add(read.id)
    assert answered == set(range(1000))


def test_connections_that_are_reset(program: Program) -> None:
    """A client may go at any point, with questions in flight and answers on their way."""
    names = ("www.example.com", GOOD)
    frames = b"".join(framed(dns.message.make_query(name, "A").to_wire()) for name in names * 20)
    for size in range(1, len(frames), 23):
        with socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(frames[:size])

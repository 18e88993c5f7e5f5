"""Every message: the section of that title of the specification, asked of the running program octet by octet."""

import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from tests.server.conftest import CLUSTERS, CROWD
from tests.server.test_names import each_transport
from tests.support.forwarding import option
from tests.support.program import Program, RunningUpstream, Transport, eventually, framed, receive_frame
from tests.support.rows import shown
from tests.support.waiting import DEADLINE

CLUSTER = "web.shop.svc.cluster.local"
CROWDED = "crowd.big.svc.cluster.local"
OUTSIDE = "www.example.com"
IGNORED = 'dnsbridge_ignored_total{reason="%s"}'
AD, CD, Z = 0x20, 0x10, 0x40


def header(flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0), identity: int = 0xABCD) -> bytes:
    """A header with any flags."""
    return struct.pack("!HHHHHH", identity, flags, *counts)


def question(name: str = CLUSTER, rtype: int = 1) -> bytes:
    """A question section with one question."""
    wire = dns.name.from_text(name).to_wire()
    assert wire
    return wire + struct.pack("!HH", rtype, 1)


def opt(data: bytes = b"", size: int = 1232, ttl: int = 0) -> bytes:
    """An OPT record with any content."""
    return b"\0" + struct.pack("!HHIH", 41, size, ttl, len(data)) + data


def answered(program: Program, message: bytes, transport: Transport) -> dns.message.Message:
    """The answer to some octets, which must keep their ID."""
    octets = program.exchange_raw(message, transport)
    assert octets is not None
    assert octets[:2] == message[:2]
    return dns.message.from_wire(octets)


# --- EDNS (RFC 6891)


@each_transport
@pytest.mark.parametrize("name", [CLUSTER, "nothing.shop.svc.cluster.local", OUTSIDE, "loop.shop.svc.cluster.local"])
def test_opt_in_gives_opt_out(names: Program, name: str, transport: Transport) -> None:
    """Whoever sends an OPT record gets one that advertises 1232 octets, and nobody else does."""
    assert names.ask(name, "A", transport).edns == -1
    response = names.ask(name, "A", transport, edns=True)
    assert (response.edns, response.payload, response.ednsflags) == (0, 1232, 0)


@each_transport
@pytest.mark.parametrize("name", [CLUSTER, "nothing.shop.svc.cluster.local", OUTSIDE])
def test_do_bit_is_copied(names: Program, name: str, transport: Transport) -> None:
    """DO comes back as it was sent (RFC 3225)."""
    assert names.ask(name, "A", transport, dnssec_ok=True).ednsflags == dns.flags.DO
    assert names.ask(name, "A", transport, edns=True).ednsflags == 0


@each_transport
@pytest.mark.parametrize("name", [CLUSTER, OUTSIDE])
@pytest.mark.parametrize("version", [1, 255])
def test_edns_version(names: Program, version: int, name: str, transport: Transport) -> None:
    """A version over 0 gets BADVERS, with version 0 and without an answer."""
    response = names.ask(name, "A", transport, edns=version)
    assert response.rcode() == dns.rcode.BADVERS
    assert (response.edns, response.answer) == (0, [])
    assert not response.flags & dns.flags.AA


NOTIFY = 4 << 11
UPDATE = 5 << 11
CONDITION = question("a") + bytes(4) + b"\0\0"
"""A record without data."""
ERRORS = [
    ("opcode 4", header(NOTIFY, (1, 0, 0, 1)) + question() + opt(), "NOTIMP"),
    ("opcode 15, header only", header(0x7800, (0, 0, 0, 1)) + opt(), "NOTIMP"),
    ("update", header(UPDATE, (1, 0, 1, 1)) + question() + CONDITION + opt(), "REFUSED"),
    ("header only", header(0x0100, (0, 0, 0, 1)) + opt(), "FORMERR"),
    ("two questions", header(0x0100, (2, 0, 0, 1)) + question() * 2 + opt(), "FORMERR"),
    ("two OPT", header(0x0100, (1, 0, 0, 2)) + question() + opt() * 2, "FORMERR"),
    ("EDNS option cut short", header(0x0100, (1, 0, 0, 1)) + question() + opt(b"\0\3\0\7a"), "FORMERR"),
    ("EDNS version 1", header(0x0100, (1, 0, 0, 1)) + question() + opt(ttl=1 << 16), "BADVERS"),
]


@each_transport
@pytest.mark.parametrize(("message", "rcode"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_errors_carry_an_opt(names: Program, message: bytes, rcode: str, transport: Transport) -> None:
    """An error to a message with an OPT record has one (RFC 6891 sections 6.1.1 and 7), of version 0, with 1232."""
    response = answered(names, message, transport)
    assert dns.rcode.to_text(response.rcode()) == rcode
    assert (response.edns, response.payload, response.ednsflags & 0xFFFF) == (0, 1232, 0)
    assert response.answer == []


@each_transport
@pytest.mark.parametrize(
    "message",
    [
        pytest.param(header(NOTIFY) + question(), id="opcode 4"),
        pytest.param(header(counts=(0, 0, 0, 0)), id="header only"),
        pytest.param(header(counts=(1, 0, 0, 2)) + question() + opt(), id="a record is missing behind the OPT"),
        pytest.param(header(counts=(1, 0, 0, 1)) + question()[:-1] + opt(), id="question cut short before the OPT"),
        pytest.param(header(counts=(1, 1, 0, 0)) + question() + opt(), id="OPT as an answer"),
    ],
)
def test_errors_without_an_opt(names: Program, message: bytes, transport: Transport) -> None:
    """A message without an OPT, or whose records cannot be walked, gets none in the error."""
    assert answered(names, message, transport).edns == -1


DIG_ERRORS = [
    ("+opcode=NOTIFY", CLUSTER, "NOTIMP", "NOTIFY"),
    ("+opcode=15", CLUSTER, "NOTIMP", "RESERVED15"),
    ("+header-only", CLUSTER, "FORMERR", "QUERY"),
    ("+opcode=15 +header-only", CLUSTER, "NOTIMP", "RESERVED15"),
    ("+opcode=UPDATE", CLUSTER, "REFUSED", "UPDATE"),
    ("+edns=1 +noednsneg", CLUSTER, "BADVERS", "QUERY"),
    ("", "loop.shop.svc.cluster.local", "SERVFAIL", "QUERY"),
]


@pytest.mark.needs("dig")
@pytest.mark.parametrize("tcp", ["+notcp", "+tcp"])
@pytest.mark.parametrize(("options", "asked", "status", "opcode"), DIG_ERRORS, ids=[row[0] for row in DIG_ERRORS])
def test_dig_sees_edns_in_errors(names: Program, options: str, asked: str, status: str, opcode: str, tcp: str) -> None:
    """dig, which sends EDNS unless it is told not to, finds it in each error, and none without (RFC 8906 section 8)."""
    server = ["dig", "@127.0.0.1", "-p", str(names.port), "+tries=1", "+timeout=30", "+qr", tcp, *options.split()]
    for edns in ([], ["+noedns"]) if "+edns" not in options else ([],):
        done = subprocess.run([*server, *edns, *asked.split()], capture_output=True, text=True, timeout=60, check=False)
        sent, _, got = done.stdout.partition(";; Got answer:")
        assert f"opcode: {opcode}, status: {status}" in got, done.stdout
        assert ("OPT PSEUDOSECTION" in sent) == ("OPT PSEUDOSECTION" in got) == (not edns), done.stdout


@each_transport
@pytest.mark.parametrize(
    "ignored",
    [
        pytest.param(option(65001, b"anything"), id="unknown"),
        pytest.param(option(10, bytes(8)), id="cookie"),
        pytest.param(option(12, bytes(100)), id="padding"),
        pytest.param(option(3, b""), id="nsid"),
        pytest.param(dns.edns.ECSOption("192.0.2.0", 24), id="client subnet"),
    ],
)
def test_options_without_meaning_are_ignored(names: Program, ignored: dns.edns.Option, transport: Transport) -> None:
    """Unknown options, and those that are not configured, change nothing and are not sent back."""
    response = names.ask(CLUSTER, "A", transport, options=[ignored])
    assert response.rcode() == dns.rcode.NOERROR
    assert len(response.answer) == 1
    assert response.options == ()


@each_transport
def test_reserved_edns_flags_are_zero(names: Program, transport: Transport) -> None:
    """Bits of the OPT record that nobody has defined are not copied."""
    message = header(counts=(1, 0, 0, 1)) + question() + opt(ttl=0x7FFF)
    assert answered(names, message, transport).ednsflags == 0


# --- size and truncation


@pytest.mark.parametrize(
    ("payload", "limit"), [(None, 512), (0, 512), (511, 512), (512, 512), (513, 513), (1232, 1232), (1400, 1400)]
)
def test_truncation(names: Program, payload: int | None, limit: int) -> None:
    """Over UDP no answer is larger than the client takes: TC, and not a part of a record set; over TCP it is whole."""
    edns = {"edns": True, "payload": payload} if payload is not None else {}
    query = dns.message.make_query(CROWDED, "A")
    if payload is not None:
        query.use_edns(0, 0, payload)
    octets = names.exchange_raw(query.to_wire(), "udp")
    assert octets is not None
    assert len(octets) <= limit
    cut = dns.message.from_wire(octets)
    assert cut.flags & dns.flags.TC
    assert cut.answer == []
    assert (cut.opt is not None) == (payload is not None)
    whole = names.ask(CROWDED, "A", "tcp", **edns)  # type: ignore[arg-type]
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == CROWD


def test_truncation_keeps_the_record_sets_that_fit(names: Program) -> None:
    """Of a CNAME and a large set of addresses the CNAME stays, whole, and TC says that there is more."""
    response = names.ask("crowded.shop.svc.cluster.local", "A", "udp")
    assert response.flags & dns.flags.TC
    assert shown(response.answer) == ["crowded.shop.svc.cluster.local CNAME crowd.big.svc.cluster.local"]


def test_large_answer_over_udp(names: Program) -> None:
    """A client that takes a large answer over UDP gets it whole."""
    response = names.ask(CROWDED, "A", "udp", edns=True, payload=4096)
    assert not response.flags & dns.flags.TC
    assert len(response.answer[0]) == CROWD


def test_additional_records_that_do_not_fit_are_no_truncation(names: Program) -> None:
    """An SRV answer of over 512 octets with its addresses comes without some of them, in whole sets, and without TC."""
    response = names.ask("kafka.data.svc.cluster.local", "SRV", "udp")
    assert not response.flags & dns.flags.TC
    assert len(response.answer[0]) == 6
    assert 0 < len(response.additional) < 6
    assert len(names.ask("kafka.data.svc.cluster.local", "SRV", "tcp").additional) == 6


def test_ready_made_answers_of_different_sizes(names: Program) -> None:
    """The size of a prepared answer is the question's: with and without EDNS they do not mix."""
    for _ in range(3):
        assert names.ask(CROWDED, "A", "udp").flags & dns.flags.TC
        assert not names.ask(CROWDED, "A", "udp", edns=True, payload=4096).flags & dns.flags.TC
        assert names.ask(CROWDED, "A", "udp", edns=True, payload=1232).flags & dns.flags.TC


# --- header


@each_transport
@pytest.mark.parametrize("opcode", [number for number in range(16) if number not in (0, 5)])
def test_opcode(names: Program, opcode: int, transport: Transport) -> None:
    """Opcodes other than QUERY are NOTIMP and come back as they were sent."""
    response = answered(names, header(opcode << 11 | 0x0100) + question(), transport)
    assert response.rcode() == dns.rcode.NOTIMP
    assert response.opcode() == opcode
    assert response.flags & (dns.flags.QR | dns.flags.RD | dns.flags.AA) == dns.flags.QR | dns.flags.RD


@each_transport
def test_update_is_refused(names: Program, transport: Transport) -> None:
    """A dynamic update is REFUSED."""
    response = answered(names, header(5 << 11) + question("cluster.local", 6), transport)
    assert (response.rcode(), response.opcode()) == (dns.rcode.REFUSED, dns.opcode.UPDATE)


MALFORMED = [
    ("no question", header(counts=(0, 0, 0, 0))),
    ("two questions", header(counts=(2, 0, 0, 0)) + question() * 2),
    ("65535 questions", header(counts=(65535, 0, 0, 0)) + question()),
    ("no question, EDNS", header(counts=(0, 0, 0, 1)) + opt()),
    ("question cut short", header() + question()[:-1]),
    ("question missing", header()),
    ("label over 63", header() + b"\x40" + bytes(80)),
    ("name over 255", header() + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1"),
    ("compression pointer in the question", header() + b"\xc0\x0c\0\1\0\1"),
    ("octets after the message", header() + question() + b"\0"),
    ("record missing", header(counts=(1, 0, 0, 1)) + question()),
    ("record cut short", header(counts=(1, 0, 0, 1)) + question() + opt()[:-1]),
    ("record data cut short", header(counts=(1, 0, 0, 1)) + question() + opt(b"\0\3\0\0")[:-1]),
    ("two OPT", header(counts=(1, 0, 0, 2)) + question() + opt() * 2),
    ("OPT as an answer", header(counts=(1, 1, 0, 0)) + question() + opt()),
    ("OPT with an owner", header(counts=(1, 0, 0, 1)) + question() + b"\1a" + opt()),
    ("EDNS option cut short", header(counts=(1, 0, 0, 1)) + question() + opt(b"\0\3\0\7a")),
]


@each_transport
@pytest.mark.parametrize("message", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_format_error(names: Program, message: bytes, transport: Transport) -> None:
    """QDCOUNT other than 1, and whatever does not parse, is FORMERR under the ID of the message."""
    assert answered(names, message, transport).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param(b"", "short", id="empty"),
        pytest.param(header()[:11], "short", id="11 octets"),
        pytest.param(header(0x8100) + question(), "response", id="response"),
        pytest.param(header(0x8180 | 5 << 11) + question(), "response", id="response with another opcode"),
    ],
)
def test_dropped(names: Program, message: bytes, reason: str) -> None:
    """A response and a packet of under 12 octets get no answer, are counted, and end a TCP connection."""
    counted = names.metrics().get(IGNORED % reason, 0)
    good = header(identity=0x1234) + question()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(DEADLINE)
        udp.connect(names.servers[0])
        udp.send(message)
        udp.send(good)
        assert udp.recv(4096)[:2] == good[:2], "the first answer is the one to the question that came after"
    assert names.exchange_raw(message, "tcp") is None
    assert names.metrics()[IGNORED % reason] == counted + 2


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")
def test_port_zero_is_dropped(names: Program) -> None:
    """A datagram from port 0, to which nobody can answer, is dropped and counted."""
    counted = names.metrics()[IGNORED % "port_zero"]
    payload = header() + question()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        raw.sendto(struct.pack("!HHHH", 0, names.port, 8 + len(payload), 0) + payload, ("127.0.0.1", 0))
    eventually(lambda: names.metrics()[IGNORED % "port_zero"] == counted + 1)


@each_transport
@pytest.mark.parametrize("name", [CLUSTER, "nothing.shop.svc.cluster.local", OUTSIDE, "loop.shop.svc.cluster.local"])
@pytest.mark.parametrize("identity", [0, 1, 0xFFFF])
@pytest.mark.parametrize("flags", [0, dns.flags.RD, CD, dns.flags.RD | CD | AD | Z | 0x0680 | 0x000F])
def test_header_bits(names: Program, flags: int, identity: int, name: str, transport: Transport) -> None:
    """The ID, RD and CD are copied; RA is set, AA for cluster data only, Z and what only a response may set is not."""
    message = header(flags & 0xFFFF, identity=identity) + question(name)
    octets = names.exchange_raw(message, transport)
    assert octets is not None
    got_identity, got = struct.unpack_from("!HH", octets)
    assert got_identity == identity
    assert got & 0x7800 == 0
    assert got & (dns.flags.RD | CD) == flags & (dns.flags.RD | CD)
    authoritative = name in (CLUSTER, "nothing.shop.svc.cluster.local")
    wanted = dns.flags.QR | dns.flags.RA | (dns.flags.AA if authoritative else 0)
    assert got & ~(dns.flags.RD | CD | 0x000F) == wanted
    assert octets[12 : len(message)] == message[12:]


@each_transport
@pytest.mark.parametrize("rtype", ["AXFR", "IXFR"])
@pytest.mark.parametrize("name", ["cluster.local", "96.10.in-addr.arpa", OUTSIDE])
def test_transfer_is_refused(names: Program, name: str, rtype: str, transport: Transport) -> None:
    """A zone transfer is REFUSED, of the cluster's zones and of all others."""
    response = names.ask(name, rtype, transport)
    assert response.rcode() == dns.rcode.REFUSED
    assert not response.answer


@each_transport
def test_unknown_type_passes_through(names: Program, transport: Transport) -> None:
    """Data of a type that nobody knows comes back octet by octet, though it looks like a compression pointer."""
    response = names.ask(OUTSIDE, "TYPE65400", transport)
    assert response.answer[0][0].to_text() == r"\# 5 00c00c03ff"
    query = dns.message.make_query(OUTSIDE, "TYPE65400").to_wire()
    octets = names.exchange_raw(query, transport)
    assert octets is not None
    assert octets.endswith(b"\0\5\x00\xc0\x0c\x03\xff")


# --- TCP (RFC 7766, 7828, 9210)


@pytest.fixture
def connect(names: Program) -> Iterator[Callable[[], socket.socket]]:
    """Opens TCP connections to the program."""
    opened: list[socket.socket] = []

    def open_one() -> socket.socket:
        opened.append(socket.create_connection(names.servers[0], DEADLINE))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


def test_tcp_answers_as_they_are_ready(connect: Callable[[], socket.socket], corporate: RunningUpstream) -> None:
    """Of several questions in flight each is answered when it can be: a slow upstream holds up only its own."""
    asked = {1: f"slow.{OUTSIDE}", 2: f"fast.{OUTSIDE}", 3: CLUSTER, 4: "nothing.shop.svc.cluster.local"}
    connection = connect()
    connection.sendall(b"".join(framed(header(identity=key) + question(name)) for key, name in asked.items()))
    order = []
    for _ in asked:
        octets = receive_frame(connection)
        assert octets is not None
        response = dns.message.from_wire(octets)
        assert response.question[0].name.to_text(omit_final_dot=True) == asked[response.id]
        order.append(response.id)
    assert order[-1] == 1
    assert order.index(3) < order.index(4) < order.index(2)


def test_tcp_frames_in_pieces(connect: Callable[[], socket.socket]) -> None:
    """A frame that comes octet by octet, and many in one segment, are the same questions."""
    connection = connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in framed(header(identity=7) + question()):
        connection.send(bytes([octet]))
    octets = receive_frame(connection)
    assert octets is not None
    assert octets[:2] == b"\0\7"
    connection.sendall(b"".join(framed(header(identity=key) + question()) for key in range(300)))
    received = [receive_frame(connection) for _ in range(300)]
    assert [octets and int.from_bytes(octets[:2], "big") for octets in received] == list(range(300))


def test_tcp_client_that_asks_no_more(connect: Callable[[], socket.socket]) -> None:
    """A client that closes its half of the connection still gets its answers, and then the end."""
    connection = connect()
    connection.sendall(framed(header(identity=8) + question(f"slow.half.{OUTSIDE}")))
    connection.shutdown(socket.SHUT_WR)
    octets = receive_frame(connection)
    assert octets is not None
    assert octets[:2] == b"\0\x08"
    assert receive_frame(connection) is None


def test_tcp_keepalive(names: Program) -> None:
    """A client that asks for it over TCP learns the idle timeout, in units of 100 ms; over UDP there is none."""
    keepalive = option(11, b"")
    for name in (CLUSTER, "nothing.shop.svc.cluster.local", OUTSIDE):
        response = names.ask(name, "A", "tcp", options=[keepalive])
        assert [(int(got.otype), got.to_wire()) for got in response.options] == [(11, b"\0\x64")]
        assert names.ask(name, "A", "tcp", edns=True).options == ()
        assert names.ask(name, "A", "udp", options=[keepalive]).options == ()


def test_tcp_idle_timeout_and_limits(corporate: RunningUpstream) -> None:
    """An idle connection, and one over the limit of a client, is closed and counted."""
    limited = {"tcp": {"connections_per_client": 2}}
    with (
        Program(CLUSTERS / "names.yaml", settings=limited, upstreams=[corporate.address], http=True) as program,
        socket.create_connection(program.servers[0], DEADLINE) as first,
        socket.create_connection(program.servers[0], DEADLINE) as second,
    ):
        for connection in (first, second):
            connection.sendall(framed(header() + question()))
            assert receive_frame(connection) is not None
        assert program.exchange_raw(header() + question(), "tcp") is None
        assert program.metrics()["dnsbridge_tcp_rejected_total"] == 1
    brief = {"tcp": {"idle_timeout": "200ms"}}
    with (
        Program(CLUSTERS / "names.yaml", settings=brief, upstreams=[corporate.address], http=True) as program,
        socket.create_connection(program.servers[0], DEADLINE) as first,
        socket.create_connection(program.servers[0], DEADLINE) as second,
    ):
        assert receive_frame(first) is None
        assert receive_frame(second) is None
        eventually(lambda: program.metrics()["dnsbridge_tcp_idle_closed_total"] == 2)


# --- access


@pytest.mark.parametrize("name", [CLUSTER, OUTSIDE, "loop.shop.svc.cluster.local"])
def test_client_outside_the_access_list(name: str, corporate: RunningUpstream) -> None:
    """A client that may not ask is REFUSED over both transports and families, and nothing is asked for it."""
    before = corporate.count()
    settings = {"access": {"allow": ["192.0.2.0/24", "2001:db8::/32"]}}
    with Program(CLUSTERS / "names.yaml", settings=settings, upstreams=[corporate.address], http=True) as program:
        asked = 0
        for server in (0, 1):
            for transport in ("udp", "tcp", "udp"):
                response = program.ask(name, "A", "tcp" if transport == "tcp" else "udp", edns=True, server=server)
                assert response.rcode() == dns.rcode.REFUSED
                assert response.answer == []
                assert [got.code for got in response.options if isinstance(got, dns.edns.EDEOption)] == [18]
                asked += 1
        assert program.metrics()["dnsbridge_clients_denied_total"] == asked
    assert corporate.count() == before


def test_client_outside_the_access_list_in_silence(corporate: RunningUpstream) -> None:
    """With `denied: drop` a client that may not ask gets nothing at all, which is counted."""
    settings = {"access": {"allow": ["192.0.2.0/24"], "denied": "drop"}}
    with (
        Program(CLUSTERS / "names.yaml", settings=settings, upstreams=[corporate.address], http=True) as program,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.connect(program.servers[0])
        udp.send(header() + question())
        assert program.exchange_raw(header() + question(), "tcp") is None
        eventually(lambda: program.metrics()["dnsbridge_clients_denied_total"] == 2)
        udp.setblocking(False)
        with pytest.raises(BlockingIOError):
            udp.recv(4096)

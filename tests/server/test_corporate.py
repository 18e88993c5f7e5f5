"""The program in front of a corporate DNS, which is Knot DNS: what is forwarded comes back as Knot says it.

    corp.example        at the first Knot
    lab.corp.example    at a second one, with other data than the first has below that name
    failover.example    first a closed port, then a server that never answers, then the first Knot
    dead.example        a closed port only

There is no forward zone for all other names.
"""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from tests.support.knot import Knot
from tests.support.program import TRANSPORTS, Program, Transport, closed_port, records
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.needs("knotd")

EXAMPLE = Path(__file__).parent.parent.parent / "dnsbridge" / "example" / "cluster.yaml"
ALL_ATTEMPTS = 3.0
"""Seconds: a question ends after 2.4, and a busy machine may be late."""

HEAD = """$ORIGIN {zone}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
"""
MANY_TEXTS = "\n".join(
    f'texts TXT "{number:03} of the many texts, each long enough to count {"x" * 20}"' for number in range(40)
)
MANY_ADDRESSES = "\n".join(f"addresses A 192.0.2.{number}" for number in range(1, 101))
CORPORATE = f"""{HEAD.format(zone="corp.example")}
www A 192.0.2.10
www A 192.0.2.11
www AAAA 2001:db8::10
@ MX 10 mail
@ MX 20 mail.elsewhere.example.
mail A 192.0.2.25
text TXT "one" "two words" "caf\\195\\169 \\"quoted\\""
unknown TYPE65280 \\# 7 00DEADBEEF00FF
service HTTPS 1 . alpn=h2,h3 port=8443
call SRV 1 2 5060 www
cert CAA 0 issue "ca.example"
chain CNAME chain1
chain1 CNAME chain2
chain2 CNAME chain3
chain3 CNAME www
dangling CNAME nowhere
*.wild A 192.0.2.77
www.lab A 192.0.2.200
{MANY_TEXTS}
{MANY_ADDRESSES}
"""
LAB = HEAD.format(zone="lab.corp.example") + "www A 192.0.2.100\n"
FAILOVER = HEAD.format(zone="failover.example") + "* A 192.0.2.30\n"

EXTERNAL_NAMES = {
    "intranet": "www.corp.example",
    "chained": "chain.corp.example",
    "texts": "texts.corp.example",
    "gone": "nowhere.corp.example",
    "unreachable": "www.dead.example",
    "outside": "www.elsewhere.example",
    "inside": "web.shop.svc.cluster.local",
    "headless": "kafka.data.svc.cluster.local",
    "circle": "circle.shop.svc.cluster.local",
    "far": "intranet.shop.svc.cluster.local",
}
SERVICE = """---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{type: ExternalName, externalName: {target}}}
"""


class Office(NamedTuple):
    """What runs."""

    program: Program
    corporate: Knot


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Both Knots, a server that never answers, and the program in front of them."""
    folder = tmp_path_factory.mktemp("office")
    manifests = folder / "manifests"
    manifests.mkdir()
    shutil.copy(EXAMPLE, manifests)
    services = "".join(SERVICE.format(name=name, target=target) for name, target in EXTERNAL_NAMES.items())
    (manifests / "external.yaml").write_text(services, encoding="utf-8")
    with ExitStack() as running:
        zones = {"corp.example": CORPORATE, "failover.example": FAILOVER}
        corporate = running.enter_context(Knot(folder / "corporate", zones))
        lab = running.enter_context(Knot(folder / "lab", {"lab.corp.example": LAB}))
        silent = running.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", 0))
        closed = running.enter_context(closed_port())
        failing = [f"127.0.0.1:{held.getsockname()[1]}" for held in (closed, silent)]
        forward = {
            "corp.example": [f"127.0.0.1:{corporate.port}"],
            "lab.corp.example": [f"127.0.0.1:{lab.port}"],
            "failover.example": [*failing, f"127.0.0.1:{corporate.port}"],
            "dead.example": failing[:1],
        }
        settings = {"forward": [{"zone": zone, "upstreams": upstreams} for zone, upstreams in forward.items()]}
        program = running.enter_context(Program(manifests, settings=settings, upstreams=None))
        yield Office(program, corporate)


def same(said: dns.message.Message, got: dns.message.Message) -> None:
    """Nothing is missing of what was asked, nothing is beside it, and TTLs are at most those of the source."""
    assert got.rcode() == said.rcode()
    for theirs, ours in zip(said.sections[1:3], got.sections[1:3], strict=True):
        assert sorted(rrset.to_text() for rrset in ours) == sorted(
            rrset.to_text() for rrset in _aged(theirs, {each.name: each.ttl for each in ours})
        )
        assert all(0 < each.ttl <= rrset.ttl for rrset in theirs for each in ours if each.name == rrset.name)
    assert got.additional == []


def _aged(section: list[dns.rrset.RRset], ttls: dict[dns.name.Name, int]) -> list[dns.rrset.RRset]:
    """The record sets of an answer with the TTLs of another."""
    aged = []
    for rrset in section:
        aged.append(dns.rrset.from_rdata_list(rrset.name, ttls.get(rrset.name, -1), list(rrset)))
    return aged


FORWARDED = [
    ("www.corp.example", "A"),
    ("www.corp.example", "AAAA"),
    ("corp.example", "MX"),
    ("corp.example", "SOA"),
    ("corp.example", "NS"),
    ("text.corp.example", "TXT"),
    ("unknown.corp.example", "TYPE65280"),
    ("service.corp.example", "HTTPS"),
    ("call.corp.example", "SRV"),
    ("cert.corp.example", "CAA"),
    ("chain.corp.example", "A"),
    ("chain.corp.example", "CNAME"),
    ("chain.corp.example", "MX"),
    ("dangling.corp.example", "A"),
    ("any-name.wild.corp.example", "A"),
    ("www.corp.example", "MX"),
    ("nowhere.corp.example", "A"),
    ("WwW.cOrP.eXaMpLe", "A"),
    ("texts.corp.example", "TXT"),
    ("addresses.corp.example", "A"),
]


@pytest.mark.parametrize(("name", "rtype"), FORWARDED)
def test_forwarded_answers_are_those_of_knot(office: Office, name: str, rtype: str) -> None:
    """Over TCP every answer is Knot's own: RCODE, answer, the SOA of a negative one; AA is gone and RA is there."""
    said = office.corporate.ask(name, rtype, tcp=True)
    got = office.program.ask(name, rtype, "tcp", edns=True)
    same(said, got)
    assert got.question[0].name.labels == said.question[0].name.labels
    assert said.flags & dns.flags.AA
    assert not got.flags & dns.flags.AA
    assert got.flags & dns.flags.RA


@pytest.mark.parametrize(("name", "rtype"), [case for case in FORWARDED if not case[0].startswith(("texts", "addre"))])
def test_small_answers_are_the_same_over_udp(office: Office, name: str, rtype: str) -> None:
    """What fits a datagram comes in one, with Knot's data."""
    said = office.corporate.ask(name, rtype)
    got = office.program.ask(name, rtype, edns=True)
    assert not got.flags & dns.flags.TC
    same(said, got)


@pytest.mark.parametrize(
    ("name", "rtype", "count"), [("texts.corp.example", "TXT", 40), ("addresses.corp.example", "A", 100)]
)
def test_large_answers_are_truncated_over_udp_and_whole_over_tcp(
    office: Office, name: str, rtype: str, count: int
) -> None:
    """An answer over the client's size has TC and no part of a record set; TCP, or a larger size, gives it whole."""

    def counts(response: dns.message.Message) -> int:
        return sum(len(rrset) for rrset in response.answer)

    for payload in (False, 512, 1232):
        query = dns.message.make_query(name, rtype)
        if payload:
            query.use_edns(0, 0, payload)
        octets = office.program.exchange_raw(query.to_wire())
        assert octets is not None
        assert len(octets) <= (payload or 512)
        cut = dns.message.from_wire(octets)
        assert cut.flags & dns.flags.TC, f"payload {payload}"
        assert counts(cut) == 0
    assert counts(office.program.ask(name, rtype, "tcp")) == count
    large = office.program.ask(name, rtype, edns=True, payload=4096)
    assert counts(large) == count
    assert not large.flags & dns.flags.TC


def test_the_longest_forward_zone_is_asked(office: Office) -> None:
    """lab.corp.example goes to its own server, although that of corp.example has data for it too."""
    assert office.corporate.ask("www.lab.corp.example", "A").rcode() == dns.rcode.NOERROR
    got = office.program.ask("www.lab.corp.example")
    assert records(got.answer) == ["www.lab.corp.example. 300 IN A 192.0.2.100"]


def test_upstreams_that_fail_are_passed_over(office: Office) -> None:
    """A closed port and a silent server cost no answer (how long they take: see the unit tests of forwarding)."""
    for number in range(6):
        got = office.program.ask(f"w{number}.failover.example")
        assert records(got.answer) == [f"w{number}.failover.example. 300 IN A 192.0.2.30"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_no_upstream_answers(office: Office, transport: Transport) -> None:
    """SERVFAIL with No Reachable Authority (22) to those who sent EDNS, and without to those who did not."""
    got = office.program.ask("www.dead.example", transport=transport, edns=True)
    assert got.rcode() == dns.rcode.SERVFAIL
    assert [option.code for option in got.extended_errors()] == [22]
    plain = office.program.ask("www.dead.example", transport=transport)
    assert plain.rcode() == dns.rcode.SERVFAIL
    assert plain.edns < 0


def test_no_forward_zone_has_the_name(office: Office) -> None:
    """REFUSED with Not Authoritative (20), at once."""
    got = office.program.ask("www.elsewhere.example", edns=True)
    assert got.rcode() == dns.rcode.REFUSED
    assert [option.code for option in got.extended_errors()] == [20]


EXTERNAL = [
    ("intranet", "A", "NOERROR", ["intranet CNAME www.corp.example.", "A 192.0.2.10", "A 192.0.2.11"]),
    ("intranet", "AAAA", "NOERROR", ["intranet CNAME www.corp.example.", "AAAA 2001:db8::10"]),
    ("intranet", "MX", "NOERROR", ["intranet CNAME www.corp.example."]),
    ("intranet", "CNAME", "NOERROR", ["intranet CNAME www.corp.example."]),
    (
        "chained",
        "A",
        "NOERROR",
        [
            "chained CNAME chain.corp.example.",
            "CNAME chain1.corp.example.",
            "CNAME chain2.corp.example.",
            "CNAME chain3.corp.example.",
            "CNAME www.corp.example.",
            "A 192.0.2.10",
            "A 192.0.2.11",
        ],
    ),
    ("gone", "A", "NXDOMAIN", ["gone CNAME nowhere.corp.example."]),
    ("unreachable", "A", "SERVFAIL", []),
    ("unreachable", "CNAME", "NOERROR", ["unreachable CNAME www.dead.example."]),
    ("outside", "A", "NOERROR", ["outside CNAME www.elsewhere.example."]),
    ("inside", "A", "NOERROR", ["inside CNAME web.shop.svc.cluster.local.", "A 10.96.12.34"]),
    (
        "headless",
        "A",
        "NOERROR",
        ["headless CNAME kafka.data.svc.cluster.local.", "A 10.244.0.50", "A 10.244.1.51", "A 10.244.2.52"],
    ),
    ("circle", "A", "SERVFAIL", []),
    (
        "far",
        "A",
        "NOERROR",
        [
            "far CNAME intranet.shop.svc.cluster.local.",
            "intranet CNAME www.corp.example.",
            "A 192.0.2.10",
            "A 192.0.2.11",
        ],
    ),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("service", "rtype", "rcode", "expected"), EXTERNAL)
def test_external_names(
    office: Office, transport: Transport, service: str, rtype: str, rcode: str, expected: list[str]
) -> None:
    """An ExternalName gives its CNAME and what the target gives, whose RCODE it has (RFC 6604)."""
    got = office.program.ask(f"{service}.shop.svc.cluster.local", rtype, transport, edns=True)
    assert dns.rcode.to_text(got.rcode()) == rcode
    lines = []
    for line in records(got.answer):
        owner, _, _, kind, data = line.split(None, 4)
        cluster = owner.endswith(".svc.cluster.local.") and kind == "CNAME"
        lines.append(f"{owner.partition('.')[0]} {kind} {data}" if cluster else f"{kind} {data}")
    assert sorted(lines) == sorted(expected)
    if rcode == "SERVFAIL":
        assert got.extended_errors()
    elif len(got.answer) == 1 and service in ("gone", "intranet") and rtype != "CNAME":
        assert [line.split()[3] for line in records(got.authority)] == ["SOA"], "a negative answer needs the SOA"


def test_a_large_answer_behind_an_external_name(office: Office) -> None:
    """The chain is truncated over UDP like any answer, and is whole over TCP."""
    name = "texts.shop.svc.cluster.local"
    cut = office.program.ask(name, "TXT", edns=True)
    assert cut.flags & dns.flags.TC
    whole = office.program.ask(name, "TXT", "tcp", edns=True)
    assert not whole.flags & dns.flags.TC
    assert [len(rrset) for rrset in whole.answer] == [1, 40]


DIG = [
    (["www.corp.example"], ["192.0.2.10", "192.0.2.11"]),
    (["-x", "10.96.12.34"], ["web.shop.svc.cluster.local."]),
    (["-t", "TYPE65280", "unknown.corp.example"], [r"\# 7 00DEADBEEF00FF"]),
    (["intranet.shop.svc.cluster.local"], ["192.0.2.10", "192.0.2.11", "www.corp.example."]),
    (["+tcp", "www.corp.example", "AAAA"], ["2001:db8::10"]),
    (["addresses.corp.example"], [f"192.0.2.{number}" for number in range(1, 101)]),
    (["+noedns", "web.shop.svc.cluster.local"], ["10.96.12.34"]),
]


@pytest.mark.needs("dig")
@pytest.mark.parametrize(("arguments", "expected"), DIG)
def test_dig(office: Office, arguments: list[str], expected: list[str]) -> None:
    """dig, with its cookie, and with its second try over TCP when an answer is truncated."""
    command = [
        "dig",
        "@127.0.0.1",
        "-p",
        str(office.program.port),
        "+short",
        "+tries=1",
        "+timeout=30",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stdout
    shown = [line for line in done.stdout.splitlines() if not line.startswith(";;")]
    assert sorted(shown) == sorted(expected)

"""What is gathered from servers and ports on loopback: answers, refusals, silence."""

import asyncio
import socket
from collections.abc import Sequence

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dnsbridge.app.doctor import ask as asking
from dnsbridge.app.doctor.ask import ask, ask_more
from dnsbridge.app.doctor.connect import connect
from dnsbridge.doctor.facts import Reply
from tests.support import scripted_upstream
from tests.support.program import RunningUpstream
from tests.support.properties import examples
from tests.support.scripted_upstream import Behaviour, ScriptedUpstream, answer, raw, silence

NAME = "web.shop.svc.cluster.local"


A, AAAA = answer("@ 5 IN A 10.96.12.34"), answer("@ 5 IN AAAA fd00:10:96::22")


def both(message: bytes) -> Sequence[scripted_upstream.Reply]:
    """An address of each family."""
    return (A if dns.message.from_wire(message).question[0].rdtype == dns.rdatatype.A else AAAA)(message)


HOSTILE = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "no\x1b[31m signature")
BOGUS = answer(rcode=dns.rcode.SERVFAIL, options=[HOSTILE])


@pytest.mark.parametrize(
    ("behave", "rcode", "addresses", "errors"),
    [
        pytest.param(both, "NOERROR", ("10.96.12.34", "fd00:10:96::22"), (), id="both families"),
        pytest.param(answer(rcode=dns.rcode.NXDOMAIN), "NXDOMAIN", (), (), id="no such name"),
        pytest.param(answer(), "NOERROR", (), (), id="no data"),
        pytest.param(BOGUS, "SERVFAIL", (), ("6 no [31m signature",), id="an extended error"),
    ],
)
def test_answers(behave: Behaviour, rcode: str, addresses: tuple[str, ...], errors: tuple[str, ...]) -> None:
    """The RCODE, addresses in order, and extended errors in printable form."""
    with RunningUpstream(ScriptedUpstream(behave)) as upstream:
        host, _, port = upstream.address.rpartition(":")
        assert ask(host, int(port), NAME) == Reply(upstream.address, rcode, addresses, errors=errors)


@pytest.mark.parametrize(
    ("behave", "problem"),
    [
        pytest.param(silence, "no answer within 0.2 s", id="silence"),
        pytest.param(raw(lambda _: bytes(3)), "what it answers is no DNS message", id="garbage"),
    ],
)
def test_no_answer(behave: Behaviour, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why there is none, in a few words."""
    monkeypatch.setattr(asking, "TIMEOUT", 0.2)
    with RunningUpstream(ScriptedUpstream(behave)) as upstream:
        host, _, port = upstream.address.rpartition(":")
        assert ask(host, int(port), NAME) == Reply(upstream.address, problem=problem)


def test_a_closed_port() -> None:
    """Nobody is there: that is known at once."""
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        held.connect(("127.0.0.1", 1))
        port = held.getsockname()[1]
        assert ask("127.0.0.1", port, NAME) == Reply(f"127.0.0.1:{port}", problem="connection refused")


def validates(message: bytes) -> Sequence[scripted_upstream.Reply]:
    """It fails unless it is told to leave validation."""
    left = dns.message.from_wire(message).flags & dns.flags.CD
    return (both if left else answer(rcode=dns.rcode.SERVFAIL))(message)


def denies(zone: str) -> Behaviour:
    """No such name, says this zone."""

    def denied(message: bytes) -> bytes:
        response = dns.message.make_response(dns.message.from_wire(message))
        response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_text(zone, 5, "IN", "SOA", "ns. hostmaster. 1 1 1 1 5"))
        return response.to_wire()

    return raw(denied)


@pytest.mark.parametrize(
    ("behave", "unchecked", "has_zone"),
    [
        pytest.param(validates, ("10.96.12.34", "fd00:10:96::22"), False, id="it validates"),
        pytest.param(denies("Cluster.Local."), (), True, id="it has the zone"),
        pytest.param(denies("."), (), False, id="it has another zone"),
        pytest.param(raw(lambda message: message[:2] + bytes(9)), (), False, id="garbage"),
    ],
)
def test_why_an_answer_is_wrong(behave: Behaviour, unchecked: tuple[str, ...], has_zone: bool) -> None:
    """The answer without validation, and to a name that nobody has asked for."""
    with RunningUpstream(ScriptedUpstream(behave)) as upstream:
        host, _, port = upstream.address.rpartition(":")
        before = Reply(upstream.address, "SERVFAIL")
        found = ask_more(before, host, int(port), NAME, "cluster.local")
        assert found == structs.replace(before, unchecked=unchecked, has_zone=has_zone)


@examples(30)
@given(st.binary(max_size=60))
def test_hostile_octets(octets: bytes) -> None:
    """Whatever comes after the ID is a reply or none, and never an error."""
    with RunningUpstream(ScriptedUpstream(raw(lambda message: message[:2] + octets))) as upstream:
        host, _, port = upstream.address.rpartition(":")
        found = ask(host, int(port), NAME)
        assert found.rcode or found.problem


def test_connections() -> None:
    """An open port and a closed one."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert asyncio.run(connect("127.0.0.1", port)).result == "refused"
        listening.listen()
        found = asyncio.run(connect("127.0.0.1", port))
        assert (found.result, found.mtu > 1280) == ("open", True)

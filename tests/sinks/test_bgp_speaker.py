"""What ExaBGP is told and says, as text, and what a BGP speaker cannot be."""

import asyncio
import importlib.util
import json
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.routes.model import NextHop, Route
from dnsbridge.routes.sink import SinkProblem
from dnsbridge.sinks.bgp.events import Answer, Down, Negotiated, Sent, Up, event
from dnsbridge.sinks.bgp.process import ExaBgp
from dnsbridge.sinks.bgp.sink import BgpSink
from dnsbridge.sinks.bgp.speaker import Peer, Speaker, announced, configuration, fault
from tests.sinks.routers import routes

PEER = Peer(ip_address("10.0.0.2"), 65200)
US = Speaker(64513, (PEER,))


@pytest.mark.parametrize(
    ("speaker", "problem"),
    [
        (US, ""),
        (Speaker(0, (PEER,)), "routes.bgp.asn"),
        (Speaker(64513, ()), "routes.bgp.peers"),
        (Speaker(64513, (Peer(PEER.address, 0),)), "peer 10.0.0.2 is missing"),
        (Speaker(64513, (PEER, PEER)), "10.0.0.2 is there twice"),
        (Speaker(64513, (Peer(PEER.address, 1, password=b"x" * 81),)), "over 80 octets"),
        (Speaker(64513, (PEER,), local_address=ip_address("fd00::1")), "routes.bgp.local_address fd00::1"),
        (Speaker(64513, (Peer(ip_address("fd00::2"), 1),)), "routes.bgp.router_id"),
        (Speaker(64513, (Peer(ip_address("fd00::2"), 1),), IPv4Address("10.0.0.1")), ""),
    ],
)
def test_fault(speaker: Speaker, problem: str) -> None:
    """What is missing is said in one line that names the setting, before anything is started."""
    assert problem in fault(speaker)
    assert bool(problem) == bool(fault(speaker))
    if problem:
        with pytest.raises(SinkProblem, match=r"^bgp: [^\n]+$"):
            asyncio.run(BgpSink(speaker).apply(()))


@pytest.mark.parametrize(
    ("prefix", "hops", "expected"),
    [
        ("10.1.0.0/24", [NextHop(ip_address("10.0.0.6")), NextHop(ip_address("10.0.0.5"))], "10.0.0.5"),
        ("10.1.0.0/24", [NextHop(ip_address("10.0.0.5")), NextHop(ip_address("10.0.0.6"), weight=2)], "10.0.0.6"),
        ("fd00::/64", [NextHop(ip_address("fe80::1"), "eth0"), NextHop(ip_address("fd00::9"))], "fd00::9"),
        ("10.1.0.0/24", [NextHop(None, "eth0")], "has only: dev eth0"),
        ("10.1.0.0/24", [NextHop(ip_address("fd00::9"))], "has only: via fd00::9"),
        ("fd00::/64", [NextHop(ip_address("fe80::1"), "eth0")], "has only: via fe80::1 dev eth0"),
    ],
)
def test_announced(prefix: str, hops: list[NextHop], expected: str) -> None:
    """Of several next hops the heaviest, then the lowest address; what BGP cannot announce is said."""
    assert expected in str(announced(Route(ip_network(prefix), tuple(hops))))


@given(st.binary(min_size=1, max_size=80))
def test_password_cannot_be_configuration(password: bytes) -> None:
    """Whatever is in a password, the configuration has the same lines with the same words but one."""
    plain = configuration(Speaker(64513, (Peer(PEER.address, 65200, password=b"x"),)), "true", {}).split()
    odd = configuration(Speaker(64513, (Peer(PEER.address, 65200, password=password),)), "true", {}).split()
    assert [at for at, (one, other) in enumerate(zip(plain, odd, strict=True)) if one != other] in (
        [],
        [plain.index("md5-password") + 1],
    )


def test_routes_are_in_the_configuration() -> None:
    """A speaker starts with its routes, so that peers are never told that there are none."""
    [route] = routes("10.1.0.0/24 via 10.0.0.5")
    text = configuration(US, "true", {route.prefix: ip_address("10.0.0.5")})
    assert "route 10.1.0.0/24 next-hop 10.0.0.5;" in text
    assert "graceful-restart 120;" in text
    assert "graceful-restart" not in configuration(Speaker(64513, (PEER,), graceful_restart=0), "true", {})


NEIGHBOR = '"neighbor": {"address": {"local": "10.0.0.1", "peer": "10.0.0.2"}, '


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("done", Answer(True)),
        ("error", Answer(False)),
        (f'{{"type": "state", {NEIGHBOR} "state": "up"}}}}', Up(PEER.address)),
        (f'{{"type": "state", {NEIGHBOR} "state": "connected"}}}}', None),
        (f'{{"type": "state", {NEIGHBOR} "state": "down", "reason": "closing connection"}}}}', Down(PEER.address, "")),
        (
            f'{{"type": "state", {NEIGHBOR} "state": "down", "reason": "notification received (2,2)"}}}}',
            Down(PEER.address, "it ended it with Bad Peer AS (BGP code 2, subcode 2)"),
        ),
        (
            f'{{"type": "state", {NEIGHBOR} "state": "down", "reason": "notification sent (9,9)"}}}}',
            Down(PEER.address, "we ended it with an error (BGP code 9, subcode 9)"),
        ),
        (
            f'{{"type": "negotiated", {NEIGHBOR} "negotiated": {{"families": ["ipv4 unicast"]}}}}}}',
            Negotiated(PEER.address, frozenset({4})),
        ),
        (
            f'{{"type": "update", {NEIGHBOR} "direction": "send", "message": {{"update": {{'
            '"announce": {"ipv4 unicast": {"10.0.0.5": [{"nlri": "10.1.0.0/24"}]}},'
            '"withdraw": {"ipv6 unicast": [{"nlri": "fd00::/64"}]}}}}}',
            Sent(PEER.address, ((ip_network("10.1.0.0/24"), ip_address("10.0.0.5")),), (ip_network("fd00::/64"),)),
        ),
        (f'{{"type": "update", {NEIGHBOR} "direction": "send", "message": {{"eor": {{"afi": "ipv4"}}}}}}}}', None),
        ("exabgp 5.0.15", None),
        ("{}", None),
        ('{"type": "state", "neighbor": {"address": {"peer": "x"}, "state": "up"}}', None),
        ('{"type": "state", "neighbor": 3}', None),
    ],
)
def test_event(line: str, expected: Any) -> None:
    """Each line of ExaBGP's API that says something about routes is a value, and every other one is nothing."""
    assert event(line) == expected


@given(st.text())
def test_event_never_raises(line: str) -> None:
    """No line is an exception."""
    event(line)


def test_without_exabgp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ExaBGP the problem says how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SinkProblem, match=r"^bgp: ExaBGP is not installed; pip install 'dnsbridge\[bgp\]'$"):
        asyncio.run(BgpSink(Speaker(64513, (PEER,), IPv4Address("10.0.0.1"))).apply(()))


def test_exabgp_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ExaBGP that ends at once is a problem in one line with its own words, and nothing is left of it."""
    monkeypatch.setattr("dnsbridge.sinks.bgp.process.configuration", lambda *_: "neighbor 10.0.0.2 {\n  nonsense;\n}\n")
    with pytest.raises(SinkProblem, match=r"^bgp: ExaBGP does not start: .*nonsense[^\n]*$"):
        asyncio.run(BgpSink(Speaker(64513, (PEER,), IPv4Address("10.0.0.1"))).apply(()))


def test_sessions_that_begin_and_end_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """One line each, with why; attempts that never came to a session give none here."""
    caplog.set_level("INFO")

    def state(text: str, reason: str = "") -> str:
        neighbor = {"address": {"peer": str(PEER.address)}, "state": text, "reason": reason}
        return json.dumps({"type": "state", "neighbor": neighbor})

    child = ExaBgp(US)
    for line in (
        state("down", "notification received (6,5)"),
        state("up"),
        state("down", "notification received (6,2)"),
        state("down", "peer reset"),
        state("up"),
        state("down", "peer reset"),
    ):
        said = event(line)
        assert isinstance(said, Up | Down)
        child.heard(said)
    assert [(each.getMessage(), each.__dict__["event"]) for each in caplog.records] == [
        ("BGP peer 10.0.0.2: session established", "bgp_session_up"),
        (
            "BGP peer 10.0.0.2: session ended: it ended it with Administrative Shutdown (BGP code 6, subcode 2)",
            "bgp_session_down",
        ),
        ("BGP peer 10.0.0.2: session established", "bgp_session_up"),
        ("BGP peer 10.0.0.2: session ended: the connection has ended", "bgp_session_down"),
    ]

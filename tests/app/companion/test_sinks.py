"""From the settings of routes to sinks: each with what is said, and in one line what is not."""

import asyncio
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from dnsbridge.app.companion.sinks import sinks_of
from dnsbridge.config import Routes
from dnsbridge.config.routes import Bgp, BgpPeer, Bird, Kernel, RoutesFile
from dnsbridge.routes.model import NextHop, Reached, Route
from dnsbridge.routes.sink import Held, SinkProblem

ROUTE = Route(ip_network("10.233.98.0/24"), (NextHop(ip_address("10.200.20.105")),))
PEER = BgpPeer(ip_address("10.0.0.2"), asn=2)


def test_names_and_order() -> None:
    """Each name is its sink, once, in the order of the setting; the kernel where nothing is said."""
    routes = Routes(
        sinks=("file", "bird", "frr", "bgp", "kernel", "bird"),
        file=RoutesFile(Path("/x")),
        bgp=Bgp(asn=1, peers=(PEER,)),
    )
    assert [sink.name for sink in sinks_of(routes)] == ["file", "bird", "frr", "bgp", "kernel"]
    assert [sink.name for sink in sinks_of(Routes())] == ["kernel"]


@pytest.mark.parametrize(
    ("routes", "problem"),
    [
        (Routes(sinks=("bgp",), bgp=Bgp(peers=(PEER,))), "set routes.bgp.asn"),
        (Routes(sinks=("bgp",), bgp=Bgp(asn=1)), "set routes.bgp.peers"),
        (Routes(sinks=("bgp",), bgp=Bgp(asn=1, peers=(BgpPeer(asn=2),))), r"set routes.bgp.peers\[\].address"),
        (Routes(sinks=("bgp",), bgp=Bgp(asn=1, router_id=ip_address("fd00::1"))), "set routes.bgp.router_id"),
        (
            Routes(sinks=("bgp",), bgp=Bgp(asn=1, peers=(BgpPeer(PEER.address, asn=2, password_file=Path("/none")),))),
            "/none cannot be read: No such file",
        ),
        (Routes(sinks=("bgp",), bgp=Bgp(asn=1, peers=(PEER,))), "announce with dnsbridge routes run"),
        (Routes(sinks=("file",)), "set routes.file.path"),
        (Routes(sinks=("file",), file=RoutesFile(Path("/none/routes"))), "/none/.* cannot be written"),
        (Routes(sinks=("file",), file=RoutesFile(Path("/dev/full"))), "/dev/full is no regular file; name another"),
        (Routes(sinks=("bird",), bird=Bird(Path("/none/routes"), Path("/none/bird.conf"))), "bird.conf does not exist"),
    ],
)
def test_what_is_missing(routes: Routes, problem: str) -> None:
    """A command that gives a sink a route is told what the sink lacks."""

    async def apply() -> None:
        [sink] = sinks_of(routes)
        await sink.apply((ROUTE,))

    with pytest.raises(SinkProblem, match=problem) as caught:
        asyncio.run(apply())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("routes", "problem"),
    [
        (Routes(kernel=Kernel(protocol=12)), "protocol 12 is bird's, whose routes would be taken for ours"),
        (Routes(sinks=("bgp",)), "set routes.bgp.asn"),
        (Routes(sinks=("bgp",), bgp=Bgp(asn=1, peers=(PEER, PEER))), "peer 10.0.0.2 is there twice"),
        (Routes(sinks=("file",), file=RoutesFile(Path("/x"), "netplan")), "netplan is for one interface, which no"),
    ],
)
def test_what_no_time_heals(routes: Routes, problem: str) -> None:
    """Settings that can never work are refused before anything begins: `routes run` would complain for ever."""
    with pytest.raises(SinkProblem, match=problem):
        sinks_of(routes, lasting=True)


def test_bgp_in_a_command_that_ends() -> None:
    """A plan for BGP, and a withdrawal, need no session: a process that has just begun announces nothing."""
    [sink] = sinks_of(Routes(sinks=("bgp",), bgp=Bgp(asn=1, peers=(PEER,))))
    assert asyncio.run(sink.held()) == Held()
    assert asyncio.run(sink.apply(())) == Reached()
    assert asyncio.run(sink.withdraw()) == Reached()


@pytest.mark.parametrize(("octets", "problem"), [(b"", "is empty"), (b"\n", "is empty"), (b"x" * 81, "over 80 octets")])
def test_password_file(tmp_path: Path, octets: bytes, problem: str) -> None:
    """A password file without a password, or with more than TCP takes, is noticed."""
    file = tmp_path / "password"
    file.write_bytes(octets)
    routes = Routes(sinks=("bgp",), bgp=Bgp(asn=1, peers=(BgpPeer(PEER.address, asn=2, password_file=file),)))

    async def apply() -> None:
        [sink] = sinks_of(routes, lasting=True)
        await sink.apply((ROUTE,))

    with pytest.raises(SinkProblem, match=problem):
        asyncio.run(apply())


def test_file(tmp_path: Path) -> None:
    """The file has the format of the settings."""
    [sink] = sinks_of(Routes(sinks=("file",), file=RoutesFile(tmp_path / "routes", "route-add")))
    assert asyncio.run(sink.apply((ROUTE,))) == Reached((ROUTE,))
    text = (tmp_path / "routes").read_text(encoding="utf-8")
    assert "route add -net 10.233.98.0 netmask 255.255.255.0 gw 10.200.20.105" in text

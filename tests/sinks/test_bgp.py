"""The sink `bgp` on real routers: FRR, BIRD 2 and GoBGP as switches that take routes from a host (field case 1)."""

import os
import signal
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import pytest

from dnsbridge.routes.model import Reached
from dnsbridge.sinks.bgp.sink import BgpSink
from dnsbridge.sinks.bgp.speaker import Peer, Speaker
from tests.sinks.routers import (
    ALL,
    BIRD_ADDRESS,
    BY_IPV6,
    FRR_ADDRESS,
    IPV4_ONLY,
    MAIN,
    OTHER_AS,
    OUR_AS,
    PASSWORD,
    THEIR_AS,
    WITH_PASSWORD,
    Routers,
    routes,
    speaker,
    told,
)
from tests.support.namespace import Namespace
from tests.support.program import eventually
from tests.support.remote_sink import RemoteSink

pytestmark = pytest.mark.needs("netns", "bgpd", "vtysh", "bird", "birdc", "gobgpd", "gobgp")

CASE_1 = routes("""
10.233.98.0/24  via 10.200.20.105
10.233.110.0/24 via 10.200.20.107
10.233.112.0/24 via 10.200.20.106
10.233.115.0/24 via 10.200.20.108
10.233.0.0/18   via 10.200.20.105 10.200.20.106
fd00:98::/64    via fd00:20::105
""")
"""The blocks of field case 1, each by its own node, the services by two gateways, and a block of IPv6."""
NOT_READY = tuple(route for route in CASE_1 if str(route.prefix) != "10.233.110.0/24")
"""The same without the node 10.200.20.107."""


@pytest.fixture(scope="module")
def routers() -> Iterator[Routers]:
    """The network, for all tests: each host announces in one test only."""
    with Routers() as built:
        yield built


@pytest.fixture(scope="module")
def main(routers: Routers) -> Namespace:
    """The host that all routers take routes from."""
    return routers.host(MAIN, "fd00:20::9")


def processes(host: Namespace) -> dict[int, str]:
    """The processes in a namespace, with their command lines."""
    pids = [int(pid) for pid in host.run("ip", "netns", "pids", host.name).stdout.split()]
    found = {}
    for pid in pids:
        try:
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return {pid: command for pid, command in found.items() if "ip netns pids" not in command}


def test_routers_have_what_is_announced(routers: Routers, main: Namespace) -> None:
    """Field case 1 (b): every router has the set, loses what is withdrawn, and keeps what a killed process announced.

    A node that goes NotReady is withdrawn, and the others do not flap. After `kill -9` ExaBGP is gone too, and the
    routers keep the routes for the graceful restart time, and no longer.
    """
    with RemoteSink(main, BgpSink, speaker(*ALL)) as sink:
        assert sink.apply(CASE_1) == Reached(CASE_1)
        assert sink.held().own == CASE_1
        eventually(lambda: routers.learned() == [told(CASE_1)] * 3)
        eventually(lambda: routers.frr.installed() == told(CASE_1))
        before: list[dict[str, Any]] = [routers.frr.versions(), routers.bird.ages(), routers.gobgp.ages()]

        assert sink.apply(NOT_READY) == Reached(NOT_READY)
        eventually(lambda: routers.learned() == [told(NOT_READY)] * 3)
        after = [routers.frr.versions(), routers.bird.ages(), routers.gobgp.ages()]
        for state in before:
            del state["10.233.110.0/24"]
        assert after == before

        moved = routes("10.233.98.0/24 via 10.200.20.106\nfd00:98::/64 via fd00:20::106")
        assert sink.apply(moved) == Reached(moved)
        eventually(lambda: routers.learned() == [told(moved)] * 3)

        assert sink.withdraw() == Reached()
        eventually(lambda: routers.learned() == [{}] * 3)
        assert sink.held().own == ()

        assert sink.apply(CASE_1) == Reached(CASE_1)
        eventually(lambda: routers.learned() == [told(CASE_1)] * 3)
        sink.kill()
    eventually(lambda: not processes(main))
    eventually(lambda: routers.frr.stale() == routers.gobgp.stale() == told(CASE_1).keys())
    assert routers.learned() == [told(CASE_1)] * 3
    eventually(lambda: routers.learned() == [{}] * 3)


def test_next_life_takes_over_without_a_gap(routers: Routers, main: Namespace) -> None:
    """Nothing is missing while another ExaBGP, or another process with another set, takes the place of a killed one."""
    us = speaker(FRR_ADDRESS, BIRD_ADDRESS, restart=60)

    def learned() -> list[dict[str, set[str]]]:
        """What the two have; what both sets have must be there at any time."""
        now = [routers.frr.learned(), routers.bird.learned()]
        assert all(theirs.items() >= told(NOT_READY).items() for theirs in now)
        return now

    with RemoteSink(main, BgpSink, us) as first:
        assert first.apply(CASE_1) == Reached(CASE_1)
        eventually(lambda: [routers.frr.learned(), routers.bird.learned()] == [told(CASE_1)] * 2)
        [old] = [pid for pid, command in processes(main).items() if "exabgp" in command]
        os.kill(old, signal.SIGKILL)
        eventually(lambda: learned() and any("exabgp" in each for pid, each in processes(main).items() if pid != old))
        assert first.apply(CASE_1) == Reached(CASE_1)
    with RemoteSink(main, BgpSink, us) as second:
        assert second.apply(NOT_READY) == Reached(NOT_READY)
        eventually(lambda: learned() == [told(NOT_READY)] * 2 and not routers.frr.stale())
        assert second.withdraw() == Reached()
        eventually(lambda: [routers.frr.learned(), routers.bird.learned()] == [{}] * 2)


def test_password(routers: Routers) -> None:
    """With the router's MD5 password the session is there; with another one the peer is reported, in one line."""
    host = routers.host(WITH_PASSWORD, "fd00:20::10")
    few = routes("10.50.0.0/24 via 10.200.20.105")
    with RemoteSink(host, BgpSink, speaker(FRR_ADDRESS, password=PASSWORD, restart=0)) as sink:
        assert sink.apply(few) == Reached(few)
        eventually(lambda: routers.frr.learned() == told(few))
        sink.close()
        eventually(lambda: routers.frr.learned() == {})
    with RemoteSink(host, BgpSink, speaker(FRR_ADDRESS, password=b"another", restart=0)) as sink:
        reached = sink.apply(few)
        assert reached.routes == ()
        [failure] = reached.failures
        assert str(failure.prefix) == f"{FRR_ADDRESS}/32"
        assert "MD5 password" in failure.problem
        assert "\n" not in failure.problem


def test_peer_that_refuses_our_as(routers: Routers) -> None:
    """A router that expects another AS is reported with its reason; the other one has all routes."""
    few = routes("10.51.0.0/24 via 10.200.20.105")
    host = routers.host(OTHER_AS)
    with RemoteSink(host, BgpSink, speaker(FRR_ADDRESS, BIRD_ADDRESS)) as sink:
        reached = sink.apply(few)
        assert reached.routes == few
        [failure] = reached.failures
        assert failure.problem == (
            f"BGP peer {FRR_ADDRESS}, AS {THEIR_AS}, has no session with us, AS {OUR_AS}:"
            " it ended it with Bad Peer AS (BGP code 2, subcode 2)"
        )
        assert str(failure.prefix) == f"{FRR_ADDRESS}/32"
        eventually(lambda: routers.bird.learned("second") == told(few))


def test_session_without_ipv6(routers: Routers) -> None:
    """A router that did not activate IPv6 gets the rest, and each IPv6 prefix is reported."""
    few = routes("10.52.0.0/24 via 10.200.20.105\nfd00:52::/64 via fd00:20::105")
    with RemoteSink(routers.host(IPV4_ONLY), BgpSink, speaker(FRR_ADDRESS, restart=0)) as sink:
        reached = sink.apply(few)
        assert reached.routes == few[:1]
        [failure] = reached.failures
        assert failure.prefix == few[1].prefix
        assert "no IPv6 unicast" in failure.problem
        eventually(lambda: routers.frr.learned() == told(few[:1]))


def test_session_over_ipv6(routers: Routers) -> None:
    """A peer may have an IPv6 address; both families go over its session."""
    few = routes("10.53.0.0/24 via 10.200.20.105\nfd00:53::/64 via fd00:20::105")
    us = Speaker(OUR_AS, (Peer(ip_address("fd00:20::fe"), THEIR_AS),), IPv4Address("10.200.20.13"), graceful_restart=0)
    with RemoteSink(routers.host("10.200.20.13", BY_IPV6), BgpSink, us) as sink:
        assert sink.apply(few) == Reached(few)
        eventually(lambda: {prefix: told(few)[prefix] for prefix in routers.frr.learned()} == told(few))

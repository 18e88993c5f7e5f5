"""How far packets get: a client, a router, and a host behind it, with one thing wrong at a time."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import pytest

from dnsbridge.app.doctor import probe, reverse_path
from dnsbridge.doctor.facts import Trail
from tests.support.inside import inside
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "nft")
CLIENT, ROUTER, FAR = "10.0.0.2", "10.0.0.1", "10.1.0.9"
CLIENT_6, ROUTER_6, FAR_6 = "fd00::2", "fd00::1", "fd00:1::9"
_Result = TypeVar("_Result")


@contextmanager
def made() -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    """The client, the router and the far host."""
    with ExitStack() as stack:
        near, beyond = stack.enter_context(Switch()), stack.enter_context(Switch())
        client, router = near.host(f"{CLIENT}/24", f"{CLIENT_6}/64"), near.host(f"{ROUTER}/24", f"{ROUTER_6}/64")
        far = beyond.host(f"{FAR}/24", f"{FAR_6}/64")
        beyond.join(router, "eth1", "10.1.0.1/24", "fd00:1::1/64")
        must(router, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for host, via, via_6 in ((client, ROUTER, ROUTER_6), (far, "10.1.0.1", "fd00:1::1")):
            must(host, "ip", "route", "add", "default", "via", via)
            must(host, "ip", "-6", "route", "add", "default", "via", via_6)
        yield client, router, far


@pytest.fixture
def hosts() -> Iterator[tuple[Namespace, Namespace, Namespace]]:
    """The client, the router and the far host."""
    with made() as found:
        yield found


def on(host: Namespace, work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    """What is seen on a host."""
    return inside(host, work)


@pytest.mark.parametrize(
    ("source", "address", "router"), [(CLIENT, FAR, ROUTER), (CLIENT_6, FAR_6, ROUTER_6)], ids=["IPv4", "IPv6"]
)
def test_all_well(hosts: tuple[Namespace, Namespace, Namespace], source: str, address: str, router: str) -> None:
    """Packets arrive, small and large, past the router."""
    # The router solicits no neighbour before it has seen that nobody else has its link-local address.
    found = eventually(lambda: (seen := on(hosts[0], lambda: probe.trail(address, router))).arrives and seen)
    assert found == Trail(address, source, (router,), arrives=True, next_hop_answers=True)
    assert on(hosts[0], lambda: probe.fitting(address, 1500)) == (1500, 1500)


NFT = "add table inet t; add chain inet t {0} {{ type filter hook {0} priority 0; }}; add rule inet t {0} {1}"
BREAKS = {
    "the router does not forward": (
        1,
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        Trail("", "", next_hop_answers=True),
    ),
    "the far host has no way back": (2, "ip route del default", Trail("", "", ("router",), next_hop_answers=True)),
    "a firewall at the far host": (
        2,
        f"nft {NFT.format('input', 'udp dport 33434 drop')}",
        Trail("", "", ("router",), next_hop_answers=True),
    ),
    "the router has no way back": (1, f"ip route add blackhole {CLIENT}", Trail("", "")),
}


@pytest.mark.parametrize("case", BREAKS)
def test_how_far(hosts: tuple[Namespace, Namespace, Namespace], case: str) -> None:
    """Which routers pass packets on, and whether the next hop answers."""
    number, command, expected = BREAKS[case]
    words = command.split(maxsplit=1) if command.startswith("nft") else command.split()
    must(hosts[number], *words)
    found = on(hosts[0], lambda: probe.trail(FAR, ROUTER))
    routers = tuple([ROUTER for _ in expected.routers])
    assert found == Trail(FAR, CLIENT, routers, expected.arrives, expected.next_hop_answers)


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        pytest.param("icmp type destination-unreachable icmp code frag-needed drop", (1500, 1400), id="a black hole"),
        pytest.param("icmp type echo-request drop", (1400, 1400), id="a router that says so"),
    ],
)
def test_a_narrow_way(hosts: tuple[Namespace, Namespace, Namespace], more: str, fits: tuple[int, int]) -> None:
    """The largest size that arrives, where routers do not say what does not fit."""
    client, router, _ = hosts
    must(router, "ip", "link", "set", "eth1", "mtu", "1400")
    must(router, "nft", NFT.format("output", more))
    assert on(client, lambda: probe.fitting(FAR, 1500)) == fits


def test_the_reverse_path_filter(hosts: tuple[Namespace, Namespace, Namespace]) -> None:
    """A packet of a sender that is reached through another device is counted, and the device named."""
    client, _, far = hosts
    for name in ("all", "eth0", "lo", "default"):
        must(client, "sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0")
    must(client, "sysctl", "-qw", "net.ipv4.conf.eth0.rp_filter=1")
    must(client, "ip", "link", "add", "eth9", "type", "veth", "peer", "name", "peer9")
    must(client, "ip", "link", "set", "eth9", "up")
    must(client, "sysctl", "-qw", "net.ipv4.conf.eth9.rp_filter=0", "net.ipv4.conf.peer9.rp_filter=0")
    must(client, "ip", "route", "add", "10.1.0.0/24", "dev", "eth9")

    async def look() -> tuple[int, tuple[str, ...]]:
        return reverse_path.turned_away(), reverse_path.strict_devices()

    before, devices = on(client, look)
    assert devices == ("eth0",)
    send = f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ({CLIENT!r}, 9))"
    must(far, "python3", "-c", send)
    eventually(lambda: on(client, look)[0] == before + 1)

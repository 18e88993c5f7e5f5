"""How the kernel of a namespace would send packets: routes of many kinds, neighbours in many states."""

from collections.abc import Iterator

import pytest

from dnsbridge.app.doctor.ways import ways
from dnsbridge.doctor.facts import Way
from tests.support.inside import inside
from tests.support.links import Switch, must
from tests.support.namespace import Namespace

SETUP = """
ip -6 address add fd00:1::2/64 dev eth0 nodad
ip route add 10.96.0.0/16 via 10.0.0.10 proto 83
ip route add 10.97.0.0/16 proto bird nexthop via 10.0.0.10 nexthop via 10.0.0.11
ip route add 10.98.0.0/16 dev eth0
ip route add blackhole 10.99.0.0/16 proto static
ip route add prohibit 10.100.0.0/16
ip route add default via 10.0.0.1 proto dhcp
ip -6 route add fd00:10:96::/112 via fd00:1::9 proto 83
ip -6 route add unreachable fd00:99::/64
ip neigh add 10.0.0.10 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
ip neigh add 10.0.0.11 lladdr 02:00:00:00:00:02 dev eth0 nud failed
"""
WAYS = {
    "127.0.0.1": Way("127.0.0.1", "local", "127.0.0.1/32", owner="kernel"),
    "10.0.0.77": Way("10.0.0.77", "unicast", "10.0.0.0/24", "", "eth0", "kernel", "veth"),
    "10.96.0.1": Way("10.96.0.1", "unicast", "10.96.0.0/16", "10.0.0.10", "eth0", "dnsbridge", "veth", "permanent"),
    "10.97.0.1": Way("10.97.0.1", "unicast", "10.97.0.0/16", "10.0.0.11", "eth0", "bird", "veth", "failed"),
    "10.98.0.1": Way("10.98.0.1", "unicast", "10.98.0.0/16", "", "eth0", "boot", "veth"),
    "10.99.0.1": Way("10.99.0.1", "blackhole", "10.99.0.0/16", owner="static"),
    "10.100.0.1": Way("10.100.0.1", "prohibit", "10.100.0.0/16", owner="boot"),
    "192.0.2.1": Way("192.0.2.1", "unicast", "0.0.0.0/0", "10.0.0.1", "eth0", "dhcp", "veth"),
    "fd00:10:96::1": Way("fd00:10:96::1", "unicast", "fd00:10:96::/112", "fd00:1::9", "eth0", "dnsbridge", "veth"),
    "fd00:99::1": Way("fd00:99::1", "unreachable", "fd00:99::/64", owner="boot"),
    "2001:db8::1": Way("2001:db8::1", "none"),
}


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """The namespace."""
    with Switch() as switch:
        host = switch.host("10.0.0.2/24")
        must(host, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=0")
        for line in SETUP.strip().splitlines():
            must(host, *line.split())
        yield host


@pytest.mark.needs("netns")
@pytest.mark.parametrize("address", WAYS)
def test_ways(host: Namespace, address: str) -> None:
    """The route that the kernel takes, with its owner; of several next hops a dead one."""

    async def work() -> tuple[Way, ...]:
        return ways([address])

    assert inside(host, work) == (WAYS[address],)

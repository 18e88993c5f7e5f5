"""Tables as `ip route` prints them: what each line says, what the kernel itself made of it, and what is no table."""

import json
import re
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dnsbridge.routes.kernel_table import MAX_LINE, Malformed, TableRoute, parse
from dnsbridge.routes.model import NextHop
from tests.support.namespace import Namespace

LINES: list[tuple[str, TableRoute]] = [
    (
        "default via 10.200.20.21 dev bond0 onlink",
        TableRoute(1, ip_network("0.0.0.0/0"), next_hops=(NextHop(ip_address("10.200.20.21"), "bond0"),)),
    ),
    (
        "default dev tun0 scope link",
        TableRoute(1, ip_network("0.0.0.0/0"), next_hops=(NextHop(device="tun0"),), scope="link"),
    ),
    (
        "default via fe80::1 dev eth0 proto ra metric 1024 expires 1786sec hoplimit 64 pref medium",
        TableRoute(
            1, ip_network("::/0"), next_hops=(NextHop(ip_address("fe80::1"), "eth0"),), protocol="ra", metric=1024
        ),
    ),
    (
        "10.200.20.0/24 dev bond0 proto kernel scope link src 10.200.20.105",
        TableRoute(
            1,
            ip_network("10.200.20.0/24"),
            next_hops=(NextHop(device="bond0"),),
            protocol="kernel",
            scope="link",
            source=ip_address("10.200.20.105"),
        ),
    ),
    ("blackhole 10.233.98.0/24 proto bird ", TableRoute(1, ip_network("10.233.98.0/24"), "blackhole", protocol="bird")),
    (
        "10.233.98.3 dev cali9832424c93e scope link",
        TableRoute(1, ip_network("10.233.98.3/32"), next_hops=(NextHop(device="cali9832424c93e"),), scope="link"),
    ),
    (
        "192.168.210.64/26 via 10.173.32.25 dev tunl0 proto bird onlink",
        TableRoute(
            1,
            ip_network("192.168.210.64/26"),
            next_hops=(NextHop(ip_address("10.173.32.25"), "tunl0"),),
            protocol="bird",
        ),
    ),
    (
        "10.1.0.0/16 via inet6 fe80::2 dev eth0 proto bird metric 32 mtu lock 1400 linkdown",
        TableRoute(
            1,
            ip_network("10.1.0.0/16"),
            next_hops=(NextHop(ip_address("fe80::2"), "eth0"),),
            protocol="bird",
            metric=32,
        ),
    ),
    (
        "10.96.0.0/12 proto 83 metric 5 \n\tnexthop via 10.0.0.2 dev eth0 weight 1 \n"
        "\tnexthop via 10.0.0.3 dev eth0 weight 3 dead",
        TableRoute(
            1,
            ip_network("10.96.0.0/12"),
            next_hops=(NextHop(ip_address("10.0.0.2"), "eth0"), NextHop(ip_address("10.0.0.3"), "eth0", 3)),
            protocol="83",
            metric=5,
        ),
    ),
    (
        "unreachable fd00:1::/64 dev lo proto bird metric 1024 error -101 pref medium",
        TableRoute(1, ip_network("fd00:1::/64"), "unreachable", protocol="bird", metric=1024),
    ),
    (
        "unicast 10.5.0.0/16 via 10.0.0.2 dev eth0 nhid 12 proto boot scope global [offload]",
        TableRoute(
            1,
            ip_network("10.5.0.0/16"),
            next_hops=(NextHop(ip_address("10.0.0.2"), "eth0"),),
            protocol="boot",
            scope="global",
        ),
    ),
    ("10.6.0.0/16 encap mpls 100 via 10.0.0.2 dev eth0", TableRoute(1, ip_network("10.6.0.0/16"))),
]


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_line(text: str, expected: TableRoute) -> None:
    """A line that Linux prints gives these values."""
    assert parse(text) == (expected,)


def test_empty_lines_count() -> None:
    """A route knows its line, and a text without any is a table without routes."""
    found = parse("\n\n10.0.0.0/8 dev eth0\r\n")
    assert isinstance(found, tuple)
    assert [route.line for route in found] == [3]
    assert parse("\n") == ()


BAD: list[tuple[str, int, str]] = [
    ("Kernel IP routing table\n", 1, "expected what `ip route` prints, got 'IP'"),
    (
        "10.0.0.0/8 dev eth0\n10.0.0.0/33 dev eth0",
        2,
        "expected a destination such as 10.233.98.0/24, got '10.0.0.0/33'",
    ),
    ("10.0.0.1/8 dev eth0", 1, "expected a destination such as 10.233.98.0/24, got '10.0.0.1/8'"),
    ("10.0.0.0/8 dev a\x1b[31m", 1, "dev: expected an interface's name, got 'a\\x1b[31m'"),
    ("10.0.0.0/8 dev eth0 proto \u202e", 1, "proto: expected a protocol's name, got '\\u202e'"),
    ("blackhole", 1, "expected a destination"),
    ("nexthop via 10.0.0.1", 1, "a next hop without a route above it"),
    ("10.0.0.0/8 via", 1, "via: a value is missing"),
    ("10.0.0.0/8 via 10.0.0.256 dev eth0", 1, "via: expected an address, got '10.0.0.256'"),
    ("10.0.0.0/8 via 10.0.0.1%eth0", 1, "via: expected an address, got '10.0.0.1%eth0'"),
    ("10.0.0.0/8 dev a/b", 1, "dev: expected an interface's name, got 'a/b'"),
    ("10.0.0.0/8 dev eth0 metric x", 1, "metric: expected a number, got 'x'"),
    ("10.0.0.0/8 dev eth0 metric 99999999999", 1, "metric: expected a number, got '99999999999'"),
    ("10.0.0.0/8\n nexthop via 10.0.0.1 weight 0", 2, "weight: expected a number from 1 to 256, got '0'"),
    ("10.0.0.0/8 dev eth0 src \x1b[31m", 1, "src: expected an address, got '\\x1b[31m'"),
    (f"10.0.0.0/8 dev eth0{' ' * MAX_LINE}", 1, f"over {MAX_LINE} characters"),
    ("10.0.0.0/8" + "\n nexthop via 10.0.0.1" * 257, 258, "over 256 next hops of one route"),
    ("10.0.0.0/8 dev eth0\n" * 200_001, 200_001, "over 200000 routes"),
]


@pytest.mark.parametrize(("text", "line", "problem"), BAD, ids=[problem for _, _, problem in BAD])
def test_what_is_no_table(text: str, line: int, problem: str) -> None:
    """What is no table is refused with the line and what is expected there."""
    assert parse(text) == Malformed(line, problem)


WORDS = """
    default blackhole 10.0.0.0/8 10.0.0.1 fd00::/64 ::1 via dev eth0 proto bird kernel scope link src metric 5 nexthop
    weight onlink linkdown encap pref medium inet6 # -1 é
"""


@given(st.lists(st.sampled_from([*WORDS.split(), "\n", "\t"])).map(" ".join) | st.text())
def test_any_text(text: str) -> None:
    """Whatever the text, there is a table or one line that says what is wrong, and where."""
    found = parse(text)
    if isinstance(found, Malformed):
        assert 1 <= found.line <= text.count("\n") + 1
        assert re.fullmatch(r"[ -~]{1,200}", found.problem)
    else:
        assert all(0 < route.line <= text.count("\n") + 1 for route in found)


MADE = """
link add up0 type veth peer name up1
addr add 10.200.20.105/24 dev up0
addr add fd00::105/64 dev up0 nodad
link set up1 up
link set up0 up
route add 10.200.30.0/24 via 10.200.20.7
route add 10.200.31.0/24 via 10.200.20.7 proto bird metric 50
route add 10.200.32.0/24 via 172.31.0.1 dev up0 proto bird onlink
route add blackhole 10.233.98.0/24 proto bird
route add unreachable 10.233.99.0/24
route add prohibit 10.233.100.0/24
route add throw 10.233.101.0/24
route add 10.233.98.3 dev up0 scope link
route add 10.96.0.0/12 proto 83 nexthop via 10.200.20.7 nexthop via 10.200.20.8 weight 3
route add 10.97.0.0/16 via 10.200.20.7 mtu lock 1400 advmss 1300 src 10.200.20.105
route add default via 10.200.20.21 dev up0 onlink
-6 route add fd00:1::/64 via fd00::7 proto bird
-6 route add blackhole fd00:2::/64 proto bird
-6 route add fd00:3::/64 nexthop via fd00::7 nexthop via fd00::8
-6 route add default via fd00::1 metric 512
route add 10.98.0.0/16 via inet6 fd00::7 dev up0
"""


@pytest.mark.needs("netns")
def test_what_the_kernel_prints() -> None:
    """Routes of every shape, made by `ip` in a namespace: read from `ip route`, and the same from its JSON."""
    with Namespace("") as namespace:
        for line in MADE.strip().splitlines():
            done = namespace.run("ip", *line.split())
            assert not done.returncode, f"{line}: {done.stderr}"
        for family in (4, 6):
            printed = namespace.run("ip", f"-{family}", "route", "show", "table", "main")
            as_json = namespace.run("ip", f"-{family}", "-json", "route", "show", "table", "main")
            found = parse(printed.stdout)
            assert isinstance(found, tuple), printed.stdout
            facts = [_facts_of_json(each, family) for each in json.loads(as_json.stdout)]
            assert [_facts(route) for route in found] == facts
            assert len(found) >= 5


LIVE = "from dnsbridge.routes.this_table import read_this_table; print(*read_this_table().routes, sep=chr(10))"


@pytest.mark.needs("netns")
def test_the_kernel_itself() -> None:
    """The table read over netlink is the one that `ip route` prints, but for the numbers of lines."""
    with Namespace("") as namespace:
        for line in MADE.strip().splitlines():
            assert not namespace.run("ip", *line.split()).returncode, line
        printed = namespace.run("ip", "route").stdout + namespace.run("ip", "-6", "route").stdout
        live = namespace.run(sys.executable, "-c", LIVE)
        assert not live.returncode, live.stderr
    found = parse(printed)
    assert isinstance(found, tuple), printed
    # The order of metrics is iproute2's and the kernel's alike.
    expected = [repr(structs.replace(route, line=number)) for number, route in enumerate(found, 1)]
    assert live.stdout.splitlines() == expected


def _facts(route: TableRoute) -> tuple[object, ...]:
    vias = [hop.address for hop in route.next_hops if hop.address]
    return route.type, route.prefix.with_prefixlen, vias, route.protocol, route.metric, route.source


def _facts_of_json(said: dict[str, object], version: int) -> tuple[object, ...]:
    """The same out of iproute2's own JSON."""
    hops = said.get("nexthops", [said])
    assert isinstance(hops, list)
    vias: list[IPv4Address | IPv6Address] = []
    for hop in hops:
        gateway = hop.get("gateway") or (hop.get("via") or {}).get("host")
        if gateway and not said.get("type"):
            vias.append(ip_address(gateway))
    destination = {"default": "::/0" if version == 6 else "0.0.0.0/0"}.get(str(said["dst"]), str(said["dst"]))
    return (
        said.get("type", "unicast"),
        ip_network(destination).with_prefixlen,
        vias,
        said.get("protocol", ""),
        said.get("metric", 0),
        ip_address(str(said["prefsrc"])) if "prefsrc" in said else None,
    )

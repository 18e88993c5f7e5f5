"""Tables as `ip route` prints them: what each line says, what the kernel itself made of it, and what is no table."""

import json
import re
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from dnsbridge.routes.model import NextHop
from dnsbridge.routes.pictures.kernel_table import TableRoute
from dnsbridge.routes.tables.reading import MAX_LEFT_OUT, MAX_LINE, Refused, Text, read
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
            down=(NextHop(ip_address("fe80::2"), "eth0"),),
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
            down=(NextHop(ip_address("10.0.0.3"), "eth0", 3),),
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
    (
        "10.6.0.0/16 encap mpls 100 via 10.0.0.2 dev eth0",
        TableRoute(1, ip_network("10.6.0.0/16"), next_hops=(NextHop(ip_address("10.0.0.2"), "eth0"),), beyond=True),
    ),
    (
        "10.244.6.0/24  encap ip id 0 src 0.0.0.0 dst 10.200.20.6 ttl 0 tos 0 dev tun0 scope link",
        TableRoute(
            1,
            ip_network("10.244.6.0/24"),
            next_hops=(NextHop(ip_address("10.200.20.6"), "tun0"),),
            scope="link",
            beyond=True,
        ),
    ),
    (
        "fd00:6::/64 encap seg6 mode encap segs 1 [ fc00::1 ] dev eth0 metric 1024 pref medium",
        TableRoute(1, ip_network("fd00:6::/64"), next_hops=(NextHop(device="eth0"),), metric=1024, beyond=True),
    ),
    (
        "10.244.5.0/24 via 10.0.0.7 dev wireguard.cali table 1 proto 80",
        TableRoute(
            1,
            ip_network("10.244.5.0/24"),
            next_hops=(NextHop(ip_address("10.0.0.7"), "wireguard.cali"),),
            protocol="80",
            table="1",
        ),
    ),
    (
        "10.244.5.0/24 via 10.0.0.7 dev eth0 table main",
        TableRoute(1, ip_network("10.244.5.0/24"), next_hops=(NextHop(ip_address("10.0.0.7"), "eth0"),)),
    ),
]


def parse(text: str) -> tuple[TableRoute, ...]:
    """The routes of a text, all of which is read."""
    found = read(text)
    if found == Refused(0, "holds no route"):
        return ()
    assert isinstance(found, Text), found
    assert (found.left_out, found.objects) == ([], [])
    return tuple([route for host in found.hosts for route in host.routes])


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_line(text: str, expected: TableRoute) -> None:
    """A line that Linux prints gives these values."""
    assert parse(text) == (expected,)


def test_empty_lines_count() -> None:
    """A route knows its line, and a text without any is a table without routes."""
    found = parse("\n\n10.0.0.0/8 dev eth0\r\n")
    assert [route.line for route in found] == [3]
    assert parse("\n") == ()


BAD: list[tuple[str, int, str]] = [
    ("Chain INPUT\n", 1, "expected a route, a key of etcd or a prompt, got 'Chain INPUT'"),
    ("10.0.0.0/8 dev eth0 prot bird", 1, "expected what `ip route` prints, got 'prot'"),
    ("10.0.0.0 10.0.0.1 255.0.0.0 UG 0 0 0", 1, "expected 8 columns as `route -n` prints them, got 7"),
    (
        "10.0.0.1 10.0.0.1 255.0.0.0 UG 0 0 0 eth0",
        1,
        "expected a destination and its mask, got '10.0.0.1' and '255.0.0.0'",
    ),
    (
        "lan 10.0.0.1 255.0.0.0 UG 0 0 0 eth0",
        1,
        "expected a destination and its mask, got 'lan' and '255.0.0.0'",
    ),
    ("10.0.0.0 gw 255.0.0.0 UG 0 0 0 eth0", 1, "Gateway: expected an address, got 'gw'"),
    ("fd00::/64 fd00::1 UG 1024 1", 1, "expected 7 columns as `route -6 -n` prints them, got 5"),
    ("fd00::/200 fd00::1 UG 1024 1 0 eth0", 1, "expected a destination such as 10.233.98.0/24, got 'fd00::/200'"),
    ('[{"dst":"10.0.0.0/33"}]', 1, "expected a destination such as 10.233.98.0/24, got '10.0.0.0/33'"),
    ('[{"dst":"10.0.0.0/8","dev":["eth0"]}]', 1, "dev: expected a text or a number"),
    ('[{"dst":"10.0.0.0/8","nexthops":[1]}]', 1, "nexthops: expected a list of next hops"),
    ('[{"dst":"10.0.0.0/8","type":"wrong"}]', 1, "type: expected a type of routes, got 'wrong'"),
    (
        '[{"dst":"10.0.0.0/8","dev":"eth0"},\n {"dst":"10.1.0',
        2,
        "expected what `ip -j route` prints; the JSON of this route is not whole",
    ),
    (
        "/calico/ipam/v2/host/n1/ipv4/block/10.0.0.1-26",
        1,
        "expected a block such as 192.244.190.128-26 at the key's end, got '10.0.0.1-26'",
    ),
    ("/calico/ipam/v2/host/N_1/ipv4/block/10.0.0.0-26", 1, "BlockAffinity N_1-10-0-0-0-26: metadata.name: expected"),
    ("| Block | 10.0.0.1/26 | 64 |", 1, "CIDR: expected a prefix, got '10.0.0.1/26'"),
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
def test_what_is_no_route(text: str, line: int, problem: str) -> None:
    """A line that says nothing is left out with its number and what is expected there; too much of all is refused."""
    found = read(text)
    if isinstance(found, Text):
        assert found.hosts
        found = Refused(found.left_out[0].line, found.left_out[0].problem)
    assert found.line == line
    assert found.problem.startswith(problem)


def test_a_bad_line_costs_itself_alone() -> None:
    """What stands around a line that is no route is read; whether a route is missing is known."""
    found = read("10.1.0.0/16 via 10.0.0.2 dev eth0\n10.2.0.0/16 via nowhere\nhello\n10.3.0.0/16 via 10.0.0.2 dev eth0")
    assert isinstance(found, Text)
    assert [str(route.prefix) for route in found.hosts[0].routes] == ["10.1.0.0/16", "10.3.0.0/16"]
    assert [(each.line, each.is_route) for each in found.left_out] == [(2, True), (3, False)]


WORDS = """
    default blackhole 10.0.0.0/8 10.0.0.1 fd00::/64 ::1 via dev eth0 proto bird kernel scope link src metric 5 nexthop
    weight onlink linkdown encap pref medium inet6 # -1 \u00e9 255.0.0.0 UG !n 0 [{ "dst": }, ] [root@n1 ~]# | Block
    /calico/ipam/v2/host/n1/ipv4/block/10.0.0.0-26 {"state": "confirmed"} $ ssh node1> \ufeff \u00a0
"""


@given(st.lists(st.sampled_from([*WORDS.split(), "\n", "\t", " "])).map(" ".join) | st.text())
def test_any_text(text: str) -> None:
    """Whatever the text, there are values or a reason, and what is said of a line can be shown."""
    found = read(text)
    ends = len(re.findall(r"\r\n|\n|\r", text)) + 1
    if isinstance(found, Refused):
        assert 0 <= found.line <= ends
        assert re.fullmatch(r"[ -~]{1,300}", found.problem)
        return
    assert found.hosts or found.objects
    assert all(0 < route.line <= ends for host in found.hosts for route in host.routes)
    assert len(found.left_out) <= MAX_LEFT_OUT
    for left in found.left_out:
        assert 0 < left.line <= ends
        assert re.fullmatch(r"[ -~]{1,300}", left.problem)


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
link add tun5 type vxlan external dstport 4789
link set tun5 up
route add 10.244.6.0/24 encap ip id 0 dst 10.200.20.6 dev tun5
route add 10.244.7.0/24 nexthop encap ip dst 10.200.20.7 dev tun5 nexthop encap ip dst 10.200.20.8 dev tun5
route add 10.244.8.0/24 nexthop encap ip dst 10.200.20.9 dev tun5 nexthop via 10.200.20.8
link add low0 type veth peer name low1
addr add 10.77.0.1/24 dev low0
link set low0 up
route add 10.78.0.0/24 via 10.77.0.2
route add 10.79.0.0/24 nexthop via 10.77.0.2 nexthop via 10.200.20.7
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
            assert parse(as_json.stdout) == _on_line_1(found)
            # iproute2 writes `dst` twice for a tunnel, of which json keeps the wrong one.
            plain = [each for each in json.loads(as_json.stdout) if '"encap"' not in json.dumps(each)]
            facts = [_facts_of_json(each, family) for each in plain]
            assert [_facts(route) for route in found if not route.beyond] == facts
            assert len(found) >= 5


@pytest.mark.needs("netns", "route")
def test_what_net_tools_print() -> None:
    """`route -n`, `netstat -rn` and their IPv6 say the same prefixes and next hops as `ip route` does."""
    with Namespace("") as namespace:
        for line in MADE.strip().splitlines():
            done = namespace.run("ip", *line.split())
            assert not done.returncode, f"{line}: {done.stderr}"
        expected = {4: set[str](), 6: set[str]()}
        for family in (4, 6):
            for route in parse(namespace.run("ip", f"-{family}", "route").stdout):
                # Of several next hops net-tools show the first alone, in IPv4; and none of the other family.
                hops = [hop for hop in route.next_hops if hop.address][: 1 if family == 4 else None]
                fitting = [hop for hop in hops if hop.address and hop.address.version == family and not route.beyond]
                expected[family].add(f"{route.prefix} {' '.join(str(hop) for hop in fitting)}")
        for program, *words in (("route", "-n"), ("netstat", "-rn"), ("route", "-n", "-ee")):
            assert _by_net_tools(namespace.run(program, *words).stdout) == expected[4]
        for program, *words in (("route", "-6", "-n"), ("netstat", "-6", "-rn")):
            found = _by_net_tools(namespace.run(program, *words).stdout)
            assert {each for each in found if not each.startswith(("ff00::/8", "::1", "fe80::", "fd00::105"))} >= {
                each for each in expected[6] if not each.startswith("fe80::")
            }


def _by_net_tools(printed: str) -> set[str]:
    return {
        f"{route.prefix} {' '.join(str(hop) for hop in route.next_hops if hop.address)}" for route in parse(printed)
    }


LIVE = "from dnsbridge.netlink.this_table import read_this_table; print(*read_this_table().routes, sep=chr(10))"


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
    # The order of metrics is iproute2's and the kernel's alike.
    expected = [repr(structs.replace(route, line=number)) for number, route in enumerate(found, 1)]
    assert live.stdout.splitlines() == expected


def _on_line_1(routes: tuple[TableRoute, ...]) -> tuple[TableRoute, ...]:
    return tuple(structs.replace(route, line=1) for route in routes)


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

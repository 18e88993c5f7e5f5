"""Plans, aggregation and guards: a small address space is walked through, address by address, as a router would."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_interface, ip_network
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.routes import model
from dnsbridge.routes.aggregate import aggregate
from dnsbridge.routes.guards import refused
from dnsbridge.routes.host import Host, Interface, Protected
from dnsbridge.routes.line import line_of
from dnsbridge.routes.model import Kind, NextHop, Prefix, Route, changes, covers, in_order
from dnsbridge.routes.plan import Add, Change, Remove, make_plan
from dnsbridge.routes.plan_text import plan_facts, plan_lines, summary
from dnsbridge.routes.sink import Foreign, Held

BITS = 5
"""The addresses of 10.0.0.0/27 are walked through."""


def hops(*addresses: str) -> tuple[NextHop, ...]:
    """Next hops by address."""
    return tuple(NextHop(ip_address(address)) for address in addresses)


def route(prefix: str, *addresses: str, **rest: Any) -> Route:
    """A route through these next hops."""
    return Route(ip_network(prefix), hops(*addresses), **rest)


@st.composite
def _prefixes(draw: st.DrawFn) -> IPv4Network:
    length = draw(st.integers(32 - BITS, 32))
    start = draw(st.integers(0, 2**BITS - 1))
    return IPv4Network((int(IPv4Address("10.0.0.0")) + start, length), strict=False)


_ways = st.sampled_from([hops("10.1.0.1"), hops("10.1.0.2"), hops("10.1.0.1", "10.1.0.2")])
_tables = st.dictionaries(_prefixes(), _ways, max_size=12)


def routes_of(table: dict[IPv4Network, tuple[NextHop, ...]]) -> tuple[Route, ...]:
    """A table as a set of routes."""
    return in_order(Route(prefix, way) for prefix, way in table.items())


def walk(table: Iterable[tuple[Prefix, object]]) -> list[object]:
    """Where each address goes: the longest prefix decides."""
    ordered = sorted(table, key=lambda entry: -entry[0].prefixlen)
    first = IPv4Address("10.0.0.0")
    return [next((way for prefix, way in ordered if first + at in prefix), None) for at in range(2**BITS)]


@given(_tables, _tables, st.dictionaries(_prefixes(), st.just("bird"), max_size=4))
def test_plan(
    own: dict[IPv4Network, tuple[NextHop, ...]],
    wanted: dict[IPv4Network, tuple[NextHop, ...]],
    theirs: dict[IPv4Network, str],
) -> None:
    """Step by step the table becomes the wanted one; each address goes the old way or the new one at every moment."""
    theirs = {prefix: owner for prefix, owner in theirs.items() if prefix not in own}
    foreign = tuple(Foreign(prefix, owner, f"{prefix} proto {owner}") for prefix, owner in theirs.items())
    plan = make_plan(Held(routes_of(own), foreign), routes_of(wanted))
    possible = {prefix: way for prefix, way in wanted.items() if prefix not in theirs}
    table: dict[Prefix, object] = dict(own.items())
    old, new = walk([*own.items(), *theirs.items()]), walk([*possible.items(), *theirs.items()])
    for step in plan.steps():
        match step:
            case Add(added):
                assert added.prefix not in table
                table[added.prefix] = added.next_hops
            case Change(before, after):
                assert table[before.prefix] == before.next_hops != after.next_hops
                table[after.prefix] = after.next_hops
            case Remove(removed):
                del table[removed.prefix]
        assert set(own) & set(wanted) <= table.keys()
        now = walk([*table.items(), *theirs.items()])
        assert all(way in either for way, *either in zip(now, old, new, strict=True))
    assert table == possible
    assert {each.route.prefix for each in plan.conflict} == wanted.keys() & theirs.keys()
    reached = Held(tuple(Route(prefix, wanted[prefix]) for prefix in possible), foreign)
    again = make_plan(reached, routes_of(wanted))
    assert (again.changes, again.conflict) == (0, plan.conflict)


@given(_tables, _tables, st.sampled_from([1, 2, 256]))
def test_changes(before: Any, after: Any, stride: int) -> None:
    """What goes and what comes make the one set the other, and what is in both neither goes nor comes."""
    had, has = routes_of(before), routes_of(after)
    with patch.object(model, "STRIDE", stride):
        found = changes(had, has)
    assert found.gone == [each for each in had if each not in has]
    assert found.come == [each for each in has if each not in had]
    assert found.now == has
    assert {id(each) for each in found.now} <= {*map(id, had), *map(id, found.come)}


@given(_tables, st.sets(_prefixes(), max_size=3))
def test_aggregate(table: dict[IPv4Network, tuple[NextHop, ...]], theirs: set[IPv4Network]) -> None:
    """All addresses go the same way, also with others' routes between ours; neither halves nor implied routes stay."""
    theirs -= table.keys()
    fewer = aggregate(routes_of(table), theirs)
    other = [(prefix, "theirs") for prefix in theirs]
    assert walk([*table.items(), *other]) == walk([*((each.prefix, each.next_hops) for each in fewer), *other])
    left = {each.prefix: each.next_hops for each in fewer}
    for prefix, way in left.items():
        assert prefix not in theirs
        whole = prefix.supernet()
        low, high = whole.subnets()
        assert left.get(low) != way or left.get(high) != way or whole in theirs or whole in left
        outer = [each for each in {*left, *theirs} - {prefix} if covers(each, prefix)]
        around = max(outer, key=lambda each: each.prefixlen, default=None)
        assert around is None or around in theirs or left[around] != way
    assert aggregate(fewer, theirs) == fewer


AGGREGATES = {
    "two blocks of one node": (["10.0.0.0/25 a", "10.0.0.128/25 a"], ["10.0.0.0/24 a"]),
    "four": (["10.0.0.0/26 a", "10.0.0.64/26 a", "10.0.0.128/26 a", "10.0.0.192/26 a"], ["10.0.0.0/24 a"]),
    "neighbours, but no halves": (["10.0.0.128/25 a", "10.0.1.0/25 a"], ["10.0.0.128/25 a", "10.0.1.0/25 a"]),
    "another next hop": (["10.0.0.0/25 a", "10.0.0.128/25 b"], ["10.0.0.0/25 a", "10.0.0.128/25 b"]),
    "the whole is wanted otherwise": (
        ["10.0.0.0/24 b", "10.0.0.0/25 a", "10.0.0.128/25 a"],
        ["10.0.0.0/24 b", "10.0.0.0/25 a", "10.0.0.128/25 a"],
    ),
    "the whole is somebody else's": (
        ["10.0.0.0/26 a", "10.0.0.64/26 a", "10.0.0.128/25 a", "10.0.0.0/25 theirs"],
        ["10.0.0.0/26 a", "10.0.0.64/26 a", "10.0.0.128/25 a"],
    ),
    "a part is somebody else's, as before": (
        ["10.0.0.0/25 a", "10.0.0.128/25 a", "10.0.0.32/27 theirs"],
        ["10.0.0.0/24 a"],
    ),
    "halves that stood in a half": (
        ["10.0.0.0/28 a", "10.0.0.16/28 a", "10.0.0.16/29 a", "10.0.0.24/29 a"],
        ["10.0.0.0/27 a"],
    ),
    "halves of another way in what is merged": (
        ["10.0.0.0/28 a", "10.0.0.16/28 a", "10.0.0.16/29 b", "10.0.0.24/29 b"],
        ["10.0.0.0/27 a", "10.0.0.16/28 b"],
    ),
    "implied by a shorter one": (["10.0.0.0/24 a", "10.0.0.64/26 a"], ["10.0.0.0/24 a"]),
    "implied by a shorter one, but for one in between": (
        ["10.0.0.0/24 a", "10.0.0.0/25 b", "10.0.0.0/26 a"],
        ["10.0.0.0/24 a", "10.0.0.0/25 b", "10.0.0.0/26 a"],
    ),
    "implied by a shorter one, but for a hole of somebody else's": (
        ["10.0.0.0/24 a", "10.0.0.0/26 a", "10.0.0.0/25 theirs"],
        ["10.0.0.0/24 a", "10.0.0.0/26 a"],
    ),
    "what nobody has stays uncovered": (
        ["10.0.0.0/26 a", "10.0.0.128/26 a", "10.0.0.192/26 a"],
        ["10.0.0.0/26 a", "10.0.0.128/25 a"],
    ),
    "never the default route": (["0.0.0.0/1 a", "128.0.0.0/1 a"], ["0.0.0.0/1 a", "128.0.0.0/1 a"]),
    "IPv6": (["fd00::/65 a", "fd00:0:0:0:8000::/65 a"], ["fd00::/64 a"]),
}


@pytest.mark.parametrize("case", AGGREGATES)
def test_aggregates(case: str) -> None:
    """Merged exactly where that says the same."""
    ways = {"a": "10.9.0.1", "b": "10.9.0.2"}
    given_, expected = AGGREGATES[case]

    def read(lines: list[str]) -> list[tuple[Prefix, tuple[NextHop, ...]]]:
        words = [line.split() for line in lines if "theirs" not in line]
        return [(ip_network(prefix), hops(ways[way])) for prefix, way in words]

    theirs = [ip_network(line.split(maxsplit=1)[0]) for line in given_ if "theirs" in line]
    found = aggregate(in_order(Route(*each) for each in read(given_)), theirs)
    assert [each.same_way for each in found] == read(expected)


HOST = Host(
    (
        Interface("lo", (ip_interface("127.0.0.1/8"),)),
        Interface("eth0", (ip_interface("10.20.0.5/24"), ip_interface("fd00:20::5/64"))),
        Interface("tunl0", (ip_interface("10.244.7.1/32"),)),
    ),
    (
        Protected(ip_address("10.30.0.1"), "the API server of cluster dev"),
        Protected(ip_address("10.40.0.53"), "the DNS upstream of forward zone ."),
        Protected(ip_address("10.50.0.254"), "a BGP peer of routes.bgp.peers"),
    ),
)
REFUSED = {
    "0.0.0.0/0 10.20.0.9": "default route",
    "::/0 fd00:20::9": "default route",
    "127.0.0.0/24 10.20.0.9": "no hosts' elsewhere",
    "169.254.0.0/16 10.20.0.9": "no hosts' elsewhere",
    "224.0.0.0/24 10.20.0.9": "no hosts' elsewhere",
    "255.255.255.255/32 10.20.0.9": "no hosts' elsewhere",
    "0.0.0.0/1 10.20.0.9": "no hosts' elsewhere",
    "::ffff:0:0/96 fd00:20::9": "no hosts' elsewhere",
    "fe80::/64 fd00:20::9": "no hosts' elsewhere",
    "ff02::/16 fd00:20::9": "no hosts' elsewhere",
    "240.1.0.0/16 10.20.0.9": "",
    "169.253.0.0/16 10.20.0.9": "",
    "10.20.0.0/24 10.60.0.9": "directly connected subnet 10.20.0.0/24",
    "10.16.0.0/12 10.60.0.9": "directly connected subnet 10.20.0.0/24",
    "fd00::/16 fd01::9": "directly connected subnet fd00:20::/64",
    "10.30.0.0/16 10.20.0.9": "10.30.0.1, the API server of cluster dev",
    "10.30.0.1/32 10.20.0.9": "10.30.0.1, the API server of cluster dev",
    "10.40.0.0/24 10.20.0.9": "10.40.0.53, the DNS upstream",
    "10.50.0.0/24 10.20.0.9": "10.50.0.254, a BGP peer",
    "10.20.0.8/30 10.20.0.9": "its own next hop 10.20.0.9",
    "10.244.7.0/24 10.20.0.9": "",
    "10.20.0.128/25 10.20.0.9": "",
    "10.30.1.0/24 10.20.0.9": "",
    "fd00:21::/64 fd00:20::9": "",
}


def refusals(*routes: Route) -> dict[str, str]:
    """Why routes of a set must not be, by prefix."""
    line = line_of(routes)
    return {str(line.routes[at].prefix): reason for at, reason in refused(line, HOST).items()}


@pytest.mark.parametrize("line", REFUSED)
def test_guard(line: str) -> None:
    """What must never be routed is refused by prefix, with the reason; what is beside it is not."""
    prefix, hop = line.split()
    found = refusals(route(prefix, hop), route("172.16.0.0/16", "10.20.0.77"))
    assert list(found) == ([prefix] if REFUSED[line] else [])
    assert REFUSED[line] in "".join(found.values())


def test_guard_other_next_hop() -> None:
    """A prefix that covers another route's next hop is refused: the kernel could not resolve it any more."""
    found = refusals(route("10.20.0.8/30", "10.20.0.77"), route("10.244.1.0/24", "10.20.0.9"))
    assert list(found) == ["10.20.0.8/30"]
    assert "the next hop of 10.244.1.0/24, 10.20.0.9" in found["10.20.0.8/30"]


def test_guard_within_a_wider_one() -> None:
    """A route between the one that is refused and what it covers hides nothing."""
    found = refusals(route("10.20.0.0/16", "10.60.0.9"), route("10.20.0.0/30", "10.60.0.9"))
    assert list(found) == ["10.20.0.0/16"]


@pytest.mark.parametrize(
    ("had", "gone", "asks"),
    [(7, 7, False), (8, 4, False), (8, 5, True), (9, 5, True), (100, 50, False), (100, 51, True), (100, 100, True)],
)
def test_mass_change(had: int, gone: int, asks: bool) -> None:
    """More than half of at least eight."""
    own = tuple(route(f"10.244.{number}.0/24", "10.20.0.9") for number in range(had))
    assert make_plan(Held(own), own[gone:]).is_mass_change() is asks


def test_single_weight() -> None:
    """The weight of an only next hop says nothing: no kernel keeps it."""
    own = Route(ip_network("10.1.0.0/16"), hops("10.20.0.9"))
    heavy = Route(ip_network("10.1.0.0/16"), (NextHop(ip_address("10.20.0.9"), weight=5),))
    assert make_plan(Held((own,)), [heavy]).changes == 0
    assert make_plan(Held((own,), outdated=(own.prefix,)), [own]).changes == 1


def test_text() -> None:
    """The plan as people read it, and as programs do."""
    node = {"origin": "BlockAffinity node1", "cluster": "dev"}
    held = Held(
        (route("10.1.1.0/24", "10.0.0.1"), route("10.1.2.0/24", "10.0.0.1"), route("10.1.3.0/24", "10.0.0.1")),
        (Foreign(ip_network("10.1.4.0/24"), "protocol bird", "10.1.4.0/24 via 10.0.0.9 dev eth0 proto bird"),),
    )
    wanted = [
        route("10.1.0.0/24", "10.0.0.1", **node),
        route("10.1.1.0/24", "10.0.0.1", **node),
        route("10.1.2.0/24", "10.0.0.2", "10.0.0.3", **node),
        route("10.1.4.0/24", "10.0.0.1", **node),
        Route(ip_network("10.96.0.0/12"), hops("10.0.0.1"), Kind.SERVICE, "ServiceCIDR kubernetes", "dev"),
    ]
    plan = make_plan(held, wanted)
    assert plan_lines(plan) == [
        "+ 10.1.0.0/24   via 10.0.0.1                                   pod      BlockAffinity node1",
        "+ 10.96.0.0/12  via 10.0.0.1                                   service  ServiceCIDR kubernetes",
        "~ 10.1.2.0/24   via 10.0.0.2, via 10.0.0.3 (was via 10.0.0.1)  pod      BlockAffinity node1",
        "- 10.1.3.0/24   via 10.0.0.1",
        "! 10.1.4.0/24   via 10.0.0.1                                   pod      left alone: protocol bird has"
        " 10.1.4.0/24 via 10.0.0.9 dev eth0 proto bird",
    ]
    assert summary(plan) == "2 to add, 1 to change, 1 to remove, 1 to keep, 1 in conflict"
    facts = plan_facts(plan)
    assert plan_facts(make_plan(Held((route("10.0.0.0/8", "10.20.0.9"),)), ()))["remove"][0]["kind"] is None
    assert facts["counts"] == {"add": 2, "change": 1, "remove": 1, "keep": 1, "conflict": 1}
    assert facts["change"] == [
        {
            "prefix": "10.1.2.0/24",
            "next_hops": [
                {"address": "10.0.0.2", "device": "", "weight": 1},
                {"address": "10.0.0.3", "device": "", "weight": 1},
            ],
            "kind": "pod",
            "cluster": "dev",
            "origin": "BlockAffinity node1",
            "was": [{"address": "10.0.0.1", "device": "", "weight": 1}],
        }
    ]
    assert facts["conflict"][0]["owner"] == "protocol bird"

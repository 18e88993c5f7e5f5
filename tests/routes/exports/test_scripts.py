"""The scripts run by real shells in network namespaces: what `ip route` then shows is what was wanted."""

import json
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.routes.exports import About, Exported, export
from dnsbridge.routes.model import NextHop, Route, hop_order, in_order
from tests.routes.exports.sets import MIXED
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.properties import examples

pytestmark = pytest.mark.needs("netns", "ip")

Way = tuple[str, str, int]


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A host on the network of the sets, with a second link."""
    with Switch() as switch:
        host = switch.host("10.0.0.99/24", "fd00::99/64")
        switch.join(host, "eth1", "10.9.0.99/24", "fd00:9::99/64")
        # Link-local next hops are on the link that is named; nothing needs to answer there.
        yield host


def script(name: str, routes: Iterable[Route], interface: str = "") -> str:
    """The text for routes."""
    made = export(name, tuple(routes), About(interface=interface))
    assert isinstance(made, Exported)
    return made.text


def shell(host: Namespace, text: str) -> None:
    """Run a script."""
    must(host, "sh", "-ec", text)


def shown(host: Namespace, *selector: str) -> dict[str, set[Way]]:
    """What `ip -j route` shows: address, device and weight of each next hop, by prefix; not what is on link."""
    found: dict[str, set[Way]] = {}
    for family in ("-4", "-6"):
        for entry in json.loads(must(host, "ip", "-j", family, "route", "show", *selector) or "[]"):
            if entry.get("protocol") == "kernel" or entry["dst"] in ("default", "10.0.0.0/24", "fd00::/64"):
                continue
            hops: list[dict[str, Any]] = entry.get("nexthops") or [entry]
            prefix = str(ip_network(entry["dst"]))
            found.setdefault(prefix, set()).update((h.get("gateway", ""), h["dev"], h.get("weight", 1)) for h in hops)
    return found


def wanted(routes: Iterable[Route], first: bool = False) -> dict[str, set[Way]]:
    """The same of routes; every address is on eth0 where no device is named."""
    return {
        str(route.prefix): {
            (str(hop.address or ""), hop.device or "eth0", 1 if first else hop.weight)
            for hop in route.next_hops[: 1 if first else None]
        }
        for route in routes
    }


@pytest.fixture(autouse=True)
def _flushed(host: Namespace) -> Iterator[None]:
    yield
    for family in ("-4", "-6"):
        for protocol in ("static", "boot"):
            must(host, "ip", family, "route", "flush", "proto", protocol)


def test_iproute2_in_a_shell_twice(host: Namespace) -> None:
    """The table is what was wanted, also after a second run; all of it is marked as static."""
    for _ in range(2):
        shell(host, script("iproute2", MIXED))
        assert shown(host, "proto", "static") == wanted(MIXED)


def test_iproute2_as_a_batch(host: Namespace) -> None:
    """Without the first word of each line it is a file for ip -batch."""
    text = "".join(line.removeprefix("ip ") for line in script("iproute2", MIXED).splitlines(keepends=True))
    must(host, "sh", "-ec", f"ip -batch - <<'END'\n{text}END\n")
    assert shown(host, "proto", "static") == wanted(MIXED)


@pytest.mark.needs("route")
def test_route_add(host: Namespace) -> None:
    """net-tools sets the first next hop of each."""
    shell(host, script("route-add", MIXED, "eth0"))
    assert shown(host) == wanted(MIXED, first=True)


@st.composite
def route_sets(draw: st.DrawFn) -> tuple[Route, ...]:
    """Sets of routes that the host's kernel can hold."""
    routes = {}
    for _ in range(draw(st.integers(1, 6))):
        version = draw(st.sampled_from([4, 6]))
        bits, low = (32, 0x0A400000) if version == 4 else (128, 0xFD77 << 112)
        length = draw(st.integers(12 if version == 4 else 18, bits))
        number = low | draw(st.integers(0, 2**20 - 1)) << (bits - 32 if version == 6 else 0)
        prefix = ip_network((number >> (bits - length) << (bits - length), length))
        link = draw(st.sampled_from([("eth0", "10.0.0.", "fd00::"), ("eth1", "10.9.0.", "fd00:9::")]))
        ends = draw(st.lists(st.integers(1, 90), min_size=1, max_size=3, unique=True))
        hops = [
            NextHop(ip_address(f"{link[1 if version == 4 else 2]}{end}"), link[0], draw(st.integers(1, 256)))
            for end in ends
        ]
        if len(hops) == 1:
            alone = draw(st.booleans())
            hops = [NextHop(None if alone else hops[0].address, link[0])]
        routes[prefix] = Route(prefix, tuple(sorted(hops, key=hop_order)))
    return in_order(routes.values())


@given(route_sets())
@examples(15)
def test_any_set_comes_back_from_the_kernel(host: Namespace, routes: tuple[Route, ...]) -> None:
    """What the kernel shows after the script is the set, whatever it is."""
    shell(host, script("iproute2", routes))
    try:
        assert shown(host, "proto", "static") == wanted(routes)
    finally:
        shell(host, "ip -4 route flush proto static; ip -6 route flush proto static")

"""The sink `kernel` against a real kernel, in a network namespace; `ip route` says what came of it."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import uvloop

from dnsbridge.netlink.netlink_socket import RouteEvents, messages_of
from dnsbridge.netlink.rtnetlink import RTM_DELROUTE
from dnsbridge.routes.model import NextHop, Reached, Route, in_order
from dnsbridge.routes.plan import make_plan
from dnsbridge.routes.sink import Held
from dnsbridge.sinks.kernel import KernelSink
from tests.support.inside import inside
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.needs("netns")
FOREIGN = (
    "10.50.0.0/16 via 10.0.0.9 dev d0 proto static metric 7",
    "blackhole 10.51.0.0/24 proto bird",
    "fd50::/64 via fd01::9 dev d0 proto bird metric 32",
)


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A host with the networks 10.0.0.0/24 and fd01::/64 on d0, and routes of others."""
    with Namespace("") as namespace:
        for line in (
            "link add d0 type veth peer name d1",
            # The kernel would make addresses of its own, some time after the start.
            "link set d0 addrgenmode none",
            "link set d1 addrgenmode none",
            "address add fe80::1/64 dev d0 nodad",
            "address add 10.0.0.1/24 dev d0",
            "address add fd01::1/64 dev d0 nodad",
            "link set d0 up",
            "link set d1 up",
            *(f"route add {line}" for line in FOREIGN),
        ):
            must(namespace, "ip", *line.split())
        yield namespace


def tables(host: Namespace) -> str:
    """All tables of both families, as text."""
    return must(host, "ip", "route", "show", "table", "all") + must(host, "ip", "-6", "route", "show", "table", "all")


def ours(host: Namespace, table: str = "main") -> list[str]:
    """The routes of our protocol number, one in a line, as iproute2 words them."""
    found = ""
    for family in ("-4", "-6"):
        done = host.run("ip", family, "-oneline", "route", "show", "table", table, "proto", "83")
        found += done.stdout  # a table without a route does not exist, and is an error
    return [" ".join(line.replace("\\", "").replace(" pref medium", "").split()) for line in found.splitlines()]


def route(text: str) -> Route:
    """`PREFIX HOP,HOP...` with a hop as ADDRESS, ADDRESS%DEVICE or %DEVICE, and *WEIGHT after it."""
    prefix, _, ways = text.partition(" ")
    hops = []
    for way in ways.split(","):
        place, _, weight = way.partition("*")
        address, _, device = place.partition("%")
        hops.append(NextHop(ip_address(address) if address else None, device, int(weight or 1)))
    return Route(ip_network(prefix), tuple(hops))


def with_sink(
    host: Namespace, work: Callable[[KernelSink], Coroutine[Any, Any, Any]], *settings: int, run: Any = asyncio.run
) -> Any:
    """What a function makes of a new sink in the namespace; its routes are left."""

    async def opened() -> Any:
        sink = KernelSink(*settings)
        try:
            return await work(sink)
        finally:
            await sink.close()

    return inside(host, opened, run)


WAYS = {
    "10.1.0.0/16 10.0.0.2": "10.1.0.0/16 via 10.0.0.2 dev d0",
    "10.1.0.0/16 10.0.0.2,10.0.0.3": (
        "10.1.0.0/16 nexthop via 10.0.0.2 dev d0 weight 1 nexthop via 10.0.0.3 dev d0 weight 1"
    ),
    "10.1.0.0/16 10.0.0.2*3,10.0.0.4": (
        "10.1.0.0/16 nexthop via 10.0.0.2 dev d0 weight 3 nexthop via 10.0.0.4 dev d0 weight 1"
    ),
    "10.1.0.0/16 %d0": "10.1.0.0/16 dev d0 scope link",
    "10.1.0.0/16 10.9.9.9%d0": "10.1.0.0/16 via 10.9.9.9 dev d0 onlink",
    "10.1.0.0/16 10.9.9.8%d0,10.9.9.9%d0": (
        "10.1.0.0/16 nexthop via 10.9.9.8 dev d0 weight 1 onlink nexthop via 10.9.9.9 dev d0 weight 1 onlink"
    ),
    "10.1.0.0/16 fd01::7": "10.1.0.0/16 via inet6 fd01::7 dev d0",
    "10.1.0.0/16 fe80::7%d0": "10.1.0.0/16 via inet6 fe80::7 dev d0",
    "10.1.0.3/32 10.0.0.2": "10.1.0.3 via 10.0.0.2 dev d0",
    "fd02::/64 fd01::2": "fd02::/64 via fd01::2 dev d0 metric 1024",
    "fd02::/64 fd01::2*3,fd01::3": (
        "fd02::/64 metric 1024 nexthop via fd01::2 dev d0 weight 3 nexthop via fd01::3 dev d0 weight 1"
    ),
    "fd02::/64 fe80::2%d0": "fd02::/64 via fe80::2 dev d0 metric 1024",
    "fd02::/64 fd09::2%d0": "fd02::/64 via fd09::2 dev d0 metric 1024 onlink",
    "fd02::/64 %d0": "fd02::/64 dev d0 metric 1024",
    "fd02::3/128 fd01::2": "fd02::3 via fd01::2 dev d0 metric 1024",
}


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_ways(host: Namespace, run: Any) -> None:
    """Each kind of next hop is set as the kernel words it, found again by another process, and gone without a trace."""
    before = tables(host)
    for text, expected in WAYS.items():
        wanted = (route(text),)

        async def check(sink: KernelSink, wanted: tuple[Route, ...] = wanted) -> Held:
            assert await sink.apply(wanted) == Reached(wanted)
            return await sink.held()

        assert with_sink(host, check, run=run).own == wanted, text
        assert ours(host) == [expected]
        assert with_sink(host, lambda sink: sink.held(), run=run).own == wanted
        assert with_sink(host, lambda sink: sink.withdraw(), run=run) == Reached()
        assert tables(host) == before


@pytest.mark.parametrize("family", ["10.1.0.0/16", "fd02::/64"])
def test_change_in_place(host: Namespace, family: str) -> None:
    """From each way to each other one the route is replaced: at no moment is it gone."""
    texts = [text for text in WAYS if text.startswith(f"{family} ")]

    async def check(sink: KernelSink) -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as events:
            await sink.apply([route(texts[0])])
            events.bind((0, 1 << 6 | 1 << 10))
            for old in texts:
                for new in texts:
                    assert await sink.apply([route(old)]) == Reached((route(old),))
                    assert await sink.apply([route(new)]) == Reached((route(new),))
                    assert ours(host) == [WAYS[new]], f"{old} -> {new}"
                    kinds = []
                    while True:
                        try:
                            kinds += [kind for kind, *_ in messages_of(events.recv(1 << 18))]
                        except BlockingIOError:
                            break
                    assert RTM_DELROUTE not in kinds, f"{old} -> {new}"
            await sink.withdraw()

    before = tables(host)
    with_sink(host, check)
    assert tables(host) == before


def test_foreign(host: Namespace) -> None:
    """A prefix that somebody else has, at whatever metric, is left alone and its owner named; the rest is set."""
    before = tables(host)
    texts = ["10.0.0.0/24 10.0.0.2", "10.50.0.0/16 10.0.0.2", "10.51.0.0/24 10.0.0.2", "10.52.0.0/24 10.0.0.2"]
    wanted = in_order([*map(route, texts), route("fd50::/64 fd01::2")])
    for _ in range(2):
        reached = with_sink(host, lambda sink: sink.apply(wanted))
        assert [str(each.prefix) for each in reached.routes] == ["10.52.0.0/24"]
        said = {str(each.prefix): each.problem for each in reached.failures}
        assert said.keys() == {"10.0.0.0/24", "10.50.0.0/16", "10.51.0.0/24", "fd50::/64"}
        assert (
            "protocol static, metric 7 has 10.50.0.0/16 via 10.0.0.9 dev d0 proto static metric 7"
            in said["10.50.0.0/16"]
        )
        assert "protocol bird has blackhole 10.51.0.0/24 proto bird" in said["10.51.0.0/24"]
        assert "protocol kernel" in said["10.0.0.0/24"]
        assert "protocol bird, metric 32" in said["fd50::/64"]
        assert all(each.conflict for each in reached.failures)
    with_sink(host, lambda sink: sink.withdraw())
    assert tables(host) == before


def test_foreign_in_between(host: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that somebody sets after the table was read is not replaced; the failure names its owner."""
    monkeypatch.setattr(RouteEvents, "drain", lambda _: False)  # the event has not come yet
    texts = ["10.60.0.0/24 10.0.0.2", "10.61.0.0/24 10.0.0.2", "fd60::/64 fd01::2"]

    async def check(sink: KernelSink) -> Reached:
        await sink.held()
        must(host, "ip", "route", "add", "10.60.0.0/24", "via", "10.0.0.9", "proto", "static")
        must(host, "ip", "route", "add", "fd60::/64", "via", "fd01::9", "proto", "bird")
        return await sink.apply([route(text) for text in texts])

    try:
        reached = with_sink(host, check)
        assert ours(host) == ["10.61.0.0/24 via 10.0.0.2 dev d0"]
        assert [str(each.prefix) for each in reached.routes] == ["10.61.0.0/24"]
        assert all(each.conflict for each in reached.failures)
        assert {str(each.prefix): each.problem.split(" has ")[0] for each in reached.failures} == {
            "10.60.0.0/24": "left alone: protocol static",
            "fd60::/64": "left alone: protocol bird, metric 1024",
        }
        with_sink(host, lambda sink: sink.withdraw())
    finally:
        assert must(host, "ip", "route", "del", "10.60.0.0/24", "proto", "static") == ""
        assert must(host, "ip", "route", "del", "fd60::/64", "proto", "bird") == ""


def test_errors_in_the_middle(host: Namespace) -> None:
    """Of 1,000 changes every hundredth cannot be: each is told by its prefix, and all others are done."""

    def of(number: int) -> Route:
        hop = "10.99.0.1" if number % 100 == 50 else f"10.0.0.{2 + number % 200}"
        return route(f"10.{100 + number // 256}.{number % 256}.0/24 {hop}")

    wanted = [of(number) for number in range(1000)]
    reached = with_sink(host, lambda sink: sink.apply(wanted))
    assert [failure.prefix for failure in reached.failures] == [each.prefix for each in wanted[50::100]]
    assert {failure.problem for failure in reached.failures} == {
        "the next hop 10.99.0.1 is unreachable: no directly connected network has it;"
        " choose another with routes.via or --gateway"
    }
    assert len(reached.routes) == len(ours(host)) == 990
    must(host, "ip", "address", "add", "10.99.0.2/24", "dev", "d0")
    try:
        assert with_sink(host, lambda sink: sink.apply(wanted)) == Reached(tuple(wanted))
        assert len(ours(host)) == 1000
        with_sink(host, lambda sink: sink.withdraw())
        assert ours(host) == []
    finally:
        must(host, "ip", "address", "del", "10.99.0.2/24", "dev", "d0")


REFUSED = {
    "10.1.0.0/16 %nowhere": "there is no interface nowhere",
    "10.1.0.0/16 10.0.0.255": "is not possible",
    "fd02::/64 fd09::2": "fd09::2 is unreachable",
    "fd02::/64 fd01::1": "gateway can not be a local address",
    "fd02::/64 10.0.0.2": "no IPv6 route can have",
    "10.1.0.0/16 %d2": "d2 is down or gone",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(host: Namespace, text: str) -> None:
    """What no kernel takes is told in words, the next route is set, and the table is none the worse."""
    must(host, "ip", "link", "add", "d2", "type", "veth", "peer", "name", "d3")
    try:
        good = route("10.2.0.0/16 10.0.0.2")
        reached = with_sink(host, lambda sink: sink.apply(in_order([route(text), good])))
        assert reached.routes == (good,)
        (failure,) = reached.failures
        assert REFUSED[text] in failure.problem
        assert failure.prefix == route(text).prefix
        with_sink(host, lambda sink: sink.withdraw())
    finally:
        must(host, "ip", "link", "del", "d2")


def test_table_and_metric(host: Namespace) -> None:
    """In a table of its own, at a metric of its own; another metric later moves our routes, and takes no others."""
    before = tables(host)
    wanted = (route("10.1.0.0/16 10.0.0.2"), route("fd02::/64 fd01::2"))
    must(host, "ip", "route", "add", "10.1.0.0/16", "via", "10.0.0.9", "proto", "83", "table", "999")
    theirs = ours(host, "999")
    for metric, expected in ((50, "metric 50"), (0, ""), (60, "metric 60"), (40, "metric 40")):
        held = with_sink(host, lambda sink: sink.held(), 4711, 83, metric)
        assert make_plan(held, wanted).changes == 2  # at first to add, then to change
        assert with_sink(host, lambda sink: sink.apply(wanted), 4711, 83, metric) == Reached(wanted)
        own = f"10.1.0.0/16 via 10.0.0.2 dev d0 {expected}".strip()
        assert ours(host, "4711") == [own, f"fd02::/64 via fd01::2 dev d0 {expected or 'metric 1024'}"]
        assert make_plan(with_sink(host, lambda sink: sink.held(), 4711, 83, metric), wanted).changes == 0
    assert with_sink(host, lambda sink: sink.withdraw(), 4711, 83, 99) == Reached()
    assert ours(host, "999") == theirs
    must(host, "ip", "route", "del", "10.1.0.0/16", "table", "999")
    assert tables(host) == before


@pytest.mark.parametrize("theirs", ["10.1.0.0/16 via 10.0.0.9", "fd02::/64 via fd01::9"])
def test_foreign_at_the_new_metric(host: Namespace, theirs: str) -> None:
    """Another metric than before, at which somebody else has the prefix: theirs stays, and so does ours."""
    before = tables(host)
    text = f"{theirs.split(maxsplit=1)[0]} {'fd01::2' if ':' in theirs else '10.0.0.2'}"
    with_sink(host, lambda sink: sink.apply([route(text)]), 254, 83, 70)
    must(host, "ip", "route", "add", *theirs.split(), "proto", "static", "metric", "60")
    both = tables(host)
    reached = with_sink(host, lambda sink: sink.apply([route(text)]), 254, 83, 60)
    assert [each.problem.split(" has ")[0] for each in reached.failures] == ["left alone: protocol static, metric 60"]
    assert tables(host) == both
    assert with_sink(host, lambda sink: sink.withdraw(), 254, 83, 60) == Reached()
    must(host, "ip", "route", "del", *theirs.split(), "proto", "static", "metric", "60")
    assert tables(host) == before


def test_foreign_before_ours(host: Namespace) -> None:
    """Somebody has put a route before ours at the same metric: a change of ours does not replace theirs."""
    before = tables(host)
    with_sink(host, lambda sink: sink.apply([route("10.1.0.0/16 10.0.0.2")]))
    must(host, "ip", "route", "prepend", "10.1.0.0/16", "via", "10.0.0.9", "proto", "static")
    both = tables(host)
    reached = with_sink(host, lambda sink: sink.apply([route("10.1.0.0/16 10.0.0.3")]))
    assert [each.problem.split(" has ")[0] for each in reached.failures] == ["left alone: protocol static"]
    assert tables(host) == both
    assert with_sink(host, lambda sink: sink.withdraw()) == Reached()
    must(host, "ip", "route", "del", "10.1.0.0/16", "proto", "static")
    assert tables(host) == before


def test_another_protocol_number(host: Namespace) -> None:
    """Of two that mark their routes differently each sees the other's as somebody else's."""
    wanted = (route("10.1.0.0/16 10.0.0.2"),)
    assert with_sink(host, lambda sink: sink.apply(wanted)) == Reached(wanted)
    reached = with_sink(host, lambda sink: sink.apply(wanted), 254, 84)
    assert [each.problem.split(";")[0] for each in reached.failures] == [
        "left alone: protocol 83 has 10.1.0.0/16 via 10.0.0.2 dev d0 proto 83"
    ]
    assert with_sink(host, lambda sink: sink.withdraw(), 254, 84) == Reached()
    assert ours(host) == ["10.1.0.0/16 via 10.0.0.2 dev d0"]
    assert with_sink(host, lambda sink: sink.withdraw()) == Reached()
    assert ours(host) == []


def test_told_of_others(host: Namespace) -> None:
    """One's own changes are no event; a route that somebody else removes is, and so is an interface that goes."""
    must(host, "ip", "link", "add", "d4", "type", "veth", "peer", "name", "d5")
    for line in ("address add 10.70.0.1/24 dev d4", "link set d4 up", "link set d5 up"):
        must(host, "ip", *line.split())

    async def check(sink: KernelSink) -> None:
        wanted = [route(f"10.{100 + number // 256}.{number % 256}.0/24 10.70.0.2") for number in range(3000)]
        await sink.apply(wanted)
        assert not sink.touched()
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(sink.fileno(), readable.set)
        must(host, "ip", "route", "del", "10.100.7.0/24")
        await asyncio.wait_for(readable.wait(), DEADLINE)
        loop.remove_reader(sink.fileno())
        assert sink.touched()
        assert await sink.apply(wanted) == Reached(tuple(wanted))
        assert len(ours(host)) == 3000
        must(host, "ip", "link", "set", "d4", "down")  # the kernel takes the routes away without a word
        assert sink.touched()
        assert (await sink.held()).own == ()
        must(host, "ip", "link", "set", "d4", "up")
        assert await sink.apply(wanted[:10]) == Reached(tuple(wanted[:10]))
        await sink.withdraw()

    try:
        with_sink(host, check)
        assert ours(host) == []
    finally:
        must(host, "ip", "link", "del", "d4")


def test_hold_of_the_same_objects(host: Namespace) -> None:
    """Sets that share routes with the last one: what moved, left, came or was in the way comes out as with others."""

    async def check(sink: KernelSink) -> None:
        wanted = [route(f"10.100.{number}.0/24 10.0.0.2") for number in range(50)] + [route("10.50.0.0/16 10.0.0.2")]
        for step in range(6):
            if step % 2:
                wanted[step] = route(f"10.100.{step}.0/24 10.0.0.3")
            else:
                del wanted[step + 10]
                wanted.append(route(f"10.101.{step}.0/24 10.0.0.{2 + step}"))
            reached = await sink.apply(wanted)
            assert [str(failure.prefix) for failure in reached.failures] == ["10.50.0.0/16"]
            assert len(reached.routes) == len(wanted) - 1
            other = KernelSink()
            assert make_plan(await other.held(), wanted).changes == 0
            await other.close()
        await sink.withdraw()

    with_sink(host, check)

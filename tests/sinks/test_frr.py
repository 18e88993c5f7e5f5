"""The sink `frr` on a real FRR: zebra and staticd, given lines through vtysh."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from dnsbridge.routes.model import NextHop, Reached, Route
from dnsbridge.routes.sink import Foreign, Held, SinkProblem
from dnsbridge.sinks.frr import frr_lines
from dnsbridge.sinks.frr.sink import FrrSink
from tests.sinks.routers import routes
from tests.support.frr import Frr
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.program import eventually
from tests.support.remote_sink import RemoteSink

FOREIGN = "ip route 10.99.0.0/16 10.200.20.1"
WANTED = routes("""
10.233.98.0/24  via 10.200.20.105
10.233.110.0/24 via 10.200.20.107
10.233.0.0/18   via 10.200.20.105 10.200.20.106
fd00:98::/64    via fd00:20::105
""")
CHANGED = routes("""
10.233.98.0/24  via 10.200.20.105
10.233.110.0/24 via 10.200.20.108
10.233.0.0/18   via 10.200.20.106
""")


class Router:
    """An FRR, and the sink in its namespace."""

    def __init__(self, host: Namespace, frr: Frr, sink: RemoteSink) -> None:
        self.frr, self.sink = frr, sink
        self._host = host

    def statics(self) -> list[str]:
        """The lines of its configuration."""
        return [line for line in self.frr.vtysh("show running-config").splitlines() if " route " in line]

    def kernel(self) -> str:
        """Its kernel's tables, but for what IPv6 brings about by itself."""
        lines = must(self._host, "ip", "route") + must(self._host, "ip", "-6", "route")
        return "".join(line for line in lines.splitlines(True) if "proto kernel" not in line)


@pytest.fixture
def router() -> Iterator[Router]:
    """The router of field case 1, with a static route of its own."""
    with Switch() as switch:
        host = switch.host("10.200.20.254/24", "fd00:20::fe/64")
        with Frr(host, FOREIGN) as frr, RemoteSink(host, FrrSink, frr.folder) as sink:
            yield Router(host, frr, sink)


@pytest.mark.needs("netns", "vtysh", "bgpd")
def test_frr_has_what_is_applied(router: Router) -> None:
    """FRR and its kernel have the set, then a changed one, and after withdraw what was there before."""
    eventually(lambda: "10.99.0.0/16" in router.kernel())
    before = router.statics(), router.kernel()
    assert router.sink.held() == Held((), (Foreign(ip_network("10.99.0.0/16"), "FRR's configuration", FOREIGN),))
    assert router.sink.apply(WANTED) == Reached(WANTED)
    assert router.sink.held().own == WANTED
    for route in WANTED:
        assert f"{route.prefix} " in router.kernel()
    assert router.sink.apply(CHANGED) == Reached(CHANGED)
    assert router.sink.held().own == CHANGED
    assert FOREIGN in router.statics()
    assert router.sink.withdraw() == Reached()
    assert (router.statics(), router.kernel()) == before


@pytest.mark.needs("netns", "vtysh", "bgpd")
def test_failures_are_by_prefix(router: Router) -> None:
    """Another's prefix, an unreachable next hop and a device that cannot be named are reported; the rest is there."""
    wanted = (
        *routes("10.1.0.0/24 via 10.200.20.105\n10.2.0.0/24 via 192.0.2.1\n10.99.0.0/16 via 10.200.20.105"),
        Route(ip_network("10.100.0.0/24"), (NextHop(None, "eth0 tag 1"),)),
    )
    reached = router.sink.apply(wanted)
    assert reached.routes == wanted[:1]
    failures = {str(failure.prefix): failure.problem for failure in reached.failures}
    assert failures == {
        "10.2.0.0/24": "FRR cannot reach every next hop, or prefers another route: via 192.0.2.1",
        "10.99.0.0/16": f"FRR has it from somebody else, left alone: {FOREIGN}",
        "10.100.0.0/24": "FRR's lines cannot name the device 'eth0 tag 1'",
    }
    assert [str(failure.prefix) for failure in reached.failures if failure.conflict] == ["10.99.0.0/16"]
    assert FOREIGN in router.statics()


@pytest.mark.needs("netns", "vtysh")
def test_frr_that_is_not_there() -> None:
    """An FRR that does not run is said so in one line."""
    with Switch() as switch, RemoteSink(switch.host(), FrrSink) as sink:
        with pytest.raises(SinkProblem, match="vtysh does not reach staticd; is FRR running") as caught:
            sink.apply(WANTED)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "hop"),
    [
        ("ip route 10.1.0.0/24 10.0.0.5 tag 83", NextHop(ip_address("10.0.0.5"))),
        ("ip route 10.1.0.0/24 10.0.0.5 eth0 tag 83", NextHop(ip_address("10.0.0.5"), "eth0")),
        ("ip route 10.1.0.0/24 eth0 tag 83", NextHop(None, "eth0")),
        ("ipv6 route fd00::/64 fe80::1 eth0 tag 83", NextHop(ip_address("fe80::1"), "eth0")),
        ("ip route 10.1.0.0/24 10.0.0.5", None),
        ("ip route 10.1.0.0/24 10.0.0.5 tag 84", None),
        ("ip route 10.1.0.0/24 10.0.0.5 tag 83 20", None),
        ("ip route 10.1.0.0/24 Null0 tag 83", None),
        ("ip route 10.1.0.0/24 10.0.0.5 tag 83 table 7", None),
        ("ip route 10.1.0.0/24 10.0.0.5 eth0 onlink tag 83", None),
    ],
)
def test_read(line: str, hop: NextHop | None) -> None:
    """Ours are read from their lines and written as they were; a line that we would not write is somebody else's."""
    held = frr_lines.read(f"!\n{line}\nvrf red\n {line}\nexit-vrf\n", 83)
    if hop is None:
        assert (held.own, [each.text for each in held.foreign]) == ((), [line])
    else:
        [route] = held.own
        assert (route.next_hops, held.foreign) == ((hop,), ())
        assert frr_lines.lines_of(route, 83) == [line]


def test_next_hop_of_the_other_family() -> None:
    """A next hop of the other address family is not written at all."""
    route = Route(ip_network("10.1.0.0/24"), (NextHop(ip_address("fd00::1")),))
    with pytest.raises(frr_lines.Unwritable, match="no static IPv4 route by an IPv6 next hop"):
        frr_lines.lines_of(route, 83)

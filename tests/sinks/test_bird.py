"""The sink `bird` on a real BIRD 2, and the copy of bird.conf that its parser tries."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePath

import pytest

from dnsbridge.routes.model import NextHop, Reached, Route
from dnsbridge.routes.sink import SinkProblem
from dnsbridge.sinks.bird import bird_file
from dnsbridge.sinks.bird.sink import BirdSink
from tests.sinks.routers import routes
from tests.support.bird import Bird
from tests.support.links import Switch
from tests.support.remote_sink import RemoteSink

WANTED = routes("""
10.233.98.0/24  via 10.200.20.105
10.233.110.0/24 via 10.200.20.107
10.233.0.0/18   via 10.200.20.105 10.200.20.106
fd00:98::/64    via fd00:20::105
""")
FEWER = WANTED[:-2]


class Router:
    """A BIRD with our file, and the sink in its namespace."""

    def __init__(self, bird: Bird, sink: RemoteSink, file: Path) -> None:
        self.bird, self.sink, self.file = bird, sink, file

    def learned(self) -> dict[str, set[str]]:
        """What its two protocols of ours have."""
        return {**self.bird.learned("dnsbridge4"), **self.bird.learned("dnsbridge6")}


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    """The router of field case 1."""
    file = tmp_path / "dnsbridge.conf"
    file.write_text("", encoding="utf-8")
    with Switch() as switch:
        host = switch.host("10.200.20.254/24", "fd00:20::fe/64")
        config = f'include "{tmp_path}/*.conf";\nprotocol static foreign {{ ipv4; route 10.99.0.0/16 blackhole; }}\n'
        with (
            Bird(host, config) as bird,
            RemoteSink(host, BirdSink, file, bird.folder / "bird.conf", bird.socket) as sink,
        ):
            yield Router(bird, sink, file)


def shown(wanted: tuple[Route, ...]) -> dict[str, set[str]]:
    """What BIRD shows of them."""
    return {str(route.prefix): {str(hop.address) for hop in route.next_hops} for route in wanted}


@pytest.mark.needs("netns", "bird", "birdc")
def test_bird_has_what_is_applied(router: Router) -> None:
    """BIRD has the set, a changed set moves nothing else, and after withdraw none is left."""
    assert router.sink.held().own == ()
    assert router.sink.apply(WANTED) == Reached(WANTED)
    assert router.learned() == shown(WANTED)
    assert {route.same_way for route in router.sink.held().own} == {route.same_way for route in WANTED}
    before = router.bird.ages("dnsbridge4")
    assert router.sink.apply(WANTED) == Reached(WANTED)
    assert router.sink.apply(FEWER) == Reached(FEWER)
    assert router.learned() == shown(FEWER)
    assert router.bird.ages("dnsbridge4").items() <= before.items()
    assert router.sink.withdraw() == Reached()
    assert router.learned() == {}
    assert router.sink.held().own == ()
    assert router.bird.learned("foreign") == {"10.99.0.0/16": set()}


@pytest.mark.needs("netns", "bird", "birdc")
def test_next_hop_that_bird_cannot_reach(router: Router) -> None:
    """A next hop on none of its links is reported by prefix, and the rest is there."""
    wanted = routes("10.1.0.0/24 via 192.0.2.1\n10.2.0.0/24 via 10.200.20.105")
    reached = router.sink.apply(wanted)
    assert reached.routes == wanted[1:]
    [failure] = reached.failures
    assert failure.prefix == wanted[0].prefix
    assert "none of its links: via 192.0.2.1" in failure.problem


@pytest.mark.needs("netns", "bird", "birdc")
def test_parser_rejects(router: Router) -> None:
    """What BIRD's parser rejects changes neither the file nor BIRD, and the error has its words in one line."""
    router.sink.apply(WANTED)
    old = router.file.read_bytes()
    beside = router.file.with_name("z.conf")
    beside.write_text("protocol static dnsbridge4 { ipv4; }\n", encoding="utf-8")
    with pytest.raises(SinkProblem, match=r"BIRD's parser rejects it, so nothing was changed: .*") as caught:
        router.sink.apply(FEWER)
    assert "\n" not in str(caught.value)
    assert "already" in str(caught.value) or "z.conf" in str(caught.value)
    assert router.file.read_bytes() == old
    assert router.learned() == shown(WANTED)
    beside.unlink()
    assert router.sink.apply(FEWER) == Reached(FEWER)


@pytest.mark.needs("netns", "bird", "birdc")
def test_bird_that_is_not_there(router: Router) -> None:
    """A BIRD that does not run is said so; the file is there for when it does."""
    router.bird.stop()
    with pytest.raises(SinkProblem, match=r"is written, but BIRD does not read it: .*connect"):
        router.sink.apply(WANTED)
    assert {route.same_way for route in router.sink.held().own} == {route.same_way for route in WANTED}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ('include "/etc/bird/dnsbridge.conf";', 'include "/new";'),
        ('log syslog all;\n  include\t"dnsbridge.conf" ;', 'log syslog all;\ninclude "/new";'),
        ('log syslog all; include "dnsbridge.conf";', None),
        ('include "*.conf";', 'include "/etc/bird/a.conf";\ninclude "/new";'),
        ('include "conf.d/x.conf";\ninclude "dnsbridge.conf";', 'include "/etc/bird/conf.d/x.conf";\ninclude "/new";'),
        ('# include "dnsbridge.conf";', None),
        ('include "other.conf";', None),
        ("", None),
    ],
)
def test_trial(config: str, expected: str | None) -> None:
    """Our file gives way to another in each form of include, and one that bird.conf does not include is noticed."""
    files = [PurePath("/etc/bird/a.conf"), PurePath("/etc/bird/dnsbridge.conf")]
    assert bird_file.trial(config, PurePath("/etc/bird"), files[1], PurePath("/new"), files) == expected


def test_read() -> None:
    """Every form of a route in our file is read; what is no route is not."""
    text = """# dnsbridge
protocol static dnsbridge4 {
  ipv4;
  route 10.1.0.0/24 via 10.0.0.5;
  route 10.2.0.0/24 via 10.0.0.6%'eth0' weight 2 via 10.0.0.5 weight 1;
  route 10.3.0.0/24 via "eth0";
  route 10.4.0.0/24 blackhole;
}
"""
    hops = [
        (NextHop(ip_address("10.0.0.5")),),
        (NextHop(ip_address("10.0.0.5")), NextHop(ip_address("10.0.0.6"), "eth0", 2)),
        (NextHop(None, "eth0"),),
    ]
    assert bird_file.read(text) == tuple(
        Route(ip_network(f"10.{number}.0.0/24"), each) for number, each in enumerate(hops, 1)
    )

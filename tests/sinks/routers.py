"""Field case 1 as a network: a switch, three routers on it (FRR, BIRD, GoBGP), and hosts that announce to them.

    with Routers() as routers:
        routers.frr, routers.bird, routers.gobgp     at FRR_ADDRESS, BIRD_ADDRESS, GOBGP_ADDRESS, all AS 65200
        routers.host(MAIN)                           a host that all three take routes from

What a router thinks of each host is in the tables below.
"""

from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from types import TracebackType

from dnsbridge.routes.model import NextHop, Route, in_order
from dnsbridge.sinks.bgp.speaker import Peer, Speaker
from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.gobgp import GoBgp
from tests.support.links import Switch
from tests.support.namespace import Namespace

FRR_ADDRESS, BIRD_ADDRESS, GOBGP_ADDRESS = "10.200.20.254", "10.200.20.253", "10.200.20.252"
ALL = (FRR_ADDRESS, BIRD_ADDRESS, GOBGP_ADDRESS)
MAIN = "10.200.20.9"
WITH_PASSWORD = "10.200.20.10"
OTHER_AS = "10.200.20.11"
IPV4_ONLY = "10.200.20.12"
BY_IPV6 = "fd00:20::13"
PASSWORD = b'p{ss;"word#'
OUR_AS, THEIR_AS = 64513, 65200
RESTART_SECONDS = 10

_FRR = f"""router bgp {THEIR_AS}
bgp router-id {FRR_ADDRESS}
no bgp ebgp-requires-policy
no bgp default ipv4-unicast
bgp graceful-restart
neighbor {MAIN} remote-as {OUR_AS}
neighbor {WITH_PASSWORD} remote-as {OUR_AS}
neighbor {WITH_PASSWORD} password {PASSWORD.decode()}
neighbor {OTHER_AS} remote-as 64999
neighbor {IPV4_ONLY} remote-as {OUR_AS}
neighbor {BY_IPV6} remote-as {OUR_AS}
address-family ipv4 unicast
neighbor {MAIN} activate
neighbor {WITH_PASSWORD} activate
neighbor {OTHER_AS} activate
neighbor {IPV4_ONLY} activate
neighbor {BY_IPV6} activate
exit-address-family
address-family ipv6 unicast
neighbor {MAIN} activate
neighbor {WITH_PASSWORD} activate
neighbor {BY_IPV6} activate
exit-address-family"""

_BIRD = "router id 10.200.20.253;\n" + "".join(
    f"""protocol bgp {name} {{
  local {BIRD_ADDRESS} as {THEIR_AS};
  neighbor {host} as {OUR_AS};
  graceful restart on;
  error wait time 1, 1;
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
"""
    for name, host in (("switch", MAIN), ("second", OTHER_AS))
)

_FAMILIES = "".join(
    f"""[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv{version}-unicast"
[neighbors.afi-safis.mp-graceful-restart.config]
enabled = true
"""
    for version in (4, 6)
)
_GOBGP = f"""[global.config]
as = {THEIR_AS}
router-id = "{GOBGP_ADDRESS}"
[[neighbors]]
[neighbors.config]
neighbor-address = "{MAIN}"
peer-as = {OUR_AS}
[neighbors.transport.config]
passive-mode = true
[neighbors.graceful-restart.config]
enabled = true
restart-time = {RESTART_SECONDS}
[neighbors.timers.config]
connect-retry = 1
idle-hold-time-after-reset = 1
{_FAMILIES}"""


class Routers:
    """The network; `with` builds it. Needs root."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> "Routers":
        try:
            self._switch = self._stack.enter_context(Switch())
            self.frr = self._stack.enter_context(Frr(self.host(FRR_ADDRESS, "fd00:20::fe"), _FRR))
            self.bird = self._stack.enter_context(Bird(self.host(BIRD_ADDRESS, "fd00:20::fd"), _BIRD))
            self.gobgp = self._stack.enter_context(GoBgp(self.host(GOBGP_ADDRESS, "fd00:20::fc"), _GOBGP))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def host(self, *addresses: str) -> Namespace:
        """A new host on the switch."""
        return self._switch.host(*[f"{each}/{64 if ':' in each else 24}" for each in addresses])

    def learned(self) -> list[dict[str, set[str]]]:
        """What each router has been told by MAIN."""
        return [self.frr.learned(), self.bird.learned(), self.gobgp.learned()]


def speaker(*peers: str, password: bytes = b"", restart: int = RESTART_SECONDS) -> Speaker:
    """We, with these routers as peers."""
    told = tuple(Peer(ip_address(peer), THEIR_AS, password=password) for peer in peers)
    return Speaker(OUR_AS, told, hold_time=30, graceful_restart=restart)


def routes(table: str) -> tuple[Route, ...]:
    """Routes from lines `10.233.98.0/24 via 10.200.20.105 10.200.20.106`."""
    found = []
    for line in table.strip().splitlines():
        prefix, _, *hops = line.split()
        found.append(Route(ip_network(prefix), tuple(NextHop(ip_address(hop)) for hop in hops)))
    return in_order(found)


def told(wanted: tuple[Route, ...]) -> dict[str, set[str]]:
    """What a router shows of routes: of each the first next hop."""
    return {str(route.prefix): {str(route.next_hops[0].address)} for route in wanted}

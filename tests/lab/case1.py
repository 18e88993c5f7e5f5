"""Case 1 of the field: Calico announces its pods over BGP to the office's router, and ClusterIPs only where told to.

machine 10.50.0.2 ---- router 10.50.0.1 / 10.200.20.254 (AS 65200) ---- node 10.200.20.105 (AS 64513)
  default route          BIRD or FRR, takes what is announced            BIRD, as calico-node runs it, and kube-proxy
  dnsbridge at :53                                                       web-0 10.233.98.3, web-1 10.233.98.4 behind it
                                                                         web 10.233.0.50, empty 10.233.0.51: ClusterIPs

The machine has nothing but its default route. No pod is behind the service `empty`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.kube_proxy import kube_proxy
from tests.lab.lab import Lab
from tests.lab.objects import alone, headless, namespace, with_cluster_ip
from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.waiting import eventually

NODE, ROUTER, ROUTER_HERE = "10.200.20.105", "10.200.20.254", "10.50.0.1"
OUR_AS, THEIR_AS = 64513, 65200
POD, SERVICE, EMPTY = (f"{name}.shop.svc.cluster.local" for name in ("web-0.pods", "web", "empty"))
PODS, SERVICES, PORT = "10.233.98.0/24", "10.233.0.0/18", 8080
_PODS = {"web-0": "10.233.98.3", "web-1": "10.233.98.4"}
_WEB, _EMPTY = "10.233.0.50", "10.233.0.51"
_OBJECTS = (
    namespace("shop")
    + alone(_EMPTY, "empty", "shop", PORT)
    + with_cluster_ip(_WEB, "web", "shop", PORT, _PODS)
    + headless("pods", "shop", PORT, _PODS)
)


def _announcing(*prefixes: str) -> str:
    """The node's BIRD: its block, and whatever else is to be announced."""
    routes = "".join(f"  route {prefix} blackhole;\n" for prefix in prefixes)
    return f"""router id {NODE};
protocol static announced {{
  ipv4 {{ import all; }};
{routes}}}
protocol bgp switch {{
  local {NODE} as {OUR_AS};
  neighbor {ROUTER} as {THEIR_AS};
  connect delay time 1;
  error wait time 1, 1;
  ipv4 {{ import none; export where proto = "announced"; }};
}}
"""


def _bird(here: str, peer: str) -> str:
    """The router, by this address of its own, takes what a peer announces."""
    return f"""router id {ROUTER};
protocol bgp switch {{
  local {here} as {THEIR_AS};
  neighbor {peer} as {OUR_AS};
  connect delay time 1;
  error wait time 1, 1;
  ipv4 {{ import all; export none; }};
}}
"""


def _frr(peer: str) -> str:
    """The same for FRR."""
    return f"""router bgp {THEIR_AS}
bgp router-id {ROUTER}
no bgp ebgp-requires-policy
neighbor {peer} remote-as {OUR_AS}
neighbor {peer} timers connect 1"""


def routing(router: Namespace, daemon: str, here: str, peer: str) -> Bird | Frr:
    """BIRD or FRR, by name, on the office's router."""
    return Bird(router, _bird(here, peer)) if daemon == "bird" else Frr(router, _frr(peer))


@contextmanager
def office(folder: Path, services: bool) -> Iterator[tuple[Lab, Namespace, Namespace]]:
    """The lab before anybody announces anything, the router, the node; `services`: Calico is to announce ClusterIPs."""
    with Lab(folder, "case1" if services else "case1-not-announced", _OBJECTS, "10.50.0.2/24") as lab:
        router, node = lab.host(f"{ROUTER_HERE}/24", f"{ROUTER}/24"), lab.host(f"{NODE}/24")
        must(lab.machine, "ip", "route", "add", "default", "via", ROUTER_HERE)
        must(node, "ip", "route", "add", "default", "via", ROUTER)
        for name, address in _PODS.items():
            lab.pod(node, f"{address}/32", name, PORT)
        behind = [f"{address}:{PORT}" for address in _PODS.values()]
        kube_proxy(node, "10.233.64.0/18", {f"{_WEB}:{PORT}": behind, f"{_EMPTY}:{PORT}": []})
        lab.serve()
        yield lab, router, node


@contextmanager
def case1(folder: Path, services: bool, daemon: str = "bird") -> Iterator[tuple[Lab, Namespace, Namespace]]:
    """The lab once the router knows the way to the pods; `services`: ClusterIPs are announced too."""
    announced = (PODS, SERVICES) if services else (PODS,)
    with office(folder, services) as (lab, router, node):
        # Calico keeps ClusterIPs out of the node's own table: there kube-proxy leads.
        calico_node = Bird(node, _announcing(*announced), f"where net != {SERVICES}")
        with calico_node, routing(router, daemon, ROUTER, NODE) as routers:
            eventually(lambda: set(announced) <= routers.learned().keys())
            eventually(lambda: lab.fetched(POD, PORT) == "web-0")
            yield lab, router, node

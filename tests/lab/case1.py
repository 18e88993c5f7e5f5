"""Case 1 of the field: Calico announces its pods over BGP to the office's router, and ClusterIPs only where told to.

machine 10.50.0.2 ---- router 10.50.0.1 / 10.200.20.254 (AS 65200) ---- node 10.200.20.105 (AS 64513)
  default route          BIRD, takes what the node announces             BIRD, as calico-node runs it
  dnsbridge at :53                                                       web-0, 10.233.98.3; web, ClusterIP 10.233.0.50

The machine has nothing but its default route. The ClusterIP is an address of the node, as a DNAT rule makes it seem.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.objects import endpoints, headless, namespace
from tests.support.bird import Bird
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.waiting import eventually

NODE, ROUTER = "10.200.20.105", "10.200.20.254"
POD, SERVICE = "web-0.pods.shop.svc.cluster.local", "web.shop.svc.cluster.local"
PODS, SERVICES, PORT = "10.233.98.0/24", "10.233.0.0/18", 8080
_POD = {"web-0": "10.233.98.3"}
_WEB = f"""{namespace("shop")}
- apiVersion: v1
  kind: Service
  metadata: {{name: web, namespace: shop}}
  spec: {{clusterIP: 10.233.0.50, ports: [{{port: {PORT}}}]}}
{endpoints("web", "shop", PORT, _POD)}{headless("pods", "shop", PORT, _POD)}"""


def _announcing(*prefixes: str) -> str:
    """The node's BIRD: its block, and whatever else is to be announced."""
    routes = "".join(f"  route {prefix} blackhole;\n" for prefix in prefixes)
    return f"""router id {NODE};
protocol static announced {{
  ipv4 {{ import all; }};
{routes}}}
protocol bgp switch {{
  local {NODE} as 64513;
  neighbor {ROUTER} as 65200;
  connect delay time 1;
  error wait time 1, 1;
  ipv4 {{ import none; export where proto = "announced"; }};
}}
"""


_TAKING = f"""router id {ROUTER};
protocol bgp switch {{
  local {ROUTER} as 65200;
  neighbor {NODE} as 64513;
  connect delay time 1;
  error wait time 1, 1;
  ipv4 {{ import all; export none; }};
}}
"""


@contextmanager
def case1(folder: Path, services: bool) -> Iterator[tuple[Lab, Namespace]]:
    """The lab once the router knows the way to the pods, and the router; `services`: ClusterIPs are announced too."""
    case, announced = ("case1", (PODS, SERVICES)) if services else ("case1-not-announced", (PODS,))
    with Lab(folder, case, _WEB, "10.50.0.2/24") as lab:
        router, node = lab.router("10.50.0.1/24", f"{ROUTER}/24"), lab.host(f"{NODE}/24")
        must(lab.machine, "ip", "route", "add", "default", "via", "10.50.0.1")
        must(node, "ip", "route", "add", "default", "via", ROUTER)
        lab.pod(node, "10.233.98.3/32", "web-0", PORT)
        lab.pod(node, "10.233.0.50/32", "web", PORT)
        lab.serve()
        with Bird(node, _announcing(*announced)), Bird(router, _TAKING) as bird:
            eventually(lambda: set(announced) <= bird.learned().keys())
            eventually(lambda: lab.fetched(POD, PORT) == "web-0")
            yield lab, router

"""Case 1: Calico announces its pods over BGP to the office's router, and ClusterIPs only where somebody says so.

    machine 10.50.0.2 ---- router 10.50.0.1 / 10.200.20.254 (AS 65200) ---- node 10.200.20.105 (AS 64513)
      default route          BIRD, takes what the node announces             BIRD, as calico-node runs it

The machine has nothing but its default route. The ClusterIP is an address of the node, as a DNAT rule makes it seem.
"""

from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.support.bird import Bird
from tests.support.links import must
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "curl", "bird", "birdc")
NODE, ROUTER = "10.200.20.105", "10.200.20.254"
POD, SERVICE = "web-0.pods.shop.svc.cluster.local", "web.shop.svc.cluster.local"
WEB = """
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: shop}
  spec: {clusterIP: 10.233.0.50, ports: [{port: 8080}]}
- apiVersion: v1
  kind: Service
  metadata: {name: pods, namespace: shop}
  spec: {clusterIP: None, ports: [{port: 8080}]}
""" + "".join(
    f"""- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {{name: {service}-1, namespace: shop, labels: {{kubernetes.io/service-name: {service}}}}}
  addressType: IPv4
  ports: [{{port: 8080, protocol: TCP}}]
  endpoints: [{{addresses: [10.233.98.3], hostname: web-0, conditions: {{ready: true}}}}]
"""
    for service in ("web", "pods")
)


def announcing(*prefixes: str) -> str:
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


TAKING = f"""router id {ROUTER};
protocol bgp switch {{
  local {ROUTER} as 65200;
  neighbor {NODE} as 64513;
  connect delay time 1;
  error wait time 1, 1;
  ipv4 {{ import all; export none; }};
}}
"""


@pytest.mark.parametrize(
    ("case", "announced", "broken"),
    [
        pytest.param(
            "case1-not-announced",
            ("10.233.98.0/24",),
            {"route": "Calico announces pods over BGP and no ClusterIPs: its BGPConfiguration lacks 10.233.0.0/18"},
            id="pods alone",
        ),
        pytest.param("case1", ("10.233.98.0/24", "10.233.0.0/18"), {}, id="pods and ClusterIPs"),
    ],
)
def test_case_1(case: str, announced: tuple[str, ...], broken: dict[str, str], tmp_path: Path) -> None:
    """Pods are reached in any case; of ClusterIPs that nobody announces the doctor says exactly that."""
    with Lab(tmp_path, case, WEB, "10.50.0.2/24") as lab:
        router, node = lab.host("10.50.0.1/24"), lab.host(f"{NODE}/24")
        must(router, "ip", "address", "add", f"{ROUTER}/24", "dev", "eth0")
        must(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        must(lab.machine, "ip", "route", "add", "default", "via", "10.50.0.1")
        must(node, "ip", "route", "add", "default", "via", ROUTER)
        lab.pod(node, "10.233.98.3/32", "web-0", 8080)
        lab.pod(node, "10.233.0.50/32", "web", 8080)
        lab.serve()
        with Bird(node, announcing(*announced)), Bird(router, TAKING) as bird:
            eventually(lambda: set(announced) <= bird.learned().keys())
            eventually(lambda: lab.fetched(POD, 8080) == "web-0")
            assert lab.broken(POD) == {}
            assert lab.broken(SERVICE) == broken
            assert lab.fetched(SERVICE, 8080) == ("" if broken else "web")

"""Cases of the field, names and packets together, and what the doctor says at each step.

A name resolves from the start; its pod is reached after `routes apply` and not before; `routes withdraw` leaves the
table as it was.
"""

from pathlib import Path

import pytest

from tests.lab.case2 import NAME, PORT, case2
from tests.lab.lab import Lab
from tests.support.links import must

pytestmark = pytest.mark.needs("netns", "curl")
NO_ROUTE = {"route": "this host has no route to the address"}


def test_case_2(tmp_path: Path) -> None:
    """A gateway that joined the cluster: the way to all pods; it loses one of its own ways, and gets it back."""
    with case2(tmp_path) as (lab, gateway):
        before = lab.tables()
        assert lab.resolved(NAME) == "192.244.190.130"
        assert lab.fetched(NAME, PORT) == ""
        assert lab.broken(NAME) == NO_ROUTE
        lab.routes("apply", "--via", "gateways")
        assert (lab.fetched(NAME, PORT), lab.fetched(NAME.replace("-0", "-1"), PORT)) == ("kafka-0", "kafka-1")
        assert lab.broken(NAME) == {}
        must(gateway, "ip", "route", "del", "192.244.190.128/26")
        assert lab.broken(NAME) == {"connection": "a router on the way says that it has no way there"}
        must(gateway, "ip", "route", "add", "192.244.190.128/26", "via", "10.73.13.1")
        assert lab.broken(NAME) == {}
        lab.routes("withdraw")
        assert lab.tables() == before


WEB = """
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: shop}
  spec: {clusterIP: None, ports: [{port: 8080}]}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
  addressType: IPv4
  ports: [{port: 8080, protocol: TCP}]
  endpoints:
  - {addresses: [10.244.1.7], hostname: web-0, conditions: {ready: true}}
  - {addresses: [10.244.2.7], hostname: web-1, conditions: {ready: true}}
"""


def test_case_4_host_gw(tmp_path: Path) -> None:
    """flannel without a tunnel: each node is the way to its own pods; one node loses its link."""
    name = "web-0.web.shop.svc.cluster.local"
    with Lab(tmp_path, "case4-host-gw", WEB, "172.25.254.99/24") as lab:
        lab.host("172.25.254.2/24")
        nodes = [lab.host(f"172.25.254.{number}/24") for number in (3, 4)]
        for number, node in enumerate(nodes):
            lab.pod(node, f"10.244.{number + 1}.7/32", f"web-{number}", 8080)
        lab.serve()
        before = lab.tables()
        assert (lab.resolved(name), lab.fetched(name, 8080), lab.broken(name)) == ("10.244.1.7", "", NO_ROUTE)
        lab.routes("apply")
        assert (lab.fetched(name, 8080), lab.fetched(name.replace("-0", "-1"), 8080)) == ("web-0", "web-1")
        assert lab.broken(name) == {}
        must(nodes[0], "ip", "link", "set", "eth0", "down")
        must(lab.machine, "ip", "neigh", "flush", "all")
        (cause,) = lab.broken(name).values()
        assert cause == "nobody answers for 172.25.254.3 on the link of eth0 (ARP, neighbour discovery)"
        assert lab.broken(name.replace("-0", "-1")) == {}
        lab.routes("withdraw")
        assert lab.tables() == before


def test_case_5(tmp_path: Path) -> None:
    """MACVLAN: pods have addresses of the office network, so names are all that is needed, and the plan is empty."""
    name = "db-0.db.data.svc.cluster.local"
    with Lab(tmp_path, "case5", " []\n", "10.60.0.99/24") as lab:
        lab.pod(lab.host("10.60.0.11/24"), "10.60.0.101/24", "db-0", 5432, "eth0")
        lab.serve()
        assert (lab.resolved(name), lab.fetched(name, 5432)) == ("10.60.0.101", "db-0")
        assert "its pods are on link (eth0), such as 10.60.0.101: nothing to route to them" in lab.routes("plan")
        found = lab.links(name)
        assert found["route"]["evidence"] == "10.60.0.101: 10.60.0.0/24 dev eth0 (kernel)"
        assert not [link for link in found.values() if link["state"] == "failed"]

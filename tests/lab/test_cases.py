"""Cases of the field, names and packets together, and what the doctor says at each step.

A name resolves from the start; its pod is reached after `routes apply` and not before; `routes withdraw` leaves the
table as it was.
"""

from pathlib import Path

import pytest

from tests.lab.case2 import NAME, PORT, SERVICE, case2
from tests.lab.kube_proxy import kube_proxy
from tests.lab.lab import Lab
from tests.lab.objects import endpoints
from tests.lab.own_nodes import PODS_4, WEB_0, WEB_1, own_nodes
from tests.support.links import must

pytestmark = pytest.mark.needs("netns", "nft", "curl")
NO_ROUTE = {"route": "this host has no route to the address"}


def test_case_2(tmp_path: Path) -> None:
    """A gateway that joined the cluster: the way to all pods; it loses one of its own ways, and gets it back."""
    with case2(tmp_path) as (lab, gateway):
        route = "192.244.190.128/26 via 10.73.13.1 dev tunl0 proto bird onlink"
        assert route in must(gateway, "ip", "route")
        before = lab.tables()
        assert lab.resolved(NAME) == "192.244.190.130"
        assert lab.fetched(NAME, PORT) == ""
        assert lab.broken(NAME) == NO_ROUTE
        lab.routes("apply", "--via", "gateways")
        assert (lab.fetched(NAME, PORT), lab.fetched(NAME.replace("-0", "-1"), PORT)) == ("kafka-0", "kafka-1")
        assert {lab.fetched(SERVICE, PORT) for _ in range(2)} == {"kafka-0", "kafka-1"}
        assert (lab.broken(NAME), lab.broken(SERVICE)) == ({}, {})
        must(gateway, "ip", "route", "del", *route.split())
        assert lab.broken(NAME) == {"connection": "a router on the way says that it has no way there"}
        must(gateway, "ip", "route", "add", *route.split())
        assert lab.broken(NAME) == {}
        lab.routes("withdraw")
        assert lab.tables() == before


@pytest.mark.parametrize(
    "case", ["case3-always", "case3-crosssubnet", "case3-never", "case4-vxlan", "case4-direct", "case4-host-gw"]
)
def test_cases_3_and_4(case: str, tmp_path: Path) -> None:
    """Calico with and without IPIP, flannel of three backends: each node is the way to its own pods."""
    with own_nodes(tmp_path, case) as (lab, _):
        before = lab.tables()
        assert (lab.fetched(WEB_0, 8080), lab.broken(WEB_0)) == ("", NO_ROUTE)
        lab.routes("apply")
        assert (lab.fetched(WEB_0, 8080), lab.fetched(WEB_1, 8080)) == ("web-0", "web-1")
        assert lab.broken(WEB_0) == {}
        lab.routes("withdraw")
        assert lab.tables() == before


def test_a_node_that_is_gone(tmp_path: Path) -> None:
    """A node loses its link: the doctor names the next hop, and the other node's pod is still reached."""
    with own_nodes(tmp_path, "case4-host-gw") as (lab, nodes):
        lab.routes("apply")
        must(nodes[0], "ip", "link", "set", "eth0", "down")
        must(lab.machine, "ip", "neigh", "flush", "all")
        (cause,) = lab.broken(WEB_0).values()
        assert cause == "nobody answers for 172.25.254.3 on the link of eth0 (ARP, neighbour discovery)"
        assert lab.broken(WEB_1) == {}
        assert lab.fetched(WEB_1, 8080) == "web-1"


def test_each_break_is_named(tmp_path: Path) -> None:
    """One link is broken at a time: the doctor names that link alone, and what it says, or the undoing, mends it."""
    pod, node_address, machine = PODS_4[0], "172.25.254.3", "172.25.254.99"
    with own_nodes(tmp_path, "case4-host-gw") as (lab, nodes):
        breaks = [
            (lab.machine, f"route add blackhole {pod}", "route", "throws its packets away (blackhole)", ""),
            (lab.machine, f"route add unreachable {pod}", "route", "throws its packets away (unreachable)", ""),
            (lab.machine, f"route add prohibit {pod}", "route", "throws its packets away (prohibit)", ""),
            (
                lab.machine,
                f"neigh replace {node_address} lladdr 02:00:00:00:00:99 dev eth0",
                "connection",
                "packets get lost",
                f"neigh del {node_address} dev eth0",
            ),
            (nodes[0], f"route add blackhole {machine}", "connection", "no way back", f"route del blackhole {machine}"),
        ]
        lab.routes("apply")
        assert lab.broken(WEB_0) == {}
        for host, broken, link, cause, undone in breaks:
            must(host, "ip", *broken.split())
            found = lab.links(WEB_0)
            assert [name for name, each in found.items() if each["state"] == "failed"] == [link], broken
            assert cause in found[link]["cause"]
            mend = undone or found[link]["mend"].partition(",")[0].removeprefix("ip ")
            must(host, "ip", *mend.split())
            assert lab.broken(WEB_0) == {}, mend


def test_routes_that_are_not_the_plan(tmp_path: Path) -> None:
    """A route set by hand takes the packets; then a prefix gets another node, and nobody sets the route anew."""
    name, other = WEB_0, "172.25.254.4"
    prefixes = "podCIDR: 10.244.{0}.0/24\n  podCIDRs: [10.244.{0}.0/24]"
    with own_nodes(tmp_path, "case4-host-gw") as (lab, nodes):
        must(lab.machine, "ip", "route", "add", "10.244.1.0/24", "via", other)
        broken = lab.links(name)["route"]
        assert broken["cause"] == "somebody else's route takes the packets; the plan says via 172.25.254.3"
        must(lab.machine, *broken["mend"].partition(",")[0].split())
        lab.routes("apply")
        assert lab.broken(name) == {}
        lab.delete_pod(PODS_4[0])
        lab.pod(nodes[1], f"{PODS_4[0]}/32", "web-0 moved", 8080)
        lab.change_case(prefixes.format(1), prefixes.format(9))
        lab.change_case(prefixes.format(2), prefixes.format(1))
        assert lab.broken(name) == {"route": f"the route is ours, and old: the plan says via {other}"}
        lab.routes("apply")
        assert lab.broken(name) == {}


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


def test_case_7(tmp_path: Path) -> None:
    """Every node is a way to ClusterIPs; a load balancer's address is routed only where the settings ask for it."""
    name, balancer = "node-port.shop.svc.cluster.local", "192.0.2.10"
    nodes = [f"172.25.254.{number}" for number in (2, 3, 4)]
    pods = {"web-0": "10.244.1.9", "web-1": "10.244.2.9"}
    both = {*pods}
    behind = [f"{pod}:80" for pod in pods.values()]
    asked = tmp_path / "dnsbridge.yaml"
    asked.write_text("routes: {external: [load_balancer]}\n", encoding="utf-8")
    with Lab(tmp_path, "case7", "\n" + endpoints("node-port", "shop", 80, pods), "172.25.254.50/24") as lab:
        hosts = {node: lab.host(f"{node}/24") for node in nodes}
        for node, (pod, address) in zip(nodes[1:], pods.items(), strict=True):
            lab.pod(hosts[node], f"{address}/32", pod, 80)
            for other in {*nodes} - {node}:
                must(hosts[other], "ip", "route", "add", address, "via", node)
        for node, host in hosts.items():
            kube_proxy(
                host, "10.244.0.0/16", {"10.96.1.1:80": behind, f"{balancer}:80": behind, f"{node}:30580": behind}
            )
        lab.serve()
        before = lab.tables()
        assert (lab.resolved(name), lab.fetched(name, 80), lab.broken(name)) == ("10.96.1.1", "", NO_ROUTE)
        for node in nodes:
            assert {lab.fetched(node, 30580) for _ in pods} == both
            lab.routes("apply", "--gateway", node)
            assert {lab.fetched(name, 80) for _ in pods} == both
        lab.routes("apply")
        assert lab.fetched(name, 80) in pods
        assert lab.fetched(balancer, 80) == ""
        lab.routes("apply", "--config", str(asked))
        assert lab.fetched(balancer, 80) in pods
        assert lab.broken(name) == {}
        lab.routes("withdraw")
        assert lab.tables() == before

"""A node goes NotReady, and `dnsbridge routes run` tells the office's router over BGP, while clients behind it ask.

machine 10.50.0.2 ---- router 10.50.0.1 / 10.200.20.254 (AS 65200) ---+--- 10.200.20.9 (AS 64513), `routes run`
  default route          BIRD or FRR                                  +--- node5 10.200.20.105 (web-0, 10.233.98.3)
  dnsbridge at :53                                                    +--- node6 10.200.20.106 (web-1, 10.233.112.3)

Services are announced by way of node5, or else node6; kube-proxy of both leads from the ClusterIP to the ready pods.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pytest

from tests.lab.client import Client
from tests.lab.kube_proxy import kube_proxy
from tests.lab.lab import Lab
from tests.lab.objects import headless, namespace, with_cluster_ip
from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "nft", "bird", "birdc", "bgpd", "vtysh")
PODS, SERVICE, PORT = "pods.shop.svc.cluster.local", "web.shop.svc.cluster.local", 8080
WEB, CLUSTER_IP = {"web-0": "10.233.98.3", "web-1": "10.233.112.3"}, "10.233.0.50"
ROUTER, SPEAKER, NODE5, NODE6 = "10.200.20.254", "10.200.20.9", "10.200.20.105", "10.200.20.106"
BLOCK5, BLOCK6, SERVICES = "10.233.98.0/24", "10.233.112.0/24", "10.233.0.0/18"
BGP = {"asn": 64513, "peers": [{"address": ROUTER, "asn": 65200}], "graceful_restart": 0}
READY5 = """address: node5}
  conditions:
    - {type: MemoryPressure, status: "False"}
    - {type: Ready, status: """


def shop(pods: Mapping[str, str]) -> str:
    """A headless service and one with a ClusterIP, both of these pods."""
    return (
        namespace("shop")
        + with_cluster_ip(CLUSTER_IP, "web", "shop", PORT, pods)
        + headless("pods", "shop", PORT, pods)
    )


def proxies(nodes: Sequence[Namespace], ready: Collection[str]) -> None:
    """kube-proxy of each node knows these pods as ready."""
    for node in nodes:
        kube_proxy(node, "10.233.64.0/18", {f"{CLUSTER_IP}:{PORT}": [f"{pod}:{PORT}" for pod in ready]})


def bird(router: Namespace) -> Bird:
    """BIRD as the office's router."""
    return Bird(
        router,
        f"""router id {ROUTER};
protocol bgp switch {{
  local {ROUTER} as 65200;
  neighbor {SPEAKER} as 64513;
  error wait time 1, 1;
  ipv4 {{ import all; export none; }};
}}
""",
    )


def frr(router: Namespace) -> Frr:
    """FRR as the office's router."""
    return Frr(
        router,
        f"""router bgp 65200
bgp router-id {ROUTER}
no bgp ebgp-requires-policy
neighbor {SPEAKER} remote-as 64513""",
    )


@pytest.mark.parametrize("daemon", [bird, frr])
def test_a_node_is_not_ready(daemon: Callable[[Namespace], Bird | Frr], tmp_path: Path) -> None:
    """Its pod leaves the name, its block leaves the router, and services move to the other node."""
    settings = tmp_path / "dnsbridge.yaml"
    settings.write_text(json.dumps({"routes": {"sinks": ["bgp"], "bgp": BGP}}), encoding="utf-8")
    with Lab(tmp_path, "case1", shop(WEB), "10.50.0.2/24") as lab:
        router = lab.host("10.50.0.1/24", f"{ROUTER}/24")
        must(lab.machine, "ip", "route", "add", "default", "via", "10.50.0.1")
        nodes = [lab.host(f"{node}/24") for node in (NODE5, NODE6)]
        for node, (name, pod) in zip(nodes, WEB.items(), strict=True):
            must(node, "ip", "route", "add", "default", "via", ROUTER)
            lab.pod(node, f"{pod}/32", name, PORT)
        must(nodes[0], "ip", "route", "add", BLOCK6, "via", NODE6)
        must(nodes[1], "ip", "route", "add", BLOCK5, "via", NODE5)
        proxies(nodes, WEB.values())
        lab.serve()
        speaker = lab.host(f"{SPEAKER}/24")
        with daemon(router) as learning, lab.companion("--config", str(settings), host=speaker):
            eventually(lambda: learning.learned().get(SERVICES) == {NODE5})
            with Client(lab, PODS, PORT, tmp_path) as pods, Client(lab, SERVICE, PORT, tmp_path) as service:
                service.until("web-0")
                service.until("web-1")
                pods.until("web-0")
                must(nodes[0], "ip", "link", "set", "eth0", "down")
                eventually(lambda: service.seen()[-1].no_packets)
                lab.change_case(f'{READY5}"True"', f'{READY5}"False"')
                lab.change(shop(WEB).replace("web-0, conditions: {ready: true}", "web-0, conditions: {ready: false}"))
                proxies(nodes, [WEB["web-1"]])
                eventually(lambda: learning.learned().get(SERVICES) == {NODE6})
                eventually(lambda: BLOCK5 not in learning.learned())  # it is withdrawn by a message of its own
                assert learning.learned()[BLOCK6] == {NODE6}
                service.until("web-1")
                pods.until_without(WEB["web-0"])
                after, later = pods.once_more(10), service.once_more(10)
                assert {each.address for each in pods.seen()[after:]} == {WEB["web-1"]}
                assert {each.said for each in service.seen()[later:]} == {"web-1"}
                pods.until("web-1")
                assert service.addresses() == [CLUSTER_IP]
                assert pods.no_name() | service.no_name() == set()
            pods.show(f"a node is NotReady, {daemon.__name__}: a name of pods")
            service.show(f"a node is NotReady, {daemon.__name__}: a service")

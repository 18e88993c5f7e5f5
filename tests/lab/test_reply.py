"""The links from the route to the reply, each broken alone: the doctor names it, and what it says mends it.

What test_cases.py shows is not here: no route, a route that throws packets away, a dead next hop, no way back.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.case2 import NAME as KAFKA_0
from tests.lab.case2 import PORT as KAFKA_PORT
from tests.lab.case2 import case2
from tests.lab.kube_proxy import kube_proxy
from tests.lab.lab import Lab
from tests.lab.objects import namespace, with_cluster_ip
from tests.lab.own_nodes import PODS_4, PORT, WEB_0, own_nodes, web
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "nft", "curl")
NODE, MACHINE, POD = "172.25.254.3", "172.25.254.99", PODS_4[0]
SERVICE, CLUSTER_IP = "front.shop.svc.cluster.local", "10.96.1.1"
FRONT = namespace("shop") + with_cluster_ip(CLUSTER_IP, "front", "shop", PORT, {"web-0": POD})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Namespace]]:
    """Case 4 with its routes, and the first pod's node; each test leaves them as they were."""
    with own_nodes(tmp_path_factory.mktemp("lab"), "case4-host-gw") as (lab, nodes):
        lab.routes("apply")
        assert is_well(lab)
        yield lab, nodes[0]


def until_known(lab: Lab, name: str) -> None:
    """Wait until the server has read a change that brings a name."""
    eventually(lambda: not lab.machine.run("getent", "ahostsv4", name).returncode)


def named(lab: Lab, link: str, name: str = WEB_0, port: int = PORT) -> tuple[str, str]:
    """Cause and mend of the one link that is broken."""
    assert lab.fetched(name, port) == ""
    found = lab.links(name)
    assert [each for each in found if found[each]["state"] == "failed"] == [link], found
    return found[link]["cause"], found[link]["mend"]


def is_well(lab: Lab, name: str = WEB_0, port: int = PORT) -> bool:
    """Whether the pod is reached, and no link is broken."""
    assert lab.broken(name) == {}
    return lab.fetched(name, port) in ("web-0", "kafka-0")


def test_a_node_that_does_not_forward(place: tuple[Lab, Namespace]) -> None:
    """The node answers for itself, and passes nothing on to its pod."""
    lab, node = place
    must(node, "sysctl", "-qw", "net.ipv4.ip_forward=0")
    cause, mend = named(lab, "connection")
    assert cause == f"{NODE} answers, and does not forward packets to {POD}"
    where, _, command = mend.partition(": ")
    assert where == f"on {NODE}"
    must(node, *command.split())
    assert is_well(lab)


def test_a_gateway_that_does_not_forward(tmp_path: Path) -> None:
    """The same of a gateway, which is no node of the pod."""
    with case2(tmp_path) as (lab, gateway):
        lab.routes("apply", "--via", "gateways")
        must(gateway, "sysctl", "-qw", "net.ipv4.ip_forward=0")
        cause, mend = named(lab, "connection", KAFKA_0, KAFKA_PORT)
        assert cause == "10.73.13.9 answers, and does not forward packets to 192.244.190.130"
        must(gateway, *mend.partition(": ")[2].split())
        assert is_well(lab, KAFKA_0, KAFKA_PORT)


def test_a_node_that_does_not_forward_cluster_ips(place: tuple[Lab, Namespace]) -> None:
    """kube-proxy's rules are there, and the node forwards nothing."""
    lab, node = place
    lab.change(FRONT)
    until_known(lab, SERVICE)
    kube_proxy(node, "10.244.0.0/16", {f"{CLUSTER_IP}:{PORT}": [f"{POD}:{PORT}"]})
    lab.routes("apply", "--gateway", NODE)
    must(node, "sysctl", "-qw", "net.ipv4.ip_forward=0")
    cause, mend = named(lab, "connection", SERVICE)
    assert cause == f"{NODE} answers, and does not forward packets to {CLUSTER_IP}"
    must(node, *mend.partition(": ")[2].split())
    assert is_well(lab, SERVICE)
    must(node, "nft", "delete", "table", "ip", "kube-proxy")
    lab.change(web(PODS_4))
    lab.routes("apply")
    until_known(lab, WEB_0)
    assert is_well(lab)


FIREWALL = "table inet firewall {{ chain forwarded {{ type filter hook forward priority 0; {} drop; }}; }}"


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        pytest.param(
            f"tcp dport {PORT}",
            f"packets get to {POD} and back, and TCP port {PORT} is silent: a firewall or NetworkPolicy filters it",
            id="the port alone",
        ),
        pytest.param(
            f"ip daddr {POD}",
            f"packets get lost behind {NODE}, which passes them on: a firewall or a NetworkPolicy drops them, or there"
            " is no way back",
            id="all that goes to the pod",
        ),
    ],
)
def test_a_filter(place: tuple[Lab, Namespace], rule: str, cause: str) -> None:
    """The node's firewall drops packets; the doctor says where its rules are seen, and they are what it said."""
    lab, node = place
    must(node, "nft", FIREWALL.format(rule))
    said, mend = named(lab, "connection")
    assert said == cause
    command = next(each for each in mend.replace("on the node: ", "").split("; ") if each.startswith("nft"))
    assert f"{rule} drop" in must(node, *command.split())
    must(node, "nft", "delete", "table", "inet", "firewall")
    assert is_well(lab)


def test_a_closed_port(place: tuple[Lab, Namespace]) -> None:
    """A port that the pod does not have: refused, which is not silent."""
    lab, _ = place
    found = lab.links(WEB_0, "--port", "81")
    assert [name for name, each in found.items() if each["state"] == "failed"] == ["connection"]
    assert found["connection"]["cause"] == "packets go there and come back, and nothing listens at the port"
    assert "for its ports and endpoints; --port names another than 81" in found["connection"]["mend"]
    assert lab.broken(WEB_0, "--port", str(PORT)) == {}


def test_the_reverse_path_filter(place: tuple[Lab, Namespace]) -> None:
    """The node answers by another link, whose device of the machine takes no packets of such a sender."""
    lab, node = place
    with Switch() as other:
        for host, address in ((lab.machine, "10.9.0.2/24"), (node, "10.9.0.1/24")):
            other.join(host, "eth1", address)
            must(host, "sysctl", "-qw", *(f"net.ipv4.conf.{each}.rp_filter=0" for each in ("all", "eth0", "eth1")))
        must(node, "ip", "route", "add", MACHINE, "dev", "eth1")
        assert is_well(lab)
        must(lab.machine, "sysctl", "-qw", "net.ipv4.conf.eth1.rp_filter=1")
        cause, mend = named(lab, "connection")
        assert cause.startswith("replies come by another device than eth0, and this host drops them (")
        assert mend == "sysctl -w net.ipv4.conf.eth1.rp_filter=2"
        must(lab.machine, *mend.split())
        assert is_well(lab)


@pytest.mark.parametrize(
    "prefixes", [["10.0.0.0/8"], ["0.0.0.0/1", "128.0.0.0/1"]], ids=["a private network", "all, as two halves"]
)
def test_a_vpn(place: tuple[Lab, Namespace], prefixes: list[str]) -> None:
    """The tun device of a VPN has what holds the pods, and nothing comes back from it; nearer routes do without it."""
    lab, _ = place
    lab.routes("withdraw")
    must(lab.machine, "ip", "tuntap", "add", "dev", "tun0", "mode", "tun")
    must(lab.machine, "ip", "address", "add", "10.8.0.6/24", "dev", "tun0")
    must(lab.machine, "ip", "link", "set", "tun0", "up")
    for prefix in prefixes:
        must(lab.machine, "ip", "route", "add", prefix, "dev", "tun0")
    cause, mend = named(lab, "route")
    assert cause == "a tunnel takes the packets (tun0), and nothing comes back: a VPN has the prefix"
    plan, apply = (shlex.split(each)[:3] for each in mend.split("; ")[:2])
    assert (plan, apply) == (["dnsbridge", "routes", "plan"], ["dnsbridge", "routes", "apply"])
    assert "10.244.1.0/24" in lab.routes("plan")
    lab.routes("apply")
    assert is_well(lab)
    must(lab.machine, "ip", "link", "del", "tun0")
    assert is_well(lab)

"""Something moves while a client asks ten times a second: no answer is wrong. Each prints the gap that it saw."""

from pathlib import Path

import pytest

from tests.lab.case2 import KAFKA, NAME, case2, joined
from tests.lab.case2 import PORT as KAFKA_PORT
from tests.lab.client import Client
from tests.lab.own_nodes import PODS_3, PODS_4, PORT, WEB_0, own_nodes, web
from tests.support.links import must
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns")


def test_a_pod_returns_elsewhere(tmp_path: Path) -> None:
    """A pod of a StatefulSet dies, and comes back on the other node with another address."""
    with own_nodes(tmp_path, "case4-host-gw") as (lab, nodes):
        lab.routes("apply")
        with Client(lab, WEB_0, PORT, tmp_path) as client:
            client.until("web-0")
            lab.delete_pod(PODS_4[0])
            lab.pod(nodes[1], "10.244.2.8/32", "web-0 again", PORT)
            lab.change(web(("10.244.2.8", PODS_4[1])))
            client.until("web-0 again")
            assert client.addresses() == [PODS_4[0], "10.244.2.8"]
            assert client.no_name() == set()
        client.show("a pod returns elsewhere")


def test_a_rolling_update(tmp_path: Path) -> None:
    """Each pod is replaced by one with another address, and ends when its name is gone: no connection is lost."""
    name = WEB_0.removeprefix("web-0.")
    with own_nodes(tmp_path, "case4-host-gw") as (lab, nodes):
        lab.routes("apply")
        with Client(lab, name, PORT, tmp_path) as client:
            eventually(client.addresses)
            pods = list(PODS_4)
            for number, new in enumerate(("10.244.1.8", "10.244.2.8")):
                old, pods[number] = pods[number], new
                lab.pod(nodes[number], f"{new}/32", f"new-{number}", PORT)
                lab.change(web(pods))
                client.until_without(old)
                lab.delete_pod(old)
            client.once_more()
            seen = client.seen()
            assert [each for each in seen if not each.said] == []
            assert {each.address for each in seen} <= {*PODS_4, *pods}
            assert seen[-1].address in pods
        client.show("a rolling update")


def test_a_block_moves(tmp_path: Path) -> None:
    """A block of Calico gets another node: `routes run` follows, and the name stays as it was."""
    with own_nodes(tmp_path, "case3-never") as (lab, nodes), lab.companion():
        with Client(lab, WEB_0, PORT, tmp_path) as client:
            client.until("web-0")
            lab.delete_pod(PODS_3[0])
            lab.pod(nodes[1], f"{PODS_3[0]}/32", "web-0 moved", PORT)
            lab.change_case(
                'cidr: 192.168.210.64/26\n  deleted: "false"\n  node: k8s-25',
                'cidr: 192.168.210.64/26\n  deleted: "false"\n  node: k8s-26',
            )
            client.until("web-0 moved")
            assert client.addresses() == [PODS_3[0]]
            assert client.no_name() == set()
        client.show("a block moves")


def test_dnsbridge_dies_and_returns(tmp_path: Path) -> None:
    """It is killed and started again: until it answers nobody is told that there is no such name."""
    with own_nodes(tmp_path, "case4-host-gw") as (lab, _):
        lab.routes("apply")
        with Client(lab, WEB_0, PORT, tmp_path) as client:
            client.until("web-0")
            lab.kill()
            eventually(client.no_name)
            lab.serve()
            client.until("web-0")
            assert client.addresses() == [PODS_4[0]]
            assert client.no_name() == {"Temporary failure in name resolution"}
        client.show("dnsbridge dies and returns")


SECOND = "10.73.13.10"


def second(ready: bool) -> str:
    """A second gateway, as objects beside those of case 2."""
    return f"""{KAFKA}
- apiVersion: v1
  kind: Node
  metadata: {{name: gateway-2, labels: {{node-role.kubernetes.io/gateway: ""}}}}
  spec: {{unschedulable: true}}
  status:
    addresses: [{{type: InternalIP, address: {SECOND}}}]
    conditions: [{{type: Ready, status: "{ready}"}}]
"""


def test_a_gateway_of_two_dies(tmp_path: Path) -> None:
    """Each connection takes one of two gateways; one dies, and `routes run` leaves the other."""
    with case2(tmp_path) as (lab, _):
        lab.change(second(ready=True))
        dying = joined(lab, SECOND)
        must(lab.machine, "sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1")
        with lab.companion("--via", "gateways"), Client(lab, NAME, KAFKA_PORT, tmp_path) as client:
            eventually(lambda: f"via {SECOND} " in lab.tables())
            client.until("kafka-0")
            must(dying, "ip", "link", "set", "eth0", "down")
            eventually(lambda: client.seen()[-1].no_packets)
            lab.change(second(ready=False))
            eventually(lambda: f"via {SECOND} " not in lab.tables())
            after = client.once_more(10)
            assert {each.said for each in client.seen()[after:]} == {"kafka-0"}
            assert client.addresses() == ["192.244.190.130"]
            assert client.no_name() == set()
        client.show("a gateway of two dies")

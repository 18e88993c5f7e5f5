"""Something moves while a client asks ten times a second: no answer is wrong. Each prints the gap that it saw."""

from pathlib import Path

import pytest

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
            must(nodes[0], "ip", "address", "del", f"{PODS_4[0]}/32", "dev", "lo")
            lab.pod(nodes[1], "10.244.2.8/32", "web-0 again", PORT)
            lab.change(web(("10.244.2.8", PODS_4[1])))
            client.until("web-0 again")
            assert client.addresses() == [PODS_4[0], "10.244.2.8"]
            assert client.no_name() == set()
        client.show("a pod returns elsewhere")


def test_a_block_moves(tmp_path: Path) -> None:
    """A block of Calico gets another node: `routes run` follows, and the name stays as it was."""
    with own_nodes(tmp_path, "case3-never") as (lab, nodes), lab.companion():
        with Client(lab, WEB_0, PORT, tmp_path) as client:
            client.until("web-0")
            must(nodes[0], "ip", "address", "del", f"{PODS_3[0]}/32", "dev", "lo")
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

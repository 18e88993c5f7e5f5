"""The API server goes away, a pod moves meanwhile, and the API server returns: a client asks all the time.

machine 172.25.254.99 ---+--- master 172.25.254.2 (the API server)
  dnsbridge at :53       +--- node 172.25.254.3 (web-0, 10.244.1.7)
  routes run             +--- node 172.25.254.4 (web-1, 10.244.2.7; CoreDNS)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.apiserver.faults import Refuse
from tests.apiserver.server import ApiServer, in_thread
from tests.lab.client import Client
from tests.lab.lab import Lab
from tests.lab.own_nodes import PODS_4, PORT, WEB_0, web
from tests.support.knot import Knot
from tests.support.links import must
from tests.support.namespace import Namespace

pytestmark = pytest.mark.needs("netns", "knotd")
MACHINE, MASTER, NODES = "172.25.254.99", "172.25.254.2", ("172.25.254.3", "172.25.254.4")
AGAIN, COREDNS = "10.244.2.8", NODES[1]
ZONE = f"""@ 5 IN SOA ns.dns hostmaster 1 7200 1800 86400 5
@ 5 IN NS ns.dns
ns.dns 5 IN A {COREDNS}
web-0.web.shop.svc 5 IN A {PODS_4[0]}
"""


@contextmanager
def away(server: ApiServer, master: Namespace, how: str) -> Iterator[None]:
    """The API server is away."""
    if how == "its packets get lost":
        must(master, "ip", "route", "add", "blackhole", MACHINE)
        yield
        must(master, "ip", "route", "del", "blackhole", MACHINE)
    elif how == "it refuses connections":
        server.run(server.unlisten())
        yield
        server.run(server.listen())
    else:
        refusal = server.faults.add(Refuse(503), times=None)
        server.call(server.drop)
        yield
        server.faults.clear(refusal)


@pytest.mark.parametrize(
    ("how", "coredns"),
    [
        pytest.param("its packets get lost", COREDNS, id="silence"),
        pytest.param("it refuses connections", COREDNS, id="refusal"),
        pytest.param("it answers 503", COREDNS, id="503"),
        pytest.param("its packets get lost", MASTER, id="silence of CoreDNS too"),
    ],
)
def test_the_api_server_is_away(how: str, coredns: str, tmp_path: Path) -> None:
    """Longer than the cache counts as fresh: the name and the routes stay, and the move is seen after its return."""
    with Lab(tmp_path, "case4-host-gw", web(PODS_4), f"{MACHINE}/24") as lab:
        master = lab.host(f"{MASTER}/24")
        nodes = [lab.host(f"{node}/24") for node in NODES]
        for number, (node, pod) in enumerate(zip(nodes, PODS_4, strict=True)):
            lab.pod(node, f"{pod}/32", f"web-{number}", PORT)
        server = ApiServer(tls=False, address=MASTER, port=6443)
        knot = Knot(
            tmp_path / "knot", {"cluster.local": ZONE}, address=COREDNS, port=53, command_prefix=nodes[1].prefix
        )
        with in_thread(server, master.enter), knot:
            server.load(lab.objects())
            kubeconfig = str(server.kubeconfig(tmp_path / "kubeconfig"))
            source = {"kubeconfig": kubeconfig, "silence": "1.5s"}
            dnsbridge = lab.serve({"clusters": [{"source": source, "max_staleness": "2s", "coredns": coredns}]})
            dnsbridge.wait_for_log(" fresh$")  # until then CoreDNS is asked
            lab.source = ["--kubeconfig", kubeconfig]
            with lab.companion(), Client(lab, WEB_0, PORT, tmp_path, patience=30) as client:
                client.until("web-0")
                before = client.once_more()
                with away(server, master, how):
                    lab.pod(nodes[1], f"{AGAIN}/32", "web-0 again", PORT)
                    server.change(put=yaml.safe_load(web((AGAIN, PODS_4[1]))))
                    dnsbridge.wait_for_log("no sign of life")
                    client.once_more(20)
                    assert set(client.addresses()) == {PODS_4[0]}
                client.until("web-0 again")
                assert client.addresses() == [PODS_4[0], AGAIN]
                assert [each for each in client.seen()[before:] if not each.said] == []
            client.show(f"the API server is away, {how}{'' if coredns == COREDNS else ', and CoreDNS does not answer'}")

"""Case 2 of the field: a physical machine, a gateway that joined the cluster, two nodes with pods, on one switch.

machine 10.73.13.200 ---+--- gateway 10.73.13.9 ==== tunl0 (IPIP) to the node of each block
  dnsbridge at :53      |      kube-proxy: bootstrap 192.96.3.7, a ClusterIP
                        +--- node 10.73.13.1 ==== tunl0, kafka-0 192.244.190.130 behind it
                        +--- node 10.73.13.2 ==== tunl0, kafka-1 192.244.32.5 behind it

What a pod answers goes from its node to the machine straight, for the machine is no member of the cluster.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.ipip import TUNNEL_MTU
from tests.lab.kube_proxy import kube_proxy
from tests.lab.lab import Lab
from tests.lab.objects import headless, namespace, with_cluster_ip
from tests.support.namespace import Namespace

NAME, SERVICE = "kafka-0.kafka.data.svc.cluster.local", "bootstrap.data.svc.cluster.local"
PORT = 9092
BLOCKS = {"192.244.190.128/26": "10.73.13.1", "192.244.32.0/26": "10.73.13.2"}
PODS = {"kafka-0": "192.244.190.130", "kafka-1": "192.244.32.5"}
_BOOTSTRAP = "192.96.3.7"
KAFKA = (
    namespace("data")
    + with_cluster_ip(_BOOTSTRAP, "bootstrap", "data", PORT, PODS)
    + headless("kafka", "data", PORT, PODS)
)


@contextmanager
def case2(folder: Path, mtu: int = TUNNEL_MTU) -> Iterator[tuple[Lab, Namespace]]:
    """The lab, as it is before anybody has set a route, and its gateway; `folder` is empty.

    Calico gives pods the tunnel's MTU; `mtu` is theirs.
    """
    with Lab(folder, "case2", KAFKA, "10.73.13.200/24") as lab:
        lab.change_case("ipipMode: Never", "ipipMode: Always")
        gateway = joined(lab, "10.73.13.9")
        nodes = [lab.host(f"{node}/24") for node in BLOCKS.values()]
        (means,) = {lab.tunnel(node, {}) for node in nodes}
        sys.stdout.write(f"IPIP by: {means}\n")
        for node, (name, pod) in zip(nodes, PODS.items(), strict=True):
            lab.pod(node, f"{pod}/32", name, PORT, mtu=mtu)
        lab.serve()
        yield lab, gateway


def joined(lab: Lab, address: str) -> Namespace:
    """A gateway, with the routes to the pods and the kube-proxy that a member of the cluster has."""
    gateway = lab.host(f"{address}/24")
    lab.tunnel(gateway, BLOCKS)
    kube_proxy(gateway, "192.244.0.0/16", {f"{_BOOTSTRAP}:{PORT}": [f"{pod}:{PORT}" for pod in PODS.values()]})
    return gateway

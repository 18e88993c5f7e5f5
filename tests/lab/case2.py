"""Case 2 of the field: a physical machine, a gateway that joined the cluster, two nodes with pods, on one switch.

machine 10.73.13.200 ---+--- gateway 10.73.13.9 (has the routes of the pods)
  dnsbridge at :53      |
                        +--- node 10.73.13.1 (kafka-0, 192.244.190.130)
                        +--- node 10.73.13.2 (kafka-1, 192.244.32.5)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.objects import headless, namespace
from tests.support.links import must
from tests.support.namespace import Namespace

NAME, PORT = "kafka-0.kafka.data.svc.cluster.local", 9092
BLOCKS = {"192.244.190.128/26": "10.73.13.1", "192.244.32.0/26": "10.73.13.2"}
PODS = {"kafka-0": "192.244.190.130", "kafka-1": "192.244.32.5"}
KAFKA = namespace("data") + headless("kafka", "data", PORT, PODS)


@contextmanager
def case2(folder: Path) -> Iterator[tuple[Lab, Namespace]]:
    """The lab, as it is before anybody has set a route, and its gateway; `folder` is empty."""
    with Lab(folder, "case2", KAFKA, "10.73.13.200/24") as lab:
        gateway = joined(lab, "10.73.13.9")
        lab.pod(lab.host("10.73.13.1/24"), f"{PODS['kafka-0']}/32", "kafka-0", PORT)
        lab.pod(lab.host("10.73.13.2/24"), f"{PODS['kafka-1']}/32", "kafka-1", PORT)
        lab.serve()
        yield lab, gateway


def joined(lab: Lab, address: str) -> Namespace:
    """A gateway, with the routes to the pods that a member of the cluster has."""
    gateway = lab.router(f"{address}/24")
    for prefix, node in BLOCKS.items():
        must(gateway, "ip", "route", "add", prefix, "via", node, "proto", "bird")
    return gateway

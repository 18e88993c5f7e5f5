"""Cases 3 and 4 of the field: a host on the nodes' link reaches a pod by the pod's own node, tunnels or not.

machine ---+--- node 0 (web-0)        10.173.32.0/24 and pods of 192.168.210.0/24 in case 3 (Calico),
           +--- node 1 (web-1)        172.25.254.0/24 and pods of 10.244.0.0/16 in case 4 (flannel)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.lab import NOBODY, Lab
from tests.lab.objects import headless, namespace
from tests.support.namespace import Namespace

PORT = 8080
WEB_0, WEB_1 = "web-0.web.shop.svc.cluster.local", "web-1.web.shop.svc.cluster.local"
PODS_3, PODS_4 = ("192.168.210.70", "192.168.210.200"), ("10.244.1.7", "10.244.2.7")


def web(pods: Sequence[str]) -> str:
    """The headless service of these pods, `web-0` first, as objects for a lab."""
    named = {f"web-{number}": pod for number, pod in enumerate(pods)}
    return namespace("shop") + headless("web", "shop", PORT, named)


@contextmanager
def own_nodes(folder: Path, case: str, upstream: str = NOBODY) -> Iterator[tuple[Lab, list[Namespace]]]:
    """The lab before anybody has set a route, and its nodes, each with one pod and no way to the other's."""
    nodes, pods, machine = (
        (("10.173.32.25", "10.173.32.26"), PODS_3, "10.173.32.200")
        if case.startswith("case3")
        else (("172.25.254.3", "172.25.254.4"), PODS_4, "172.25.254.99")
    )
    with Lab(folder, case, web(pods), f"{machine}/24") as lab:
        hosts = [lab.host(f"{node}/24") for node in nodes]
        for number, (host, pod) in enumerate(zip(hosts, pods, strict=True)):
            lab.pod(host, f"{pod}/32", f"web-{number}", PORT)
        lab.serve(upstream=upstream)
        assert lab.resolved(WEB_0) == pods[0]
        yield lab, hosts

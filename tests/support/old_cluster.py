"""A cluster as servers of every age have it: each service says from where it was answered.

both     a slice and Endpoints, at 10.128.1.1 and 10.128.1.2
many     three slices of one address each, and Endpoints with all three
old      Endpoints alone, at 10.128.2.1; 10.128.2.2 is not ready
"""

from collections.abc import Sequence
from typing import Any

from tests.apiserver.resources import Object
from tests.support.kubeconfigs import endpoint_slice, service

KUBERNETES_1_9 = frozenset({"discovery.k8s.io", "networking.k8s.io", "coordination.k8s.io"})
"""No ServiceCIDR, no Lease."""


def endpoints(name: str, *subsets: Object, **metadata: Any) -> Object:
    """A v1 Endpoints object."""
    named = {"name": name, "namespace": "shop", **metadata}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": named, "subsets": list(subsets)}


def subset(*addresses: str, not_ready: Sequence[str] = ()) -> Object:
    """A subset with a port `http`; each address has the hostname `h-` and its last number."""

    def listed(which: Sequence[str]) -> list[Object]:
        names = [f"h-{each.rpartition('.')[2]}" for each in which]
        return [
            {"ip": each, "hostname": name, "nodeName": "n", "targetRef": {"kind": "Pod", "name": name}}
            for each, name in zip(which, names, strict=True)
        ]

    return {
        "addresses": listed(addresses),
        "notReadyAddresses": listed(not_ready),
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


MANY = ("10.128.3.1", "10.128.3.2", "10.128.3.3")
OBJECTS = [
    service("both"),
    endpoint_slice("both", ["10.128.1.1"]),
    endpoints("both", subset("10.128.1.2")),
    service("many"),
    *(endpoint_slice("many", {f"h-{at}": address}, suffix=str(at)) for at, address in enumerate(MANY, 1)),
    endpoints("many", subset(*MANY)),
    service("old"),
    endpoints("old", subset("10.128.2.1", not_ready=["10.128.2.2"])),
]
ALWAYS = {
    "many.shop.svc A": " | ".join(MANY),
    "h-2.many.shop.svc A": MANY[1],
    "_http._tcp.many.shop.svc SRV": " | ".join(f"0 33 8080 h-{at}.many.shop.svc.cluster.local." for at in (1, 2, 3)),
    f"{MANY[2]} PTR": "h-3.many.shop.svc.cluster.local.",
}
"""Slices and Endpoints say the same of it."""
FROM_V1 = {**ALWAYS, "both.shop.svc A": "10.128.1.1", "old.shop.svc A": "NXDOMAIN"}
FROM_BETA = {**FROM_V1, "old.shop.svc A": "10.128.2.1", "h-2.old.shop.svc A": "NXDOMAIN"}
FROM_OLD = {**FROM_BETA, "both.shop.svc A": "10.128.1.2", "10.128.2.1 PTR": "h-1.old.shop.svc.cluster.local."}

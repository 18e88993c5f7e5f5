"""The names that every peer gets, in the form that each one reads.

10,000 services, svc-00000.team-0.svc.cluster.local. and so on, each with one ClusterIP inside 10.96.0.0/14
"""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, NamedTuple

ZONE = "cluster.local."
SERVICE_CIDR = IPv4Network("10.96.0.0/14")
NAMESPACES = 5
TTL = 5
"""Seconds; what dnsbridge gives by default."""


class Name(NamedTuple):
    """A service and its address."""

    service: str
    namespace: str
    address: IPv4Address

    @property
    def owner(self) -> str:
        """The DNS name, with its final dot."""
        return f"{self.service}.{self.namespace}.svc.{ZONE}"


def names(count: int) -> list[Name]:
    """The first `count` names; at most as many as the prefix has addresses."""
    first = int(SERVICE_CIDR.network_address) + 1
    return [
        Name(f"svc-{number:05d}", f"team-{number % NAMESPACES}", IPv4Address(first + number)) for number in range(count)
    ]


def write_manifests(wanted: list[Name], folder: Path) -> None:
    """The names as Kubernetes objects: one JSON file with a `kind: List`."""
    items: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        for namespace in sorted({name.namespace for name in wanted})
    ]
    items.append(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [str(SERVICE_CIDR)]},
        }
    )
    items.extend(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name.service, "namespace": name.namespace},
            "spec": {
                "type": "ClusterIP",
                "clusterIP": str(name.address),
                "clusterIPs": [str(name.address)],
                "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
            },
        }
        for name in wanted
    )
    manifest = {"apiVersion": "v1", "kind": "List", "items": items}
    (folder / "cluster.json").write_text(json.dumps(manifest), encoding="utf-8")


def write_local_data(wanted: list[Name], path: Path) -> None:
    """The names as unbound's local-data."""
    lines = [f'local-data: "{name.owner} {TTL} IN A {name.address}"\n' for name in wanted]
    path.write_text("server:\n" + "".join(lines), encoding="utf-8")


def write_questions(wanted: list[Name], path: Path) -> None:
    """The names as dnsperf's input: a question for the address of each."""
    path.write_text("".join(f"{name.owner} A\n" for name in wanted), encoding="utf-8")

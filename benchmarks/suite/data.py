"""What every server of the suite holds: one made-up cluster, as Kubernetes objects and as the records that follow.

services    svc-00000.team-0.svc.cluster.local. and so on: one ClusterIP, one port named http; A, SRV and PTR
headless    pool-000.team-0.svc.cluster.local. and so on: the addresses of so many endpoints; A
"""

import json
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.parts.names import NAMESPACES, TTL, ZONE, Name, names, write_manifests

POD_CIDR = IPv4Network("10.244.0.0/16")
ENDPOINTS = 50
"""Of a headless service."""
PORT = 80
REVERSE_ZONES = ("96.10.in-addr.arpa.", "97.10.in-addr.arpa.", "98.10.in-addr.arpa.", "99.10.in-addr.arpa.")
"""Of names.SERVICE_CIDR, one per /16."""


class Headless(NamedTuple):
    """A headless service and the addresses of its endpoints."""

    service: str
    namespace: str
    addresses: tuple[IPv4Address, ...]

    @property
    def owner(self) -> str:
        """The DNS name, with its final dot."""
        return f"{self.service}.{self.namespace}.svc.{ZONE}"


class Data(NamedTuple):
    """The cluster."""

    services: list[Name]
    headless: list[Headless]


class Record(NamedTuple):
    """A record of class IN; its data as in a master file."""

    owner: str
    kind: str
    data: str


def data(services: int, headless: int) -> Data:
    """A cluster of that size."""
    first = int(POD_CIDR.network_address) + 1
    pools = [
        Headless(
            f"pool-{number:03d}",
            f"team-{number % NAMESPACES}",
            tuple(IPv4Address(first + number * ENDPOINTS + each) for each in range(ENDPOINTS)),
        )
        for number in range(headless)
    ]
    return Data(names(services), pools)


def reverse(address: IPv4Address) -> str:
    """The owner of its PTR record, with its final dot."""
    return address.reverse_pointer + "."


def srv_owner(name: Name) -> str:
    """The owner of the SRV record of a service's port."""
    return f"_http._tcp.{name.owner}"


def cluster_records(held: Data) -> Iterator[Record]:
    """What is in the cluster's zone, but for SOA and NS."""
    for name in held.services:
        yield Record(name.owner, "A", str(name.address))
        yield Record(srv_owner(name), "SRV", f"0 100 {PORT} {name.owner}")
    for pool in held.headless:
        for address in pool.addresses:
            yield Record(pool.owner, "A", str(address))


def reverse_records(held: Data) -> Iterator[Record]:
    """What is in the reverse zones, but for SOA and NS."""
    for name in held.services:
        yield Record(reverse(name.address), "PTR", name.owner)


def write_zones(held: Data, folder: Path) -> dict[str, Path]:
    """Master files, by zone."""
    written = {}
    for zone in (ZONE, *REVERSE_ZONES):
        found = cluster_records(held) if zone == ZONE else reverse_records(held)
        lines = [
            f"{zone} {TTL} IN SOA ns.dns.{ZONE} hostmaster.{ZONE} 1 7200 1800 86400 {TTL}\n",
            f"{zone} {TTL} IN NS ns.dns.{ZONE}\n",
            *(f"{record.owner} {TTL} IN {record.kind} {record.data}\n" for record in found if _is_in(record, zone)),
        ]
        if zone == ZONE:
            lines.append(f"ns.dns.{ZONE} {TTL} IN A 127.0.0.1\n")
        written[zone] = folder / f"{zone}zone"
        written[zone].write_text("".join(lines), encoding="utf-8")
    return written


def _is_in(record: Record, zone: str) -> bool:
    return record.owner.endswith("." + zone)


def write_objects(held: Data, folder: Path) -> None:
    """The Kubernetes objects, in two files."""
    write_manifests(held.services, folder)
    items = [item for pool in held.headless for item in _objects(pool)]
    manifest = {"apiVersion": "v1", "kind": "List", "items": items}
    (folder / "headless.json").write_text(json.dumps(manifest), encoding="utf-8")


def _objects(pool: Headless) -> list[dict[str, Any]]:
    ports = [{"name": "http", "protocol": "TCP", "port": PORT}]
    metadata = {"name": pool.service, "namespace": pool.namespace}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": pool.service}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [str(address)]} for address in pool.addresses],
            "ports": ports,
        },
    ]

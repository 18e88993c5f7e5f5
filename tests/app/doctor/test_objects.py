"""What the doctor learns from objects: the record, the service behind a name, names that are like it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.doctor import objects
from dnsbridge.config import Cluster, Settings, Source
from dnsbridge.doctor.facts import Record, Service
from tests.support.started import ROOT

EXAMPLE = ROOT / "dnsbridge" / "example"
CLUSTERS = ROOT / "tests" / "routes" / "clusters"
LONELY = """
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None, ports: [{port: 5432}]}}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
  addressType: IPv4
  ports: [{port: 5432, protocol: TCP}]
  endpoints:
  - {addresses: [10.244.1.5], conditions: {ready: false}}
  - {addresses: [10.244.1.6], conditions: {ready: false}}
"""
_Result = TypeVar("_Result")


def over(path: Path, ask: Callable[[Parts], Awaitable[_Result]]) -> _Result:
    """What is said over these manifests."""

    async def work() -> _Result:
        parts = build(Settings(clusters=(Cluster(source=Source(manifests=path)),)), ())
        await parts.open()
        try:
            return await ask(parts)
        finally:
            await parts.close()

    return asyncio.run(work())


def test_a_record() -> None:
    """Addresses, and the objects that say so."""
    found = over(EXAMPLE, lambda parts: objects.record(parts, "web.shop.svc.cluster.local"))
    assert found == Record(
        "NOERROR",
        "cluster",
        "default",
        "a service: its ClusterIPs",
        ("Service shop/web", "EndpointSlice shop/web-abc12"),
        ("10.96.12.34",),
        zone="cluster.local",
    )


def test_names_that_are_like_it() -> None:
    """A name that is not there: the most alike first, three at most."""
    found = over(EXAMPLE, lambda parts: objects.record(parts, "wbe.shop.svc.cluster.local"))
    assert (found.rcode, found.nearest[0], len(found.nearest) <= 3) == ("NXDOMAIN", "web.shop.svc.cluster.local", True)


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("web.shop.svc.cluster.local", Service("shop/web", "ClusterIP", 3, 0, (80, 9100))),
        ("_http._tcp.web.shop.svc.cluster.local", Service("shop/web", "ClusterIP", 3, 0, (80, 9100))),
        ("kafka-0.kafka.data.svc.cluster.local", Service("data/kafka", "headless", 3, 0, (9092, 9093))),
        ("no.shop.svc.cluster.local", None),
        ("shop.svc.cluster.local", None),
        ("www.example.com", None),
    ],
)
def test_the_service(name: str, service: Service | None) -> None:
    """The service that a name is of or below, with endpoints and ports."""

    async def ask(parts: Parts) -> Service | None:
        return objects.service(parts, name)

    assert over(EXAMPLE, ask) == service


def test_a_headless_service_without_ready_endpoints(tmp_path: Path) -> None:
    """It has no names at all, and is found all the same."""
    (tmp_path / "objects.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:{LONELY}", encoding="utf-8")

    async def ask(parts: Parts) -> tuple[str, Service | None]:
        name = "db.shop.svc.cluster.local"
        return (await objects.record(parts, name)).rcode, objects.service(parts, name)

    assert over(tmp_path, ask) == ("NXDOMAIN", Service("shop/db", "headless", 0, 2, (5432,)))


@pytest.mark.parametrize(("case", "prefix"), [("case1", ""), ("case1-not-announced", "10.233.0.0/18"), ("case2", "")])
def test_cluster_ips_that_are_not_announced(case: str, prefix: str) -> None:
    """Where Calico announces pods, and ClusterIPs to nobody."""

    async def ask(parts: Parts) -> str:
        return objects.unannounced(parts, "default")

    assert over(CLUSTERS / f"{case}.yaml", ask) == prefix

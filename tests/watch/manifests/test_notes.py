"""What is said of manifests: what is not used, what should count and does not, what selectors leave out."""

import asyncio
import logging
from pathlib import Path

import pytest

from dnsbridge.cluster.changes import Change
from dnsbridge.cluster.selection import Selection, Selections, selection
from dnsbridge.watch.manifests.source import ManifestSource
from tests.support.waiting import until

SERVICE = (
    "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop, labels: {app: %s}}\nspec: {clusterIP: None}\n"
)
ENDPOINTS = (
    "apiVersion: v1\nkind: Endpoints\nmetadata: {name: %s, namespace: shop}\nsubsets: [{addresses: [{ip: 10.0.0.1}]}]\n"
)
SLICE = (
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
    "metadata: {name: %s-1, namespace: shop, labels: {kubernetes.io/service-name: %s}}\n"
    "addressType: IPv4\nendpoints: [{addresses: [10.0.0.1]}]\n"
)


def other(kind: str, version: str = "apps/v1") -> str:
    """An object that nothing comes from."""
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n"


def service(name: str) -> str:
    """A headless service with the label `app`."""
    return SERVICE % (name, name)


def sliced(name: str) -> str:
    """The slice of a service."""
    return SLICE % (name, name)


LOCK = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: kube-scheduler, namespace: kube-system}\n"

SAID: dict[str, tuple[list[str], list[str]]] = {
    "all is used": ([service("db"), ENDPOINTS % "db"], []),
    "what is not used": (
        [other("Ingress"), *[other("Deployment")] * 3, service("db")],
        ["INFO {}: not used: 3 Deployment, 1 Ingress"],
    ),
    "a kind of another group": (
        [other("Service", "serving.knative.dev/v1")],
        ["INFO {}: not used: 1 Service.serving.knative.dev"],
    ),
    "the lock of a leader is nothing to wonder about": ([LOCK], []),
    "twenty kinds and more": (
        [other(f"Kind{number:02}") for number in range(23)],
        ["INFO {}: not used: " + ", ".join(f"1 Kind{number:02}" for number in range(20)) + ", 3 of other kinds"],
    ),
    "an apiVersion that is not read": (
        [service("db"), other("EndpointSlice", "discovery.k8s.io/v1beta2")],
        [
            "WARNING {}:6: EndpointSlice default/a: apiVersion: discovery.k8s.io/v1beta2 is not read; write "
            "discovery.k8s.io/v1 or discovery.k8s.io/v1beta1"
        ],
    ),
    "a slice without the label": (
        [service("db"), (SLICE % ("db", "")).replace("kubernetes.io/service-name", "app")],
        [
            "WARNING {}:6: EndpointSlice shop/db-1: metadata.labels: kubernetes.io/service-name is missing, so nobody "
            "knows whose endpoints these are"
        ],
    ),
    "endpoints of a service that is missing": (
        [service("db"), ENDPOINTS % "web", sliced("api"), sliced("db")],
        [
            "WARNING {}:6: Endpoints shop/web: Service shop/web is missing, so there is no name for it",
            "WARNING {}:11: EndpointSlice shop/api-1: Service shop/api is missing, so there is no name for it",
        ],
    ),
    "slices and Endpoints of a service": ([service("db"), ENDPOINTS % "db", sliced("db")], []),
}


def said(caplog: pytest.LogCaptureFixture, path: Path) -> list[str]:
    """The lines of the log, with `{}` for the path, and forget them."""
    lines = [f"{record.levelname} {record.getMessage()}".replace(str(path), "{}") for record in caplog.records]
    caplog.clear()
    return lines


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize("name", SAID)
def test_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """What is not used is one line; what should count and does not is a warning with its place."""
    documents, lines = SAID[name]
    path = tmp_path / "cluster.yaml"
    path.write_text("---\n".join(documents), encoding="utf-8")
    source = ManifestSource(path, lambda _: None)
    source.load()
    source.say_not_used()
    assert sorted(said(caplog, path)) == sorted(lines)


def test_said_anew_when_a_file_changes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A change that has nothing to do with it says nothing again; one that does says what is not used now."""
    path = tmp_path / "cluster.yaml"
    changes: list[Change] = []
    source = ManifestSource(path, changes.extend)
    steps = [
        ([other("Ingress"), ENDPOINTS % "gone"], ["INFO {}: not used: 1 Ingress", "gone"]),
        ([other("Ingress"), ENDPOINTS % "gone", service("db")], []),
        ([other("Ingress"), other("Ingress"), ENDPOINTS % "gone", service("db")], ["INFO {}: not used: 2 Ingress"]),
        ([ENDPOINTS % "gone", service("gone")], []),
        ([ENDPOINTS % "gone"], ["gone"]),
    ]

    async def story() -> None:
        for documents, expected in steps[1:]:
            changes.clear()
            path.write_text("---\n".join([*documents, service(f"s{len(documents)}")]), encoding="utf-8")
            await until(lambda: changes)
            check(expected)

    def check(expected: list[str]) -> None:
        missing = "Service shop/gone is missing"
        lines = ["gone" if missing in line else line for line in said(caplog, path)]
        assert sorted(lines) == sorted(expected)

    path.write_text("---\n".join(steps[0][0]), encoding="utf-8")
    source.load()
    source.say_not_used()
    check(steps[0][1])

    async def follow() -> None:
        task = asyncio.create_task(source.follow())
        await story()
        task.cancel()

    asyncio.run(follow())


def test_selectors_leave_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What selectors leave out is not held, is counted in the line, and its endpoints are no cause for a warning."""
    path = tmp_path / "cluster.yaml"
    documents = [service("db"), service("web"), ENDPOINTS % "db", ENDPOINTS % "web", other("Ingress")]
    path.write_text("---\n".join(documents), encoding="utf-8")
    chosen = selection("app!=web", "", "Service")
    assert isinstance(chosen, Selection)
    selections: Selections = {"Service": chosen}
    source = ManifestSource(path, lambda _: None, selections)
    source.load()
    source.say_not_used()
    assert sorted(map(str, source.objects)) == ["Endpoints shop/db", "Endpoints shop/web", "Service shop/db"]
    assert said(caplog, path) == ["INFO {}: not used: 1 Ingress, 1 Service by the selectors"]

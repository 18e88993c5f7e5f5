"""The test API server against a client that is not ours: what kubectl lists, watches, creates, changes and deletes."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.access import Rule, User
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.needs("kubectl")

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "ns-000", "labels": {"app": "web", "tier": "front"}},
    "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": "web"}},
}
SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "web-1", "namespace": "ns-000", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.128.0.9"]}],
    "ports": [{"name": "http", "port": 8080}],
}


class Kubectl:
    """kubectl with a kubeconfig and a home of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A kubectl that runs until it is killed."""
        return subprocess.Popen(["kubectl", *words], env=self.environment, stdout=subprocess.PIPE, text=True)

    def run(self, *words: str, given: object = None) -> subprocess.CompletedProcess[str]:
        """A kubectl with an object on its standard input."""
        text = None if given is None else json.dumps(given)
        return subprocess.run(
            ["kubectl", *words],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def said(self, *words: str, given: object = None) -> str:
        """What it prints when all is well."""
        done = self.run(*words, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def json(self, *words: str) -> Any:
        """The object that it prints."""
        return json.loads(self.said(*words, "--output", "json"))

    def complaint(self, *words: str, given: object = None) -> str:
        """What it complains about."""
        done = self.run(*words, given=given)
        assert done.returncode != 0, done.stdout
        return done.stderr.strip()


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server over HTTPS with a small cluster."""
    with in_thread(ApiServer(seed=1)) as running:
        running.load(cluster(Shape(services=1200, headless=20, namespaces=3)))
        yield running


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    """kubectl as the administrator."""
    return Kubectl(server.kubeconfig(tmp_path / "kubeconfig"))


def test_lists_page_by_page(server: ApiServer, kubectl: Kubectl) -> None:
    """All services come, in pages of 500, and each as it was put."""
    listed = kubectl.json("get", "services", "--all-namespaces")
    names = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]]
    assert len(names) == 1202
    assert names == sorted(names)
    assert len(server.counters.asked("list", "services", limit="500")) == 3
    assert kubectl.json("get", "service", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"
    assert kubectl.said("get", "endpoints", "--all-namespaces", "--output", "name") == ""
    assert kubectl.said("get", "ippools.crd.projectcalico.org", "--output", "name") == ""


def test_creates_changes_and_deletes(kubectl: Kubectl) -> None:
    """An object goes through create, apply, patch in three ways, replace and delete, and each step shows."""
    assert kubectl.said("create", "--filename=-", given=SERVICE) == "service/web created"
    assert kubectl.said("create", "--filename=-", given=SLICE) == "endpointslice.discovery.k8s.io/web-1 created"
    assert "AlreadyExists" in kubectl.complaint("create", "--filename=-", given=SERVICE)
    web = ("service", "web", "--namespace=ns-000")
    made = kubectl.json("get", *web)
    assert made["spec"]["clusterIPs"] == [made["spec"]["clusterIP"]]
    assert made["spec"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]

    two = {**SERVICE["spec"], "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]}  # type: ignore[dict-item]
    for _ in range(2):
        kubectl.said("apply", "--filename=-", given={**SERVICE, "spec": two})
    one = {**SERVICE["spec"], "ports": [{"name": "https", "port": 443}]}  # type: ignore[dict-item]
    assert kubectl.said("apply", "--filename=-", given={**SERVICE, "spec": one}) == "service/web configured"
    assert kubectl.said("apply", "--filename=-", given={**SERVICE, "spec": one}) == "service/web unchanged"
    assert [port["name"] for port in kubectl.json("get", *web)["spec"]["ports"]] == ["https"]

    for style, patch in (
        ("merge", {"metadata": {"labels": {"tier": None, "one": "1"}}}),
        ("strategic", {"metadata": {"labels": {"two": "2"}}}),
        ("json", [{"op": "add", "path": "/metadata/labels/three", "value": "3"}]),
    ):
        assert kubectl.said("patch", *web, f"--type={style}", f"--patch={json.dumps(patch)}") == "service/web patched"
    changed = kubectl.json("get", *web)
    assert changed["metadata"]["labels"] == {"app": "web", "one": "1", "two": "2", "three": "3"}

    changed["metadata"]["labels"] = {"app": "web"}
    assert kubectl.said("replace", "--filename=-", given=changed) == "service/web replaced"
    changed["metadata"]["labels"] = {"app": "other"}
    assert "Conflict" in kubectl.complaint("replace", "--filename=-", given=changed)
    assert kubectl.said("delete", *web) == 'service "web" deleted'
    assert kubectl.complaint("get", *web) == 'Error from server (NotFound): services "web" not found'
    assert kubectl.said("delete", "namespace", "ns-000") == 'namespace "ns-000" deleted'
    assert kubectl.said("get", "endpointslices", "--namespace=ns-000", "--output=name") == ""


def test_selects(kubectl: Kubectl) -> None:
    """Labels and the name select."""
    for words, count in (
        (("--selector=app=svc-00007",), 1),
        (("--selector=app in (svc-00007,svc-00008)",), 2),
        (("--selector=service.kubernetes.io/headless",), 20),
        (("--selector=app!=svc-00007,!service.kubernetes.io/headless",), 1181),
        (("--field-selector=metadata.name=svc-00007-a2b3c",), 1),
    ):
        listed = kubectl.said("get", "endpointslices", "--all-namespaces", "--output=name", *words)
        assert len(listed.splitlines()) == count, words


def test_watches(server: ApiServer, kubectl: Kubectl) -> None:
    """A watch prints what is there, then each change."""
    slices = ("get", "endpointslices", "--namespace=ns-000", "--selector=kubernetes.io/service-name=web")
    server.change(put=[SLICE])
    with kubectl.start(*slices, "--watch", "--output-watch-events", "--output=json") as watch:
        try:
            assert watch.stdout is not None
            events = _objects(watch.stdout)
            assert next(events)["object"]["endpoints"] == [{"addresses": ["10.128.0.9"]}]
            server.change(put=[{**SLICE, "endpoints": []}])
            changed = next(events)
            assert (changed["type"], changed["object"]["endpoints"]) == ("MODIFIED", [])
            server.change(delete=[SLICE])
            assert next(events)["type"] == "DELETED"
        finally:
            watch.kill()


def test_refused(server: ApiServer, tmp_path: Path) -> None:
    """kubectl names the missing right, the expired token; a client certificate serves as well as a token."""
    server.access.rules["viewer"] = [Rule(("get", "list"), ("services",), ("ns-000",))]
    viewer = Kubectl(server.kubeconfig(tmp_path / "viewer", User("viewer"), "certificate"))
    assert viewer.said("get", "services", "--namespace=ns-000", "--output=name")
    assert viewer.complaint("get", "services", "--all-namespaces") == (
        'Error from server (Forbidden): services is forbidden: User "viewer" cannot list resource "services" '
        'in API group "" at the cluster scope'
    )
    late = Kubectl(server.kubeconfig(tmp_path / "late", expires_in=0))
    assert "You must be logged in to the server" in late.complaint("get", "services")


def test_invalid_objects(kubectl: Kubectl) -> None:
    """What a real server refuses is refused."""
    nowhere = {**SERVICE, "metadata": {"name": "web", "namespace": "nowhere"}}
    assert 'namespaces "nowhere" not found' in kubectl.complaint("create", "--filename=-", given=nowhere)
    named = {**SERVICE, "metadata": {"name": "9web", "namespace": "ns-000"}}
    assert 'The Service "9web" is invalid: metadata.name' in kubectl.complaint("create", "--filename=-", given=named)
    taken = {**SERVICE, "spec": {"ports": [{"port": 80}], "clusterIP": "10.96.0.1"}}
    assert "provided IP is already allocated" in kubectl.complaint("create", "--filename=-", given=taken)
    portless = {**SERVICE, "spec": {}}
    assert "spec.ports: Required value" in kubectl.complaint("create", "--filename=-", given=portless)


def _objects(stream: Any) -> Iterator[Any]:
    """The JSON objects that a program prints one after the other."""
    text = ""
    for line in stream:
        text += line
        if line.rstrip() == "}" or (line.startswith("{") and line.rstrip().endswith("}")):
            yield json.loads(text)
            text = ""

"""Dumps of an old cluster as manifests: they answer as the cluster itself does, and selectors select as it does."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from dnsbridge.cluster.selection import Selection, selection
from dnsbridge.watch.manifests.source import ManifestSource
from tests.apiserver.resources import Object
from tests.apiserver.server import ApiServer, in_thread
from tests.support.cluster_server import question, said
from tests.support.kubeconfigs import endpoint_slice, service
from tests.support.old_cluster import ALWAYS, FROM_OLD, KUBERNETES_1_9, OBJECTS, endpoints, subset
from tests.support.program import Program
from tests.support.started import run

LOCK = endpoints("kube-scheduler", namespace="kube-system")
RESOURCES = ("namespaces", "services", "endpoints", "nodes")


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """Kubernetes 1.9."""
    with in_thread(ApiServer(tls=False, without=KUBERNETES_1_9)) as server:
        server.change(put=[*(each for each in OBJECTS if each["kind"] != "EndpointSlice"), LOCK])
        yield server


def by_kubectl(server: ApiServer, folder: Path, *words: str) -> str:
    """What kubectl prints."""
    kubeconfig = server.kubeconfig(folder / "kubeconfig")
    environment = {**os.environ, "HOME": str(folder)}
    command = ["kubectl", f"--kubeconfig={kubeconfig}", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def answers(program: Program, questions: dict[str, str]) -> dict[str, str]:
    """What is answered to these questions."""
    return {text: said(program.ask(*question(text))) for text in questions}


@pytest.mark.needs("kubectl")
@pytest.mark.parametrize("form", ["yaml", "json", "raw", "list of kubectl 1.9"])
def test_a_dump_answers(server: ApiServer, tmp_path: Path, form: str) -> None:
    """`kubectl get services,endpoints`, as YAML and JSON, and lists whose items lack a kind (`--raw`)."""
    if form == "raw":
        texts = [by_kubectl(server, tmp_path, "get", "--raw", f"/api/v1/{each}") for each in RESOURCES]
        assert all("kind" not in item for item in json.loads(texts[2])["items"])
    elif form == "list of kubectl 1.9":
        dump = json.loads(by_kubectl(server, tmp_path, "get", ",".join(RESOURCES), "-A", "-o", "json"))
        texts = [json.dumps({**dump, "metadata": {"resourceVersion": "", "selfLink": ""}})]
    else:
        texts = [by_kubectl(server, tmp_path, "get", ",".join(RESOURCES), "-A", "-o", form)]
    for number, text in enumerate(texts):
        (tmp_path / f"dump-{number}.{'yaml' if form == 'yaml' else 'json'}").write_text(text, encoding="utf-8")
    shutil.rmtree(tmp_path / ".kube", ignore_errors=True)  # what kubectl remembers of the server is JSON, too
    (tmp_path / "kubeconfig").unlink()
    with Program(tmp_path) as program:
        assert answers(program, FROM_OLD) == FROM_OLD
        assert [line for line in program.log() if " WARNING " in line and "dump" in line] == []


def test_beta_slices_and_endpoints_in_one_file(tmp_path: Path) -> None:
    """A dump of Kubernetes 1.18: slices count where a service has one; a service that has none has Endpoints."""
    beta = [
        {**each, "apiVersion": "discovery.k8s.io/v1beta1"} if each["kind"] == "EndpointSlice" else each
        for each in OBJECTS
    ]
    (tmp_path / "all.json").write_text(
        json.dumps({"kind": "List", "apiVersion": "v1", "items": beta}), encoding="utf-8"
    )
    expected = {**ALWAYS, "both.shop.svc A": "10.128.1.1", "old.shop.svc A": "10.128.2.1"}
    with Program(tmp_path) as program:
        assert answers(program, expected) == expected


CHOSEN: list[Object] = [
    service("a", "10.96.1.1", labels={"app": "a", "tier": "front"}),
    service("b", "10.96.1.2", labels={"app": "b"}),
    service("c", labels={"tier": "back"}),
    service("a", "10.96.1.3", namespace="other"),
    endpoint_slice("c", ["10.128.1.1"]),
    {**endpoints("c", subset("10.128.1.2")), "metadata": {"name": "c", "namespace": "shop", "labels": {"x": "y"}}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}},
]
PATHS = {
    "services": ("Service", "/api/v1/services"),
    "endpoints": ("Endpoints", "/api/v1/endpoints"),
    "endpointslices": ("EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices"),
    "namespaces": ("Namespace", "/api/v1/namespaces"),
}


@pytest.mark.parametrize(
    ("resource", "labels", "fields"),
    [
        ("services", "app=a", ""),
        ("services", "app!=a", ""),
        ("services", "app in (a, b),!tier", ""),
        ("services", "app notin (a)", ""),
        ("services", "tier", "metadata.namespace=shop"),
        ("services", "", "metadata.name=a"),
        ("services", "", "metadata.name!=a,metadata.namespace!=other"),
        ("services", "", "metadata.namespace=other"),
        ("endpoints", "x=y", ""),
        ("endpoints", "x!=y", ""),
        ("endpointslices", "kubernetes.io/service-name=c", ""),
        ("endpointslices", "kubernetes.io/service-name!=c", ""),
        ("namespaces", "team=a", ""),
        ("namespaces", "", "metadata.name=other"),
    ],
)
def test_selectors_select_as_a_server_does(tmp_path: Path, resource: str, labels: str, fields: str) -> None:
    """Of manifests the same objects are read as an API server lists."""
    kind, path = PATHS[resource]
    with in_thread(ApiServer(tls=False)) as server:
        server.change(put=CHOSEN)
        with urlopen(f"{server.url}{path}?labelSelector={quote(labels)}&fieldSelector={quote(fields)}") as answer:
            listed: list[Any] = json.load(answer)["items"]
        with urlopen(f"{server.url}{path}") as answer:
            everything: list[Any] = json.load(answer)["items"]
    file = tmp_path / "all.json"
    api_version = next(each["apiVersion"] for each in CHOSEN if each["kind"] == kind)
    file.write_text(
        json.dumps({"kind": f"{kind}List", "apiVersion": api_version, "items": everything}), encoding="utf-8"
    )
    chosen = selection(labels, fields, kind)
    assert isinstance(chosen, Selection)
    source = ManifestSource(file, lambda _: None, {kind: chosen})
    source.load()
    names = {(key.namespace, key.name) for key in source.objects}
    assert names == {(each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in listed}


def test_selectors_beside_manifests_are_obeyed(tmp_path: Path) -> None:
    """Services that are meant to be left out are not answered; the log says how many that are."""
    (tmp_path / "objects").mkdir()
    file = tmp_path / "objects" / "all.json"
    file.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": CHOSEN}), encoding="utf-8")
    selectors = {
        "services": {"labels": "app!=b", "fields": "metadata.namespace=shop"},
        "endpointslices": {"labels": "kubernetes.io/service-name!=c"},
    }
    source = {"manifests": str(tmp_path / "objects"), "selectors": selectors}
    expected = {
        "a.shop.svc A": "10.96.1.1",
        "b.shop.svc A": "NXDOMAIN",
        "a.other.svc A": "NXDOMAIN",
        "c.shop.svc A": "10.128.1.2",
    }
    with Program(settings={"clusters": [{"name": "dev", "source": source}]}) as program:
        assert answers(program, expected) == expected
        program.wait_for_log("not used: 2 Service by the selectors, 1 EndpointSlice by the selectors$")


@pytest.mark.parametrize(
    ("selectors", "problem"),
    [
        ({"services": {"labels": "app in web"}}, "clusters[0].source.selectors.services.labels"),
        ({"services": {"fields": "spec.nodeName=a"}}, "clusters[0].source.selectors.services.fields"),
        ({"endpoints": {"fields": "metadata.name"}}, "clusters[0].source.selectors.endpoints.fields"),
    ],
)
def test_selectors_that_are_none(tmp_path: Path, selectors: Object, problem: str) -> None:
    """Beside manifests nobody else would refuse them, so the configuration does, with the line."""
    file = tmp_path / "d.yaml"
    source = {"manifests": str(tmp_path), "selectors": selectors}
    file.write_text(json.dumps({"clusters": [{"source": source}]}), encoding="utf-8")
    done = run("config", "check", "--config", str(file))
    assert done.returncode == 1 or done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1

"""Field selectors and what objects they take: the examples of the Kubernetes documentation, and what is none."""

from typing import Any

import pytest

from dnsbridge.cluster.field_selector import FieldSelector, parse_fields
from dnsbridge.cluster.selection import Selection, selection, takes
from dnsbridge.cluster.selector import MAX_LENGTH, BadSelector

WEB: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "tier": 1}},
    "spec": {"clusterIP": "None", "type": "ClusterIP"},
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-0"},
    "spec": {"nodeName": "n,1", "hostNetwork": True},
    "status": {"phase": "Running"},
}
NAMESPACE: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}

FITS: list[tuple[dict[str, Any], str, bool]] = [
    (WEB, "", True),
    (WEB, "metadata.name=web", True),
    (WEB, "metadata.name==web", True),
    (WEB, "metadata.name!=web", False),
    (WEB, "metadata.name=web,metadata.namespace!=kube-system", True),
    (WEB, "metadata.name=web,metadata.namespace=kube-system", False),
    (WEB, "metadata.name=web, metadata.namespace=shop,", True),
    (WEB, "spec.clusterIP=None", True),
    (WEB, "spec.type!=ClusterIP", False),
    (POD, "metadata.namespace=default", True),
    (POD, "status.phase=Running", True),
    (POD, "status.podIP=", True),
    (POD, "status.podIP!=", False),
    (POD, "spec.hostNetwork=true", True),
    (POD, r"spec.nodeName=n\,1", True),
    (POD, r"spec.nodeName=n\\,metadata.name=web-0", False),
    (NAMESPACE, "metadata.namespace=", True),
    (NAMESPACE, "metadata.name=shop", True),
]


@pytest.mark.parametrize(("data", "text", "expected"), FITS)
def test_fits(data: dict[str, Any], text: str, expected: bool) -> None:
    """Whether an object is what the text asks for."""
    selector = parse_fields(text, data["kind"])
    assert isinstance(selector, FieldSelector)
    assert takes({data["kind"]: Selection(fields=selector)}, data) is expected


BAD: list[tuple[str, str]] = [
    ("metadata.name", "expected a field selector such as metadata.name=web, got 'metadata.name'"),
    ("=web", "expected a field selector such as metadata.name=web, got '=web'"),
    ("metadata.name in (web)", "expected a field selector such as metadata.name=web, got 'metadata.name in (web)'"),
    (
        "spec.nodeName=a",
        "an API server does not select a Service by 'spec.nodeName', but by metadata.name, metadata.namespace, "
        "spec.clusterIP, spec.type",
    ),
    ("metadata.name=" + "a" * MAX_LENGTH, "over 10000 characters"),
]


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_bad(text: str, problem: str) -> None:
    """What an API server would refuse is no selector, and the reason says what would be one."""
    assert parse_fields(text, "Service") == BadSelector(problem)
    assert selection("", text, "Service") == BadSelector(problem)


LABELS: list[tuple[dict[str, Any], str, bool]] = [
    (WEB, "app=web", True),
    (WEB, "app!=web", False),
    (WEB, "tier=1", False),  # no label of an API server is a number
    (WEB, "!app", False),
    (POD, "app=web", True),  # services are selected, not pods
    (NAMESPACE, "app=web", True),
    ({**WEB, "apiVersion": "serving.knative.dev/v1"}, "app=db", True),
    ({"kind": ["Service"]}, "app=db", True),
    ({"kind": "Service", "apiVersion": "v1", "metadata": {"labels": ["app"]}}, "app", False),
]


@pytest.mark.parametrize(("data", "text", "expected"), LABELS)
def test_labels(data: dict[str, Any], text: str, expected: bool) -> None:
    """Whether services are selected by their labels, and everything else is left alone."""
    chosen = selection(text, "", "Service")
    assert isinstance(chosen, Selection)
    assert takes({"Service": chosen}, data) is expected

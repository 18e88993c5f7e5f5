"""The programs that the tests of one module share."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.corporate import corporate_dns
from tests.support.program import Program, RunningUpstream

CLUSTERS = Path(__file__).parent / "clusters"
CROWD = 150
"""Endpoints of crowd.big: more than fit into 100 // N, and into a UDP answer without EDNS."""


def crowd() -> list[dict[str, Any]]:
    """A headless service with many endpoints, in slices of 100 as the control plane makes them."""
    label = {"kubernetes.io/service-name": "crowd"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "crowd", "namespace": "big"}}
    slices = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"crowd-{start}", "namespace": "big", "labels": label},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [f"10.244.9.{number}"], "hostname": f"member-{number}", "conditions": {"ready": True}}
                for number in range(start, min(start + 100, CROWD))
            ],
            "ports": [{"name": "gossip", "port": 7946, "protocol": "UDP"}],
        }
        for start in range(0, CROWD, 100)
    ]
    return [{**service, "spec": {"clusterIP": "None"}}, *slices]


@pytest.fixture(scope="module")
def corporate() -> Iterator[RunningUpstream]:
    """The corporate DNS."""
    with RunningUpstream(corporate_dns()) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def names(corporate: RunningUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One set of objects served with each kind of setting, below zones that say which."""
    folder = tmp_path_factory.mktemp("names")
    shutil.copy(CLUSTERS / "names.yaml", folder)
    (folder / "crowd.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": crowd()}))
    source = {"source": {"manifests": str(folder)}}
    clusters = [
        {"name": "main", "zone": "cluster.local", "aliases": ["dev.k8s.corp"], "precedence": 3, **source},
        {"name": "verified", "zone": "verified.test", "pods": "verified", "precedence": 2, **source},
        {"name": "disabled", "zone": "disabled.test", "pods": "disabled", "precedence": 1, **source},
        {"name": "pod-names", "zone": "podnames.test", "endpoint_pod_names": True, **source},
    ]
    settings = {"clusters": clusters, "ns_addresses": ["192.0.2.53", "2001:db8::53"]}
    with Program(settings=settings, upstreams=[corporate.address], http=True) as program:
        yield program

"""The metrics and the health of `routes run`, as a scrape sees them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.server import ApiServer, in_thread
from tests.support.companion import Companion, ip, node, table
from tests.support.namespace import Namespace
from tests.support.program import eventually

pytestmark = pytest.mark.needs("netns", "curl")


def settings(api: ApiServer, folder: Path, **routes: Any) -> dict[str, Any]:
    """What the companion is told."""
    cluster = {"name": "dev", "source": {"kubeconfig": str(api.kubeconfig(folder / "kubeconfig"))}}
    return {"clusters": [cluster], "routes": {"http": "127.0.0.1:0", "via": "nodes", "sinks": ["kernel"], **routes}}


def test_a_scrape(place: Namespace, tmp_path: Path) -> None:
    """What is wanted, reached, in conflict and refused is counted as it is in the kernel."""
    ip(place, "route add 10.244.3.0/24 via 10.0.0.99 proto bird")
    with in_thread(ApiServer(tls=False), place.enter) as api:
        api.change(put=[node(number) for number in range(1, 14)])
        with Companion(place, tmp_path, settings(api, tmp_path)) as companion:
            eventually(lambda: len(table(place)) == 12)
            steady: dict[str, float] = {
                'dnsbridge_routes_wanted{sink="kernel"}': 13,
                'dnsbridge_routes_reached{sink="kernel"}': 12,
                'dnsbridge_routes_failed{sink="kernel"}': 1,
                'dnsbridge_routes_in_conflict{sink="kernel"}': 1,
                'dnsbridge_route_changes_total{sink="kernel"}': 12,
                'dnsbridge_mass_change_refused{sink="kernel"}': 0,
                'dnsbridge_route_notes{severity="error"}': 0,
                'dnsbridge_cluster_synced{cluster="dev"}': 1,
                "dnsbridge_routes_damped": 0,
                "dnsbridge_companion_leads": 1,
            }
            eventually(lambda: _part(companion.metrics(), steady) == steady, companion.metrics)
            assert companion.page("/healthz") == companion.page("/readyz") == "ok\n"
            ip(place, "route del 10.244.3.0/24 proto bird")
            eventually(lambda: companion.metrics()['dnsbridge_routes_reached{sink="kernel"}'] == 13)
            assert companion.metrics()['dnsbridge_routes_in_conflict{sink="kernel"}'] == 0
            api.change(delete=[node(number) for number in range(1, 14)])
            eventually(lambda: companion.metrics()['dnsbridge_mass_change_refused{sink="kernel"}'] == 1)


def test_what_is_pulled(place: Namespace, tmp_path: Path) -> None:
    """Nothing is ready before the first document, and no age is told; a port that is taken is an error."""
    pull = {"routes": {"http": "127.0.0.1:0", "pull": {"url": "http://127.0.0.1:1"}}}
    with Companion(place, tmp_path, pull) as companion:
        assert companion.page("/readyz") == "http://127.0.0.1:1: no routes pulled yet\n"
        found = companion.metrics()
        assert found["dnsbridge_pull_up"] == 0
        assert "dnsbridge_pull_age_seconds" not in found
        port = companion.http.rpartition(":")[2]
        file = tmp_path / "second.yaml"
        file.write_text(json.dumps({"routes": {"pull": pull["routes"]["pull"]}}), encoding="utf-8")
        second = place.run(*companion.command("run", "--http", f"127.0.0.1:{port}"))
        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port} for HTTP: address already in use; choose another" in second.stderr


def _part(found: dict[str, float], of: dict[str, float]) -> dict[str, float]:
    return {name: found[name] for name in of}

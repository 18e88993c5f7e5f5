"""Field case 1 (b): `dnsbridge routes run` announces the cluster's routes to a real FRR and a real BIRD as a switch."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.sinks.routers import BIRD_ADDRESS, FRR_ADDRESS, MAIN, OUR_AS, THEIR_AS, Routers
from tests.support.companion import Companion
from tests.support.program import eventually

CLUSTER = Path(__file__).parents[1] / "routes" / "clusters" / "case1.yaml"
BLOCKS = {
    "10.233.98.0/24": {"10.200.20.105"},
    "10.233.110.0/24": {"10.200.20.107"},
    "10.233.112.0/24": {"10.200.20.106"},
    "10.233.115.0/24": {"10.200.20.108"},
    "10.233.0.0/18": {"10.200.20.105"},
}
"""Node 10.200.20.105's own table, its `blackhole` as itself; the services by the first of its nodes."""


@pytest.mark.needs("netns", "bgpd", "vtysh", "bird", "birdc", "gobgpd")
def test_switch_follows_the_cluster(tmp_path: Path) -> None:
    """A switch has the blocks and services; a node that goes NotReady is withdrawn, and the others do not flap."""
    manifests = tmp_path / "cluster.yaml"
    shutil.copy(CLUSTER, manifests)
    peers = [{"address": address, "asn": THEIR_AS} for address in (FRR_ADDRESS, BIRD_ADDRESS)]
    settings = {
        "clusters": [{"name": "dev", "source": {"manifests": str(manifests)}}],
        "routes": {"sinks": ["bgp"], "bgp": {"asn": OUR_AS, "peers": peers, "graceful_restart": 0}},
    }
    with Routers() as routers:
        host = routers.host(MAIN)
        with Companion(host, tmp_path, settings):
            eventually(lambda: [routers.frr.learned(), routers.bird.learned()] == [BLOCKS] * 2)
            eventually(lambda: routers.frr.installed() == BLOCKS)
            before: list[dict[str, Any]] = [routers.frr.versions(), routers.bird.ages()]

            text = manifests.read_text(encoding="utf-8")
            node = text[text.index("name: node7") : text.index("name: node8")]
            gone = node.replace('type: Ready, status: "True"', 'type: Ready, status: "False"')
            assert gone != node
            manifests.write_text(text.replace(node, gone), encoding="utf-8")

            fewer = {prefix: hops for prefix, hops in BLOCKS.items() if prefix != "10.233.110.0/24"}
            eventually(lambda: [routers.frr.learned(), routers.bird.learned()] == [fewer] * 2)
            for states in before:
                del states["10.233.110.0/24"]
            assert [routers.frr.versions(), routers.bird.ages()] == before
        eventually(lambda: [routers.frr.learned(), routers.bird.learned()] == [{}] * 2)

"""Case 1: over BGP the office's router learns what the node announces, and a machine needs no route of its own."""

from pathlib import Path

import pytest

from tests.lab.case1 import POD, PORT, SERVICE, SERVICES, case1
from tests.support.links import must

pytestmark = pytest.mark.needs("netns", "curl", "bird", "birdc")


def test_pods_and_services(tmp_path: Path) -> None:
    """Both are announced: both are reached."""
    with case1(tmp_path, services=True) as (lab, _):
        assert lab.fetched(SERVICE, PORT) == "web"
        assert (lab.broken(POD), lab.broken(SERVICE)) == ({}, {})


def test_pods_alone(tmp_path: Path) -> None:
    """Nobody announces ClusterIPs: the doctor says exactly that, until the router has the way."""
    with case1(tmp_path, services=False) as (lab, router):
        assert lab.fetched(SERVICE, PORT) == ""
        assert lab.broken(POD) == {}
        assert lab.broken(SERVICE) == {
            "route": "Calico announces pods over BGP and no ClusterIPs: its BGPConfiguration lacks 10.233.0.0/18"
        }
        must(router, "ip", "route", "add", SERVICES, "via", "10.200.20.105")
        assert lab.fetched(SERVICE, PORT) == "web"
        assert lab.broken(SERVICE) == {}

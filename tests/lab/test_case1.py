"""Case 1: over BGP the office's router learns what is announced, and a machine needs no route of its own."""

import json
from pathlib import Path

import pytest

from tests.lab.case1 import (
    EMPTY,
    NODE,
    OUR_AS,
    POD,
    PORT,
    ROUTER_HERE,
    SERVICE,
    SERVICES,
    THEIR_AS,
    case1,
    office,
    routing,
)
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "nft", "curl", "bird", "birdc", "bgpd", "vtysh")
routers = pytest.mark.parametrize("daemon", ["bird", "frr"])


@routers
def test_pods_and_services(daemon: str, tmp_path: Path) -> None:
    """Both are announced: both are reached, the service at each of its pods."""
    with case1(tmp_path, services=True, daemon=daemon) as (lab, _, node):
        assert {lab.fetched(SERVICE, PORT) for _ in range(2)} == {"web-0", "web-1"}
        assert (lab.broken(POD), lab.broken(SERVICE)) == ({}, {})
        must(node, "nft", "delete", "table", "ip", "kube-proxy")
        assert lab.fetched(SERVICE, PORT) == ""


@routers
def test_pods_alone(daemon: str, tmp_path: Path) -> None:
    """Nobody announces ClusterIPs: the doctor says exactly that, until the router has the way."""
    with case1(tmp_path, services=False, daemon=daemon) as (lab, router, _):
        assert lab.fetched(SERVICE, PORT) == ""
        assert lab.broken(POD) == {}
        assert lab.broken(SERVICE) == {
            "route": "Calico announces pods over BGP and no ClusterIPs: its BGPConfiguration lacks 10.233.0.0/18"
        }
        must(router, "ip", "route", "add", SERVICES, "via", NODE)
        assert {lab.fetched(SERVICE, PORT) for _ in range(2)} == {"web-0", "web-1"}
        assert lab.broken(SERVICE) == {}


def test_no_pod(tmp_path: Path) -> None:
    """No pod is behind a service: a node refuses connections, and the doctor names the endpoints alone."""
    with case1(tmp_path, services=True) as (lab, _, _):
        found = lab.links(EMPTY)
        assert [name for name, each in found.items() if each["state"] == "failed"] == ["endpoints"]
        assert found["endpoints"]["cause"] == "no pod is behind it"
        assert found["connection"]["evidence"].endswith(": refused, as no endpoint is ready")
        assert lab.broken(SERVICE, "--port", "81") == {
            "connection": "packets go there and come back, and nothing listens at the port"
        }


@routers
def test_routes_run_announces(daemon: str, tmp_path: Path) -> None:
    """Nobody announces but `routes run`: pods and services are reached until it ends, and the router is as it was."""
    file = tmp_path / "dnsbridge.yaml"
    peers = [{"address": ROUTER_HERE, "asn": THEIR_AS}]
    bgp = {"asn": OUR_AS, "peers": peers, "graceful_restart": 0}
    file.write_text(json.dumps({"routes": {"bgp": bgp}}), encoding="utf-8")
    with office(tmp_path, services=False) as (lab, router, _), routing(router, daemon, ROUTER_HERE, "10.50.0.2"):
        before = ways(router), lab.tables()
        assert (lab.fetched(POD, PORT), lab.fetched(SERVICE, PORT)) == ("", "")
        with lab.companion("--config", str(file), "--sink", "bgp"):
            eventually(lambda: lab.fetched(POD, PORT) == "web-0")
            assert {lab.fetched(SERVICE, PORT) for _ in range(2)} == {"web-0", "web-1"}
            assert (lab.broken(POD), lab.broken(SERVICE)) == ({}, {})
            assert lab.tables() == before[1]
        eventually(lambda: ways(router) == before[0], lambda: ways(router))
        assert (lab.fetched(POD, PORT), lab.tables()) == ("", before[1])


def ways(router: Namespace) -> list[str]:
    """The routes of a router with a next hop, of all tables: those of its own links come when its daemon likes."""
    lines = must(router, "ip", "-4", "route", "show", "table", "all").splitlines()
    return [line for line in lines if " via " in line]

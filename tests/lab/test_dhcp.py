"""A machine whose routes come from a DHCP server (option 121, RFC 3442), as `routes export` prints them for it."""

import json
from pathlib import Path

import pytest

from tests.lab.own_nodes import PORT, WEB_0, WEB_1, own_nodes
from tests.support.daemon import open_folder
from tests.support.dhcp import Pool, dnsmasq, kea, lease
from tests.support.links import must
from tests.support.started import run

pytestmark = pytest.mark.needs("netns", "curl", "dnsmasq", "kea-dhcp4", "dhclient")
POOL = Pool("172.25.254.0/24", "172.25.254.99", "172.25.254.99")
GATEWAY = "172.25.254.1"
"""The office's own, and its DHCP server."""
WAYS = {
    "default": GATEWAY,
    "10.96.0.0/12": "172.25.254.2",
    "10.244.0.0/24": "172.25.254.2",
    "10.244.1.0/24": "172.25.254.3",
    "10.244.2.0/24": "172.25.254.4",
}


@pytest.mark.parametrize("server", ["dnsmasq", "kea"])
def test_option_121(server: str, tmp_path: Path) -> None:
    """Without a lease there is no route, with one each node is the way to its pods, released all is as it was."""
    with own_nodes(tmp_path, "case4-host-gw") as (lab, _), open_folder() as folder:
        office = lab.host(f"{GATEWAY}/24")
        must(lab.machine, "ip", "address", "flush", "dev", "eth0")
        before = lab.tables()
        assert lab.fetched(WEB_0, PORT) == ""
        assert lab.broken(WEB_0) == {"route": "this host has no route to the address"}
        words = ["--format", f"dhcp-{server}", "--manifests", str(lab.manifests), "--default-gateway", GATEWAY]
        printed = run("routes", "export", *words, prefix=office.prefix).stdout
        serving = {"dnsmasq": dnsmasq, "kea": kea}[server]
        with serving(office, POOL, printed, folder), lease(lab.machine, folder):
            entries = json.loads(must(lab.machine, "ip", "-j", "-4", "route"))
            assert {entry["dst"]: entry["gateway"] for entry in entries if "gateway" in entry} == WAYS
            assert (lab.fetched(WEB_0, PORT), lab.fetched(WEB_1, PORT)) == ("web-0", "web-1")
            assert lab.broken(WEB_0) == {}
        assert lab.tables() == before

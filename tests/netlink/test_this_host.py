"""This host's interfaces over netlink are what `ip` shows, in a namespace with links of many kinds."""

import json
import sys

import pytest

from tests.support.namespace import Namespace

pytestmark = pytest.mark.needs("netns")
MADE = """
link add up0 type veth peer name up1
addr add 10.200.20.105/24 dev up0
addr add 10.200.20.106/24 dev up0
addr add fd00::105/64 dev up0 nodad
link set up0 up mtu 1400
link add down0 type veth peer name down1
addr add 10.9.9.9/24 dev down0
link add veth0 type veth peer name veth1
addr add 10.77.0.1 peer 10.77.0.2/32 dev veth0
link set veth0 up
link add bridge0 type bridge
addr add 172.16.0.1/12 dev bridge0
link set bridge0 up
link add tun5 type vxlan external dstport 4789
link set tun5 up
"""
READ = (
    "from dnsbridge.netlink.this_host import read_interfaces\n"
    "for each in read_interfaces():\n"
    "    print(each.name, each.kind, each.mtu, *sorted(map(str, each.addresses)))"
)


def test_interfaces() -> None:
    """Those that are up, each with its kind, its MTU and its own addresses."""
    with Namespace("") as namespace:
        for line in MADE.strip().splitlines():
            done = namespace.run("ip", *line.split())
            assert not done.returncode, f"{line}: {done.stderr}"
        shown = json.loads(namespace.run("ip", "-j", "-d", "address").stdout)
        read = namespace.run(sys.executable, "-c", READ)
        assert not read.returncode, read.stderr
    expected = []
    for link in shown:
        if "UP" in link["flags"]:
            own = sorted(f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"])
            kind = link.get("linkinfo", {}).get("info_kind", "")
            expected.append(" ".join([link["ifname"], kind, str(link["mtu"]), *own]))
    assert read.stdout.splitlines() == expected
    assert len(expected) >= 5

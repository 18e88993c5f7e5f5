"""`dnsbridge routes export` as a process: field case 2's script, what options change, and errors of one line."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from dnsbridge.routes.exports import FORMATS
from tests.support import started
from tests.support.links import Switch
from tests.support.program import ROOT

EXAMPLE = ("--manifests", str(ROOT / "dnsbridge" / "example"))
GATEWAY_TABLE = """\
default via 192.168.181.1 dev ens160 proto static metric 100
172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown
192.168.181.0/24 dev ens160 proto kernel scope link src 192.168.181.5 metric 100
192.244.6.192/26 via 192.168.181.13 dev ens160 proto bird
192.244.7.0/26 via 192.168.181.13 dev ens160 proto bird
192.244.7.64/26 via 192.168.181.13 dev ens160 proto bird
192.244.32.0/26 via 192.168.181.12 dev ens160 proto bird
192.244.32.64/26 via 192.168.181.12 dev ens160 proto bird
192.244.70.0/26 via 192.168.181.14 dev ens160 proto bird
192.244.190.128/26 via 192.168.181.11 dev ens160 proto bird
192.244.190.192/26 via 192.168.181.11 dev ens160 proto bird
"""
ROUTE_RULE = """\
route add -net 192.96.0.0 netmask 255.255.0.0 gw 192.168.181.5
route add -net 192.244.6.192 netmask 255.255.255.192 gw 192.168.181.5
route add -net 192.244.7.0 netmask 255.255.255.192 gw 192.168.181.5
route add -net 192.244.7.64 netmask 255.255.255.192 gw 192.168.181.5
route add -net 192.244.32.0 netmask 255.255.255.192 gw 192.168.181.5
route add -net 192.244.32.64 netmask 255.255.255.192 gw 192.168.181.5
route add -net 192.244.70.0 netmask 255.255.255.192 gw 192.168.181.5
route add -net 192.244.190.128 netmask 255.255.255.192 gw 192.168.181.5
route add -net 192.244.190.192 netmask 255.255.255.192 gw 192.168.181.5
"""
CLUSTER = """\
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.96.0.0/12]}
---
apiVersion: v1
kind: Node
metadata: {name: node1}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24]}
status:
  addresses: [{type: InternalIP, address: 172.18.12.21}]
  conditions: [{type: Ready, status: "True"}]
"""


@pytest.fixture
def table(tmp_path: Path) -> tuple[str, ...]:
    """Options for field case 2: the gateway's table, and the service network, which no table has."""
    (tmp_path / "gateway.txt").write_text(GATEWAY_TABLE, encoding="utf-8")
    (tmp_path / "dnsbridge.yaml").write_text("routes: {service_cidrs: [192.96.0.0/16]}\n", encoding="utf-8")
    return "--table", str(tmp_path / "gateway.txt"), "--config", str(tmp_path / "dnsbridge.yaml")


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[str, ...]:
    """Options for a cluster with a DNS service, as in field case 6."""
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")
    return "--manifests", str(tmp_path / "cluster.yaml")


def run(*arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """`dnsbridge routes export`, elsewhere with a prefix."""
    return started.run("routes", "export", *arguments, prefix=prefix)


def lines(text: str) -> str:
    """A text without its comments."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


@pytest.mark.parametrize("via", [("--via", "gateways"), ()])
def test_field_case_2(table: tuple[str, ...], via: tuple[str, ...]) -> None:
    """The gateway's table becomes exactly the lines of route.rule; a gateway that is named is meant, also in auto."""
    done = run("--format", "route-add", *table, *via, "--gateway", "192.168.181.5")
    assert (done.returncode, lines(done.stdout)) == (0, ROUTE_RULE)


def test_field_case_2_with_iproute2(table: tuple[str, ...]) -> None:
    """The modern script has the same routes; with two gateways each has both."""
    done = run("--format", "iproute2", *table, "--gateway", "192.168.181.5", "--gateway", "192.168.181.6")
    ways = "nexthop via 192.168.181.5 weight 1 nexthop via 192.168.181.6 weight 1"
    prefixes = [line.split()[3] for line in ROUTE_RULE.splitlines()]
    bits = [16, *[26] * 8]
    assert lines(done.stdout).splitlines() == [
        f"ip route replace {prefix}/{bit} proto static {ways}" for prefix, bit in zip(prefixes, bits, strict=True)
    ]


def test_via_nodes(table: tuple[str, ...]) -> None:
    """Without a gateway each block leads to its own node, wherever this runs."""
    done = run("--format", "json", *table, "--via", "nodes")
    ways = {each["prefix"]: [hop["address"] for hop in each["next_hops"]] for each in json.loads(done.stdout)}
    assert ways["192.244.70.0/26"] == ["192.168.181.14"]
    assert ways["192.244.7.64/26"] == ["192.168.181.13"]


@pytest.mark.needs("netns", "ip")
def test_here(table: tuple[str, ...]) -> None:
    """For this host only what is on its links can be a next hop; elsewhere that does not matter."""
    with Switch() as switch:
        host = switch.host("192.168.181.10/31")
        done = run("--format", "json", *table, "--via", "nodes", "--here", prefix=host.prefix)
    assert done.returncode == 1
    assert "not on this host's links" in done.stderr
    ways = {each["prefix"]: [hop["address"] for hop in each["next_hops"]] for each in json.loads(done.stdout)}
    assert {way for hops in ways.values() for way in hops} == {"192.168.181.11"}
    assert {"192.244.190.128/26", "192.244.190.192/26"} <= set(ways)
    assert "192.244.70.0/26" not in ways


@pytest.mark.parametrize(
    ("options", "servers", "said"),
    [
        ((), ["DNS 10.96.0.10"], "info: DNS server 10.96.0.10: it is the cluster's own"),
        (("--dns", "10.0.0.8", "--dns", "fd00::8"), ["DNS 10.0.0.8", "DNS6 fd00::8"], ""),
    ],
)
def test_dns_for_openvpn(cluster: tuple[str, ...], options: tuple[str, ...], servers: list[str], said: str) -> None:
    """VPN clients are told of the DNS server that is given, else of the cluster's own, for the cluster's zone."""
    done = run("--format", "openvpn", *cluster, "--zone", "dev.example", *options)
    assert done.returncode == 0
    assert said in done.stderr
    assert lines(done.stdout).splitlines() == [
        'push "route 10.96.0.0 255.240.0.0"',
        'push "route 10.244.1.0 255.255.255.0"',
        *[f'push "dhcp-option {server}"' for server in servers],
        'push "dhcp-option DOMAIN-ROUTE dev.example"',
    ]


def test_a_default_gateway_for_dhcp(cluster: tuple[str, ...]) -> None:
    """The default route stands first in option 121."""
    done = run("--format", "dhcp-dnsmasq", *cluster, "--default-gateway", "172.18.12.1")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        "dhcp-option=option:classless-static-route,0.0.0.0/0,172.18.12.1,"
        "10.96.0.0/12,172.18.12.21,10.244.1.0/24,172.18.12.21"
    )


ERRORS = [
    (("--format", "iproute"), 2, "--format: there is no format 'iproute'; did you mean 'iproute2'?"),
    (("--format", "OpenVPM"), 2, "--format: there is no format 'OpenVPM'; did you mean 'openvpn'?"),
    (("--format", "qqq"), 2, f"--format: there is no format 'qqq'; known are {', '.join(FORMATS)}"),
    ((), 2, "Missing option '--format'; see 'dnsbridge routes export --help'"),
    (("--format", "bird", "--dns", "x\ny"), 2, "--dns: 'x\\ny' is no IP address; write one like 10.96.0.10"),
    (
        ("--format", "dhcp-hex", "--default-gateway", "fd00::1"),
        2,
        "--default-gateway: DHCP option 121 is for IPv4; name an IPv4 address",
    ),
    (("--format", "netplan"), 2, "--interface: netplan needs an interface to put the routes on; name it"),
    (("--format", "bird", "--gateway", "x"), 2, '--gateway: got "x"; '),
    (("--format", "bird", "--via", "x"), 2, '--via: got "x"; '),
    (("--format", "bird", "--table", "/no/such"), 1, "/no/such: no such file"),
]


@pytest.mark.parametrize(("options", "code", "text"), ERRORS)
def test_errors_are_one_line(options: tuple[str, ...], code: int, text: str) -> None:
    """What, where and what to do; nothing on standard output."""
    done = run(*options, *EXAMPLE)
    assert (done.returncode, done.stdout) == (code, "")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("info: ") and " INFO " not in line]
    assert len(errors) == 1
    assert errors[0].startswith(text)


def test_help() -> None:
    """The help names every format with a line, and has an example."""
    done = run("--help")
    assert done.returncode == 0
    for format_ in FORMATS.values():
        assert f"  {format_.name} " in done.stdout
    assert "Example: dnsbridge routes export --format " in done.stdout

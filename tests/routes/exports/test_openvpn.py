"""Field case 6: an OpenVPN server in the cluster loads the printed lines, and a client gets routes and DNS."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from dnsbridge.routes.exports import About, Exported, export
from dnsbridge.routes.model import Kind
from tests.lab.kube_proxy import kube_proxy
from tests.lab.pod import pod
from tests.routes.exports.sets import route
from tests.routes.exports.test_command import CLUSTER, run
from tests.support.daemon import Daemon, open_folder
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.program import eventually

pytestmark = pytest.mark.needs("netns", "ip", "nft", "openvpn")

SERVER = "172.18.12.21"
PORT = 30030
POD, POD6, CLUSTER_IP = "10.233.98.3", "fd00:98::3", "10.233.0.3"
ROUTES = [
    route("10.233.0.0/18", "10.200.20.1", kind=Kind.SERVICE),
    route("10.233.98.0/24", "10.200.20.105", "10.200.20.106"),
    route("10.250.0.7/32", "%eth0", kind=Kind.EXTERNAL),
    route("fd00:98::/64", "fe80::5%eth0"),
]
ABOUT = About(dns=(ip_address(CLUSTER_IP), ip_address("fd00:98::a")), zones=("cluster.local", "dev.k8s.corp"))


def lines(about: About = ABOUT) -> str:
    """The text for the server's configuration."""
    made = export("openvpn", ROUTES, about)
    assert isinstance(made, Exported)
    assert made.notes == ()
    return made.text


def credentials(folder: Path) -> tuple[str, str]:
    """Options for a server and a client that trust each other."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    options = []
    for name in ("server", "client"):
        certificate = authority.issue_cert(f"{name}.example", common_name=name)
        (folder / f"{name}.pem").write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
        (folder / f"{name}.key").write_bytes(certificate.private_key_pem.bytes())
        options.append(f"ca {folder}/ca.pem\ncert {folder}/{name}.pem\nkey {folder}/{name}.key\ndev tun\nverb 3\n")
    return options[0], options[1]


@contextmanager
def node(switch: Switch, folder: Path) -> Iterator[Namespace]:
    """The server's host: behind it is a pod, to which kube-proxy leads from a ClusterIP; the pod of IPv6 is on it."""
    host = switch.host(f"{SERVER}/24")
    must(host, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    must(host, "ip", "address", "add", f"{POD6}/128", "dev", "lo")
    kube_proxy(host, "10.233.64.0/18", {f"{CLUSTER_IP}:8080": [f"{POD}:8080"]})
    with pod(host, f"{POD}/32", "web-0", 8080, folder / "pod.log"):
        yield host


@contextmanager
def connected(pushed: str) -> Iterator[tuple[Namespace, str, Path]]:
    """A client of a server that pushes this: its namespace, its log, and a file with its script's environment."""
    with Switch() as switch, open_folder() as folder, node(switch, folder) as server:
        client = switch.host("172.18.12.50/24")
        server_options, client_options = credentials(folder)
        (folder / "pushed.conf").write_text(pushed, encoding="utf-8")
        (folder / "server.conf").write_text(
            f"{server_options}local {SERVER}\nport {PORT}\nproto udp\ndh none\ntopology subnet\nkeepalive 10 60\n"
            f"server 10.140.0.0 255.255.0.0\nserver-ipv6 fd00:140::/64\nconfig {folder}/pushed.conf\n",
            encoding="utf-8",
        )
        script = folder / "up"
        script.write_text(f"#!/bin/sh\nenv > {folder}/environment\n", encoding="utf-8")
        script.chmod(0o755)
        (folder / "client.conf").write_text(
            f"{client_options}client\nremote {SERVER} {PORT} udp\nnobind\nconnect-retry 1 1\n"
            f"script-security 2\nup {script}\n",
            encoding="utf-8",
        )
        service = [sys.executable, "-m", "http.server", "8080", "--bind", POD6, "--directory", str(folder)]
        daemons = [Daemon(server, service, folder / "http.log")]
        try:
            assert not reaches(client, POD), "reachable without the VPN"
            for host, name in ((server, "server"), (client, "client")):
                log = folder / f"{name}.log"
                daemon = Daemon(host, ["openvpn", "--config", str(folder / f"{name}.conf")], log)
                daemons.append(daemon)

                def complete(daemon: Daemon = daemon) -> bool:
                    daemon.check()
                    return "Initialization Sequence Completed" in daemon.log.read_text(encoding="utf-8")

                eventually(complete)
            yield client, daemons[-1].log.read_text(encoding="utf-8"), folder / "environment"
        finally:
            for daemon in daemons:
                daemon.stop()


def reaches(client: Namespace, address: str) -> bool:
    """Whether a TCP connection from there to the service succeeds."""
    connect = f"import socket; socket.create_connection(({address!r}, 8080), 30)"
    return client.run(sys.executable, "-c", connect).returncode == 0


def routed(client: Namespace) -> set[str]:
    """The prefixes that the client has over the tunnel."""
    found = set()
    for family in ("-4", "-6"):
        for entry in json.loads(must(client, "ip", "-j", family, "route", "show", "dev", "tun0")):
            if entry.get("protocol") != "kernel":
                found.add(entry["dst"])
    return found


def test_a_client_gets_routes_dns_and_packets() -> None:
    """The server takes the lines; the client has exactly the routes, is told of the DNS, and reaches a pod."""
    with connected(lines()) as (client, log, environment):
        assert routed(client) == {str(each.prefix).removesuffix("/32") for each in ROUTES}
        told = re.findall(r"^foreign_option_\d+=(.*)$", environment.read_text(encoding="utf-8"), re.MULTILINE)
        assert told == [
            f"dhcp-option DNS {CLUSTER_IP}",
            "dhcp-option DNS6 fd00:98::a",
            "dhcp-option DOMAIN-ROUTE cluster.local",
            "dhcp-option DOMAIN-ROUTE dev.k8s.corp",
        ]
        assert "Options error" not in log
        for address in (POD, CLUSTER_IP, POD6):
            eventually(partial(reaches, client, address))


def test_the_command_for_a_cluster(tmp_path: Path) -> None:
    """What `routes export` prints for a cluster's objects, unchanged, does the same."""
    manifests = tmp_path / "cluster.yaml"
    manifests.write_text(CLUSTER, encoding="utf-8")
    done = run("--format", "openvpn", "--manifests", str(manifests), "--dns", "172.18.12.21")
    assert (done.returncode, done.stderr) == (0, "")
    with connected(done.stdout) as (client, _, environment):
        assert routed(client) == {"10.96.0.0/12", "10.244.1.0/24"}
        told = environment.read_text(encoding="utf-8")
        assert "=dhcp-option DNS 172.18.12.21\n" in told
        assert "=dhcp-option DOMAIN-ROUTE cluster.local\n" in told


def test_a_push_that_is_longer_than_a_message() -> None:
    """Hundreds of routes come in several control messages, and all arrive."""
    many = [route(f"10.{high}.{low}.0/24", "10.200.20.1") for high in (60, 61) for low in range(100)]
    made = export("openvpn", many)
    assert isinstance(made, Exported)
    with connected(made.text) as (client, _, _):
        assert routed(client) == {str(each.prefix) for each in many}

"""Several clusters in one server, all called cluster.local: each answers for itself, and what befalls one is its own.

Both have the service `web` and the headless `db` in the same namespace, at other addresses; `old` is an ExternalName
that points into the cluster itself. An alias says which of them is asked.
"""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.reversename
import pytest

from tests.apiserver.server import ApiServer, in_thread
from tests.support.kubeconfigs import Fields, cluster_entry, endpoint_slice, service, write
from tests.support.program import DEADLINE, Program, eventually

CIDRS = {"east": "10.96.0.0/16", "west": "10.97.0.0/16"}
PODS = {"east": "10.128.0.0/16", "west": "10.129.0.0/16"}
WEB = {"east": "10.96.0.80", "west": "10.97.0.80"}
DB = {"east": "10.128.0.7", "west": "10.129.0.7"}


def service_cidr(*cidrs: str) -> Fields:
    """A ServiceCIDR."""
    metadata = {"name": "kubernetes"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": metadata,
        "spec": {"cidrs": list(cidrs)},
    }


def ip_pool(cidr: str) -> Fields:
    """Calico's IPPool."""
    metadata = {"name": "pool"}
    return {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": metadata, "spec": {"cidr": cidr}}


def node(cidr: str) -> Fields:
    """A node with a prefix of pods."""
    spec = {"podCIDR": cidr, "podCIDRs": [cidr]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-0"}, "spec": spec}


def kubeadm(services: str, pods: str) -> Fields:
    """kubeadm's ConfigMap."""
    text = (
        "apiVersion: kubeadm.k8s.io/v1beta4\nclusterName: kubernetes\nkind: ClusterConfiguration\nnetworking:\n"
        f"  dnsDomain: cluster.local\n  podSubnet: {pods}\n  serviceSubnet: {services}\nscheduler: {{}}\n"
    )
    metadata = {"name": "kubeadm-config", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ClusterConfiguration": text}}


def objects(name: str) -> list[Fields]:
    """What a cluster holds."""
    return [
        service("web", WEB[name]),
        service("db"),
        endpoint_slice("db", {"db-0": DB[name]}),
        service("old", external_name="web.shop.svc.cluster.local"),
        service_cidr(CIDRS[name]),
        ip_pool(PODS[name]),
    ]


def cluster(name: str, kubeconfig: Path, **more: object) -> Fields:
    """Settings of one cluster."""
    return {
        "name": name,
        "aliases": [f"{name}.k8s.test"],
        "source": {"kubeconfig": str(kubeconfig), "context": name, "silence": "1s"},
        "fallback": "never",
        "max_staleness": "1500ms",
        **more,
    }


@contextmanager
def api_servers(folder: Path, *names: str) -> Iterator[tuple[dict[str, ApiServer], Path]]:
    """An API server for each name, and one kubeconfig with a context for each."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(in_thread(ApiServer(tls=False))) for name in names}
        for server in servers.values():
            server.watches.bookmark_interval = 0.2
        contexts: dict[str, tuple[Fields, Fields]] = {
            name: (cluster_entry(server), {}) for name, server in servers.items()
        }
        yield servers, write(folder / "kubeconfig", contexts)


def said(program: Program, name: str, rtype: str = "A") -> list[str]:
    """The records of the answer section as `TYPE DATA` or the RCODE, and the codes of extended errors."""
    got = program.ask(name, rtype, edns=True)
    words = [line.split(" ", 3)[3] for rrset in got.answer for line in rrset.to_text().splitlines()]
    return sorted(words or [got.rcode().name]) + [str(int(option.code)) for option in got.extended_errors()]


def reverse(address: str) -> str:
    """The reverse name of an address."""
    return dns.reversename.from_address(address).to_text()


def answers_of(name: str) -> list[tuple[str, str, list[str]]]:
    """Questions to a cluster below its alias, with the answers that its objects mean."""
    alias = f"{name}.k8s.test"
    return [
        (f"web.shop.svc.{alias}", "A", [f"A {WEB[name]}"]),
        (f"db.shop.svc.{alias}", "A", [f"A {DB[name]}"]),
        (f"db-0.db.shop.svc.{alias}", "A", [f"A {DB[name]}"]),
        (f"_http._tcp.web.shop.svc.{alias}", "SRV", [f"SRV 0 100 80 web.shop.svc.{alias}."]),
        (f"_http._tcp.db.shop.svc.{alias}", "SRV", [f"SRV 0 100 8080 db-0.db.shop.svc.{alias}."]),
        (f"old.shop.svc.{alias}", "CNAME", [f"CNAME web.shop.svc.{alias}."]),
        (f"old.shop.svc.{alias}", "A", [f"A {WEB[name]}", f"CNAME web.shop.svc.{alias}."]),
        (f"no-such.shop.svc.{alias}", "A", ["NXDOMAIN"]),
    ]


def check(program: Program, name: str, primary: str, extra: Sequence[str] = ()) -> None:
    """All answers of a cluster; names that a PTR points to are below `primary`."""
    pointers = [
        (reverse(WEB[name]), "PTR", [f"PTR web.shop.svc.{primary}."]),
        (reverse(DB[name]), "PTR", [f"PTR db-0.db.shop.svc.{primary}."]),
        (reverse(WEB[name].replace(".80", ".81")), "PTR", ["NXDOMAIN"]),
    ]
    for question, rtype, expected in answers_of(name) + pointers:
        assert said(program, question, rtype) == [*expected, *extra], (question, rtype)


def leave(server: ApiServer) -> None:
    """The API server goes away: connections end, new ones are refused."""
    task = server.call(lambda: asyncio.get_running_loop().create_task(server.unlisten()))
    eventually(task.done)


def come_back(server: ApiServer) -> None:
    """The API server is there again, at the same place."""
    task = server.call(lambda: asyncio.get_running_loop().create_task(server.listen()))
    eventually(task.done)


def test_two_clusters_of_one_name(tmp_path: Path) -> None:
    """Each answers under its alias, forward and backward; cluster.local is the first one's; an outage stays its own."""
    with api_servers(tmp_path, "east", "west") as (servers, kubeconfig):
        for name, server in servers.items():
            server.change(put=objects(name))
        settings = {"clusters": [cluster("west", kubeconfig), cluster("east", kubeconfig, precedence=1)]}
        with Program(settings=settings, http=True, listen=["127.0.0.1:0"]) as program:
            for name in servers:
                program.wait_for_log(rf"cluster {name}: services {CIDRS[name]} \(ServiceCIDR objects\)")
                program.wait_for_log(rf"cluster {name}: pods {PODS[name]} \(IPPool objects\)")
            assert said(program, "web.shop.svc.cluster.local") == [f"A {WEB['east']}"]
            check(program, "east", "cluster.local")
            check(program, "west", "west.k8s.test")

            leave(servers["west"])
            program.wait_for_log("ERROR +cluster west: no sign of life")
            check(program, "west", "west.k8s.test", extra=["3"])
            check(program, "east", "cluster.local")
            metrics = program.metrics()
            assert metrics['dnsbridge_cluster_synced{cluster="west"}'] == 0
            assert metrics['dnsbridge_cluster_synced{cluster="east"}'] == 1
            assert metrics['dnsbridge_cluster_age_seconds{cluster="east"}'] < 1.5
            servers["east"].change(put=[service("new", "10.96.0.82")])
            eventually(lambda: said(program, "new.shop.svc.east.k8s.test") == ["A 10.96.0.82"])
            assert said(program, "new.shop.svc.west.k8s.test") == ["NXDOMAIN", "3"]
            assert not [line for line in program.log() if "cluster east" in line and " INFO " not in line]

            come_back(servers["west"])
            program.wait_for_log("cluster west: connected again")
            eventually(lambda: said(program, "web.shop.svc.west.k8s.test") == [f"A {WEB['west']}"])
            check(program, "west", "west.k8s.test")
            check(program, "east", "cluster.local")


def test_one_is_never_there(tmp_path: Path) -> None:
    """A cluster that was never reached is SERVFAIL and named by /readyz, in one warning; the other serves."""
    with api_servers(tmp_path, "east", "west") as (servers, kubeconfig):
        servers["east"].change(put=objects("east"))
        leave(servers["west"])
        settings = {"clusters": [cluster("west", kubeconfig, precedence=1), cluster("east", kubeconfig)]}
        with Program(settings=settings, http=True, listen=["127.0.0.1:0"]) as program:
            program.wait_for_log("cluster east: pods")
            check(program, "east", "east.k8s.test")
            assert said(program, "web.shop.svc.west.k8s.test") == ["SERVFAIL", "14"]
            assert said(program, "web.shop.svc.cluster.local") == ["SERVFAIL", "14"], "and none of the other's"
            assert readyz(program) == "cluster west: not read yet\n"
            port = servers["west"].port
            program.wait_for_log(
                rf"WARNING cluster west: cannot connect to 127.0.0.1:{port}: connection refused; trying"
            )
            warnings = [line for line in program.log() if "WARNING" in line]
            assert len([line for line in warnings if "not read yet: " not in line and "still" not in line]) == 1
            servers["west"].change(put=objects("west"))
            come_back(servers["west"])
            eventually(lambda: said(program, "web.shop.svc.cluster.local") == [f"A {WEB['west']}"])
            assert readyz(program) == "ok\n"


def readyz(program: Program) -> str:
    """What /readyz says."""
    place = program.wait_for_log(r"metrics on (http://\S+)/metrics")[1]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{place}/readyz", timeout=DEADLINE) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


KUBE_DNS = service("kube-dns", "10.96.0.10", namespace="kube-system")


@pytest.mark.parametrize(
    ("held", "lines", "owned", "strange"),
    [
        pytest.param(
            [service_cidr("10.96.0.0/16", "10.100.0.0/24"), kubeadm("10.1.0.0/16", "10.2.0.0/16"), node("10.3.4.0/24")],
            [
                r"services 10.96.0.0/16, 10.100.0.0/24 \(ServiceCIDR objects\)",
                r"pods 10.3.4.0/24 \(Node objects\)",
            ],
            ["10.96.0.1", "10.100.0.9", "10.3.4.5"],
            ["10.1.0.1", "10.2.0.1", "10.100.1.1"],
            id="ServiceCIDR-and-Node",
        ),
        pytest.param(
            [kubeadm("10.1.0.0/16", "10.2.0.0/16"), ip_pool("10.3.0.0/16")],
            [
                r"services 10.1.0.0/16 \(ConfigMap kube-system/kubeadm-config\)",
                r"pods 10.3.0.0/16 \(IPPool objects\)",
            ],
            ["10.1.0.1", "10.3.0.1"],
            ["10.2.0.1", "10.96.0.1"],
            id="kubeadm-and-IPPool",
        ),
        pytest.param(
            [kubeadm("10.1.0.0/16,fd00:1::/108", "10.2.0.0/16"), node("10.2.4.0/24")],
            [
                r"services 10.1.0.0/16, fd00:1::/108 \(ConfigMap kube-system/kubeadm-config\)",
                r"pods 10.2.4.0/24 \(Node objects\)",
            ],
            ["10.1.0.1", "fd00:1::1", "10.2.4.1"],
            ["10.2.5.1", "fd00:2::1"],
            id="kubeadm-dual-stack",
        ),
        pytest.param(
            [kubeadm("10.1.0.0/16", "10.2.0.0/16")],
            [r"pods 10.2.0.0/16 \(ConfigMap kube-system/kubeadm-config\)"],
            ["10.1.0.1", "10.2.4.1"],
            ["10.3.0.1"],
            id="kubeadm-alone",
        ),
        pytest.param(
            [],
            [r"services at their known addresses only", r"pods at their known addresses only"],
            [],
            ["10.96.0.1", "10.96.0.11", "10.128.0.1"],
            id="observed",
        ),
    ],
)
def test_discovery(tmp_path: Path, held: list[Fields], lines: list[str], owned: list[str], strange: list[str]) -> None:
    """Prefixes and CoreDNS are found and said; reverse names in the prefixes are the cluster's, all others are not."""
    with api_servers(tmp_path, "east") as (servers, kubeconfig):
        servers["east"].change(put=[KUBE_DNS, service("web", WEB["east"]), *held])
        # `unsynced` names CoreDNS in the log, and with a live API server it is never asked.
        one = cluster("east", kubeconfig, fallback="unsynced", max_staleness="1h")
        with Program(settings={"clusters": [one]}, listen=["127.0.0.1:0"]) as program:
            program.wait_for_log(r"cluster east: CoreDNS 10.96.0.10:53 \(Service kube-system/kube-dns\)")
            for line in lines:
                program.wait_for_log(f"cluster east: {line}")
            assert said(program, reverse("10.96.0.80"), "PTR")[0] == (
                "PTR web.shop.svc.cluster.local." if not held or "10.96" in json.dumps(held) else "SERVFAIL"
            )
            for address in owned:
                assert said(program, reverse(address), "PTR") == ["NXDOMAIN"], address
            for address in strange:
                # The corporate DNS of this test is a closed port.
                assert said(program, reverse(address), "PTR")[0] == "SERVFAIL", address


def test_overlapping_prefixes(tmp_path: Path) -> None:
    """Two clusters with one prefix and the same precedence are one line of error; with precedence, none."""
    with api_servers(tmp_path, "east", "west") as (servers, kubeconfig):
        for name, server in servers.items():
            server.change(put=[service("web", WEB[name]), service_cidr("10.96.0.0/12")])
        for precedence in (0, 1):
            clusters = [
                cluster(name, kubeconfig, zone=f"{name}.local", precedence=precedence * number)
                for number, name in enumerate(servers)
            ]
            with Program(settings={"clusters": clusters}, listen=["127.0.0.1:0"]) as program:
                for name in servers:
                    program.wait_for_log(f"cluster {name}: services 10.96.0.0/12")
                if not precedence:
                    program.wait_for_log(
                        "ERROR +clusters east and west both claim 10.96.0.0/12; give one a higher precedence"
                    )
                assert said(program, "web.shop.svc.west.local") == [f"A {WEB['west']}"]
            assert len([line for line in program.log() if " INFO " not in line]) == 1 - precedence


def test_selectors(tmp_path: Path) -> None:
    """Only what the label and field selectors select is asked for, and answered."""
    with api_servers(tmp_path, "east") as (servers, kubeconfig):
        server = servers["east"]
        public = {"exposed": "yes"}
        server.change(
            put=[
                service("web", "10.96.0.80", labels=public),
                service("inner", "10.96.0.81"),
                service("web", "10.96.0.82", namespace="other", labels=public),
            ]
        )
        one = cluster("east", kubeconfig)
        one["source"]["selectors"] = {
            "services": {"labels": "exposed in (yes, soon)", "fields": "metadata.namespace=shop"},
            "endpointslices": {"fields": "metadata.namespace=shop"},
        }
        with Program(settings={"clusters": [one]}, listen=["127.0.0.1:0"]) as program:
            eventually(lambda: said(program, "web.shop.svc.cluster.local") == ["A 10.96.0.80"])
            assert said(program, "inner.shop.svc.cluster.local") == ["NXDOMAIN"]
            assert said(program, "web.other.svc.cluster.local") == ["NXDOMAIN"]
            server.change(put=[service("inner", "10.96.0.81", labels=public), service("web", "10.96.0.80")])
            eventually(lambda: said(program, "inner.shop.svc.cluster.local") == ["A 10.96.0.81"])
            eventually(lambda: said(program, "web.shop.svc.cluster.local") == ["NXDOMAIN"])
        for resource, selectors in (
            ("services", ("exposed in (yes, soon)", "metadata.namespace=shop")),
            ("endpointslices", (None, "metadata.namespace=shop")),
            ("namespaces", (None, None)),
        ):
            asked = server.counters.asked(None, resource)
            assert asked
            found = {(each.params.get("labelSelector"), each.params.get("fieldSelector")) for each in asked}
            assert found == {selectors}

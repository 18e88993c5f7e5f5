"""`dnsbridge doctor` on a host with a real chain: a server, a route, a node that has the ClusterIP and listens there.

One thing is broken at a time with the system's own tools, the doctor names it, and what the doctor says mends it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import pytest

from tests.support.daemon import Daemon
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.program import ROOT, Program
from tests.support.started import run
from tests.support.waiting import eventually

EXAMPLE = ROOT / "dnsbridge" / "example"
NAME, ADDRESS, PORT = "web.shop.svc.cluster.local", "10.96.12.34", 80
CLIENT, NODE = "10.0.0.2", "10.0.0.10"


class Chain(NamedTuple):
    """The hosts."""

    client: Namespace
    node: Namespace

    def doctor(self, *words: str) -> CompletedProcess[str]:
        """What the doctor says on the client."""
        return run("doctor", *words, "--manifests", str(EXAMPLE), prefix=self.client.prefix)

    def links(self, *words: str) -> dict[str, dict[str, Any]]:
        """The links, by name."""
        done = self.doctor(*(words or (NAME,)), "--output", "json")
        told = json.loads(done.stdout)
        assert told["ok"] is (done.returncode == 0)
        return {each["link"]: each for each in told["links"]}

    def broken(self, *words: str) -> list[str]:
        """The links that are broken."""
        return [name for name, link in self.links(*words).items() if link["state"] == "failed"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A client with dnsbridge as its name server, and a node that serves the ClusterIP."""
    with Switch() as switch, ExitStack() as running:
        client, node = switch.host(f"{CLIENT}/24"), switch.host(f"{NODE}/24")
        client.configure("nameserver 127.0.0.1\n")
        must(node, "ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        must(client, "ip", "route", "add", "10.96.0.0/16", "via", NODE)
        folder = tmp_path_factory.mktemp("node")
        command = [sys.executable, "-m", "http.server", str(PORT), "--bind", ADDRESS]
        listening = running.enter_context(Daemon(node, command, folder / "log"))
        running.enter_context(
            Program(EXAMPLE, listen=["127.0.0.1:53"], command_prefix=client.prefix, upstreams=["127.0.0.9"])
        )
        made = Chain(client, node)
        listening.wait(lambda: f":{PORT}" in must(node, "ss", "--tcp", "--listening", "--numeric", "--no-header"))
        yield made


pytestmark = pytest.mark.needs("netns")


def test_all_well(chain: Chain) -> None:
    """The table for people, and exit status 0."""
    done = chain.doctor(NAME)
    assert done.returncode == 0, done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if line]
    assert lines[0] == ["link", "state", "evidence"]
    assert [" ".join(line[:2]) for line in lines[1:7]] == [
        "settings ok", "server ok", "source ok", "object ok", "endpoints ok", "answer ok",
    ]  # fmt: skip
    assert f"10.96.0.0/16 via {NODE} dev eth0" in done.stdout
    assert done.stdout.endswith("no link is broken, as far as it can be seen from here\n")


BREAKS: dict[str, tuple[str, list[str], list[str], list[str]]] = {
    "no route": (
        "client", ["ip route del 10.96.0.0/16"], ["route"], [f"ip route add 10.96.0.0/16 via {NODE}"],
    ),
    "a blackhole": (
        "client",
        [f"ip route add blackhole {ADDRESS}/32"],
        ["route"],
        [f"ip route del blackhole {ADDRESS}/32"],
    ),
    "a node that is gone": (
        "node", ["ip link set eth0 down"], ["next hop"], ["ip link set eth0 up"],
    ),
    "a node without a way back": (
        "node",
        [f"ip route add blackhole {CLIENT}/32"],
        ["connection"],
        [f"ip route del blackhole {CLIENT}/32"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_link(chain: Chain, case: str) -> None:
    """The links that the break is seen at, and none once it is mended."""
    where, wreck, broken, mend = BREAKS[case]
    host: Namespace = getattr(chain, where)
    for line in wreck:
        must(host, *line.split())
    try:
        if case == "a node that is gone":
            must(chain.client, "ip", "neigh", "flush", "all")
        assert chain.broken() == broken
    finally:
        for line in mend:
            must(host, *line.split())
    # A link that comes up takes its time where the machine is busy.
    eventually(lambda: chain.broken() == [])


def test_the_readme(chain: Chain) -> None:
    """It shows what the doctor says today of a node that is gone."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, shown = readme.partition(f"$ dnsbridge doctor {NAME} --manifests cluster.yaml\n")
    must(chain.client, "ip", "route", "replace", "10.96.0.0/16", "via", NODE, "proto", "83")
    must(chain.node, "ip", "link", "set", "eth0", "down")
    try:
        must(chain.client, "ip", "neigh", "flush", "all")
        said = chain.doctor(NAME).stdout.replace(str(EXAMPLE), "cluster.yaml").replace(": failed", ": incomplete")
    finally:
        must(chain.node, "ip", "link", "set", "eth0", "up")
    assert [line.rstrip() for line in said.splitlines()] == shown.partition("```")[0].splitlines()
    eventually(lambda: chain.broken() == [])


def test_the_doctor_says_the_command(chain: Chain) -> None:
    """What mends a route that throws packets away is said as it can be typed, with the route's prefix and owner."""
    must(chain.client, "ip", "route", "add", "blackhole", "10.96.12.0/24", "proto", "static")
    found = chain.links()["route"]
    assert found["evidence"] == f"{ADDRESS}: blackhole 10.96.12.0/24 (static)"
    command, _, _ = found["mend"].partition(", ")
    must(chain.client, *command.split())
    assert chain.broken() == []


def test_a_closed_port(chain: Chain) -> None:
    """Another port than the service's is closed: the only link that is broken."""
    found = chain.links(NAME, "--port", "81")
    assert [name for name, link in found.items() if link["state"] == "failed"] == ["connection"]
    assert found["connection"]["evidence"].startswith(f"{ADDRESS} port 81: refused after ")


def test_another_name_server(chain: Chain) -> None:
    """A resolv.conf that names somebody else, though the resolver that is asked for is right."""
    chain.client.configure("nameserver 127.0.0.8\noptions timeout:1 attempts:1\n")
    try:
        found = chain.links(NAME, "--resolver", "127.0.0.1")
        assert [name for name, link in found.items() if link["state"] == "failed"] == ["this host"]
        assert found["this host"]["cause"] == "this host asks other name servers (127.0.0.8) than 127.0.0.1"
        mend = found["this host"]["mend"].split(" into ")[0].removeprefix("put ")
        chain.client.configure(f"{mend}\n")
        assert chain.broken() == []
    finally:
        chain.client.configure("nameserver 127.0.0.1\n")


@pytest.mark.parametrize(
    ("words", "broken", "said"),
    [
        (["wbe.shop.svc.cluster.local"], ["object"], f"{NAME}, "),
        (["web"], ["object"], "only a search list makes a name of a bare word"),
        ([ADDRESS, "--port", "80"], [], ""),
        ([f"{NAME}."], [], ""),
        (["WEB.shop.svc.Cluster.Local"], [], ""),
        (["docs.shop.svc.cluster.local"], [], ""),
        (["www.example.com"], ["answer"], "nobody who is asked for the name has an answer"),
    ],
)
def test_names(chain: Chain, words: list[str], broken: list[str], said: str) -> None:
    """Wrong ones, bare words, addresses, names in other case, names of nobody."""
    found = chain.links(*words)
    assert [name for name, link in found.items() if link["state"] == "failed"] == broken
    assert said in " ".join(link["cause"] for link in found.values())


@pytest.mark.parametrize(
    ("name", "link", "state", "evidence"),
    [
        pytest.param("www.example.com", "object", "unknown", "no cluster has this name", id="another zone"),
        pytest.param("web.shop.svc.k8s.corp", "object", "unknown", "no cluster has this name", id="another cluster"),
        pytest.param("web", "object", "failed", "a bare word; the search list of this host is: none", id="a bare word"),
        pytest.param(ADDRESS, "object", "unknown", "an address, no name", id="an address"),
        pytest.param("fd00:10:96::22", "route", "failed", "fd00:10:96::22: no route", id="an address of IPv6"),
        pytest.param("shop.svc.cluster.local", "connection", "unknown", "no address, or no port", id="a namespace"),
        pytest.param("docs.shop.svc.cluster.local", "endpoints", "ok", "is another name (ExternalName)", id="an alias"),
        pytest.param("_http._tcp.web.shop.svc.cluster.local", "object", "ok", "Service shop/web", id="a name of SRV"),
        pytest.param(".", "this host", "unknown", "no name of a host", id="the root"),
        pytest.param("a b.svc.cluster.local", "object", "failed", "NXDOMAIN", id="a blank"),
        pytest.param(f"{'a' * 63}.{'b' * 63}.svc.cluster.local", "object", "failed", "NXDOMAIN", id="a long name"),
    ],
)
def test_what_is_no_name_of_a_service(chain: Chain, name: str, link: str, state: str, evidence: str) -> None:
    """The doctor says what it is, and goes on."""
    found = chain.links(name)
    assert (found[link]["state"], evidence in found[link]["evidence"]) == (state, True), found[link]
    assert len(found) == 12


PORTLESS = """apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {clusterIP: None}}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
  addressType: IPv4
  endpoints: [{addresses: [10.244.1.5], conditions: {ready: true}}]
"""


def told(prefix: list[str], *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status, and the links by name."""
    done = run("doctor", *words, "--output", "json", prefix=prefix)
    return done.returncode, {each["link"]: each for each in json.loads(done.stdout)["links"]}


def test_a_service_without_ports(tmp_path: Path) -> None:
    """There is nothing to connect to, unless a port is named."""
    file = tmp_path / "objects.yaml"
    file.write_text(PORTLESS, encoding="utf-8")
    words = ["db.shop.svc.cluster.local", "--manifests", str(file)]
    with (
        Namespace("nameserver 127.0.0.1\n") as host,
        Program(file, listen=["127.0.0.1:53"], command_prefix=host.prefix, upstreams=["127.0.0.9"]),
    ):
        must(host, "ip", "address", "add", "10.244.1.5/32", "dev", "lo")
        code, found = told(host.prefix, *words)
        assert (code, found["endpoints"]["state"], found["connection"]["state"]) == (0, "ok", "unknown")
        assert found["connection"]["evidence"] == "no address, or no port to connect to; name one with --port"
        code, found = told(host.prefix, *words, "--port", "5432")
        assert (code, found["connection"]["state"]) == (1, "failed")


def test_no_cluster_is_configured(chain: Chain) -> None:
    """Neither a file, nor a flag, nor a kubeconfig: what the name servers of the host say is gone on with."""
    code, found = told(chain.client.prefix, NAME)
    assert found["source"]["evidence"] == "no cluster is configured here; name it with --kubeconfig or --manifests"
    assert {name for name, each in found.items() if each["state"] == "unknown"} == {
        "source", "object", "endpoints", "connection", "path MTU",
    }  # fmt: skip
    assert code == 0
    assert found["route"]["evidence"].startswith(f"{ADDRESS}: 10.96.0.0/16 via {NODE} dev eth0 ")
    code, found = told(chain.client.prefix, NAME, "--port", str(PORT))
    assert (code, found["connection"]["state"], found["path MTU"]["state"]) == (0, "ok", "ok")


def test_nobody_and_nothing() -> None:
    """No cluster, no server, and no name server that answers: that one is the broken link."""
    with Namespace("nameserver 127.0.0.8\noptions timeout:1 attempts:1\n") as host:
        code, found = told(host.prefix, NAME)
    assert code == 1
    assert {name: each["cause"] for name, each in found.items() if each["state"] == "failed"} == {
        "resolver": "the name server of this host does not answer"
    }
    assert found["server"]["evidence"] == "no dnsbridge answers at 127.0.0.1: connection refused"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a..b"], 2, "'a..b': a label is empty; use a name such as web.shop.svc.cluster.local\n"),
        ([NAME, "--resolver", "ns.corp"], 2, "--resolver: ns.corp: not an address; write it like 10.0.0.53"),
        ([NAME, "--port", "0"], 2, "0 is not in the range"),
    ],
)
def test_refused(words: list[str], code: int, said: str) -> None:
    """What cannot be looked into."""
    done = run("doctor", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_an_address_with_settings_that_are_wrong(chain: Chain, tmp_path: Path) -> None:
    """Its packets are looked at all the same."""
    config = tmp_path / "dnsbridge.yaml"
    config.write_text("clustres: []\n", encoding="utf-8")
    words = [ADDRESS, "--port", "80", "--config", str(config), "--output", "json"]
    told = json.loads(run("doctor", *words, prefix=chain.client.prefix).stdout)
    states = {each["link"]: each["state"] for each in told["links"]}
    assert (states["settings"], states["route"], states["connection"]) == ("failed", "ok", "ok")


def test_a_source_that_is_not_there(chain: Chain, tmp_path: Path) -> None:
    """Settings that are wrong, and manifests that are not there: the chain goes on with what can be seen."""
    config = tmp_path / "dnsbridge.yaml"
    config.write_text("clustres: []\n", encoding="utf-8")
    for words, link, said in (
        (["--config", str(config)], "settings", "clustres"),
        (["--manifests", "/no/such/folder"], "source", "/no/such/folder: no such file or directory"),
    ):
        told = json.loads(run("doctor", NAME, "--output", "json", *words, prefix=chain.client.prefix).stdout)
        found = {each["link"]: each for each in told["links"]}
        assert found[link]["state"] == "failed"
        assert said in found[link]["evidence"]
        assert found["connection"]["state"] in ("ok", "unknown")
        assert found["resolver"]["state"] in ("ok", "unknown")

"""Routes from an API server: what it is asked for, what is waited for, and that half a cluster gives no plan."""

import asyncio
import logging
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import msgspec
import pytest
import yaml

from dnsbridge.app import read_once
from dnsbridge.app.answering.parts_once import parts_once
from dnsbridge.app.companion.tables import NotRead, read_tables
from dnsbridge.app.companion.wanted import choice_of, wanted_routes
from dnsbridge.app.read_once import feeds_once
from dnsbridge.config import Flags, Gateways, Loaded, Routes, Settings, load
from dnsbridge.errors import CannotStart
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Wanted
from dnsbridge.watch.api.resources import ROUTES
from tests.apiserver.access import Rule, User
from tests.apiserver.faults import Refuse, Stall
from tests.apiserver.server import ApiServer, in_thread
from tests.routes.support import host, lines

CASES = Path(__file__).parents[1] / "routes"
NEAR = host("lo 127.0.0.1/8", "eth0 10.200.20.9/24")
OF_ROUTES = {resource.plural for resource in ROUTES} - {"configmaps"}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """An API server with the cluster of the first field case."""
    text = (CASES / "clusters" / "case1.yaml").read_text(encoding="utf-8")
    with in_thread(ApiServer(tls=False)) as running:
        running.load(yaml.safe_load_all(text))
        yield running


def loaded(folder: Path, kubeconfig: Path, **routes: object) -> Loaded:
    """Settings for the cluster of a kubeconfig."""
    file = folder / "dnsbridge.yaml"
    clusters = [{"name": "dev", "source": {"kubeconfig": str(kubeconfig), "silence": "5s"}}]
    file.write_bytes(msgspec.json.encode({"clusters": clusters, "routes": routes}))
    found = load(file, Flags())
    assert isinstance(found, Loaded), found
    return found


def plan(settings: Loaded, at: Host = NEAR) -> Wanted:
    """What a command would get."""

    async def read() -> Wanted:
        async with feeds_once(settings) as feeds:
            return await wanted_routes(settings, feeds, at)

    return asyncio.run(read())


def test_the_plan_of_a_field_case(server: ApiServer, tmp_path: Path) -> None:
    """The cluster over its API gives the plan that its manifests give."""
    found = plan(loaded(tmp_path, server.kubeconfig(tmp_path / "kubeconfig")))
    expected = (CASES / "golden" / "case1-objects.txt").read_text(encoding="utf-8").splitlines()
    assert list(lines(found)) == expected
    assert {request.resource for request in server.counters.requests} >= OF_ROUTES


def test_names_alone_ask_for_no_more(server: ApiServer, tmp_path: Path) -> None:
    """Whoever only answers names does not ask an API server for what routes need."""

    async def read() -> None:
        async with parts_once(loaded(tmp_path, server.kubeconfig(tmp_path / "kubeconfig"))) as parts:
            assert parts.feeds[0].source.synced

    asyncio.run(read())
    asked = {request.resource for request in server.counters.requests}
    assert "services" in asked
    assert not asked & OF_ROUTES
    names = {request.params.get("fieldSelector") for request in server.counters.asked(resource="configmaps")}
    assert names <= {"metadata.name=kubeadm-config"}


def test_a_list_that_does_not_come(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the list of one resource is on its way there is no plan, though names could be answered."""
    monkeypatch.setattr(read_once, "PATIENCE", 0.5)
    server.faults.add(Stall(), resource="blockaffinities", times=None)
    with pytest.raises(NotRead, match=r"^cluster dev: not fully read, so its routes are not known; see above why$"):
        plan(loaded(tmp_path, server.kubeconfig(tmp_path / "kubeconfig")))
    assert issubclass(NotRead, CannotStart)


@pytest.mark.parametrize("code", [403, 404])
def test_what_a_server_does_not_have(server: ApiServer, tmp_path: Path, code: int) -> None:
    """Resources that the server does not have or does not show are not waited for."""
    for plural in ("ipamblocks", "ciliumnodes", "bgppeers", "servicecidrs"):
        server.faults.add(Refuse(code), resource=plural, times=None)
    found = plan(loaded(tmp_path, server.kubeconfig(tmp_path / "kubeconfig")))
    assert len(found.routes) == 5


def test_rights_that_are_missing(server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What may not be read is said in one line, but not where most clusters have nothing: flannel's ConfigMap."""
    caplog.set_level(logging.WARNING)
    user = User("reader")
    everything = ("services", "endpointslices.discovery.k8s.io", "namespaces", "nodes")
    server.access.rules["reader"] = [
        Rule(("list", "watch"), everything),
        Rule(("list", "watch"), ("configmaps",), ("kube-system",)),
    ]
    plan(loaded(tmp_path, server.kubeconfig(tmp_path / "kubeconfig", user)))
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert 'a ClusterRole must grant apiGroups: ["crd.projectcalico.org"], resources: ["blockaffinities"]' in said
    assert "configmaps" not in said


def test_nothing_to_read() -> None:
    """Without any cluster and table there is one line that says what to name."""
    settings = Loaded(Settings(clusters=()), {})
    with pytest.raises(NotRead, match=r"^no cluster to read: name one with --manifests or --kubeconfig, or a table"):
        plan(settings)


def test_tables_instead_of_clusters(tmp_path: Path) -> None:
    """A saved table is read from where the settings say, and no cluster is needed."""
    table = CASES / "tables" / "case1-node5.txt"
    settings = Settings(clusters=(), routes=Routes(tables=(table,)))
    found = plan(Loaded(settings, {}))
    assert [route.origin.partition(" ")[0] for route in found.routes] == [f"case1-node5.txt:{n}" for n in (3, 7, 8, 9)]


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (None, ": no such file or directory; see routes.tables"),
        (b"", ": holds no route; save the output of `ip route` (also -6, -d, -j), `route -n`, `netstat -rn`, "),
        (b"Kernel IP routing table\n$ ip route\n", ": holds no route; save the output of"),
        (b"\xff\xfe\x00", ": is no text; save the output of"),
        (b"\x7fELF\x80", ": is no text; save the output of"),
        (b"\0" * 5000, ":1: over 4096 characters; save the output of"),
        (
            b"hello\n10.0.0.0/8 via\n",
            ":1: expected a route, a key of etcd or a prompt, got 'hello'; save the output of",
        ),
        (b"/registry/namespaces/default\n", ": no block of Calico among these keys; save the output of"),
        (b"kind: Node\napiVersion: {\n", ":2: "),
        (b"kind: Deployment\napiVersion: apps/v1\n", ": none of these objects says which pods are where; save"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, octets: bytes | None, problem: str) -> None:
    """A file that is no table is one line with its path, the line and what to do."""
    path = tmp_path / "routes.txt"
    if octets is not None:
        path.write_bytes(octets)
    with pytest.raises(NotRead) as error:
        read_tables([path])
    assert str(error.value).startswith(f"{path}{problem}")
    assert "\n" not in str(error.value)


def test_what_settings_ask_for() -> None:
    """Settings become plain values; sinks that are only routers' mean that next hops may be anywhere."""
    address = IPv4Address("10.0.0.9")
    routes = Routes(
        via="nodes", gateways=Gateways(addresses=(address,)), external=("external_ip",), sinks=("bgp", "frr")
    )
    choice = choice_of(Settings(routes=routes))
    assert choice.via == "nodes"
    assert choice.gateways == (address,)
    assert choice.external == {"external_ip"}
    assert choice.recurse
    assert not choice_of(Settings(routes=Routes(sinks=("bgp", "kernel")))).recurse
    assert not choice_of(Settings()).recurse


def test_a_selector_that_is_none(tmp_path: Path) -> None:
    """A label selector that does not parse is found when the configuration is checked."""
    file = tmp_path / "dnsbridge.yaml"
    file.write_text("routes: {gateways: {selector: 'role in edge'}}", encoding="utf-8")
    problem = str(load(file, Flags()))
    assert "routes.gateways.selector: expected (, got 'edge'; write a label selector such as" in problem

"""The links from the settings to the answer, each broken alone: the doctor names it, and what it says mends it."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import json

from tests.apiserver.server import ApiServer, in_thread
from tests.lab.lab import Lab
from tests.lab.objects import namespace, with_cluster_ip
from tests.lab.own_nodes import PODS_4, PORT, WEB_0, own_nodes, web
from tests.support.daemon import Daemon
from tests.support.links import must
from tests.support.office_dns import FRONTS
from tests.support.program import Program
from tests.support.started import run
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "curl")
WEB = WEB_0.removeprefix("web-0.")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Case 4 with its routes; each test leaves it as it was."""
    with own_nodes(tmp_path_factory.mktemp("lab"), "case4-host-gw") as (made, _):
        made.routes("apply")
        assert made.broken(WEB_0) == {}
        yield made


def named(lab: Lab, link: str, name: str = WEB_0, *options: str) -> tuple[str, str]:
    """Cause and mend of the one link that is broken."""
    found = lab.links(name, *options)
    assert [each for each in found if found[each]["state"] == "failed"] == [link], found
    return found[link]["cause"], found[link]["mend"]


def test_settings(lab: Lab, tmp_path: Path) -> None:
    """A key that is misspelt; `config check` says where."""
    settings = tmp_path / "dnsbridge.yaml"
    settings.write_text("listen: ['127.0.0.1:53']\nroute: {}\n", encoding="utf-8")
    words = ["--config", str(settings)]
    cause, mend = named(lab, "settings", WEB_0, *words)
    assert cause == "the settings cannot be used"
    told = run(*mend.split()[1:], *words)
    assert (told.returncode, f"{settings}:2: route" in told.stdout + told.stderr) == (1, True)
    settings.write_text("listen: ['127.0.0.1:53']\nroutes: {}\n", encoding="utf-8")
    assert lab.broken(WEB_0, *words) == {}


def test_no_server(lab: Lab) -> None:
    """dnsbridge is dead, and the machine asks nobody else."""
    lab.kill()
    cause, mend = named(lab, "server")
    assert cause == "this host's programs ask 127.0.0.1, and no dnsbridge runs there"
    assert "dnsbridge serve" in mend
    lab.serve()
    assert lab.broken(WEB_0) == {}


def test_no_manifests(lab: Lab) -> None:
    """The folder has another name: the server still knows what was in it."""
    elsewhere = lab.manifests.with_name("elsewhere")
    lab.manifests.rename(elsewhere)
    cause, mend = named(lab, "source")
    command = mend.partition(",")[0].split()
    assert cause == "cluster default cannot be read"
    assert "No such file" in lab.machine.run(*command).stderr
    elsewhere.rename(lab.manifests)
    must(lab.machine, *command)
    assert lab.broken(WEB_0) == {}


def test_no_such_name(lab: Lab) -> None:
    """A name with two letters changed round: the doctor of the nearest one finds all well."""
    cause, mend = named(lab, "object", WEB_0.replace("web.", "wbe."))
    assert cause.startswith(f"there is no such name; {WEB_0}")
    _, command, name = mend.split()
    assert (command, lab.broken(name)) == ("doctor", {})


def service(cluster_ip: str, *pods: str) -> str:
    """A service with these pods behind it, and a ClusterIP or none, as objects for a lab."""
    named = {f"web-{number}": pod for number, pod in enumerate(pods)}
    return namespace("shop") + with_cluster_ip(cluster_ip, "web", "shop", PORT, named)


def has_pods(lab: Lab) -> bool:
    """Whether the service's name has the address of a pod."""
    return not {*PODS_4}.isdisjoint(lab.machine.run("getent", "ahostsv4", WEB).stdout.split())


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        pytest.param(
            web(PODS_4).replace("ready: true", "ready: false"), "none of its 2 endpoints is ready", id="not ready"
        ),
        pytest.param(service("None"), "no pod is behind it", id="headless, no pod"),
        pytest.param(service("10.96.1.1"), "no pod is behind it", id="ClusterIP, no pod"),
    ],
)
def test_no_ready_endpoint(lab: Lab, more: str, cause: str) -> None:
    """No pod is ready, or there is none: the server follows, until there is one."""
    lab.change(more)
    eventually(lambda: not has_pods(lab))
    found, mend = named(lab, "endpoints", WEB)
    assert (found, mend) == (cause, "kubectl --namespace shop describe service web")
    lab.change(web(PODS_4))
    eventually(lambda: has_pods(lab))
    assert lab.broken(WEB) == {}


@pytest.mark.needs("dnsmasq")
def test_another_server_at_the_port(lab: Lab, tmp_path: Path) -> None:
    """Another program has taken the port, and answers: the command that the doctor says shows it."""
    config = tmp_path / "other.conf"
    config.write_text(
        "listen-address=127.0.0.1\nbind-interfaces\nno-resolv\nuser=\naddress=/local/192.0.2.1\n", "utf-8"
    )
    lab.kill()
    with Daemon(lab.machine, FRONTS["dnsmasq"].command(config), tmp_path / "log") as other:
        other.wait(lambda: "127.0.0.1:53 " in must(lab.machine, "ss", "-lnuH"))
        cause, mend = named(lab, "answer")
        assert cause == "the server here knows another state of the cluster, or another program has its port"
        assert '"dnsmasq"' in must(lab.machine, *shlex.split(mend.split("`")[1]))
    lab.serve()
    assert lab.broken(WEB_0) == {}


@contextmanager
def api_server(lab: Lab, folder: Path) -> Iterator[ApiServer]:
    """An API server beside the nodes, where commands read the cluster; a server keeps its state in the folder."""
    address, kubeconfig, settings = "172.25.254.2", folder / "kubeconfig", folder / "dnsbridge.yaml"
    server, before = ApiServer(tls=False, address=address, port=6443), lab.source
    with in_thread(server, lab.host(f"{address}/24").enter):
        server.load(lab.objects())
        server.kubeconfig(kubeconfig)
        source = {"source": {"kubeconfig": str(kubeconfig)}, "max_staleness": "1s"}
        settings.write_bytes(json.encode({"listen": ["127.0.0.1:53"], "clusters": [source], "state_dir": str(folder)}))
        lab.source = ["--config", str(settings)]
        yield server
    lab.source = before


@pytest.mark.needs("kubectl")
def test_no_api_server(lab: Lab, tmp_path: Path) -> None:
    """It is away, and nothing is known of the cluster; then it is away again, after a server has saved what it knew."""
    with api_server(lab, tmp_path) as server:
        assert lab.broken(WEB_0) == {}
        for cause in ("cluster default cannot be read", "what is known of cluster default is old"):
            server.run(server.unlisten())
            found, mend = named(lab, "source")
            assert found == cause
            command = mend.partition(",")[0].split()
            assert lab.machine.run(*command).returncode
            server.run(server.listen())
            assert must(lab.machine, *command) == "ok"
            assert lab.broken(WEB_0) == {}
            with Program(options=lab.source, listen=["127.0.0.1:0"], command_prefix=lab.machine.prefix) as program:
                program.wait_for_log(" fresh$")

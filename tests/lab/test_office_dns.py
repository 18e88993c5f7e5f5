"""Case 8 seen by the doctor: an office dnsmasq between a host and dnsbridge, wrong in each way, then as it should be.

Everything is on one host, which is a node: a pod is behind it, and kube-proxy leads there from the ClusterIP.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab.kube_proxy import kube_proxy
from tests.lab.pod import pod
from tests.support.daemon import Daemon
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.program import ROOT, Program
from tests.support.started import run

pytestmark = pytest.mark.needs("netns", "nft", "dnsmasq")
EXAMPLE = str(ROOT / "dnsbridge" / "example")
NAME, ADDRESS = "web.shop.svc.cluster.local", "10.96.12.34"
PROTECTED = "port=53\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=\nstop-dns-rebind\n"
"""An office server that protects against DNS rebinding, and forwards nothing."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A node with dnsbridge at port 5300."""
    folder = tmp_path_factory.mktemp("host")
    with Switch() as switch, ExitStack() as running:
        host = switch.host("10.0.0.10/24", resolv_conf="nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        must(host, "ip", "route", "add", "default", "via", "10.0.0.1")
        running.enter_context(pod(host, "10.244.1.7/32", "web-0", 80, folder / "log"))
        kube_proxy(host, "10.244.0.0/16", {f"{ADDRESS}:80": ["10.244.1.7:80"]})
        serving = Program(Path(EXAMPLE), listen=["127.0.0.1:5300"], command_prefix=host.prefix, upstreams=["127.0.0.9"])
        running.enter_context(serving)
        yield host


@contextmanager
def dnsmasq(host: Namespace, more: str, folder: Path) -> Iterator[None]:
    """The office server with some more lines."""
    config = folder / "dnsmasq.conf"
    config.write_text(PROTECTED + more, encoding="utf-8")
    command = ["dnsmasq", "--keep-in-foreground", f"--conf-file={config}", "--pid-file"]
    with Daemon(host, command, folder / "log") as daemon:
        daemon.wait(lambda: "127.0.0.1:53 " in must(host, "ss", "--udp", "--listening", "--numeric", "--no-header"))
        yield


def broken(host: Namespace, folder: Path) -> dict[str, str]:
    """The links that the doctor finds broken, with their causes."""
    config = folder / "dnsbridge.yaml"
    config.write_text(
        f"listen: ['127.0.0.1:5300']\nclusters: [{{source: {{manifests: {EXAMPLE}}}}}]\n", encoding="utf-8"
    )
    done = run("doctor", NAME, "--config", str(config), "--output", "json", prefix=host.prefix)
    return {each["link"]: each["cause"] for each in json.loads(done.stdout)["links"] if each["state"] == "failed"}


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        pytest.param("local=/cluster.local/\n", "it does not forward the name to dnsbridge", id="not forwarded"),
        pytest.param("", "it does not answer this host", id="no server for it"),
        pytest.param(
            "server=/cluster.local/127.0.0.1#5300\n",
            "it strips private addresses from answers",
            id="rebinding protection",
        ),
    ],
)
def test_the_office_server_is_wrong(host: Namespace, more: str, cause: str, tmp_path: Path) -> None:
    """The link to the office server is named with its cause, and no other."""
    with dnsmasq(host, more, tmp_path):
        found = broken(host, tmp_path)
    assert list(found) == ["resolver"]
    assert found["resolver"].startswith(cause)


def test_no_office_server(host: Namespace, tmp_path: Path) -> None:
    """Nobody answers at the address of resolv.conf."""
    found = broken(host, tmp_path)
    assert list(found) == ["resolver"]
    assert found["resolver"] == "the name server of this host does not answer"


def test_what_clients_prints_mends_it(host: Namespace, tmp_path: Path) -> None:
    """With the printed text every link holds."""
    printed = run("clients", "dnsmasq", "--server", "127.0.0.1:5300", "--manifests", EXAMPLE).stdout
    with dnsmasq(host, printed, tmp_path):
        assert broken(host, tmp_path) == {}

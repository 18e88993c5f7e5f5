"""`dnsbridge clients` as a command: kinds, what it says of itself, JSON, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.support.started import ROOT, run

EXAMPLE = str(ROOT / "dnsbridge" / "example")
BARE = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n"


def test_kinds() -> None:
    """Without a kind: all of them, with the file that each goes to."""
    lines = run("clients").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["kind", "file"],
        ["bind", "named.conf"],
        ["dnsmasq", "/etc/dnsmasq.d/cluster.conf"],
        ["resolv.conf", "/etc/resolv.conf"],
        ["unbound", "/etc/unbound/unbound.conf.d/cluster.conf"],
    ]
    told = json.loads(run("clients", "--output", "json").stdout)
    assert [each["kind"] for each in told] == ["bind", "dnsmasq", "resolv.conf", "unbound"]


def test_json() -> None:
    """The text and what it is made of."""
    words = ["--server", "10.0.0.8", "--server", "[fd00::8]:5300", "--manifests", EXAMPLE, "--zone", "k8s.corp"]
    told = json.loads(run("clients", "dnsmasq", "--output", "json", *words).stdout)
    assert told["servers"] == ["10.0.0.8:53", "[fd00::8]:5300"]
    assert told["zones"] == ["k8s.corp"]
    assert "96.10.in-addr.arpa" in told["reverse_zones"]
    assert told["text"].startswith("server=/k8s.corp/10.0.0.8\nserver=/k8s.corp/fd00::8#5300\n")
    assert told["notes"] == []


def test_where_the_server_listens(tmp_path: Path) -> None:
    """Without --server the addresses that the settings listen on, each with its port."""
    config = tmp_path / "dnsbridge.yaml"
    config.write_text('listen: ["127.0.0.1:5300", "127.0.0.2:53"]\n', encoding="utf-8")
    told = run("clients", "dnsmasq", "--config", str(config), "--manifests", EXAMPLE).stdout
    assert told.startswith("server=/cluster.local/127.0.0.1#5300\nserver=/cluster.local/127.0.0.2\n")


def test_prefixes_that_nothing_says(tmp_path: Path) -> None:
    """The zones alone, and why on standard error."""
    (tmp_path / "bare.yaml").write_text(BARE, encoding="utf-8")
    done = run("clients", "dnsmasq", "--server", "10.0.0.8", "--manifests", str(tmp_path))
    assert done.stdout == "server=/cluster.local/10.0.0.8\nrebind-domain-ok=/cluster.local/\n"
    assert done.stderr.endswith(
        "no object says which prefixes cluster default has, so reverse zones are left out; "
        "set routes.service_cidrs and pod_cidrs\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["windows"], 2, "windows: no such kind; there is: bind, dnsmasq, resolv.conf, unbound\n"),
        (
            ["bind", "--server", "tls://10.0.0.8"],
            2,
            "--server: tls://10.0.0.8: not an address; write it like 10.0.0.8 or 10.0.0.8:5300\n",
        ),
        (
            ["bind", "--server", "ns.corp"],
            2,
            "--server: ns.corp: not an address; write it like 10.0.0.8 or 10.0.0.8:5300\n",
        ),
        (
            ["bind"],
            1,
            "clusters[0].source: no cluster found: no kubeconfig ($KUBECONFIG, ~/.kube/config) and not in a pod; "
            "name --kubeconfig FILE, or a file or folder of objects with --manifests PATH\n",
        ),
        (
            ["bind", "--manifests", "/no/such/folder"],
            1,
            "/no/such/folder: no such file or directory; name a file or folder of Kubernetes objects\n",
        ),
    ],
)
def test_refused(words: list[str], code: int, said: str) -> None:
    """One line: what, and what to do."""
    done = run("clients", *words)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)

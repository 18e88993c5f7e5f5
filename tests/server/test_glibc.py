"""What the programs of a host get that has the server as its only `nameserver`: glibc's resolver, in a namespace.

The namespace has nothing but loopback, on which everything runs:

    127.0.0.1:53     the server over the example cluster, kube-system/kube-dns and an ExternalName
    127.0.0.53:53    Knot DNS as the corporate DNS, with corp.example
    10.96.0.10:53    Knot DNS as the cluster's CoreDNS, found by its Service
"""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.knot import Knot
from tests.support.namespace import Namespace
from tests.support.program import DEADLINE, ROOT, eventually

pytestmark = pytest.mark.needs("netns", "knotd", "dig")

EXAMPLE = ROOT / "dnsbridge" / "example" / "cluster.yaml"
COREDNS = "10.96.0.10"
CORPORATE = "127.0.0.53"
RESOLV_CONF = "nameserver 127.0.0.1\n"
SEARCH = f"{RESOLV_CONF}search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"

OBJECTS = f"""apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec: {{clusterIP: {COREDNS}, clusterIPs: ["{COREDNS}"], ports: [{{name: dns, port: 53, protocol: UDP}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: intranet, namespace: shop}}
spec: {{type: ExternalName, externalName: files.corp.example}}
"""
HEAD = "$ORIGIN {zone}.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.53\n"
ZONES = {
    "corp.example": HEAD.format(zone="corp.example") + "files CNAME www\nwww A 192.0.2.10\nwww AAAA 2001:db8::10\n",
    "cluster.local": HEAD.format(zone="cluster.local") + "custom A 192.0.2.1\n",
}


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """The namespace with all servers running in it."""
    folder = tmp_path_factory.mktemp("glibc")
    manifests = folder / "manifests"
    manifests.mkdir()
    shutil.copy(EXAMPLE, manifests)
    (manifests / "more.yaml").write_text(OBJECTS, encoding="utf-8")
    with ExitStack() as running:
        made = running.enter_context(Namespace(RESOLV_CONF))
        # glibc asks for IPv6 addresses only where an interface has one that is not loopback's (AI_ADDRCONFIG).
        for address in (f"{COREDNS}/32", "2001:db8::1/128"):
            assert made.run("ip", "address", "add", address, "dev", "lo").returncode == 0
        for zone, address in (("corp.example", CORPORATE), ("cluster.local", COREDNS)):
            zones = {zone: ZONES[zone]}
            running.enter_context(Knot(folder / zone, zones, address=address, port=53, command_prefix=made.prefix))
            eventually(partial(answers, made, address, zone, "NS", [f"ns.{zone}."]))
        running.callback(stop, start(made, manifests, folder / "log"))
        eventually(partial(answers, made, "127.0.0.1", "web.shop.svc.cluster.local", "A", ["10.96.12.34"]))
        yield made
        log = (folder / "log").read_text(encoding="utf-8")
        assert f"CoreDNS {COREDNS}:53 (Service kube-system/kube-dns)" in log
        assert "Traceback" not in log
        assert "internal error" not in log


def start(namespace: Namespace, manifests: Path, log: Path) -> subprocess.Popen[bytes]:
    """The server; its upstream is the corporate DNS."""
    command = [*namespace.prefix, sys.executable, "-m", "dnsbridge", "serve", "--listen", "127.0.0.1:53", "--http", ""]
    command += ["--manifests", str(manifests), "--upstream", CORPORATE]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=output, start_new_session=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, well."""
    process.terminate()
    timer = threading.Timer(DEADLINE, process.kill)
    timer.start()
    code = process.wait()
    timer.cancel()
    assert code == 0


def answers(namespace: Namespace, server: str, name: str, rtype: str, expected: list[str]) -> bool:
    """Whether dig shows this answer in the namespace."""
    done = namespace.run("dig", f"@{server}", "+short", "+tries=1", "+timeout=1", name, rtype)
    return done.stdout.splitlines() == expected


CASES = [
    # what, resolv.conf, database, name, lines that getent shows: addresses in order of themselves, canonical names
    ("a service", RESOLV_CONF, "ahosts", "web.shop.svc.cluster.local", ["10.96.12.34 web.shop.svc.cluster.local"]),
    (
        "a headless service",
        RESOLV_CONF,
        "ahostsv4",
        "kafka.data.svc.cluster.local",
        ["10.244.0.50 kafka.data.svc.cluster.local", "10.244.1.51", "10.244.2.52"],
    ),
    (
        "a pod of a StatefulSet",
        RESOLV_CONF,
        "ahosts",
        "kafka-1.kafka.data.svc.cluster.local",
        ["10.244.1.51 kafka-1.kafka.data.svc.cluster.local"],
    ),
    (
        "IPv6",
        RESOLV_CONF,
        "ahostsv6",
        "api.shop.svc.cluster.local",
        ["fd00:10:96::2807 api.shop.svc.cluster.local"],
    ),
    ("no IPv6", RESOLV_CONF, "hosts", "web.shop.svc.cluster.local", ["10.96.12.34 web.shop.svc.cluster.local"]),
    ("a name without a dot", SEARCH, "ahosts", "web", ["10.96.12.34 web.shop.svc.cluster.local"]),
    (
        "a name in another namespace",
        SEARCH,
        "ahostsv4",
        "kafka-0.kafka.data",
        ["10.244.0.50 kafka-0.kafka.data.svc.cluster.local"],
    ),
    ("a name with svc", SEARCH, "ahostsv4", "web.shop.svc", ["10.96.12.34 web.shop.svc.cluster.local"]),
    (
        "a name outside, through the search list",
        SEARCH,
        "ahostsv4",
        "www.corp.example",
        ["192.0.2.10 www.corp.example"],
    ),
    (
        "a name in another case",
        RESOLV_CONF,
        "ahostsv4",
        "WEB.Shop.SVC.cluster.LOCAL",
        ["10.96.12.34 WEB.Shop.SVC.cluster.LOCAL"],
    ),
    ("the reverse of a service", RESOLV_CONF, "hosts", "10.96.12.34", ["10.96.12.34 web.shop.svc.cluster.local"]),
    ("the reverse of a pod", RESOLV_CONF, "hosts", "10.244.1.51", ["10.244.1.51 kafka-1.kafka.data.svc.cluster.local"]),
    ("the reverse of IPv6", RESOLV_CONF, "hosts", "fd00:10:96::2807", ["fd00:10:96::2807 api.shop.svc.cluster.local"]),
    ("an ExternalName", RESOLV_CONF, "ahostsv4", "intranet.shop.svc.cluster.local", ["192.0.2.10 www.corp.example"]),
    (
        "an ExternalName, IPv6",
        RESOLV_CONF,
        "ahostsv6",
        "intranet.shop.svc.cluster.local",
        ["2001:db8::10 www.corp.example"],
    ),
    ("a name of CoreDNS alone", RESOLV_CONF, "ahosts", "custom.cluster.local", ["192.0.2.1 custom.cluster.local"]),
    ("no such name", SEARCH, "ahosts", "no-such.shop.svc.cluster.local", []),
    ("no such short name", SEARCH, "ahosts", "no-such", []),
    ("no such reverse name", RESOLV_CONF, "hosts", "10.96.200.200", []),
]


@pytest.mark.parametrize(
    ("resolv_conf", "database", "name", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_getent(namespace: Namespace, resolv_conf: str, database: str, name: str, expected: list[str]) -> None:
    """What getaddrinfo and gethostbyaddr give to every program of the host."""
    namespace.configure(resolv_conf)
    done = namespace.run("getent", database, name)
    assert done.stderr == ""
    assert done.returncode == (0 if expected else 2), "2 is: not found"
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        words = [word for word in line.split() if word not in ("STREAM", "DGRAM", "RAW")]
        found.setdefault(words[0], " ".join(words))
    # Which address stands first, and has the name, changes from answer to answer.
    assert sorted(found) == sorted(line.partition(" ")[0] for line in expected)
    names = {line.partition(" ")[2] for line in found.values()} - {""}
    assert names == {line.partition(" ")[2] for line in expected} - {""}

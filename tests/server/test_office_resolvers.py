"""unbound, BIND and dnsmasq in front of the program, each with what `dnsbridge clients` prints for it.

All of them protect against DNS rebinding, and unbound and BIND validate: the printed text must get through both.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.support.knot import ADDRESS, free_port
from tests.support.office_dns import FRONTS, Front
from tests.support.program import ROOT, Program, records
from tests.support.started import run

EXAMPLE = ROOT / "dnsbridge" / "example" / "cluster.yaml"
DEADLINE = 30.0
SERVICES = """
{apiVersion: v1, kind: Service, metadata: {name: dual, namespace: shop},
  spec: {clusterIP: 10.96.9.9, clusterIPs: [10.96.9.9, "fd00:10:96::9"]}}
---
{apiVersion: v1, kind: Service, metadata: {name: host, namespace: shop},
  spec: {type: ExternalName, externalName: 192.168.7.7}}
"""


def printed(front: Front, program: Program, folder: Path) -> str:
    """What `dnsbridge clients` prints for a program over the manifests of a folder."""
    server = f"127.0.0.1:{program.port}"
    done = run("clients", front.kind, "--server", server, "--manifests", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class Resolver:
    """An office resolver; `with` runs it."""

    def __init__(self, front: Front, said: str, folder: Path) -> None:
        self.port = free_port()
        config = folder / "resolver.conf"
        config.write_text(front.configured(said, ADDRESS, self.port, folder), encoding="utf-8")
        self._log = folder / "resolver.log"
        self._command = front.command(config)

    def __enter__(self) -> "Resolver":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + DEADLINE
        while self._try("dns-version.cluster.local", "TXT", 0.5) is None:
            if self._process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise AssertionError(f"does not start: {self._log.read_text(errors='replace')[-2000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _try(self, name: str, rtype: str, timeout: float) -> dns.message.Message | None:
        query = dns.message.make_query(name, rtype, use_edns=0)
        try:
            return dns.query.udp(query, "127.0.0.1", timeout, self.port)
        except (OSError, dns.exception.DNSException):
            return None

    def ask(self, name: str, rtype: str) -> dns.message.Message:
        """The answer."""
        got = self._try(name, rtype, DEADLINE)
        assert got is not None, self._log.read_text(errors="replace")[-2000:]
        return got


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example cluster and some more services."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "example.yaml").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "more.yaml").write_text(SERVICES, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def program(cluster: Path) -> Iterator[Program]:
    """The program over it."""
    with Program(cluster) as running:
        yield running


def named(name: str) -> object:
    """A front as a parameter."""
    return pytest.param(name, marks=pytest.mark.needs(name), id=name)


@pytest.fixture(scope="module", params=[named(name) for name in FRONTS])
def office(
    request: pytest.FixtureRequest, program: Program, cluster: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Resolver]:
    """Each office resolver with the printed configuration."""
    front = FRONTS[request.param]
    with Resolver(front, printed(front, program, cluster), tmp_path_factory.mktemp("office")) as running:
        yield running


def reverse(address: str) -> str:
    """Its reverse name."""
    return ip_address(address).reverse_pointer


ASKED = [
    ("web.shop.svc.cluster.local", "A", ["10.96.12.34"]),
    ("dual.shop.svc.cluster.local", "AAAA", ["fd00:10:96::9"]),
    ("kafka-0.kafka.data.svc.cluster.local", "A", ["10.244.0.50"]),
    ("host.shop.svc.cluster.local", "A", ["192.168.7.7"]),
    ("34.12.96.10.in-addr.arpa", "PTR", ["web.shop.svc.cluster.local."]),
    ("50.0.244.10.in-addr.arpa", "PTR", ["kafka-0.kafka.data.svc.cluster.local."]),
    (reverse("fd00:10:96::9"), "PTR", ["dual.shop.svc.cluster.local."]),
]


@pytest.mark.parametrize(("name", "rtype", "data"), ASKED, ids=[f"{name} {rtype}" for name, rtype, _ in ASKED])
def test_answers_get_through(office: Resolver, name: str, rtype: str, data: list[str]) -> None:
    """Private addresses of the cluster, and reverse names, come through rebinding protection and validation."""
    got = office.ask(name, rtype)
    assert got.rcode() == dns.rcode.NOERROR
    assert [line.split(None, 4)[4] for line in records(got.answer)] == data


def test_no_such_name_gets_through(office: Resolver) -> None:
    """A name that does not exist is NXDOMAIN there as well."""
    assert office.ask("nothing.shop.svc.cluster.local", "A").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("name", [named(name) for name in FRONTS])
def test_the_exception_is_needed(name: str, program: Program, cluster: Path, tmp_path: Path) -> None:
    """Without the line that names the exception the office resolver strips the address: the protection is on."""
    front = FRONTS[name]
    said, count = re.subn(front.rebinding, "", printed(front, program, cluster))
    assert count == 1
    with Resolver(front, said, tmp_path) as office:
        assert records(office.ask("web.shop.svc.cluster.local", "A").answer) == []

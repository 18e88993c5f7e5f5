"""`dnsbridge routes plan|apply|withdraw` as their users run them: an office host and two nodes on one switch.

Pods are addresses of the nodes' loopback; whether the office reaches one is decided by its route table alone.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.program import ROOT, eventually
from tests.support.started import run

pytestmark = pytest.mark.needs("netns")
NODES = {"node1": ("10.200.20.105", "10.233.98.0/24"), "node2": ("10.200.20.106", "10.233.112.0/24")}
POD = "10.233.98.3"
SERVER = (
    "import socket\n"
    "with socket.create_server(('::', 8080), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=True) as server:\n"
    "    while True:\n"
    "        server.accept()[0].close()\n"
)


class Office:
    """The host on which the program runs."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self.host = host
        self.folder = folder

    def routes(
        self, *arguments: str, manifests: Path | None = None, prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """`dnsbridge routes ...` there."""
        source = ["--manifests", str(manifests)] if manifests else []
        return run("routes", *arguments, *source, prefix=[*self.host.prefix, *prefix])

    def tables(self) -> str:
        """All tables of both families, as text."""
        show = ("route", "show", "table", "all")
        return must(self.host, "ip", *show) + must(self.host, "ip", "-6", *show)

    def connects(self, address: str = POD) -> bool:
        """Whether a TCP connection to a pod comes about."""
        code = f"import socket; socket.create_connection(('{address}', 8080), 2)"
        return self.host.run(sys.executable, "-c", code).returncode == 0

    def cluster(self, nodes: dict[str, tuple[str, str]]) -> Path:
        """Manifests of a cluster with these nodes: address, pods."""
        objects: list[dict[str, Any]] = [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name},
                "spec": {"podCIDRs": [pods]},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": address}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            }
            for name, (address, pods) in nodes.items()
        ]
        file = self.folder / f"cluster-{len(nodes)}.yaml"
        file.write_text("\n---\n".join(map(json.dumps, objects)), encoding="utf-8")
        return file


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """An office host and a node with a pod, whose server runs."""
    with Switch() as switch, tempfile.TemporaryDirectory(prefix="dnsbridge-test-") as folder:
        host = switch.host("10.200.20.5/24")
        node = switch.host("10.200.20.105/24")
        must(node, "ip", "address", "add", f"{POD}/32", "dev", "lo")
        for line in ("10.80.0.0/16 via 10.200.20.9 proto static", "10.81.0.0/24 via 10.200.20.9 proto bird metric 32"):
            must(host, "ip", "route", "add", *line.split())
        with _running(node, SERVER) as server:
            found = Office(host, Path(folder))
            must(host, "ip", "route", "add", "10.233.98.3", "via", "10.200.20.105")
            eventually(lambda: found.connects() or server.poll() is not None)
            must(host, "ip", "route", "del", "10.233.98.3")
            # What IPv6 does for itself after a start is done when its link-local address can be used.
            eventually(lambda: "tentative" not in must(host, "ip", "-6", "address", "show", "dev", "eth0"))
            yield found


@contextmanager
def _running(host: Namespace, code: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*host.prefix, sys.executable, "-c", code])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_there_and_back(office: Office) -> None:
    """No connection before `apply`, one after it; none after `withdraw`, and the tables are byte for byte as before."""
    before = office.tables()
    cluster = office.cluster(NODES)
    plan = office.routes("plan", manifests=cluster)
    assert plan.returncode == 2, plan.stderr
    lines = plan.stdout.splitlines()
    assert [line.split()[:4] for line in lines[:2]] == [
        ["+", "10.233.98.0/24", "via", "10.200.20.105"],
        ["+", "10.233.112.0/24", "via", "10.200.20.106"],
    ]
    assert "2 to add, 0 to change, 0 to remove, 0 to keep" in lines[2]
    assert not office.connects()
    dry = office.routes("apply", "--dry-run", manifests=cluster)
    assert (dry.returncode, dry.stdout, office.tables()) == (0, plan.stdout, before)

    done = office.routes("apply", manifests=cluster)
    assert (done.returncode, done.stdout, done.stderr) == (0, plan.stdout, "")
    assert office.connects()
    again = office.routes("plan", manifests=cluster)
    assert again.returncode == 0
    assert "0 to add, 0 to change, 0 to remove, 2 to keep" in again.stdout

    dry = office.routes("withdraw", "--dry-run")
    assert [line.split()[:4] for line in dry.stdout.splitlines()[:2]] == [
        ["-", "10.233.98.0/24", "via", "10.200.20.105"],
        ["-", "10.233.112.0/24", "via", "10.200.20.106"],
    ]
    assert (dry.returncode, office.connects()) == (0, True)
    assert office.routes("withdraw").returncode == 0
    assert not office.connects()
    assert office.tables() == before


def test_json(office: Office) -> None:
    """The keys that programs rely on; a gateway by flag is the next hop of all, and halves are merged where asked."""
    halves = {"node1": (NODES["node1"][0], "10.233.98.0/24"), "node2": (NODES["node2"][0], "10.233.99.0/24")}
    options = ("--gateway", "10.200.20.105", "--aggregate", "--output", "json")
    done = office.routes("plan", *options, manifests=office.cluster(halves))
    assert done.returncode == 2, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"sinks", "notes", "reached", "problems"}
    (sink,) = found["sinks"]
    assert set(sink) == {"sink", "counts", "add", "change", "remove", "keep", "conflict"}
    assert (sink["sink"], sink["counts"]["add"]) == ("kernel", 1)
    (route,) = sink["add"]
    assert route["prefix"] == "10.233.98.0/23"
    assert route["next_hops"] == [{"address": "10.200.20.105", "device": "", "weight": 1}]
    assert (route["kind"], route["origin"].startswith("2 prefixes: ")) == ("pod", True)
    done = office.routes("plan", *options, "--via", "auto", manifests=office.cluster(halves))
    assert json.loads(done.stdout)["sinks"][0]["counts"]["add"] == 2  # each by its own node, which is on link


@pytest.mark.parametrize(
    ("command", "options", "status", "says"),
    [
        ("plan", ("--manifests", "/nonexistent/cluster"), 1, "/nonexistent/cluster: no such file"),
        ("plan", ("--via", "magic"), 2, "--via: "),
        ("apply", ("--table", "/etc/hostname"), 1, "save the output of `ip route`"),
        ("apply", ("--from", "http://127.0.0.1:1"), 1, "http://127.0.0.1:1: its port is closed"),
        ("withdraw", ("--config", "/nonexistent/settings"), 1, "/nonexistent/settings: no such file"),
    ],
)
def test_json_of_a_failure(office: Office, command: str, options: tuple[str, ...], status: int, says: str) -> None:
    """A command that fails before it has a plan prints the document all the same, and why, there and as a line."""
    done = office.routes(command, *options, "--output", "json")
    assert done.returncode == status
    found = json.loads(done.stdout)
    assert set(found) == {"sinks", "notes", "reached", "problems"}
    assert (len(found["problems"]), found["sinks"]) == (1, [])
    assert says in found["problems"][0]
    assert done.stderr == f"{found['problems'][0]}\n"


@pytest.mark.needs("setpriv")
def test_no_capability(office: Office) -> None:
    """Without CAP_NET_ADMIN, as root or as somebody else: one line that names it, and nothing changed."""
    before = office.tables()
    cluster = office.cluster(NODES)
    without = ("--bounding-set", "-net_admin", "--inh-caps", "-net_admin")
    # The other user may read all files, such as this interpreter's.
    reading = ("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search")
    nobody = ("--reuid", "65534", "--clear-groups", *reading, "--bounding-set", "-net_admin")
    for who in (without, nobody):
        done = office.routes("apply", manifests=cluster, prefix=("setpriv", *who))
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "CAP_NET_ADMIN" in done.stderr
        assert office.tables() == before
        if who is without:  # to look at it needs no right
            assert office.routes("plan", manifests=cluster, prefix=("setpriv", *who)).returncode == 2


def test_conflict(office: Office) -> None:
    """Where somebody else has a route the plan names the owner, the rest is done, and the exit status says so."""
    before = office.tables()
    cluster = office.cluster({**NODES, "node3": ("10.200.20.107", "10.81.0.0/24")})
    plan = office.routes("plan", manifests=cluster)
    assert plan.returncode == 1
    conflict = next(line for line in plan.stdout.splitlines() if line.startswith("! "))
    assert conflict.split()[:2] == ["!", "10.81.0.0/24"]
    assert "protocol bird, metric 32" in conflict
    done = office.routes("apply", manifests=cluster)
    assert (done.returncode, done.stderr.startswith("10.81.0.0/24: left alone: protocol bird")) == (1, True)
    assert office.connects()
    assert "10.81.0.0/24 via 10.200.20.9 dev eth0 proto bird metric 32" in office.tables()
    assert office.routes("withdraw").returncode == 0
    assert office.tables() == before


def test_crash(office: Office) -> None:
    """Routes of a process that was killed stay; the next one knows them as ours, keeps them, and takes them back."""
    before = office.tables()
    code = (
        "import asyncio, os, signal\n"
        "from ipaddress import ip_address, ip_network\n"
        "from dnsbridge.routes.model import NextHop, Route\n"
        "from dnsbridge.sinks.kernel import KernelSink\n"
        "route = Route(ip_network('10.233.98.0/24'), (NextHop(ip_address('10.200.20.105')),))\n"
        "asyncio.run(KernelSink().apply([route]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [*office.host.prefix, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    assert office.connects()
    plan = office.routes("plan", manifests=office.cluster(NODES))
    assert "1 to add, 0 to change, 0 to remove, 1 to keep" in plan.stdout
    assert office.routes("withdraw").returncode == 0
    assert office.tables() == before


def test_mass_change(office: Office) -> None:
    """When most of many routes would go nothing does, until that is said to be meant."""
    before = office.tables()
    many = {f"node{number}": (f"10.200.20.{105 + number}", f"10.233.{number}.0/24") for number in range(10)}
    assert office.routes("apply", manifests=office.cluster(many)).returncode == 0
    few = office.cluster(dict(list(many.items())[:4]))
    full = office.tables()
    assert full.count("proto 83") == 10
    plan = office.routes("plan", manifests=few)
    assert (plan.returncode, "--allow-mass-change" in plan.stdout) == (2, True)
    stopped = office.routes("apply", manifests=few)
    assert (stopped.returncode, len(stopped.stderr.splitlines())) == (1, 1)
    assert "6 of 10 routes would go at once" in stopped.stderr
    assert "--allow-mass-change" in stopped.stderr
    stopped = office.routes("apply", "--output", "json", manifests=few)
    assert (stopped.returncode, len(stopped.stderr.splitlines())) == (1, 1)
    assert json.loads(stopped.stdout)["problems"] == stopped.stderr.splitlines()
    assert office.tables() == full
    assert office.routes("apply", "--allow-mass-change", manifests=few).returncode == 0
    assert office.tables().count("proto 83") == 4
    assert office.routes("withdraw").returncode == 0
    assert office.tables() == before


def test_saved_table_and_own_table(office: Office) -> None:
    """A node's saved table is read beside the settings that name it; the routes go to the table that they say.

    An editor of Windows has saved it.
    """
    before = office.tables()
    saved = "10.200.20.0/24 dev bond0 proto kernel scope link src 10.200.20.105\nblackhole 10.233.98.0/24 proto bird\n"
    saved += "10.233.112.0/24 via 10.200.20.106 dev bond0 proto bird\n"
    (office.folder / "node1.txt").write_text(saved, encoding="utf-8-sig", newline="\r\n")
    settings = {"routes": {"tables": ["node1.txt"], "kernel": {"table": 100, "metric": 5}, "sinks": ["kernel"]}}
    file = office.folder / "settings.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")
    done = office.routes("apply", "--config", str(file))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "\nwarning: a table does not say which prefixes services have" in done.stdout
    own = must(office.host, "ip", "route", "show", "table", "100").splitlines()
    assert [line.split(" proto")[0] for line in own] == [
        "10.233.98.0/24 via 10.200.20.105 dev eth0",
        "10.233.112.0/24 via 10.200.20.106 dev eth0",
    ]
    assert all("metric 5" in line for line in own)
    assert office.routes("withdraw", "--config", str(file)).returncode == 0
    assert office.tables() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("plan", "--via", "magic"), "--via: "),
        (("plan", "--gateway", "gateway.example"), "--gateway: "),
        (("plan", "--sink", "iptables"), "--sink: "),
        (("plan", "--table", "/nonexistent/table"), "/nonexistent/table: no such file"),
        (("apply", "--table", "/etc/hostname"), "save the output of `ip route`"),
    ],
)
def test_bad_usage(office: Office, arguments: tuple[str, ...], says: str) -> None:
    """What cannot be used is told in one line."""
    done = office.routes(*arguments, manifests=None if "--table" in arguments else office.cluster(NODES))
    assert done.returncode == (1 if "--table" in arguments else 2)
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr

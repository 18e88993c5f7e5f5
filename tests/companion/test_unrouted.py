"""Answer and route coupled, in the running server: what it says of addresses without a route, as routes come and go."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.companion import ip
from tests.support.kubeconfigs import endpoint_slice, service
from tests.support.namespace import Namespace
from tests.support.program import Program, eventually
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.needs("netns")
_ASK = """
import json, sys, urllib.request
import dns.message, dns.query
port, http = int(sys.argv[1]), sys.argv[2]
found = {}
for name in sys.argv[3:]:
    query = dns.message.make_query(f"{name}.shop.svc.cluster.local", "A", use_edns=0)
    got = dns.query.udp(query, "127.0.0.1", 5, port)
    found[name] = [sorted(str(data) for rrset in got.answer for data in rrset),
                   [each.text for each in got.extended_errors()]]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
lines = opener.open(f"{http}/metrics").read().decode().splitlines()
counter = "dnsbridge_unrouted_answers_total{"
found["counted"] = next(float(line.split()[-1]) for line in lines if line.startswith(counter))
found["status"] = json.load(opener.open(f"{http}/routes"))["status"]["default"]
print(json.dumps(found))
"""
BOTH = ["10.244.1.7", "10.244.2.7"]
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1"},
    "spec": {"podCIDRs": ["10.244.1.0/24"]},
    "status": {
        "addresses": [{"type": "InternalIP", "address": "10.0.0.11"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
"""The node of the first of them."""


def start(place: Namespace, folder: Path, workers: int = 1, **routes: Any) -> Program:
    """A server over a service with a ClusterIP and a headless one with two endpoints."""
    objects = [
        service("web", "10.96.0.80"),
        service("db"),
        endpoint_slice("db", {"db-0": BOTH[0], "db-1": BOTH[1]}),
        NODE,
    ]
    manifests = folder / "cluster.yaml"
    manifests.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    options = ["--http", "127.0.0.1:0"]
    return Program(
        manifests,
        settings={"routes": routes, "workers": workers},
        listen=["127.0.0.1:0"],
        options=options,
        command_prefix=place.prefix,
    )


def ask(place: Namespace, program: Program, *names: str) -> dict[str, Any]:
    """The addresses and extended errors of some names, the counter and the status."""
    http = program.wait_for_log(r"metrics on (http://\S+)/metrics")[1]
    done = subprocess.run(
        [*place.prefix, sys.executable, "-c", _ASK, str(program.port), http, *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=os.getcwd(),
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_omit(place: Namespace, tmp_path: Path, workers: int) -> None:
    """Unrouted addresses are left out where a routed one remains, else come with the reason; routes count at once."""
    with start(place, tmp_path, workers, unrouted="omit") as program:
        found = ask(place, program, "db", "web", "db-0.db")
        assert found["db"] == [BOTH, ["no route from here to 10.244.1.7"]]
        assert found["web"] == [["10.96.0.80"], ["no route from here to 10.96.0.80"]]
        assert found["counted"] == 3
        ip(place, "route add 10.244.2.0/24 via 10.0.0.12")
        eventually(lambda: ask(place, program, "db")["db"] == [BOTH[1:], []])
        for _ in range(3 * workers):  # prepared by now
            before = ask(place, program)["counted"]
            found = ask(place, program, "db", "db")
            assert found["counted"] == before + 2
        assert found["status"]["unrouted"] == "omit"
        assert found["status"]["unrouted_answers"] == found["counted"]
        ip(place, "route add 10.244.1.0/24 via 10.0.0.11")
        eventually(lambda: ask(place, program, "db")["db"] == [BOTH, []])
        before = ask(place, program)["counted"]
        assert ask(place, program, "db", "db-0.db")["counted"] == before
        ip(place, "route del 10.244.1.0/24")
        ip(place, "route add default via 10.0.0.99")
        eventually(lambda: ask(place, program, "db")["db"] == [BOTH[1:], []])
        program.wait_for_log(r"cluster default: \d+ answers held addresses without a route from here, such as 10\.")


def test_answer(place: Namespace, tmp_path: Path) -> None:
    """By default all addresses are answered; with a sink they are counted, without one nothing is compared."""
    with start(place, tmp_path, sinks=["kernel"]) as program:
        ip(place, "route add 10.244.2.0/24 via 10.0.0.12")
        eventually(lambda: ask(place, program, "db-1.db")["db-1.db"] == [BOTH[1:], []])
        found = ask(place, program, "db")
        assert found["db"] == [BOTH, []]
        assert found["counted"] >= 1
    with start(place, tmp_path) as program:
        found = ask(place, program, "db", "web")
        assert found["db"] == [BOTH, []]
        assert found["web"] == [["10.96.0.80"], []]
        assert (found["counted"], found["status"]["unrouted"]) == (0, "not compared")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sink_elsewhere(place: Namespace, tmp_path: Path, workers: int) -> None:
    """What is pushed to a router is routed for its clients, whatever this host's own routes are."""
    routes = {"sinks": ["file"], "file": {"path": str(tmp_path / "routes.json")}, "unrouted": "omit"}
    with start(place, tmp_path, workers, **routes) as program:
        for _ in range(4):
            eventually(lambda: ask(place, program, "db")["db"] == [BOTH[:1], []])
        ip(place, "route add 10.244.2.0/24 via 10.0.0.12")
        eventually(lambda: ask(place, program, "db")["db"] == [BOTH, []])

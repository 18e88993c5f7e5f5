"""Case 2 of the field: a physical machine, a gateway that joined the cluster, two nodes with pods, on one switch.

The machine's name server is dnsbridge. A pod is an address of its node's loopback with an HTTP server that says which
pod it is.

    machine 10.73.13.200 ---+--- gateway 10.73.13.9 (has the routes of the pods)
      dnsbridge at :53      |
                            +--- node 10.73.13.1 (kafka-0, 192.244.190.130)
                            +--- node 10.73.13.2 (kafka-1, 192.244.32.5)
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.support.daemon import Daemon
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.program import ROOT, Program
from tests.support.started import run

CASE = ROOT / "tests" / "routes" / "clusters" / "case2.yaml"
MACHINE, GATEWAY = "10.73.13.200", "10.73.13.9"
NODES = {"10.73.13.1": "192.244.190.130", "10.73.13.2": "192.244.32.5"}
"""The pod of each node."""
BLOCKS = {"192.244.190.128/26": "10.73.13.1", "192.244.32.0/26": "10.73.13.2"}
NAME, PORT = "kafka-0.kafka.data.svc.cluster.local", 9092
KAFKA = """
- {apiVersion: v1, kind: Namespace, metadata: {name: data}}
- apiVersion: v1
  kind: Service
  metadata: {name: kafka, namespace: data}
  spec: {clusterIP: None, ports: [{port: 9092}]}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: kafka-1, namespace: data, labels: {kubernetes.io/service-name: kafka}}
  addressType: IPv4
  ports: [{port: 9092, protocol: TCP}]
  endpoints:
  - {addresses: [192.244.190.130], hostname: kafka-0, conditions: {ready: true}}
  - {addresses: [192.244.32.5], hostname: kafka-1, conditions: {ready: true}}
"""
POD = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Pod(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
HTTPServer((sys.argv[1], 9092), Pod).serve_forever()
"""


class Lab(NamedTuple):
    """The hosts, and the manifests that the machine has."""

    machine: Namespace
    gateway: Namespace
    manifests: Path

    def routes(self, command: str) -> None:
        """`dnsbridge routes ...` on the machine."""
        words = ["routes", command, "--manifests", str(self.manifests), "--via", "gateways"]
        done = run(*(words[:2] if command == "withdraw" else words), prefix=self.machine.prefix)
        assert done.returncode == 0, done.stdout + done.stderr

    def tables(self) -> str:
        """All of the machine's tables."""
        return must(self.machine, "ip", "route", "show", "table", "all")

    def broken(self) -> dict[str, str]:
        """The links that the doctor finds broken, with their causes."""
        done = run("doctor", NAME, "--manifests", str(self.manifests), "--output", "json", prefix=self.machine.prefix)
        return {each["link"]: each["cause"] for each in json.loads(done.stdout)["links"] if each["state"] == "failed"}

    def fetched(self, name: str = NAME) -> str:
        """What curl fetches from a pod; empty where it cannot."""
        return self.machine.run("curl", "--silent", "--max-time", "3", f"http://{name}:{PORT}/").stdout


@contextmanager
def case2(folder: Path) -> Iterator[Lab]:
    """All hosts on one switch, as they are before anybody has set a route; `folder` is empty."""
    manifests = folder / "cluster"
    manifests.mkdir()
    (manifests / "case2.yaml").write_text(CASE.read_text(encoding="utf-8"), encoding="utf-8")
    (manifests / "kafka.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:{KAFKA}", encoding="utf-8")
    with Switch() as switch, ExitStack() as running:
        machine = switch.host(f"{MACHINE}/24", resolv_conf="nameserver 127.0.0.1\n")
        gateway = switch.host(f"{GATEWAY}/24")
        # A kernel that has told a host of a better way soon after tells it no errors: the two share a rate limit.
        quiet = [f"net.ipv4.conf.{device}.send_redirects=0" for device in ("all", "eth0")]
        must(gateway, "sysctl", "-qw", "net.ipv4.ip_forward=1", *quiet)
        for prefix, node in BLOCKS.items():
            must(gateway, "ip", "route", "add", prefix, "via", node, "proto", "bird")
        for number, (node, pod) in enumerate(NODES.items()):
            host = switch.host(f"{node}/24")
            must(host, "ip", "address", "add", f"{pod}/32", "dev", "lo")
            command = [sys.executable, "-c", POD, pod, f"kafka-{number}"]
            daemon = running.enter_context(Daemon(host, command, folder / f"{node}.log"))
            daemon.wait(partial(_listens, host))
        server = Program(manifests, listen=["127.0.0.1:53"], command_prefix=machine.prefix, upstreams=["127.0.0.9"])
        running.enter_context(server)
        yield Lab(machine, gateway, manifests)


def _listens(host: Namespace) -> bool:
    return f":{PORT}" in must(host, "ss", "--tcp", "--listening", "--numeric", "--no-header")

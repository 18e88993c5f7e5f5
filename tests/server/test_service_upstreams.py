"""The program with a Service as its upstream: Knot DNS on ClusterIPs and pod addresses of loopback, in a namespace.

10.96.0.52, 10.96.0.53      ClusterIPs of dns/corp, of which one is in force
10.244.0.2, 10.244.0.3      endpoints of the headless dns/peers

Each server answers www.corp.example with 192.0.2.N, where N is the last octet of its own address.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.knot import Knot
from tests.support.namespace import Namespace
from tests.support.program import Program, eventually
from tests.support.started import run

pytestmark = pytest.mark.needs("netns", "knotd", "dig")

SERVERS = ("10.96.0.52", "10.96.0.53", "10.244.0.2", "10.244.0.3")
OWN = "10.244.0.9"
"""An endpoint where the program itself listens."""
ZONE = "$ORIGIN corp.example.\n$TTL 0\n@ SOA ns hostmaster 1 3600 600 86400 0\n@ NS ns\nns A {0}\nwww A {0}\n"
METRICS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9153/metrics').read().decode())"
DNS = [{"name": "dns", "port": 53, "protocol": "UDP"}]


def service(name: str, cluster_ip: str, **spec: Any) -> dict[str, Any]:
    """A Service in the namespace dns."""
    metadata = {"name": name, "namespace": "dns"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"clusterIP": cluster_ip, "ports": DNS, **spec},
    }


def endpoints(name: str, *addresses: str, ready: bool = True) -> dict[str, Any]:
    """A slice of a Service."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": "dns", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
        "ports": DNS,
    }


CORP, MOVED = service("corp", "10.96.0.52"), service("corp", "10.96.0.53")
PEERS = service("peers", "None")
OTHER = service("other", "10.96.0.99")


class Office(NamedTuple):
    """What runs."""

    namespace: Namespace
    folder: Path

    def manifests(self, *objects: dict[str, Any]) -> Path:
        """The objects of the cluster from now on."""
        path = self.folder / "objects.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [OTHER, *objects]}))
        new.replace(path)
        return path

    def program(self, *upstreams: str, options: tuple[str, ...] = ()) -> Program:
        """The program in the namespace."""
        cluster = {"name": "dev", "fallback": "never", "source": {"manifests": str(self.folder / "objects.json")}}
        return Program(
            settings={"clusters": [cluster], "forward": [{"zone": ".", "upstreams": list(upstreams)}]},
            upstreams=None,
            listen=["127.0.0.1:53", f"{OWN}:53"],
            options=["--http", "127.0.0.1:9153", *options],
            command_prefix=self.namespace.prefix,
        )

    def ask(self, name: str = "www.corp.example") -> str:
        """What dig gets: the address, or the status."""
        done = self.namespace.run(
            "dig", "@127.0.0.1", "+tries=1", "+timeout=20", "+noall", "+comments", "+answer", name
        )
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith("www.")]
        return lines[0][-1] if lines else done.stdout.partition("status: ")[2].partition(",")[0]

    def shown(self, *upstreams: str) -> list[str]:
        """What `config show` says of each upstream."""
        file = self.folder / "shown.yaml"
        cluster = {"name": "dev", "source": {"manifests": str(self.folder / "objects.json")}}
        file.write_text(json.dumps({"clusters": [cluster], "forward": [{"zone": ".", "upstreams": list(upstreams)}]}))
        done = run("config", "show", "--config", str(file), "--output", "json", prefix=self.namespace.prefix)
        rows = json.loads(done.stdout)
        found = [row for row in rows if row["key"].startswith("forward[0].upstreams[")]
        return [
            f"{row['value']['server']}: {row['value']['what']}; {row['value']['doing']} ({row['origin']})".replace(
                str(self.folder), ""
            )
            for row in found
        ]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """The namespace with all servers."""
    folder = tmp_path_factory.mktemp("services")
    with ExitStack() as running:
        namespace = running.enter_context(Namespace("nameserver 127.0.0.1\n"))
        for address in (*SERVERS, OWN):
            assert namespace.run("ip", "address", "add", f"{address}/32", "dev", "lo").returncode == 0
        for address in SERVERS:
            zones = {"corp.example": ZONE.format(f"192.0.2.{address.rpartition('.')[2]}")}
            knot = Knot(folder / address, zones, address=address, port=53, command_prefix=namespace.prefix)
            running.enter_context(knot)
            eventually(partial(_is_there, namespace, address))
        yield Office(namespace, folder)


def _is_there(namespace: Namespace, address: str) -> bool:
    done = namespace.run("dig", f"@{address}", "+short", "+tries=1", "+timeout=1", "corp.example", "NS")
    return done.stdout == "ns.corp.example.\n"


STEPS: list[tuple[str, list[dict[str, Any]], str, str]] = [
    # what, the objects from then on, what the log says, who answers then
    ("not there yet", [],
     "forward .: service://dns/corp: there is no such Service; changes of the Service are followed",
     "SERVFAIL"),
    ("made", [CORP], "forward .: now 10.96.0.52:53 (service://dns/corp)", "192.0.2.52"),
    ("made anew with another ClusterIP", [MOVED], "forward .: now 10.96.0.53:53 (service://dns/corp)", "192.0.2.53"),
    ("deleted", [], "forward .: now no upstream, its names get SERVFAIL (service://dns/corp)", "SERVFAIL"),
    ("made again", [CORP], "forward .: now 10.96.0.52:53 (service://dns/corp)", "192.0.2.52"),
    ("headless from now on, with an endpoint",
     [service("corp", "None"), endpoints("corp", "10.244.0.3")],
     "forward .: now 10.244.0.3:53 (service://dns/corp)", "192.0.2.3"),
    ("another endpoint comes first", [service("corp", "None"), endpoints("corp", "10.244.0.3", "10.244.0.2")],
     "forward .: now 10.244.0.2:53, 10.244.0.3:53 (service://dns/corp)", "192.0.2.2"),
    ("no endpoint is ready", [service("corp", "None"), endpoints("corp", "10.244.0.3", "10.244.0.2", ready=False)],
     "forward .: now no upstream, its names get SERVFAIL (service://dns/corp)", "SERVFAIL"),
    ("one of two endpoints is dnsbridge itself", [service("corp", "None"), endpoints("corp", OWN, "10.244.0.3")],
     "forward .: now 10.244.0.3:53 (service://dns/corp)", "192.0.2.3"),
    ("a ClusterIP in front of dnsbridge itself", [CORP, endpoints("corp", OWN, "10.244.0.3")],
     "forward .: now no upstream, its names get SERVFAIL (service://dns/corp)", "SERVFAIL"),
]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_is_followed(office: Office, workers: int) -> None:
    """The servers follow the Service as its objects change, with one line each time, and without a restart."""
    office.manifests()
    with office.program("service://dns/corp", options=("--workers", str(workers))) as program:
        for _, objects, _, answer in STEPS:
            office.manifests(*objects)
            eventually(lambda answer=answer: office.ask() == answer)  # type: ignore[misc]
        lines = [line.split(None, 2)[2] for line in program.log() if " forward .: " in line]
        assert lines == [said for _, _, said, _ in STEPS]


def test_beside_other_upstreams(office: Office) -> None:
    """While a Service is away the other upstreams of the zone answer; with it the order of the settings counts."""
    office.manifests()
    with office.program("service://dns/corp@dev", "10.244.0.2") as program:
        assert office.ask() == "192.0.2.2"
        shown = office.shown("service://dns/corp@dev", "10.244.0.2")
        assert shown[0].startswith("10.244.0.2:53: DNS over UDP, ")
        assert shown[1] == (
            "service://dns/corp@dev: a Service of cluster dev; for all other names; "
            "down (there is no such Service) (/shown.yaml:1)"
        )
        office.manifests(CORP)
        program.wait_for_log(r"forward \.: now 10\.96\.0\.52:53, 10\.244\.0\.2:53 ")
        assert office.ask() == "192.0.2.52"
        shown = office.shown("service://dns/corp@dev", "10.244.0.2")
        assert [row.partition(": DNS over UDP, ")[0] for row in shown] == ["10.96.0.52:53", "10.244.0.2:53"]
        assert shown[0].endswith("(/shown.yaml:1: service://dns/corp@dev)")
        assert "number 1 of 2" in shown[0]
        metrics = office.namespace.run(sys.executable, "-c", METRICS).stdout
        assert 'dnsbridge_service_upstream_usable{service="service://dns/corp@dev"} 1.0' in metrics
        assert 'dnsbridge_service_upstream_left_out{service="service://dns/corp@dev"} 0.0' in metrics

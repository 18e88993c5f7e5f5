"""The program on any API server: a namespace of its own, services and slices in it, their answers, their end.

Nothing runs in the cluster for it, neither a kubelet nor controllers: services have no selector, slices are made here.
What was made is deleted also when a check fails.
"""

import asyncio
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.reversename
import pytest
from kubernetes.aio import client, config

from tests.support.program import Program, eventually

Fields = dict[str, Any]
PATIENCE = 30.0
"""Seconds for a change to be seen, through whatever lies between here and the API server."""


class Refused(Exception):
    """The API server has answered with an error."""


async def _client(kubeconfig: Path) -> client.ApiClient:
    made: client.ApiClient = await config.new_client_from_config(  # type: ignore[no-untyped-call]
        str(kubeconfig), persist_config=False
    )
    return made


class Api:
    """The API server, asked with the credentials of a kubeconfig, for one namespace."""

    def __init__(self, kubeconfig: Path) -> None:
        self.namespace = f"dnsbridge-e2e-{secrets.token_hex(4)}"
        self._kubeconfig = kubeconfig
        self._runner = asyncio.Runner()
        self._client: client.ApiClient | None = None

    def open(self) -> None:
        """Make the namespace."""
        self._client = self._runner.run(_client(self._kubeconfig))
        metadata = {"name": self.namespace, "labels": {"app.kubernetes.io/part-of": "dnsbridge-e2e"}}
        self._ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def close(self) -> None:
        """Delete everything, as far as it is still there."""
        try:
            if self._client:
                self.delete_namespace()
        finally:
            if self._client:
                self._runner.run(self._client.close())  # type: ignore[no-untyped-call]
            self._runner.close()

    def service(self, name: str, **spec: Any) -> list[str]:
        """Make a service; returns its ClusterIPs."""
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        made = self._ask("POST", self._services, body)
        return [address for address in made["spec"].get("clusterIPs") or [] if address != "None"]

    def delete_service(self, name: str) -> None:
        """Delete a service."""
        self._ask("DELETE", f"{self._services}/{name}")

    def put_slice(self, name: str, service: str, endpoints: list[Fields], family: str = "IPv4") -> None:
        """Make a slice, or replace it."""
        body: Fields = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
            "addressType": family,
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
        if name in self._names(self._slices):
            self._ask("PUT", f"{self._slices}/{name}", body)
        else:
            self._ask("POST", self._slices, body)

    def delete_namespace(self) -> None:
        """Delete slices, services and the namespace; an API server without controllers does no more by itself."""
        for path in (self._slices, self._services):
            for name in self._names(path):
                self._ask("DELETE", f"{path}/{name}", absent=True)
        self._ask("DELETE", f"/api/v1/namespaces/{self.namespace}", absent=True)

    def namespace_exists(self) -> bool:
        """Whether it is there, be it on its way out."""
        return self.namespace in self._names("/api/v1/namespaces")

    @property
    def _services(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/services"

    @property
    def _slices(self) -> str:
        return f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"

    def _names(self, path: str) -> list[str]:
        return [item["metadata"]["name"] for item in self._ask("GET", path)["items"]]

    def _ask(self, method: str, path: str, body: Fields | None = None, absent: bool = False) -> Any:
        """One request; with `absent` it is well that there is no such object, or that it is going."""

        async def ask() -> tuple[int, bytes]:
            assert self._client
            settings = self._client.configuration
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            if authorization := await settings.get_api_key_with_prefix("BearerToken"):
                headers["Authorization"] = authorization
            rest = self._client.rest_client
            answer = await rest.request(  # type: ignore[no-untyped-call]
                method, settings.host + path, headers, body, _request_timeout=PATIENCE
            )
            return answer.status, await answer.read()

        status, octets = self._runner.run(ask())
        if status >= 400 and not (absent and status in (404, 409)):
            raise Refused(f"{method} {path}: {status} {octets.decode(errors='replace')}")
        return json.loads(octets)


@pytest.fixture(scope="module")
def api(kubeconfig: Path) -> Iterator[Api]:
    """A namespace, which is deleted in the end."""
    made = Api(kubeconfig)
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def program(kubeconfig: Path) -> Iterator[Program]:
    """The program, which never asks the cluster's CoreDNS."""
    cluster = {"name": "e2e", "source": {"kubeconfig": str(kubeconfig)}, "fallback": "never"}
    with Program(settings={"clusters": [cluster]}, listen=["127.0.0.1:0"]) as started:
        eventually(lambda: any("cluster e2e: fresh" in line for line in started.log()))
        yield started


def said(program: Program, name: str, rtype: str) -> list[str]:
    """The records of the answer section as `TYPE DATA`, or the RCODE."""
    got = program.ask(name, rtype, "tcp")
    lines = [line.split(" ", 3)[3] for rrset in got.answer for line in rrset.to_text().splitlines()]
    return sorted(lines) or [got.rcode().name]


def endpoint(hostname: str, address: str, ready: bool = True) -> Fields:
    """An endpoint of a slice."""
    return {"addresses": [address], "hostname": hostname, "conditions": {"ready": ready}}


def test_life_of_a_namespace(api: Api, program: Program) -> None:
    """Services of every type are answered as soon as they are there, change with their slices, and go."""
    zone = f"{api.namespace}.svc.cluster.local"

    def soon(name: str, rtype: str, *expected: str) -> None:
        wanted = sorted(expected)
        try:
            eventually(lambda: said(program, name, rtype) == wanted)
        except AssertionError:
            assert (name, rtype, said(program, name, rtype)) == (name, rtype, wanted)

    assert said(program, f"web.{zone}", "A") == ["NXDOMAIN"]
    soon(zone, "A", "NOERROR")

    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    for name, addresses in (
        ("web", api.service("web", ports=ports)),
        ("dual", api.service("dual", ports=ports, ipFamilyPolicy="PreferDualStack")),
    ):
        assert addresses
        for family, mark in (("A", "."), ("AAAA", ":")):
            of_family = [f"{family} {address}" for address in addresses if mark in address]
            soon(f"{name}.{zone}", family, *(of_family or ["NOERROR"]))
        soon(f"_http._tcp.{name}.{zone}", "SRV", f"SRV 0 100 80 {name}.{zone}.")
        for address in addresses:
            reverse = dns.reversename.from_address(address).to_text()
            soon(reverse, "PTR", f"PTR {name}.{zone}.")

    api.service("db", clusterIP="None", ports=ports)
    soon(f"db.{zone}", "A", "NXDOMAIN")
    api.put_slice("db-1", "db", [endpoint("db-0", "192.0.2.10"), endpoint("db-1", "192.0.2.11", ready=False)])
    soon(f"db.{zone}", "A", "A 192.0.2.10")
    soon(f"db-0.db.{zone}", "A", "A 192.0.2.10")
    soon(f"db-1.db.{zone}", "A", "NXDOMAIN")
    soon(f"_http._tcp.db.{zone}", "SRV", f"SRV 0 100 8080 db-0.db.{zone}.")
    api.put_slice("db-2", "db", [endpoint("db-0", "2001:db8::10")], family="IPv6")
    soon(f"db.{zone}", "AAAA", "AAAA 2001:db8::10")

    api.service("old", type="ExternalName", externalName=f"db-0.db.{zone}")
    soon(f"old.{zone}", "A", f"CNAME db-0.db.{zone}.", "A 192.0.2.10")

    api.put_slice("db-1", "db", [endpoint("db-0", "192.0.2.20"), endpoint("db-1", "192.0.2.11")])
    soon(f"db.{zone}", "A", "A 192.0.2.20", "A 192.0.2.11")
    soon(f"old.{zone}", "A", f"CNAME db-0.db.{zone}.", "A 192.0.2.20")
    soon(f"_http._tcp.db.{zone}", "SRV", f"SRV 0 50 8080 db-0.db.{zone}.", f"SRV 0 50 8080 db-1.db.{zone}.")

    api.delete_service("web")
    soon(f"web.{zone}", "A", "NXDOMAIN")
    soon(f"dual.{zone}", "MX", "NOERROR")

    api.delete_namespace()
    for name in ("dual", "db", "db-0.db", "old"):
        soon(f"{name}.{zone}", "A", "NXDOMAIN")
    if not api.namespace_exists():  # finalising it takes a controller, which not every API server has
        soon(zone, "A", "NXDOMAIN")
    assert not [line for line in program.log() if " INFO " not in line and api.namespace in line]

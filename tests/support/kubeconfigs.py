"""Kubeconfigs of every kind, the objects that a cluster of a test holds, and a proxy on the way to its API server.

write            a kubeconfig with any number of contexts
ExecPlugin       a credential plugin (client.authentication.k8s.io/v1), and how often it was run
ConnectProxy     an HTTP proxy (CONNECT), and what it was asked for
Service, slices  objects in short form
"""

import base64
import json
import select
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.apiserver.server import ApiServer

Fields = dict[str, Any]

_PLUGIN = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
with (folder / "runs").open("a") as file:
    file.write("run\\n")
text = (folder / "credential.json").read_text()
if not text:
    sys.exit("please log in\\nat the office")
print(text)
"""


def write(path: Path, contexts: Mapping[str, tuple[Fields, Fields]], current: str | None = None) -> Path:
    """A kubeconfig; a context is a cluster and a user under its own name, the first is the current one."""
    names = list(contexts)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": contexts[name][0]} for name in names],
        "users": [{"name": name, "user": contexts[name][1]} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        "current-context": current or names[0],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def cluster_entry(server: ApiServer, **more: Any) -> Fields:
    """The `cluster` of a kubeconfig: where the server is, and its authority."""
    entry: Fields = {"server": server.url}
    if server.authority is not None:
        entry["certificate-authority-data"] = base64.b64encode(server.authority.certificate).decode()
    return {**entry, **more}


class ExecPlugin:
    """A credential plugin that prints what it finds in a file of its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plugin.py").write_text(_PLUGIN, encoding="utf-8")
        (folder / "runs").touch()
        self.fail()

    def give(self, **status: str) -> None:
        """Print these fields of ExecCredentialStatus from now on."""
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
        (self._folder / "credential.json").write_text(json.dumps(credential), encoding="utf-8")

    def fail(self) -> None:
        """End with an error of two lines from now on."""
        (self._folder / "credential.json").write_text("", encoding="utf-8")

    @property
    def user(self) -> Fields:
        """The `user` of a kubeconfig."""
        return {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": sys.executable,
                "args": ["-S", "-E", str(self._folder / "plugin.py"), str(self._folder)],
                "interactiveMode": "Never",
            }
        }

    @property
    def runs(self) -> int:
        """How often it was run."""
        return len((self._folder / "runs").read_text(encoding="utf-8").splitlines())


class ConnectProxy:
    """An HTTP proxy for CONNECT (RFC 9110 section 9.3.6) to loopback, with one thread for each connection."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The authorities that were asked for, `HOST:PORT`."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        """For `proxy-url`."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "ConnectProxy":
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                octets = client.recv(4096)
                if not octets:
                    return
                request += octets
            method, authority, _ = request.split(b"\r\n", 1)[0].decode().split(" ")
            self.asked.append(authority)
            host, _, port = authority.rpartition(":")
            if method != "CONNECT" or host != "127.0.0.1":
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(client, server)


def _relay(one: socket.socket, other: socket.socket) -> None:
    while True:
        for readable in select.select([one, other], [], [])[0]:
            try:
                octets = readable.recv(65536)
                if not octets:
                    return
                (other if readable is one else one).sendall(octets)
            except OSError:
                return


def service(
    name: str,
    *addresses: str,
    namespace: str = "shop",
    external_name: str = "",
    labels: Mapping[str, str] | None = None,
) -> Fields:
    """A service with a port `http`; without an address headless, with `external_name` an ExternalName."""
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    spec: Fields = {"type": "ExternalName", "externalName": external_name}
    if not external_name:
        spec = {
            "type": "ClusterIP",
            "clusterIP": addresses[0] if addresses else "None",
            "clusterIPs": list(addresses) or ["None"],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def endpoint_slice(
    name: str, endpoints: Mapping[str, str] | Sequence[str], *, namespace: str = "shop", suffix: str = "1"
) -> Fields:
    """An IPv4 slice of a service, with a port `http`; endpoints are addresses, or addresses by hostname."""
    listed: list[Fields]
    if isinstance(endpoints, Mapping):
        listed = [
            {"addresses": [address], "hostname": hostname, "targetRef": {"kind": "Pod", "name": hostname}}
            for hostname, address in endpoints.items()
        ]
    else:
        listed = [{"addresses": [address]} for address in endpoints]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{suffix}",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": listed,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }

"""How the program finds an API server and says who it is: each way in which a kubeconfig or a pod can say it.

Each way is a started program that answers a name of the cluster; the API server's own counters say as whom it came.
"""

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from dnsbridge.cluster.changes import Change, Put
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch.api.connection import ApiAddress, Connection
from dnsbridge.watch.api.resources import ENDPOINT_SLICES, SERVICES
from dnsbridge.watch.api.source import ApiSource
from tests.apiserver.access import MASTERS, User
from tests.apiserver.server import ApiServer, in_thread
from tests.support.kubeconfigs import ConnectProxy, ExecPlugin, Fields, cluster_entry, service, write
from tests.support.program import Program, eventually
from tests.support.waiting import until

ALICE = User("alice", (MASTERS,))
WEB = "10.96.0.80"


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    """An API server over TLS with one service."""
    with in_thread(ApiServer()) as running:
        running.change(put=[service("web", WEB)])
        yield running


def token_user(server: ApiServer, folder: Path) -> Fields:
    """A token in the kubeconfig."""
    return {"token": server.access.issue(ALICE)}


def token_file_user(server: ApiServer, folder: Path) -> Fields:
    """A token in a file beside the kubeconfig, with the newline that an editor leaves."""
    (folder / "token").write_text(server.access.issue(ALICE) + "\n", encoding="utf-8")
    return {"tokenFile": "token"}


def certificate_data_user(server: ApiServer, folder: Path) -> Fields:
    """A client certificate in the kubeconfig."""
    assert server.authority
    certificate, key = server.authority.client_certificate(ALICE.name, ALICE.groups)
    return {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }


def certificate_file_user(server: ApiServer, folder: Path) -> Fields:
    """A client certificate in files beside the kubeconfig."""
    assert server.authority
    certificate, key = server.authority.client_certificate(ALICE.name, ALICE.groups)
    (folder / "alice.crt").write_bytes(certificate)
    (folder / "alice.key").write_bytes(key)
    return {"client-certificate": "alice.crt", "client-key": "alice.key"}


def exec_token_user(server: ApiServer, folder: Path) -> Fields:
    """A plugin that prints a token."""
    plugin = ExecPlugin(folder / "plugin")
    plugin.give(token=server.access.issue(ALICE))
    return plugin.user


def exec_certificate_user(server: ApiServer, folder: Path) -> Fields:
    """A plugin that prints a client certificate."""
    assert server.authority
    certificate, key = server.authority.client_certificate(ALICE.name, ALICE.groups)
    plugin = ExecPlugin(folder / "plugin")
    plugin.give(clientCertificateData=certificate.decode(), clientKeyData=key.decode())
    return plugin.user


def settings(kubeconfig: Path | None = None, **more: Any) -> Fields:
    """One cluster, whose CoreDNS is never asked."""
    source: Fields = {} if kubeconfig is None else {"source": {"kubeconfig": str(kubeconfig)}}
    return {"clusters": [{"name": "dev", "fallback": "never", **source, **more}]}


def answers(program: Program, address: str = WEB) -> bool:
    """Whether the service's name has this address now."""
    return [str(item) for rrset in program.ask("web.shop.svc.cluster.local").answer for item in rrset] == [address]


def clean(program: Program) -> None:
    """No line of the log is a warning, let alone of a library."""
    assert not [line for line in program.log() if " INFO " not in line]


@pytest.mark.parametrize(
    "user",
    [
        token_user,
        token_file_user,
        certificate_data_user,
        certificate_file_user,
        exec_token_user,
        exec_certificate_user,
    ],
)
def test_users(server: ApiServer, tmp_path: Path, user: Callable[[ApiServer, Path], Fields]) -> None:
    """Each kind of credential of a kubeconfig asks as its user, and nothing is said about it."""
    server.counters.requests.clear()
    path = write(tmp_path / "config", {"dev": (cluster_entry(server), user(server, tmp_path))})
    with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
        eventually(lambda: answers(program))
        clean(program)
    assert {request.user for request in server.counters.requests} == {ALICE.name}


def test_contexts(server: ApiServer, tmp_path: Path) -> None:
    """--context chooses among those of a kubeconfig; without it, it is the current one."""
    with in_thread(ApiServer()) as other:
        other.change(put=[service("web", "10.96.0.81")])
        entries = {
            name: (cluster_entry(each), {"token": each.access.issue()}) for name, each in (("a", server), ("b", other))
        }
        path = write(tmp_path / "config", entries, current="a")
        for options, address in (([], WEB), (["--context", "b"], "10.96.0.81"), (["--context", "a"], WEB)):
            named = ["--kubeconfig", str(path), *options]
            program = Program(settings={}, options=named, listen=["127.0.0.1:0"])
            with program:
                # What is not known yet would go to CoreDNS, which is none of this test's: wait for the log first.
                program.wait_for_log("cluster default: fresh")
                assert answers(program, address), options


@pytest.mark.parametrize("way", ["home", "variable", "variable-of-two"])
def test_discovery(server: ApiServer, tmp_path: Path, way: str) -> None:
    """Without --kubeconfig it is $KUBECONFIG, files merged as kubectl does, or ~/.kube/config; the log says which."""
    context = {"dev": (cluster_entry(server), {"token": server.access.issue()})}
    environment = {"HOME": str(tmp_path), "KUBECONFIG": ""}
    path = tmp_path / ".kube" / "config"
    if way == "home":
        write(path, context)
        said = "~/.kube/config"
    else:
        path = write(tmp_path / "mine", context)
        other = write(tmp_path / "other", {"other": (cluster_entry(server), {"token": "x"})})
        environment["KUBECONFIG"] = f"{other}:{path}" if way == "variable-of-two" else str(path)
        said = environment["KUBECONFIG"]
    source: Fields = {"source": {"context": "dev"}} if way == "variable-of-two" else {}
    program = Program(settings=settings(**source), environment=environment, listen=["127.0.0.1:0"])
    with program:
        eventually(lambda: answers(program))
        program.wait_for_log(rf"not read yet \(kubeconfig {said}[,)]")


def test_proxy(server: ApiServer, tmp_path: Path) -> None:
    """A kubeconfig's proxy-url is on the way of every connection."""
    user = {"token": server.access.issue()}
    with ConnectProxy() as proxy:
        path = write(tmp_path / "config", {"dev": (cluster_entry(server, **{"proxy-url": proxy.url}), user)})
        with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
            eventually(lambda: answers(program))
            clean(program)
            asked = list(proxy.asked)
    assert len(asked) >= 3
    assert set(asked) == {f"127.0.0.1:{server.port}"}


def test_proxy_of_the_environment(server: ApiServer, tmp_path: Path) -> None:
    """So is $HTTPS_PROXY, for servers that $NO_PROXY does not name."""
    user = {"token": server.access.issue()}
    path = write(tmp_path / "config", {"dev": (cluster_entry(server), user)})
    for no_proxy, used in (("", True), ("127.0.0.1", False)):
        with ConnectProxy() as proxy:
            environment = {"HTTPS_PROXY": proxy.url, "NO_PROXY": no_proxy, "no_proxy": no_proxy}
            with Program(settings=settings(path), environment=environment, listen=["127.0.0.1:0"]) as program:
                eventually(lambda: answers(program))
            assert bool(proxy.asked) is used


def test_tls_settings(tmp_path: Path) -> None:
    """Verification can be switched off, or be done for another name than the server's address."""
    authority = trustme.CA()
    with in_thread(ApiServer()) as server, ExitStack() as stack:
        server.change(put=[service("web", WEB)])
        assert server._tls
        certificate = authority.issue_cert("api.dev.example")
        server.call(certificate.configure_cert, server._tls)
        stack.enter_context(authority.cert_pem.tempfile(str(tmp_path)))
        trusted = {"certificate-authority-data": base64.b64encode(authority.cert_pem.bytes()).decode()}
        user = {"token": server.access.issue()}
        for entry in (
            {"insecure-skip-tls-verify": True},
            {**trusted, "tls-server-name": "api.dev.example"},
        ):
            path = write(tmp_path / "config", {"dev": ({"server": server.url, **entry}, user)})
            with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
                eventually(partial(answers, program))
                clean(program)
        path = write(tmp_path / "config", {"dev": ({"server": server.url, **trusted}, user)})
        with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
            program.wait_for_log("WARNING cluster dev: .*127.0.0.1")


def test_plain_http(tmp_path: Path) -> None:
    """An API server without TLS, such as `kubectl proxy`, needs no credentials."""
    with in_thread(ApiServer(tls=False)) as server:
        server.change(put=[service("web", WEB)])
        path = write(tmp_path / "config", {"dev": (cluster_entry(server), {})})
        with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
            eventually(lambda: answers(program))
            clean(program)


def test_exec_token_ends(server: ApiServer, tmp_path: Path) -> None:
    """When the plugin's token is refused, the plugin is run again and the watch goes on from where it was."""
    plugin = ExecPlugin(tmp_path / "plugin")
    first = server.access.issue(ALICE)
    plugin.give(token=first, expirationTimestamp=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    path = write(tmp_path / "config", {"dev": (cluster_entry(server), plugin.user)})
    with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
        eventually(lambda: answers(program))
        assert plugin.runs == 1
        plugin.give(token=server.access.issue(ALICE))
        lists = len(server.counters.asked("watch", "services", sendInitialEvents="true"))
        server.call(server.access.expire, first)
        server.call(server.drop)
        eventually(lambda: plugin.runs == 2 and server.streams("services"))
        server.change(put=[service("web", "10.96.0.82")])
        try:
            eventually(lambda: answers(program, "10.96.0.82"))
        finally:
            server.change(put=[service("web", WEB)])
        assert len(server.counters.asked("watch", "services", sendInitialEvents="true")) == lists


def test_exec_plugin_fails(server: ApiServer, tmp_path: Path) -> None:
    """A plugin that fails is said in one line, with its words, and run again until it gives a credential."""
    plugin = ExecPlugin(tmp_path / "plugin")
    path = write(tmp_path / "config", {"dev": (cluster_entry(server), plugin.user)})
    with Program(settings=settings(path), listen=["127.0.0.1:0"]) as program:
        program.wait_for_log("WARNING cluster dev: .*please log in")
        eventually(lambda: plugin.runs > 4)
        noisy = [line for line in program.log() if " INFO " not in line]
        assert len(noisy) == 1, noisy
        plugin.give(token=server.access.issue())
        eventually(lambda: answers(program))


class Followed:
    """An ApiSource in this process, and what it holds."""

    def __init__(self, address: ApiAddress) -> None:
        self.held: dict[Key, Object] = {}
        self.source = ApiSource("dev", address, (SERVICES, ENDPOINT_SLICES), self.held, self._take, silence=60)

    def _take(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.held[change.object.key] = change.object
            else:
                del self.held[change.key]

    async def until(self, name: str) -> None:
        """Wait until a service is held."""
        await until(lambda: Key("Service", "shop", name) in self.held)


def test_in_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's own service account; its token is read anew from the file when the old one is refused."""
    from kubernetes.aio.config import incluster_config  # noqa: PLC0415  slow to load, and only this test needs it

    async def test() -> None:
        async with ApiServer() as server:
            assert server.authority
            server.change(put=[service("web", WEB)])
            (tmp_path / "ca.crt").write_bytes(server.authority.certificate)
            first = server.access.issue(User("pod", (MASTERS,)))
            (tmp_path / "token").write_text(first, encoding="utf-8")
            monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
            monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
            monkeypatch.setitem(os.environ, "KUBERNETES_SERVICE_HOST", "127.0.0.1")
            monkeypatch.setitem(os.environ, "KUBERNETES_SERVICE_PORT", str(server.port))
            followed = Followed(ApiAddress(in_cluster=True))
            task = asyncio.create_task(followed.source.follow())
            try:
                await followed.until("web")
                assert {request.user for request in server.counters.requests} == {"pod"}
                (tmp_path / "token").write_text(server.access.issue(User("pod-2", (MASTERS,))), encoding="utf-8")
                server.access.expire(first)
                server.drop()
                server.change(put=[service("later", "10.96.0.90")])
                await followed.until("later")
                assert server.counters.requests[-1].user == "pod-2"
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(test())


def test_credentials_renewed_many_times(tmp_path: Path) -> None:
    """Each renewal closes the idle connections of the one before, and leaves its streams alone."""
    path_of_list = "/api/v1/services?limit=500"

    async def test() -> None:
        async with ApiServer() as server:
            plugin = ExecPlugin(tmp_path / "plugin")
            path = write(tmp_path / "config", {"dev": (cluster_entry(server), plugin.user)})
            connection = Connection(ApiAddress(path))
            plugin.give(token=server.access.issue())
            async with connection.get("/api/v1/services?watch=1", silence=10) as stream:
                for number in range(1, 6):
                    server.access.tokens.clear()
                    async with connection.get(path_of_list, silence=10) as response:
                        assert response.status == 401
                    plugin.give(token=server.access.issue())
                    async with connection.get(path_of_list, silence=10) as response:
                        assert response.status == 200
                        await response.read()
                    assert plugin.runs == number + 1
                # The stream, an idle one of the session that the stream keeps, and the newest session's.
                await until(lambda: server.connections <= 3)
                server.change(put=[service("web", WEB)])
                assert b'"ADDED"' in await stream.content.readline()
            await connection.close()
            await until(lambda: server.connections == 0)

    asyncio.run(test())

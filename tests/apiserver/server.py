"""The API server that tests start, inside their event loop or in a thread.

async with ApiServer() as server:            HTTPS on a free port of 127.0.0.1
    path = server.kubeconfig(tmp_path / "kubeconfig")
    server.change(put=[service])
    server.faults.add(Refuse(429, retry_after=1), "services", "list")
    server.strike(Stall(), "endpointslices")
with in_thread(ApiServer(tls=False)) as server: ...
"""

import asyncio
import concurrent.futures
import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeVar

import msgspec
import yaml
from aiohttp import web

from tests.apiserver.access import ADMIN, Access, User
from tests.apiserver.admission import Admission, ClusterIPs
from tests.apiserver.counters import Counters
from tests.apiserver.faults import Fault, Faults
from tests.apiserver.handlers import Handlers
from tests.apiserver.resources import BY_KIND, BY_PLURAL, NAMESPACES, RESOURCES, SERVICES, Object
from tests.apiserver.store import Change, Store
from tests.apiserver.tls import Authority
from tests.apiserver.watching import WatchSettings
from tests.support.waiting import DEADLINE

HOST = "127.0.0.1"
LARGEST_BODY = 32 * 2**20
SERVICE_CIDRS = ("10.96.0.0/12", "fd00:10:96::/108")
NAMESPACES_AT_FIRST = ("default", "kube-node-lease", "kube-public", "kube-system")

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ApiServer:
    """One cluster's API server. Its attributes may be used and changed at any time from its own event loop."""

    def __init__(
        self,
        *,
        tls: bool = True,
        address: str = HOST,
        port: int = 0,
        client_certificates: bool = False,
        service_cidrs: Sequence[str] = SERVICE_CIDRS,
        seed: int | None = None,
        without: Iterable[str] = (),
    ) -> None:
        """`address`: without TLS also another than loopback's. `port` 0: a free one. `client_certificates`: refuse
        clients without one. `seed`: for uids.
        """
        self.authority = Authority() if tls else None
        self.store = Store()
        self.access = Access(anonymous=None if tls else ADMIN)
        self.faults = Faults()
        self.counters = Counters()
        self.watches = WatchSettings()
        self._address = address
        self.port = port
        self._admission = Admission(self.store, ClusterIPs(*service_cidrs), random.Random(seed))
        self._handlers = Handlers(self.store, self._admission, self.access, self.faults, self.counters, self.watches)
        self.without = frozenset(without)
        required = ssl.CERT_REQUIRED if client_certificates else ssl.CERT_OPTIONAL
        self._tls = self.authority.server_context(required) if self.authority else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._site: web.TCPSite | None = None
        for name in NAMESPACES_AT_FIRST:
            value: Object = {"metadata": {"name": name}}
            self.store.put(NAMESPACES, self._admission.create(NAMESPACES, "", value))

    @property
    def without(self) -> frozenset[str]:
        """What an old server does not have: groups, their versions (`discovery.k8s.io/v1`), and `/apis`, discovery.

        It may change while the server runs, as with an upgrade; watches that are open go on until they end.
        """
        return self._handlers.without

    @without.setter
    def without(self, without: frozenset[str]) -> None:
        self._handlers.without = without

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{self._address}:{self.port}"

    @property
    def connections(self) -> int:
        """Client connections that are open now."""
        return len(self._runner.server.connections) if self._runner.server else 0

    def streams(self, resource: str | None = None) -> int:
        """Lists and watches of a resource (plural; None: any) that are open now."""
        return sum(resource in (None, output.resource) for output in self._handlers.outputs)

    async def start(self) -> None:
        """Listen."""
        self._loop = asyncio.get_running_loop()
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handlers.handle)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.5, keepalive_timeout=600
        )
        await self._runner.setup()
        # Bound, but not listening: the port stays this server's while it is away.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((self._address, self.port))
        self.port = self._reserved.getsockname()[1]
        await self.listen()

    async def stop(self) -> None:
        """End everything, open connections with it."""
        await self.unlisten()
        await self._runner.cleanup()
        self._reserved.close()

    async def listen(self) -> None:
        """Accept connections (again), on the same port."""
        self._site = web.TCPSite(self._runner, self._address, self.port, ssl_context=self._tls, reuse_address=True)
        await self._site.start()

    async def unlisten(self, drop: bool = True) -> None:
        """Refuse connections from now on; `drop` also resets those that are open."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if drop:
            self.drop()

    def drop(self) -> None:
        """Break all open connections."""
        for connection in self._runner.server.connections if self._runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def __aenter__(self) -> "ApiServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def call(self, function: Callable[_P, _T], *arguments: _P.args, **keywords: _P.kwargs) -> _T:
        """Call a function in the server's event loop, from whichever thread, and return what it returns."""
        if self._loop is None or _running() is self._loop:
            return function(*arguments, **keywords)
        future: concurrent.futures.Future[_T] = concurrent.futures.Future()

        def called() -> None:
            try:
                future.set_result(function(*arguments, **keywords))
            except BaseException as error:  # whatever it is, it belongs to the caller
                future.set_exception(error)

        self._loop.call_soon_threadsafe(called)
        return future.result(timeout=60)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the server's event loop to its end, from another thread."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    def change(self, put: Iterable[Object] = (), delete: Iterable[Object] = ()) -> list[Change]:
        """Create or replace objects as they are, without any check, then delete some; from any thread.

        Objects have apiVersion, kind and metadata.name; a namespace, uid and creationTimestamp are supplied. The
        changes that are returned say when each was made (`at`) and the resourceVersion that it got.
        """
        return self.call(self._change, put, delete)

    def load(self, objects: Iterable[Object]) -> None:
        """Put many objects, and keep no history of it."""
        self.change(put=objects)
        self.compact()

    def compact(self, *resources: str) -> int:
        """Forget the history of resources (plural; none: all); returns the version up to which it is gone."""
        return self.call(self.store.compact, [BY_PLURAL[resource] for resource in resources] or RESOURCES)

    def strike(self, fault: Fault, resource: str | None = None) -> int:
        """Let a fault meet the lists and watches of a resource that are open now; returns how many there are."""
        return self.call(self._strike, fault, resource)

    def kubeconfig(
        self,
        path: Path,
        user: User = ADMIN,
        credential: Literal["token", "certificate"] = "token",
        expires_in: float | None = None,
        not_after: datetime | None = None,
    ) -> Path:
        """Write a kubeconfig for a user: a new token, which ends after so many seconds, or a client certificate."""
        cluster: Object = {"server": self.url}
        if self.authority is not None:
            cluster["certificate-authority-data"] = msgspec.to_builtins(self.authority.certificate)
        if credential == "certificate" and self.authority is not None:
            certificate, key = self.authority.client_certificate(user.name, user.groups, not_after)
            secret: Object = {"client-certificate-data": certificate, "client-key-data": key}
        else:
            secret = {"token": self.access.issue(user, expires_in)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user.name, "user": msgspec.to_builtins(secret)}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user.name}}],
            "current-context": "test",
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o600)
        return path

    def _change(self, put: Iterable[Object], delete: Iterable[Object]) -> list[Change]:
        changes = []
        for value in put:
            resource = BY_KIND[value["apiVersion"], value["kind"]]
            metadata = dict(value["metadata"])
            if resource.namespaced:
                metadata.setdefault("namespace", "default")
            if "uid" not in metadata:
                entry = self.store.get(resource, metadata.get("namespace", ""), metadata["name"])
                former = {} if entry is None else entry.object()["metadata"]
                metadata["uid"] = former.get("uid") or self._admission.uid()
                metadata.setdefault("creationTimestamp", former.get("creationTimestamp", "2025-03-03T09:12:44Z"))
            if resource is SERVICES:
                self._admission.cluster_ips.taken.update(value.get("spec", {}).get("clusterIPs") or ())
            changes.append(self.store.put(resource, {**value, "metadata": metadata}))
        for value in delete:
            resource = BY_KIND[value["apiVersion"], value["kind"]]
            metadata = value["metadata"]
            namespace = metadata.get("namespace", "default") if resource.namespaced else ""
            entry = self.store.get(resource, namespace, metadata["name"])
            if entry is None:
                raise KeyError(f"{resource.qualified} {namespace}/{metadata['name']}")
            changes.append(self.store.delete(resource, entry))
            self._admission.deleted(resource, entry)
        return changes

    def _strike(self, fault: Fault, resource: str | None) -> int:
        outputs = [output for output in self._handlers.outputs if resource in (None, output.resource)]
        for output in outputs:
            output.struck(fault)
        return len(outputs)


@contextlib.contextmanager
def in_thread(server: ApiServer, prepare: Callable[[], None] = lambda: None) -> Iterator[ApiServer]:
    """Run a server in a thread with its own event loop; `prepare` is called in the thread before."""
    ready: concurrent.futures.Future[asyncio.Event] = concurrent.futures.Future()

    async def main() -> None:
        try:
            prepare()
            async with server:
                stop = asyncio.Event()
                ready.set_result(stop)
                await stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="API server", daemon=True)
    thread.start()
    stop = ready.result(timeout=DEADLINE)
    try:
        yield server
    finally:
        server.call(stop.set)
        thread.join(timeout=DEADLINE)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

"""Connections to an API server: its address, our credentials, and one request at a time.

`kubernetes.aio` reads the credentials. Its import costs a third of a second and 20 MB, so it happens when a cluster is
first asked.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dnsbridge.watch.api.certificate import not_after
from dnsbridge.watch.api.kubeconfig import problem_of

if TYPE_CHECKING:
    from aiohttp import BaseConnector, ClientResponse
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.client.rest import RESTClientObject

CONNECT_TIMEOUT = 10.0
"""Seconds for TCP and TLS."""
RECEIVE_BUFFER = 128 << 10
"""Octets of a list that may wait in the kernel (tcp(7)). By default the kernel takes megabytes, and waiting octets are
decrypted in one go while questions wait. With a round trip of 20 ms this still allows over 5 MB a second."""
_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
    (socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER),
)


class ApiAddress(Struct, frozen=True):
    """The API server and user: of a kubeconfig (None: $KUBECONFIG or ~/.kube/config), or the pod's service account."""

    kubeconfig: Path | None = None
    context: str | None = None
    in_cluster: bool = False

    def __str__(self) -> str:
        if self.in_cluster:
            return "the pod's service account"
        return f"kubeconfig {self.path_list}" + (f", context {self.context}" if self.context else "")

    @property
    def path_list(self) -> str:
        """The path of the kubeconfig, or the path list of $KUBECONFIG."""
        return str(self.kubeconfig) if self.kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"


class CannotConnect(Exception):
    """Why the API server cannot be asked, in one line."""


class NoCredentials(CannotConnect):
    """There are no credentials at present: a credential plugin failed, or the client certificate has expired."""


class _Session:
    """Credentials and a pool of connections; closed once it is retired and has no users."""

    def __init__(self, configuration: "Configuration", rest: "RESTClientObject", connector: "BaseConnector") -> None:
        self.configuration = configuration
        self.rest = rest
        self.connector = connector
        self.users = 0
        self.retired = False

    async def leave(self) -> None:
        """One user less."""
        self.users -= 1
        await self.close_if_done()

    async def close_if_done(self) -> None:
        """Close the session if it is retired and has no users."""
        if self.retired and not self.users:
            await self.rest.close()
            await self.connector.close()


class Connection:
    """Requests to one API server."""

    def __init__(self, address: ApiAddress) -> None:
        self.address = address
        self._session: _Session | None = None
        self._opening = asyncio.Lock()

    @property
    def server(self) -> str:
        """The URL of the API server; empty until it has been read."""
        return str(self._session.configuration.host) if self._session else ""

    async def open(self) -> None:
        """Read the address and the credentials, without a request to the server. Raises CannotConnect."""
        await self._open()

    async def close(self) -> None:
        """Close all connections that are not in use."""
        await self._retire(self._session)

    @asynccontextmanager
    async def get(self, path: str, silence: float, connect: float = CONNECT_TIMEOUT) -> AsyncIterator["ClientResponse"]:
        """A response whose body is still to be read; it ends with TimeoutError after `silence` seconds of silence.

        `connect` is in seconds, for TCP and TLS. After 401 the credentials are read anew for the next request, while
        other watches go on. Raises CannotConnect, and what aiohttp raises (ClientError, OSError, TimeoutError).
        """
        session = await self._open()
        session.users += 1
        try:
            response = await self._ask(session, path, silence, connect)
            try:
                if response.status == HTTPStatus.UNAUTHORIZED:
                    await self._retire(session)
                yield response
            finally:
                # The server may still be sending on an abandoned watch, so its connection cannot be used again.
                response.close()
        finally:
            await session.leave()

    async def _ask(self, session: _Session, path: str, silence: float, connect: float) -> "ClientResponse":
        from aiohttp import ClientTimeout  # noqa: PLC0415  loaded with the first connection

        headers = {"Accept": "application/json", "User-Agent": "dnsbridge"}
        authorization = await session.configuration.get_api_key_with_prefix("BearerToken")
        if authorization:
            headers["Authorization"] = authorization.strip()  # a token file may end with a newline
        timeout = ClientTimeout(total=None, sock_connect=connect, sock_read=silence)
        url = session.configuration.host + path
        answer = await session.rest.request("GET", url, headers=headers, _request_timeout=timeout)  # type: ignore[no-untyped-call]
        response: ClientResponse = answer.response
        return response

    @property
    def certificate_ends(self) -> datetime | None:
        """When the client certificate in use ends; None while none is."""
        file = self._session.configuration.cert_file if self._session else None
        return not_after(Path(file)) if file else None

    async def _retire(self, session: _Session | None) -> None:
        if session and self._session is session:
            self._session = None
            session.retired = True
            await session.close_if_done()

    async def _open(self) -> _Session:
        async with self._opening:
            if self._session is None:
                configuration = await configuration_of(self.address)
                try:
                    self._session = _session(configuration)
                except (OSError, ValueError) as error:
                    raise CannotConnect(f"{self.address}: certificate or key: {_reason(error)}") from None
            return self._session


def bear(response: "ClientResponse", silence: float) -> None:
    """Allow the rest of a response to be silent for `silence` seconds."""
    # Compared with None: an idle protocol is a queue, and false while it is empty.
    if response.connection is not None and (protocol := response.connection.protocol) is not None:
        protocol.read_timeout = silence
        protocol.start_timeout()


def _session(configuration: "Configuration") -> _Session:
    from aiohttp import TCPConnector  # noqa: PLC0415
    from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415

    rest = RESTClientObject(configuration)
    connector = TCPConnector(limit=0, ssl=rest.ssl_context, socket_factory=_socket, force_close=False)
    configuration.client_session_kwargs = {"connector": connector}
    rest.pool_manager = rest._create_pool_manager()
    return _Session(configuration, rest, connector)


def _socket(info: Any) -> socket.socket:
    """A socket that detects a dead peer (keepalive and TCP_USER_TIMEOUT, tcp(7))."""
    family, kind, protocol, _, _ = info
    made = socket.socket(family, kind, protocol)
    for level, option, value in _OPTIONS:
        made.setsockopt(level, option, value)
    return made


def check_files(address: ApiAddress) -> None:
    """Check that the kubeconfig exists and is complete, without running a plugin. Raises CannotConnect."""
    if not address.in_cluster and (problem := problem_of(address.path_list, address.context)):
        raise CannotConnect(f"kubeconfig {problem}")


async def configuration_of(address: ApiAddress) -> "Configuration":
    """The address and the credentials. Raises CannotConnect."""
    from kubernetes.aio import config  # noqa: PLC0415
    from kubernetes.aio.client import Configuration  # noqa: PLC0415

    configuration = Configuration()
    check_files(address)
    overheard: list[str] = []
    _overheard.set(overheard)
    logging.getLogger("kubernetes.aio.config.kube_config").addFilter(_overhear)
    try:
        if address.in_cluster:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=address.path_list,
                context=address.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except Exception as error:  # on a hostile file the library raises anything
        raise CannotConnect(f"{address}: {_reason(error)}") from None
    if overheard:
        raise NoCredentials(f"{address}: {' '.join(overheard[0].split())[:300]}")
    if configuration.cert_file:
        ends = not_after(Path(configuration.cert_file))
        if ends and ends < datetime.now(UTC):
            raise NoCredentials(f"{address}: the client certificate has expired, on {ends:%Y-%m-%d}; renew it")
    return configuration


_overheard: ContextVar[list[str]] = ContextVar("overheard")


def _overhear(record: logging.LogRecord) -> bool:
    """A log filter that keeps the library's warnings: it only logs why a credential plugin failed, and goes on."""
    if record.levelno >= logging.WARNING:
        _overheard.get([]).append(record.getMessage())
    return False


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{(error.strerror or 'cannot be read').lower()}: {error.filename}"
    return " ".join(str(error).split())[:300] or type(error).__name__

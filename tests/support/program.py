"""The program as a process of its own on loopback, asked over the network as its users ask it.

    Program               `dnsbridge serve` over manifests; `with` starts and stops it
    RunningUpstream       a ScriptedUpstream in a thread of its own; `with` starts and stops it
    records               a section of a message as a list of text lines

Nothing is ever asked of this machine's own DNS servers: unless a test names an upstream, questions go to a closed port.
"""

import asyncio
import json
import re
import socket
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.support.logged_process import LoggedProcess
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.started import ENVIRONMENT
from tests.support.started import ROOT as ROOT  # noqa: PLC0414 - tests find it here as well
from tests.support.waiting import DEADLINE as DEADLINE  # noqa: PLC0414 - tests find it here as well
from tests.support.waiting import eventually as eventually  # noqa: PLC0414 - tests find it here as well

Transport = Literal["udp", "tcp"]
TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp")


def total(samples: Mapping[str, float], name: str, *labels: str) -> float:
    """The sum of a metric's samples that have these labels, each as written: `transport="udp"`."""
    found = [value for key, value in samples.items() if key.partition("{")[0] == name]
    assert found, name
    return sum(
        value for key, value in samples.items() if key.partition("{")[0] == name and all(each in key for each in labels)
    )


class Server(NamedTuple):
    """Where the program listens."""

    host: str
    port: int


class Program:
    """`dnsbridge serve`.

    `settings` is written to a configuration file; `manifests` goes with one cluster only. `upstreams` are `ADDR:PORT`
    for the flag --upstream: without any a closed port of loopback, with None no flag, for settings that name them.
    `environment` is added to this process's own. `command_prefix` is what runs it elsewhere (`ip netns exec NAME`); of
    what it does there only its log can be seen from here.
    """

    def __init__(
        self,
        manifests: Path | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        upstreams: Sequence[str] | None = (),
        listen: Sequence[str] = ("127.0.0.1:0", "[::1]:0"),
        http: bool = False,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        command_prefix: Sequence[str] = (),
        constants: Mapping[str, float] | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dnsbridge-test-")
        self._closed = closed_port()
        self._prefix = command_prefix
        self._command = ["serve", "--http", "127.0.0.1:0" if http else ""]
        if manifests:
            self._command += ["--manifests", str(manifests)]
        if settings is not None:
            file = Path(self._folder.name) / "dnsbridge.yaml"
            file.write_text(json.dumps(settings), encoding="utf-8")
            self._command += ["--config", str(file)]
        if upstreams is not None:
            for upstream in upstreams or [f"127.0.0.1:{self._closed.getsockname()[1]}"]:
                self._command += ["--upstream", upstream]
        for address in listen:
            self._command += ["--listen", address]
        self._command += options
        self._environment = environment or {}
        self._constants = constants
        self._process: LoggedProcess | None = None
        self.servers: list[Server] = []
        """In the order of `listen`."""

    def __enter__(self) -> "Program":
        environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("KUBECONFIG", "http_proxy")}
        environment.update(self._environment)
        self._process = LoggedProcess(self._command, self._prefix, environment, constants=self._constants)
        try:
            self.wait_for_log(r"""[ "]ready("})?$""")  # as a line for people, or in JSON
            found = self.wait_for_log(r"""[ "]listening on (.*) \(UDP and TCP\)("})?$""")
        except BaseException:
            self.kill()
            raise
        for address in found[1].split(", "):
            host, _, port = address.rpartition(":")
            self.servers.append(Server(host.strip("[]"), int(port)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind:
            self.kill()
        else:
            self.stop()

    @property
    def port(self) -> int:
        """The port of the first address that is listened on, 127.0.0.1 unless the test chose others."""
        return self.servers[0].port

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process
        return self._process.pid

    def log(self) -> list[str]:
        """The whole lines of its log so far."""
        assert self._process
        return self._process.lines

    def wait_for_log(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line from number `after` on that matches, when it comes."""
        assert self._process
        return self._process.wait_for_log(pattern, after)

    def stop(self) -> None:
        """End it with SIGTERM; it must end well, and must not have met an error of its own."""
        assert self._process
        try:
            self._process.stop()
        finally:
            self._cleanup()

    def kill(self) -> None:
        """End it at once, whatever it does."""
        assert self._process
        self._process.kill()
        self._cleanup()

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels as written, `dnsbridge_ignored_total{reason="response"}` (needs `http`)."""
        samples = [line.rpartition(" ") for line in self.page("/metrics").splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, _, value in samples}

    def page(self, path: str) -> str:
        """What it shows over HTTP (needs `http`)."""
        place = self.wait_for_log(r"metrics on (http://\S+)/metrics")[1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(place + path, timeout=DEADLINE) as response:
            found: bytes = response.read()
        return found.decode()

    def exchange_raw(
        self, message: bytes, transport: Transport = "udp", *, server: int = 0, timeout: float = DEADLINE
    ) -> bytes | None:
        """The answer to some octets; None if there is none in time, or the connection was closed."""
        host, port = self.servers[server]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            if transport == "udp":
                with socket.socket(family, socket.SOCK_DGRAM) as udp:
                    udp.settimeout(timeout)
                    udp.connect((host, port))
                    udp.send(message)
                    return udp.recv(65535)
            with socket.create_connection((host, port), timeout) as tcp:
                tcp.sendall(framed(message))
                return receive_frame(tcp)
        except (TimeoutError, ConnectionError):
            return None

    @contextmanager
    def sent(self, message: bytes) -> Iterator[Callable[[], bytes | None]]:
        """Send some octets over UDP; what is yielded gives the answer that has come by then, and waits for none."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect(self.servers[0])
            udp.send(message)
            udp.setblocking(False)

            def received() -> bytes | None:
                try:
                    return udp.recv(65535)
                except (BlockingIOError, ConnectionRefusedError):
                    return None

            yield received

    def exchange(
        self, query: dns.message.Message, transport: Transport = "udp", *, server: int = 0, timeout: float = DEADLINE
    ) -> dns.message.Message:
        """The answer to a query, read by dnspython, which must be well-formed and hold no record twice."""
        octets = self.exchange_raw(query.to_wire(), transport, server=server, timeout=timeout)
        assert octets is not None, f"no answer over {transport} to {query.to_text()}"
        response = dns.message.from_wire(octets)
        assert response.id == query.id
        assert response.flags & dns.flags.QR
        held = [sum(len(rrset) for rrset in section) for section in response.sections[1:]]
        held[2] += response.opt is not None
        assert [int.from_bytes(octets[at : at + 2], "big") for at in (6, 8, 10)] == held, "a record comes twice"
        return response

    def ask(
        self,
        name: str | dns.name.Name,
        rtype: str = "A",
        transport: Transport = "udp",
        *,
        rclass: str = "IN",
        edns: int | bool = False,
        payload: int = 1232,
        options: Sequence[dns.edns.Option] = (),
        dnssec_ok: bool = False,
        flags: int = dns.flags.RD,
        server: int = 0,
        timeout: float = DEADLINE,
    ) -> dns.message.Message:
        """The answer to one question; `edns` is False or a version, `server` the number of the address to ask."""
        query = dns.message.make_query(name, rtype, rclass, flags=flags)
        if edns is not False or options or dnssec_ok:
            query.use_edns(int(edns is not True and edns), 0, payload, options=list(options))
            query.want_dnssec(dnssec_ok)
        return self.exchange(query, transport, server=server, timeout=timeout)

    def _cleanup(self) -> None:
        self._closed.close()
        self._folder.cleanup()


class RunningUpstream:
    """A ScriptedUpstream in a thread; its `asked` may be read at any time."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.upstream = upstream
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    def __enter__(self) -> "RunningUpstream":
        self._thread.start()
        assert self._started.wait(DEADLINE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop
        assert self._ended
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(DEADLINE)

    @property
    def address(self) -> str:
        """For Program's `upstreams`."""
        return f"127.0.0.1:{self.upstream.port}"

    def count(self) -> int:
        """How many questions it was asked so far."""
        return len(self.upstream.asked) + len(self.upstream.asked_tcp)

    def asked(self, after: int = 0) -> list[str]:
        """Names and types that it was asked, without the first `after`, as they came: `"www.example. A"`.

        Over UDP first, then over TCP.
        """
        found = []
        for octets in (self.upstream.asked + self.upstream.asked_tcp)[after:]:
            question = dns.message.from_wire(octets).question[0]
            found.append(f"{question.name} {dns.rdatatype.to_text(question.rdtype)}")
        return found

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        async with self.upstream:
            self._started.set()
            await self._ended.wait()


def closed_port() -> socket.socket:
    """A socket that holds a UDP port of 127.0.0.1 with another peer, so that whoever asks there gets an ICMP error."""
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.bind(("127.0.0.1", 0))
    held.connect(("127.0.0.1", 1))
    return held


def framed(message: bytes) -> bytes:
    """A message as it goes over TCP."""
    return len(message).to_bytes(2, "big") + message


def receive_frame(connection: socket.socket) -> bytes | None:
    """The next message of a TCP connection; None when it was closed."""
    size = _receive_exactly(connection, 2)
    return size and _receive_exactly(connection, int.from_bytes(size, "big"))


def _receive_exactly(connection: socket.socket, size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        octets = connection.recv(size - len(received))
        if not octets:
            return None
        received += octets
    return bytes(received)


def records(section: Sequence[dns.rrset.RRset]) -> list[str]:
    """The records of a section as sorted lines, `NAME TTL CLASS TYPE DATA`, names as they came."""
    return sorted(line for rrset in section for line in rrset.to_text().splitlines())

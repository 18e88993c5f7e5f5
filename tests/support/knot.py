"""A real authoritative server, Knot DNS, on loopback: zones in, a running knotd out. It needs no root.

with Knot(folder, {"corp.example": ZONE}) as knot:
    knot.port     UDP and TCP, on 127.0.0.1
"""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.support.waiting import DEADLINE, eventually

ADDRESS = "127.0.0.1"
STOP_SECONDS = 5
_TRIES = 5


class Knot:
    """A knotd with master files; `with` runs it."""

    def __init__(
        self,
        folder: Path,
        zones: Mapping[str, str],
        *,
        address: str = ADDRESS,
        port: int = 0,
        command_prefix: Sequence[str] = (),
    ) -> None:
        """`zones` are master files by zone name; port 0 is any free one.

        `command_prefix` is what runs it elsewhere (`ip netns exec NAME`); its port is then given, and not waited for.
        """
        self.address = address
        self.port = port
        self._folder = folder
        self._zones = dict(zones)
        self._prefix = list(command_prefix)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Knot":
        self._folder.mkdir(parents=True, exist_ok=True)
        for zone, text in self._zones.items():
            (self._folder / f"{zone}.zone").write_text(text, encoding="utf-8")
        chosen = self.port
        for _ in range(_TRIES):
            self.port = chosen or free_port()
            if self._start():
                return self
        raise AssertionError(f"knotd does not start: {self._log()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it. May be repeated."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ask(self, name: str, rtype: str, *, tcp: bool = False) -> dns.message.Message:
        """Its own answer."""
        query = dns.message.make_query(name, rtype, use_edns=0, payload=1232)
        exchange = dns.query.tcp if tcp else dns.query.udp
        return exchange(query, self.address, timeout=DEADLINE, port=self.port)

    def _start(self) -> bool:
        """Start it and wait until it has all zones; False if it ended, as it does when its port was taken meanwhile."""
        config = self._folder / "knot.conf"
        config.write_text(self._config(), encoding="utf-8")
        with (self._folder / "knot.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._prefix, "knotd", "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if self._prefix:
            return True
        process = self._process
        eventually(lambda: process.poll() is not None or all(map(self._has, self._zones)), self._log)
        if process.poll() is None:
            return True
        self.stop()
        return False

    def _has(self, zone: str) -> bool:
        try:
            # Over TCP, where a server that is not there yet says so at once.
            return self.ask(zone, "SOA", tcp=True).rcode() == dns.rcode.NOERROR
        except (OSError, dns.exception.DNSException):
            return False

    def _log(self) -> str:
        return (self._folder / "knot.log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def _config(self) -> str:
        zones = "".join(f"  - domain: {zone}\n    file: {zone}.zone\n" for zone in self._zones)
        return f"""server:
    listen: {self.address}@{self.port}
    rundir: {self._folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {self._folder}/database
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: {self._folder}
    zonefile-sync: -1
zone:
{zones}"""


def free_port() -> int:
    """A port of 127.0.0.1 that is free over UDP and TCP just now."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
            stream.bind((ADDRESS, 0))
            port: int = stream.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                try:
                    datagrams.bind((ADDRESS, port))
                except OSError:
                    continue
                return port
    raise AssertionError("no port is free")

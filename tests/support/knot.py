"""A real authoritative server, Knot DNS, on loopback: zones in, a running knotd out. It needs no root.

with Knot(folder, {"corp.example": ZONE}) as knot:
    knot.port     UDP and TCP, on 127.0.0.1
"""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.support.daemon import Daemon
from tests.support.waiting import DEADLINE, eventually

ADDRESS = "127.0.0.1"
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
        self._daemon: Daemon | None = None

    def __enter__(self) -> "Knot":
        self._folder.mkdir(parents=True, exist_ok=True)
        for zone, text in self._zones.items():
            (self._folder / f"{zone}.zone").write_text(text, encoding="utf-8")
        chosen = self.port
        for _ in range(_TRIES):
            self.port = chosen or free_port()
            if self._start():
                return self
        raise AssertionError(f"knotd does not start: {self._daemon.said() if self._daemon else None}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it. May be repeated."""
        if self._daemon:
            self._daemon.stop()

    def ask(self, name: str, rtype: str, *, tcp: bool = False) -> dns.message.Message:
        """Its own answer."""
        query = dns.message.make_query(name, rtype, use_edns=0, payload=1232)
        exchange = dns.query.tcp if tcp else dns.query.udp
        return exchange(query, self.address, timeout=DEADLINE, port=self.port)

    def _start(self) -> bool:
        """Start it and wait until it has all zones; False if it ended, as it does when its port was taken meanwhile."""
        config = self._folder / "knot.conf"
        config.write_text(self._config(), encoding="utf-8")
        daemon = Daemon(None, [*self._prefix, "knotd", "-c", str(config)], self._folder / "knot.log")
        self._daemon = daemon
        if not self._prefix:
            eventually(lambda: daemon.ended or all(map(self._has, self._zones)), daemon.said)
        return not daemon.ended

    def _has(self, zone: str) -> bool:
        try:
            # Over TCP, where a server that is not there yet says so at once.
            return self.ask(zone, "SOA", tcp=True).rcode() == dns.rcode.NOERROR
        except (OSError, dns.exception.DNSException):
            return False

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

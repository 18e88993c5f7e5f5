"""A real resolver, unbound, on loopback over TLS, with data of its own and nobody to ask. It needs no root.

with Unbound(folder, certificate, key, ["www.corp.example. 60 A 192.0.2.10"]) as unbound:
    unbound.port     TLS, on 127.0.0.1
"""

import socket
from collections.abc import Sequence
from pathlib import Path

from tests.support.daemon import RealServer
from tests.support.knot import ADDRESS, free_port


class Unbound(RealServer):
    """An unbound with a certificate and some records; `with` runs it."""

    def __init__(self, folder: Path, certificate: Path, key: Path, records: Sequence[str]) -> None:
        super().__init__()
        self.port = 0
        self._folder = folder
        self._settings = {
            "chroot": '""',
            "username": '""',
            "pidfile": '""',
            "directory": f'"{folder}"',
            "use-syslog": "no",
            "do-daemonize": "no",
            "module-config": '"iterator"',
            "num-threads": "1",
            "tls-service-pem": f'"{certificate}"',
            "tls-service-key": f'"{key}"',
            "local-zone": '"." static',
        }
        self._records = list(records)

    def _start(self) -> None:
        self.port = free_port()
        lines = [f"interface: {ADDRESS}@{self.port}", f"tls-port: {self.port}"]
        lines += [f"{name}: {value}" for name, value in self._settings.items()]
        lines += [f"local-data: '{record}'" for record in self._records]
        config = self._folder / "unbound.conf"
        config.write_text("server:\n" + "".join(f"    {line}\n" for line in lines), encoding="utf-8")
        self._run(["unbound", "-d", "-c", str(config)], self._folder / "unbound.log", self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, self.port)) == 0

"""A real BIND on loopback, with zones of its own: a recursor that asks nobody else, or one that does not recurse.

with Bind(folder, {"corp.example": ZONE}, recursion=True) as bind:
    bind.port     UDP and TCP, on 127.0.0.1
"""

import socket
from collections.abc import Mapping
from pathlib import Path

from tests.support.daemon import RealServer
from tests.support.knot import ADDRESS, free_port

ROOT_ZONE = "$TTL 300\n@ SOA a.root. b.root. 1 3600 600 86400 60\n@ NS a.root.\na.root. A 192.0.2.53\n"


class Bind(RealServer):
    """A named with master files; `with` runs it. With `recursion` it follows aliases, and knows no other names."""

    def __init__(self, folder: Path, zones: Mapping[str, str], *, recursion: bool) -> None:
        super().__init__()
        self.port = 0
        self._folder = folder
        self._zones = {**zones, **({".": ROOT_ZONE} if recursion else {})}
        self._recursion = recursion

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for zone, text in self._zones.items():
            (self._folder / f"{zone.strip('.') or 'root'}.zone").write_text(text, encoding="utf-8")
        self.port = free_port()
        config = self._folder / "named.conf"
        config.write_text(self._config(), encoding="utf-8")
        command = ["named", "-g", "-n", "1", "-c", str(config)]
        self._run(command, self._folder / "named.log", self._listens)

    def _listens(self) -> bool:
        """It listens once it has loaded its zones."""
        if "all zones loaded" not in (self._folder / "named.log").read_text(encoding="utf-8", errors="replace"):
            return False
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, self.port)) == 0

    def _config(self) -> str:
        zones = "".join(
            f'zone "{zone}" {{ type master; file "{zone.strip(".") or "root"}.zone"; }};\n' for zone in self._zones
        )
        allowed = "any" if self._recursion else "none"
        return f"""options {{
    directory "{self._folder}";
    listen-on port {self.port} {{ {ADDRESS}; }};
    listen-on-v6 {{ none; }};
    pid-file "{self._folder}/named.pid";
    session-keyfile "{self._folder}/session.key";
    recursion yes;
    allow-recursion {{ {allowed}; }};
    allow-query-cache {{ {allowed}; }};
    dnssec-validation no;
    empty-zones-enable no;
}};
controls {{}};
{zones}"""

"""A real BIND on loopback, with zones of its own: a recursor that asks nobody else, or one that does not recurse.

with Bind(folder, {"corp.example": ZONE}, recursion=True) as bind:
    bind.port     UDP and TCP, on 127.0.0.1
"""

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support.knot import ADDRESS, STOP_SECONDS, free_port
from tests.support.waiting import eventually

ROOT_ZONE = "$TTL 300\n@ SOA a.root. b.root. 1 3600 600 86400 60\n@ NS a.root.\na.root. A 192.0.2.53\n"


class Bind:
    """A named with master files; `with` runs it. With `recursion` it follows aliases, and knows no other names."""

    def __init__(self, folder: Path, zones: Mapping[str, str], *, recursion: bool) -> None:
        self.port = 0
        self._folder = folder
        self._zones = {**zones, **({".": ROOT_ZONE} if recursion else {})}
        self._recursion = recursion
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Bind":
        self._folder.mkdir(parents=True, exist_ok=True)
        for zone, text in self._zones.items():
            (self._folder / f"{zone.strip('.') or 'root'}.zone").write_text(text, encoding="utf-8")
        self.port = free_port()
        config = self._folder / "named.conf"
        config.write_text(self._config(), encoding="utf-8")
        with (self._folder / "named.log").open("wb") as log:
            command = ["named", "-g", "-n", "1", "-c", str(config)]
            process = self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            eventually(lambda: process.poll() is not None or self._listens(), self._log)
            assert process.poll() is None, f"named does not start: {self._log()}"
        except BaseException:
            self.stop()
            raise
        return self

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

    def _listens(self) -> bool:
        """It listens once it has loaded its zones."""
        if "all zones loaded" not in self._log():
            return False
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, self.port)) == 0

    def _log(self) -> str:
        return (self._folder / "named.log").read_text(encoding="utf-8", errors="replace")[-4000:]

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

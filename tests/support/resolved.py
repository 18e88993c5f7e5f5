"""A real systemd-resolved on a host, without the rest of systemd: it and a bus of its own, in a /run of its own.

with Resolved(host, files, folder) as resolved:
    must(host, "resolvectl", "dns", "eth0", "10.0.0.53")
    files.write("systemd/resolved.conf.d/cluster.conf", "[Resolve]\nDomains=~cluster.local\n")
    resolved.restart()
"""

from pathlib import Path

from tests.support.daemon import RealServer
from tests.support.namespace import Namespace
from tests.support.own_files import OwnFiles

PARTS = ("systemd-resolved", "resolvectl", "dbus-daemon", "libnss_resolve.so.2")
_BUS = """<busconfig>
<type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow eavesdrop="true"/>
<allow send_destination="*"/></policy>
</busconfig>
"""
_SETTINGS = "[Resolve]\nFallbackDNS=\nMulticastDNS=no\nLLMNR=no\n"
"""Nobody is asked but whom a test names."""
_USER = "systemd-resolve"


class Resolved(RealServer):
    """The daemon; `with` runs it."""

    def __init__(self, host: Namespace, files: OwnFiles, folder: Path) -> None:
        super().__init__()
        self._host = host
        self._log = folder / "resolved.log"
        self._bus_log = folder / "bus.log"
        files.user(_USER)
        files.write("systemd/resolved.conf", _SETTINGS)
        files.write("own-bus.conf", _BUS)
        self._resolved = ["sh", "-ec", "mkdir -p /run/systemd; exec systemd-resolved"]

    def _start(self) -> None:
        bus = ["sh", "-ec", "mkdir -p /run/dbus; exec dbus-daemon --config-file=/etc/own-bus.conf --nofork --nopidfile"]
        self._run(bus, self._bus_log, lambda: self._has("test", "-S", "/run/dbus/system_bus_socket"), self._host)
        self._start_resolved()

    def _start_resolved(self) -> None:
        self._run(self._resolved, self._log, lambda: self._has("resolvectl", "dns"), self._host)

    def _has(self, *command: str) -> bool:
        return self._host.run(*command).returncode == 0

    def restart(self) -> None:
        """End the daemon and start it again, as `systemctl restart` does."""
        self._daemons.pop().stop()
        self._start_resolved()

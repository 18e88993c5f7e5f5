"""A real avahi-daemon on a host: whom the modules of nss-mdns ask. It needs no bus.

with Avahi(host, files, folder):
    ...
"""

from pathlib import Path

from tests.support.daemon import RealServer
from tests.support.namespace import Namespace
from tests.support.own_files import OwnFiles

PARTS = ("avahi-daemon", "libavahi-core.so.7", "libavahi-common.so.3", "libdaemon.so.0", "libnss_mdns4.so.2")
_SETTINGS = "[server]\nenable-dbus=no\nuse-ipv6=no\n[publish]\ndisable-publishing=yes\n"


class Avahi(RealServer):
    """The daemon; `with` runs it."""

    def __init__(self, host: Namespace, files: OwnFiles, folder: Path) -> None:
        super().__init__()
        self._host = host
        self._log = folder / "avahi.log"
        files.user("avahi")
        files.write("own-avahi.conf", _SETTINGS)

    def _start(self) -> None:
        command = ["avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "--file=/etc/own-avahi.conf"]
        started = "Server startup complete"
        self._run(command, self._log, lambda: started in self._log.read_text(encoding="utf-8"), self._host)

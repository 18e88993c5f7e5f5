"""A network namespace with nothing but loopback, and a resolv.conf of its own: what a host that uses us looks like.

    with Namespace("nameserver 127.0.0.1\n") as namespace:
        namespace.run("getent", "ahosts", "web.shop.svc.cluster.local")

`ip netns exec` shows the commands in it /etc/netns/NAME/* as /etc/* (ip-netns(8)); nothing outside changes.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.support.waiting import DEADLINE

FILES = Path("/etc/netns")
PREFIX = "dnsbridge-"
"""What the name of each namespace begins with; then comes the process that has it."""
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """The namespace; `with` makes and removes it. Needs root."""

    def __init__(self, resolv_conf: str) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        self.prefix = ["ip", "netns", "exec", self.name]
        """What runs a command in it."""
        self._resolv_conf = resolv_conf
        self._folder = FILES / self.name

    def __enter__(self) -> "Namespace":
        _run("ip", "netns", "add", self.name)
        try:
            self.configure(self._resolv_conf)
            # glibc would ask files and, on some hosts, a service first.
            (self._folder / "nsswitch.conf").write_text("hosts: dns\n", encoding="utf-8")
            _run(*self.prefix, "ip", "link", "set", "lo", "up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def configure(self, resolv_conf: str) -> None:
        """Another resolv.conf(5) for the commands to come."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "resolv.conf").write_text(resolv_conf, encoding="utf-8")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=DEADLINE, check=False)

    def enter(self) -> None:
        """Have the calling thread in it from now on: the sockets that it opens are there."""
        opened = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if _libc.setns(opened, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
        finally:
            os.close(opened)

    def _remove(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(OSError):  # other namespaces have files there, or it is gone
            FILES.rmdir()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")

"""A daemon that a test runs, what it logs, and a folder that the user it becomes can reach.

folder = open_folder()
daemon = Daemon(host, ["bird", "-f", ...], folder / "bird.log")
daemon.wait(lambda: ...)
...
daemon.stop()
"""

import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.support.namespace import Namespace
from tests.support.waiting import eventually

STOP_SECONDS = 5


class Daemon:
    """One process, in the foreground of a namespace or of this host."""

    def __init__(self, host: Namespace | None, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*(host.prefix if host else ()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]

    def check(self) -> None:
        """Fail the test if it has ended."""
        if self.ended:
            raise AssertionError(f"ended: {self.said()}")

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until it is ready; fail the test, and end it, if that never comes."""
        try:
            eventually(lambda: self.ended or ready(), self.said)
            self.check()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it. May be repeated."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class RealServer(ABC):
    """A server that is not ours; `with` runs it, and its port or socket is there when the block begins."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        """What goes after the processes, such as their folder."""
        self._daemons: list[Daemon] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._stack.close()

    def stop(self) -> None:
        """End its processes. May be repeated."""
        for daemon in reversed(self._daemons):
            daemon.stop()

    @abstractmethod
    def _start(self) -> None:
        """Write what it reads, and run it."""

    def _run(self, command: Sequence[str], log: Path, ready: Callable[[], bool], host: Namespace | None = None) -> None:
        """Run one of its processes, on this host or in a namespace, and wait until it is ready."""
        daemon = Daemon(host, command, log)
        self._daemons.append(daemon)
        daemon.wait(ready)


@contextmanager
def open_folder(user: str = "") -> Iterator[Path]:
    """A folder that a daemon can reach that gives its privileges up; pytest's own are closed to all but root."""
    folder = Path(tempfile.mkdtemp(prefix="dnsbridge-"))
    try:
        folder.chmod(0o755)
        if user and os.geteuid() == 0:
            shutil.chown(folder, user, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

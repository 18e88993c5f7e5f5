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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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

"""A daemon that a test runs in a namespace, what it logs, and a folder that the user it becomes can reach.

folder = open_folder()
daemon = Daemon(host, ["bird", "-f", ...], folder / "bird.log")
...
daemon.stop()
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.namespace import Namespace

STOP_SECONDS = 5


class Daemon:
    """One process, in the foreground of its namespace."""

    def __init__(self, host: Namespace, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*host.prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def check(self) -> None:
        """Fail the test if it has ended."""
        if self._process.poll() is not None:
            raise AssertionError(f"ended: {self.log.read_text(encoding='utf-8', errors='replace')[-2000:]}")

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

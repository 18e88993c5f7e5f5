"""Starts `dnsbridge` commands as processes of their own.

    start(["serve", ...], ...)       a process; run(["config", "check"])  what it printed, when it has ended

They are forked from one that has loaded the program already (see fork_server), by far the longest part of a start.
Whoever needs another interpreter, or a prefix other than that of a namespace, starts `PYTHON_M` by itself.
"""

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import msgspec

from tests.support.fork_server import Request
from tests.support.waiting import DEADLINE

ROOT = Path(__file__).parent.parent.parent
"""The checkout."""
ENVIRONMENT = dict(os.environ)
"""Of this process: pytest changes it while threads of tests read it."""
PYTHON_M = (sys.executable, "-m", "dnsbridge")
"""The program, where it must be loaded anew."""


class Started:
    """A process; the part of subprocess.Popen that tests need."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._lines = told.makefile("rb")
        told.settimeout(DEADLINE)
        self.pid = int(self._lines.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal, when it has ended."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it ends. Raises subprocess.TimeoutExpired after so many seconds."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and its exit code is on its way
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self.send_signal(signal.SIGKILL)


def start(
    words: Sequence[str],
    stdout: IO[Any],
    stderr: IO[Any],
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    module: str = "dnsbridge",
    constants: Mapping[str, float] | None = None,
) -> "Started | subprocess.Popen[bytes]":
    """`python -m MODULE WORDS` in the checkout's folder, standard input empty; `environment` is the whole of it.

    `constants` of its modules have other values there (see Request).
    """
    environment = dict(ENVIRONMENT if environment is None else environment)
    if prefix and not constants and not (list(prefix[:3]) == ["ip", "netns", "exec"] and len(prefix) == 4):
        command = [*prefix, sys.executable, "-m", module, *words]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=ROOT, env=environment
        )
    request = Request(
        module,
        [os.fsencode(word) for word in words],
        str(ROOT),
        environment,
        dict(constants or {}),
        prefix[3] if prefix else None,
    )
    ours, theirs = socket.socketpair()
    with theirs, Path(os.devnull).open("rb") as nothing:
        descriptors = [theirs.fileno(), nothing.fileno(), stdout.fileno(), stderr.fileno()]
        socket.send_fds(_server(), [msgspec.msgpack.encode(request)], descriptors)
    return Started(ours)


def run(
    *words: str, prefix: Sequence[str] = (), more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`dnsbridge WORDS` to its end, and what it printed; it never shows a traceback. `more` is for its environment.

    There is no kubeconfig, and it is in no pod: no test may find a real cluster. Its terminal is 100 columns wide.
    """
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("KUBE")}
    environment |= {"HOME": "/no/such/home", "COLUMNS": "100", **(more or {})}
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = start(words, stdout, stderr, environment, prefix)
        try:
            code = process.wait(DEADLINE)
        except BaseException:
            process.kill()
            raise
        stdout.seek(0)
        stderr.seek(0)
        done = subprocess.CompletedProcess(words, code, stdout.read(), stderr.read())
    assert "Traceback" not in done.stdout + done.stderr
    return done


@cache
def _server() -> socket.socket:
    """The requests of a fork server, which ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())]
        # In a process group of its own: a Ctrl-C at the terminal is for whoever started it all, who ends them in order.
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], process_group=0
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours

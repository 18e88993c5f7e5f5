"""A process of dnsbridge and its log.

The log goes to a file: a line that was written before an answer was sent is there when the answer is.
"""

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.started import start
from tests.support.waiting import DEADLINE, eventually


class LoggedProcess:
    """`python -m MODULE WORDS`, started at once."""

    def __init__(
        self,
        words: Sequence[str],
        command_prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        module: str = "dnsbridge",
        constants: Mapping[str, float] | None = None,
    ) -> None:
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._read = 0
        """Octets of the file that are in `_lines`."""
        with tempfile.TemporaryFile() as file, Path(os.devnull).open("wb") as nothing:
            self._log = os.dup(file.fileno())
            self._process = start(words, nothing, file, environment, command_prefix, module, constants)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    @property
    def lines(self) -> list[str]:
        """The whole lines of its log so far."""
        with self._lock:
            if self._log >= 0:
                self._read_on()
            return list(self._lines)

    @property
    def text(self) -> str:
        """The same."""
        return "\n".join(self.lines)

    def wait_for_log(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line from number `after` on that matches, when it comes."""

        def found() -> re.Match[str] | None:
            ended = self.ended
            for line in self.lines[after:]:
                if match := re.search(pattern, line):
                    return match
            assert not ended, f"it ended, and {missing()}"
            return None

        def missing() -> str:
            return f"no log line matches {pattern!r}:\n{self.text}"

        match = eventually(found, missing)
        assert match
        return match

    def stop(self) -> None:
        """End it with SIGTERM; it must end well, and must not have met an error of its own."""
        if not self.ended:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end on SIGTERM:\n{self.text}") from None
        self.kill()
        assert code == 0, f"exit code {code}:\n{self.text}"
        assert "Traceback" not in self.text, self.text
        assert "internal error" not in self.text, self.text

    def kill(self) -> None:
        """End it at once (SIGKILL); a second time does no harm."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            if self._log >= 0:
                self._read_on()
                os.close(self._log)
                self._log = -1

    def _read_on(self) -> None:
        while octets := os.pread(self._log, 1 << 20, self._read):
            lines = octets.split(b"\n")
            if len(lines) == 1:
                return
            self._lines += [line.decode(errors="replace") for line in lines[:-1]]
            self._read += len(octets) - len(lines[-1])

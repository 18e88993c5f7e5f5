"""One round of load: dnsperf as fast as it can on its own core, and the CPU time that the server used meanwhile."""

import os
import re
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.parts.peers import ADDRESS, Peer, which
from benchmarks.parts.run import Failed

MICROSECONDS_PER_TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")
LOST_AT_MOST = 0.001
"""Share of the questions that may stay unanswered; more, and the numbers do not mean what they say."""
CLIENTS = 8
"""Sockets that dnsperf asks from."""
OUTSTANDING = 100
"""Questions that are under way at any moment: enough to keep a server busy, too few to overflow its socket."""
NOERROR = ("NOERROR",)

_COMPLETED = re.compile(r"Queries completed:\s+(\d+)")
_SENT = re.compile(r"Queries sent:\s+(\d+)")
_RATE = re.compile(r"Queries per second:\s+([\d.]+)")
_CODES = re.compile(r"Response codes:\s+(.*)")

NAMES_PER_SECOND = 120_000
"""Of a round of new names: about as many as the fastest server answers. A round that runs out of them ends early."""


class Round(Struct, frozen=True):
    """What one round gave."""

    user: float
    """Microseconds of the server's CPU time per answer, in its own code."""
    system: float
    """The same, in the kernel."""
    rate: float
    """Answers per second."""
    busy: float
    """Share of its core that the server used; well under 1 means that dnsperf was the limit of `rate`."""

    @property
    def cpu(self) -> float:
        """Microseconds of CPU time per answer."""
        return self.user + self.system


def run_round(
    peer: Peer,
    questions: Path,
    seconds: float,
    core: int | str,
    once: bool = False,
    options: Sequence[str] = (),
    codes: Collection[str] = NOERROR,
) -> Round:
    """Ask a peer for that many seconds; raises Failed when answers were lost or had other response codes.

    `once`: no question twice; the round ends when all have been asked. `options` are dnsperf's.
    """
    before = peer.cpu_ticks()
    command = [*_command(peer, questions, seconds, core), *options]
    if once:
        command += ["-n", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    after = peer.cpu_ticks()
    completed = _completed(peer, done.returncode, done.stdout, done.stderr, codes)
    rate = float(_field(_RATE, done.stdout))
    user, system = ((end - start) * MICROSECONDS_PER_TICK / completed for start, end in zip(before, after, strict=True))
    return Round(user, system, rate, (user + system) * rate / 1_000_000)


@contextmanager
def steady(
    peer: Peer,
    questions: Path,
    rate: int,
    seconds: float,
    core: int | str,
    options: Sequence[str] = (),
    codes: Collection[str] = NOERROR,
) -> Iterator[None]:
    """Ask a peer at that many questions a second meanwhile, for `seconds`; raises Failed as run_round does.

    It is an error to leave much later: the load would have ended before.
    """
    command = [*_command(peer, questions, seconds, core), "-Q", str(rate), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
            if process.poll() is not None:
                raise Failed("dnsperf ended before the measurement did")
            stdout, stderr = process.communicate(timeout=seconds + 60)
        finally:
            process.kill()
    _completed(peer, process.returncode, stdout, stderr, codes)


def _command(peer: Peer, questions: Path, seconds: float, core: int | str) -> list[str]:
    command = ["taskset", "--cpu-list", str(core), which("dnsperf"), "-s", ADDRESS, "-p", str(peer.port)]
    return [*command, "-d", str(questions), "-l", str(seconds), "-c", str(CLIENTS), "-q", str(OUTSTANDING), "-T", "1"]


def _completed(peer: Peer, status: int, stdout: str, stderr: str, expected: Collection[str]) -> int:
    """Questions that dnsperf got the right kind of answer for; raises Failed."""
    if status:
        raise Failed(f"dnsperf ended with status {status}: {stderr.strip()[-200:]}")
    completed, sent = int(_field(_COMPLETED, stdout)), int(_field(_SENT, stdout))
    if not completed or sent - completed > sent * LOST_AT_MOST:
        raise Failed(f"{peer.name} left {sent - completed} of {sent} questions unanswered")
    codes = _field(_CODES, stdout)  # "NOERROR 990 (99.00%), NXDOMAIN 10 (1.00%)"
    if others := {part.split()[0] for part in codes.split(", ")} - set(expected):
        raise Failed(f"{peer.name} gave {', '.join(sorted(others))} instead of {' or '.join(expected)}: {codes}")
    return completed


def _field(pattern: re.Pattern[str], output: str) -> str:
    found = pattern.search(output)
    if found is None:
        raise Failed(f"dnsperf's output has no {pattern.pattern.partition(':')[0]!r}")
    return found[1]

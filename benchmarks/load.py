"""One round of load: dnsperf as fast as it can on its own core, and the CPU time that the server used meanwhile."""

import os
import re
import subprocess
from pathlib import Path

from msgspec import Struct

from benchmarks.peers import ADDRESS, Failed, Peer, which

MICROSECONDS_PER_TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")
LOST_AT_MOST = 0.001
"""Share of the questions that may stay unanswered; more, and the numbers do not mean what they say."""
CLIENTS = 8
"""Sockets that dnsperf asks from."""
OUTSTANDING = 100
"""Questions that are under way at any moment: enough to keep a server busy, too few to overflow its socket."""

_COMPLETED = re.compile(r"Queries completed:\s+(\d+)")
_SENT = re.compile(r"Queries sent:\s+(\d+)")
_RATE = re.compile(r"Queries per second:\s+([\d.]+)")
_CODES = re.compile(r"Response codes:\s+(.*)")


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


def run_round(peer: Peer, questions: Path, seconds: float, core: int) -> Round:
    """Ask a peer for that many seconds; raises Failed when answers were lost or were not all NOERROR."""
    command = ["taskset", "--cpu-list", str(core), which("dnsperf"), "-s", ADDRESS, "-p", str(peer.port)]
    command += ["-d", str(questions), "-l", str(seconds), "-c", str(CLIENTS), "-q", str(OUTSTANDING), "-T", "1"]
    before = peer.cpu_ticks()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    after = peer.cpu_ticks()
    if done.returncode:
        raise Failed(f"dnsperf ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
    completed, sent = int(_field(_COMPLETED, done.stdout)), int(_field(_SENT, done.stdout))
    if not completed or sent - completed > sent * LOST_AT_MOST:
        raise Failed(f"{peer.name} left {sent - completed} of {sent} questions unanswered")
    codes = _field(_CODES, done.stdout)
    if codes.split()[:2] != ["NOERROR", str(completed)]:
        raise Failed(f"{peer.name} gave other answers than NOERROR: {codes}")
    rate = float(_field(_RATE, done.stdout))
    user, system = ((end - start) * MICROSECONDS_PER_TICK / completed for start, end in zip(before, after, strict=True))
    return Round(user, system, rate, (user + system) * rate / 1_000_000)


def _field(pattern: re.Pattern[str], output: str) -> str:
    found = pattern.search(output)
    if found is None:
        raise Failed(f"dnsperf's output has no {pattern.pattern.partition(':')[0]!r}")
    return found[1]

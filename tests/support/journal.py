"""A systemd-journald of its own, below a /run that nobody else sees, and the program beside it.

    unshare --mount --pid --fork --kill-child --mount-proc python -m tests.support.journal

asks the program one question, and prints the entries of that journal about it, as journalctl shows them in JSON.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.program import ROOT, Program
from tests.support.waiting import eventually

JOURNALD = "/lib/systemd/systemd-journald"
NAME = r"a\010MESSAGE=b.cluster.local."


def main() -> None:
    """See the module."""
    for command in (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "none", "/run"]):
        subprocess.run(command, check=True)
    os.makedirs("/run/log/journal")
    os.makedirs("/run/systemd/journal")
    with subprocess.Popen([JOURNALD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as journald:
        eventually(Path("/run/systemd/journal/socket").exists)
        log = {"format": "json", "queries": {"to": "journald"}}
        with Program(ROOT / "dnsbridge" / "example", settings={"log": log}) as program:
            program.ask(NAME)
        command = ["journalctl", "--directory=/run/log/journal", "--identifier=dnsbridge", "--output=json"]
        sys.stdout.write(eventually(lambda: subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        journald.terminate()


if __name__ == "__main__":
    main()

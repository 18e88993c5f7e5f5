"""dnstap as Debian's tools read it: fstrm_capture takes a stream from a socket, dnstap-read shows what it holds."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import dns.message
import yaml

from tests.support.waiting import DEADLINE, eventually


class Capture(NamedTuple):
    """A running fstrm_capture."""

    process: subprocess.Popen[bytes]
    file: Path
    """Complete once the process has ended."""

    def messages(self) -> "list[Shown]":
        """What it has got, when it has ended."""
        self.process.terminate()
        assert self.process.wait(DEADLINE) == 0
        return shown(self.file)


class Shown(NamedTuple):
    """One message as dnstap-read shows it, and its DNS message as dnspython reads it."""

    kind: str
    """CLIENT_QUERY or CLIENT_RESPONSE."""
    socket: str
    """As in `INET UDP`."""
    client: str
    server: str
    identity: str
    version: str
    message: dns.message.Message
    time: str
    """In UTC, to the millisecond: of the query, or of the response."""


def _listens(socket: Path) -> bool:
    """Whether a process accepts connections there (proc_net(5): __SO_ACCEPTCON); the file is there a moment before."""
    lines = Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()
    return any(line.endswith(f" {socket}") and line.split()[3] == "00010000" for line in lines)


@contextmanager
def capturing(folder: Path) -> Iterator[Capture]:
    """An fstrm_capture at FOLDER/tap.sock."""
    socket, file = folder / "tap.sock", folder / "captured.tap"
    command = ["fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", str(socket), "-w", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _listens(socket))
            yield Capture(process, file)
        finally:
            process.kill()


def shown(file: Path) -> list[Shown]:
    """The messages in a file."""
    text = subprocess.run(["dnstap-read", "-y", str(file)], capture_output=True, text=True, check=True).stdout
    octets = subprocess.run(
        ["dnstap-read", "-x", str(file)], capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"}
    ).stdout
    lines = octets.splitlines()  # a line of text and one of octets by turns
    messages = zip(filter(None, yaml.safe_load_all(text)), lines[::2], lines[1::2], strict=True)
    found: list[Shown] = []
    for read, line, octets in messages:
        told = read["message"]
        found.append(
            Shown(
                told["type"],
                f"{told['socket_family']} {told['socket_protocol']}",
                f"{told['query_address']}#{told['query_port']}",
                f"{told.get('response_address', '')}#{told['response_port']}",
                read["identity"],
                read["version"],
                dns.message.from_wire(bytes.fromhex(octets)),
                line.partition(f" {'CQ' if told['type'] == 'CLIENT_QUERY' else 'CR'} ")[0],
            )
        )
    return found

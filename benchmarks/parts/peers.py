"""The servers that are measured: each writes its own configuration for the same names, starts, answers and stops.

Dnsbridge   this project, manifests in a folder
Watching    this project, an API server
Unbound     local-data in a static local-zone, one thread
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from benchmarks.parts.names import ZONE, Name, write_local_data, write_manifests
from benchmarks.parts.run import Failed

ADDRESS = "127.0.0.1"
START_SECONDS = 60


class Peer(ABC):
    """A server under measurement: pinned on one core, or several (`0,1`), on a port of loopback."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.port = free_port()
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def configure(self, names: list[Name]) -> list[str]:
        """Write what the server reads into its folder; the command that starts it in the foreground."""

    def launch(self, names: list[Name], core: int | str) -> None:
        """Start the server on its core, without waiting for it; raises Failed."""
        command = self.configure(names)
        with self._log.open("wb") as log:
            # taskset rather than a preexec_fn: the affinity holds from the first instruction, and threads inherit it.
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self, names: list[Name], core: int) -> None:
        """Start the server on one core and wait until it answers the last name; raises Failed."""
        self.launch(names, core)
        deadline = time.monotonic() + START_SECONDS
        while wrong := self.wrong_answer(names[-1]):
            self.check_alive()
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} was not ready after {START_SECONDS} s ({wrong}): {self._last_words()}")
            time.sleep(0.1)

    def check_alive(self) -> int:
        """The process that runs; raises Failed when it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise Failed(f"{self.name} has ended: {self._last_words()}")
        return self._process.pid

    def stop(self) -> None:
        """Stop the server, if it runs."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wrong_answer(self, name: Name) -> str:
        """What is wrong with the answer for a name, in a few words; empty when it is right."""
        query = dns.message.make_query(name.owner, dns.rdatatype.A)
        try:
            answer = dns.query.udp(query, ADDRESS, timeout=1, port=self.port)
        except (OSError, dns.exception.DNSException) as error:
            return f"{name.owner}: {type(error).__name__}"
        if answer.rcode() != dns.rcode.NOERROR:
            return f"{name.owner}: {dns.rcode.to_text(answer.rcode())}"
        # The owner, type and addresses must agree; an RRset's equality does not look at the TTL.
        if answer.answer != [dns.rrset.from_text(name.owner, 0, "IN", "A", str(name.address))]:
            return f"{name.owner}: not {name.address}"
        return ""

    def processes(self) -> list[int]:
        """The process and what it has forked, as far as it runs; raises Failed."""
        found = [self.check_alive()]
        for pid in found:  # it grows meanwhile
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(OSError):  # it has just ended
                    found.extend(map(int, children.read_text(encoding="ascii").split()))
        return found

    def cpu_ticks(self) -> tuple[int, int]:
        """User and system time of its processes with all their threads, in clock ticks (proc(5): stat, 14 to 17)."""
        user = system = 0
        for pid in self.processes():
            with suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
                # The second field is the program's name in parentheses and may hold spaces.
                fields = stat.rpartition(")")[2].split()
                # Its own time, and that of children that it has waited for.
                user += int(fields[11]) + int(fields[13])
                system += int(fields[12]) + int(fields[14])
        return user, system

    def kept_waiting(self) -> float:
        """Seconds that it could have run, but its core was taken by another process (proc(5): schedstat)."""
        return int(Path(f"/proc/{self.check_alive()}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


class Dnsbridge(Peer):
    """`python -m dnsbridge serve` over a folder of manifests, one worker, no HTTP."""

    name = "dnsbridge"

    def configure(self, names: list[Name]) -> list[str]:
        """See Peer."""
        manifests = self.folder / "manifests"
        manifests.mkdir()
        write_manifests(names, manifests)
        command = [sys.executable, "-m", "dnsbridge", "serve", "--listen", f"{ADDRESS}:{self.port}", "--http", ""]
        # An upstream on loopback where nobody listens: nothing is forwarded here, and nothing may leave the machine.
        return [*command, "--manifests", str(manifests), "--upstream", f"{ADDRESS}:{free_port()}", "--workers", "1"]


class Watching(Peer):
    """`python -m dnsbridge serve` over an API server; HTTP only with several workers, to tell them apart."""

    name = "dnsbridge"

    def __init__(self, folder: Path, kubeconfig: Path, pods: str = "insecure", workers: int = 1) -> None:
        """`pods` and `workers` as in the settings."""
        super().__init__(folder)
        self._kubeconfig = kubeconfig
        self._pods = pods
        self._workers = workers
        self.http_port = free_port()

    def configure(self, names: list[Name]) -> list[str]:
        """See Peer; the names come from the API server."""
        # The API server's objects include kube-dns: its address must never be asked.
        cluster = {
            "name": "bench",
            "source": {"kubeconfig": str(self._kubeconfig)},
            "pods": self._pods,
            "coredns": f"{ADDRESS}:{free_port()}",
            "fallback": "never",
        }
        settings = self.folder / "dnsbridge.yaml"
        settings.write_text(json.dumps({"clusters": [cluster]}), encoding="utf-8")
        http = f"{ADDRESS}:{self.http_port}" if self._workers > 1 else ""
        command = [sys.executable, "-m", "dnsbridge", "serve", "--listen", f"{ADDRESS}:{self.port}", "--http", http]
        command += ["--config", str(settings), "--upstream", f"{ADDRESS}:{free_port()}"]
        return [*command, "--workers", str(self._workers)]


class Unbound(Peer):
    """unbound with the names as local-data."""

    name = "unbound"

    def configure(self, names: list[Name]) -> list[str]:
        """See Peer."""
        data = self.folder / "local-data.conf"
        write_local_data(names, data)
        return unbound(self, ["verbosity: 0", f'local-zone: "{ZONE}" static'], f'include: "{data}"\n')


def unbound(peer: Peer, server: Sequence[str], clauses: str) -> list[str]:
    """Write the configuration of an unbound with one thread, which does not validate; the command that starts it.

    `server` are further lines of its server clause, `clauses` what follows that.
    """
    config = peer.folder / "unbound.conf"
    lines = "".join(f"    {each}\n" for each in server)
    config.write_text(
        f"""server:
    interface: {ADDRESS}@{peer.port}
    access-control: 127.0.0.0/8 allow
    num-threads: 1
    do-daemonize: no
    chroot: ""
    username: ""
    directory: "{peer.folder}"
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
{lines}{clauses}remote-control:
    control-enable: no
""",
        encoding="utf-8",
    )
    return [which("unbound"), "-d", "-c", str(config)]


def which(program: str) -> str:
    """The path of a program, looked for in Debian's folders for servers too; raises Failed."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Failed(f"{program} is not installed (see tools/debian-packages.txt)")
    return path


def free_port() -> int:
    """A port of loopback that was free for UDP and TCP just now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((ADDRESS, 0))
            port: int = udp.getsockname()[1]
            try:
                tcp.bind((ADDRESS, port))
            except OSError:
                continue
            return port

"""A program with several workers, from outside: its processes, and clients of which each is one worker's.

Crew(program)            the program that runs
crew.pids()              its workers
crew.clients()           one client for each worker, by its number
Client.ask(name)         the answer of that worker
"""

import re
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dns.message

from tests.support.program import DEADLINE, Program, eventually

_QUERIES = re.compile(r'dnsbridge_worker_queries_total\{transport="udp",worker="(\d+)"\}')
TRIES = 200
"""Ports that are tried until each worker has one."""


class Client:
    """A client's UDP socket, whose port decides which worker answers."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.connect((host, port))
        self.socket.settimeout(DEADLINE)

    def send(self, name: str) -> None:
        """Ask for an address, and wait for nothing."""
        self.socket.send(dns.message.make_query(name, "A", use_edns=0).to_wire())

    def has_heard(self) -> bool:
        """Whether an answer lies there, which is taken."""
        ready, _, _ = select.select([self.socket], [], [], 0)
        return bool(ready and self.socket.recv(65535))

    def ask(self, name: str, rtype: str = "A") -> dns.message.Message:
        """The answer to one question."""
        query = dns.message.make_query(name, rtype, use_edns=0)
        self.socket.send(query.to_wire())
        while True:
            answer = dns.message.from_wire(self.socket.recv(65535))
            if answer.id == query.id:
                return answer

    def said(self, name: str, rtype: str = "A") -> str:
        """The answer in short: the data, or the RCODE, and the codes of extended errors."""
        answer = self.ask(name, rtype)
        words = sorted(str(item) for rrset in answer.answer for item in rrset) or [answer.rcode().name]
        return " ".join([*words, *(str(int(option.code)) for option in answer.extended_errors())])


class Crew:
    """A program with workers and HTTP."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def pids(self) -> set[int]:
        """The processes of its workers."""
        return children(self.program.pid)

    def asked(self) -> dict[int, int]:
        """How many messages each worker has received over UDP."""
        found = {}
        for name, value in self.program.metrics().items():
            if match := _QUERIES.fullmatch(name):
                found[int(match[1])] = int(value)
        return found

    def count(self, name: str) -> float:
        """A metric without labels."""
        return self.program.metrics()[f"dnsbridge_{name}"]

    @contextmanager
    def clients(self, name: str = "web.shop.svc.cluster.local") -> Iterator[dict[int, Client]]:
        """A client for each worker, which were found by asking for this name."""
        workers = len(self.asked())
        found: dict[int, Client] = {}
        with ExitStack() as opened:
            for _ in range(TRIES):
                before = self.asked()
                client = Client("127.0.0.1", self.program.port)
                opened.callback(client.socket.close)
                client.ask(name)
                after = self.asked()
                (number,) = [number for number in after if after[number] > before[number]]
                found.setdefault(number, client)
                if len(found) == workers:
                    break
            assert len(found) == workers, f"only workers {sorted(found)} were ever asked"
            yield found

    def until_replaced(self, gone: int) -> None:
        """Wait until a worker has a successor that answers."""
        workers = len(self.asked())
        eventually(lambda: gone not in self.pids() and len(self.pids()) == workers == self.count("workers"))


def children(pid: int) -> set[int]:
    """The processes that a process has forked and that have not ended."""
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.update(map(int, path.read_text(encoding="ascii").split()))
    return {each for each in found if is_alive(each)}


def is_alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

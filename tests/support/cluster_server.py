"""A test API server, the program that follows it, and questions that are asked all the while.

    following   starts the program on a server
    Following   both: what is answered now, the watch's counters, changes made while the connection is down
    Asking      asks the same questions without a pause, and notes every answer that is not the expected one
    said        an answer as a text

A question is a text: `web.shop.svc A` is below cluster.local, `10.96.0.1 PTR` is a reverse name. An answer is one too:
the data of its records in order, `NODATA`, or the RCODE.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import dns.edns
import dns.message
import dns.name
import dns.rcode
import dns.reversename

from tests.apiserver.access import ADMIN, User
from tests.apiserver.faults import Fault
from tests.apiserver.resources import Object
from tests.apiserver.server import ApiServer
from tests.support.program import DEADLINE, Program, eventually

CLUSTER = "dev"
SILENCE = 1.5
"""Seconds; a watch then lasts one."""
PACE = 0.003
"""Seconds between two questions of those that are asked all the while."""
LOCAL_OPTION = dns.edns.OptionType.make(65001)
"""An EDNS option of the range for local use (RFC 6891 section 9), which servers ignore."""
NO_COREDNS = "127.0.0.1:9"
"""Nobody is there, and with `fallback: never` nobody asks."""


def said(response: dns.message.Message) -> str:
    """An answer as a text."""
    if response.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(response.rcode())
    return " | ".join(sorted(str(item) for rrset in response.answer for item in rrset)) or "NODATA"


def question(text: str) -> tuple[dns.name.Name, str]:
    """The name and the type of a question."""
    name, rtype = text.split()
    if rtype == "PTR":
        return dns.reversename.from_address(name), rtype
    return dns.name.from_text(f"{name}.cluster.local."), rtype


class Asking:
    """Asks questions in turn, in a thread, from `with` to its end; then all answers must have been as expected."""

    def __init__(self, program: Program, expected: Mapping[str, str]) -> None:
        self.asked = 0
        self.slowest = 0.0
        """Seconds."""
        self.wrong: Counter[str] = Counter()
        self._program = program
        self._expected = expected
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Asking":
        self._thread.start()
        eventually(lambda: self.asked >= len(self._expected))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        before = self.asked
        if kind is None:
            eventually(lambda: self.asked >= before + len(self._expected) or not self._thread.is_alive())
        self._ended.set()
        self._thread.join()
        if kind is None:
            assert not self.wrong, dict(self.wrong)

    def _run(self) -> None:
        try:
            while True:
                for text, expected in self._expected.items():
                    started = time.monotonic()
                    got = said(self._program.ask(*question(text)))
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    if got != expected:
                        self.wrong[f"{text}: {got}, not {expected}"] += 1
                    self.asked += 1
                    if self._ended.wait(PACE):
                        return
        except BaseException as error:  # whatever it is, the test must hear of it
            self.wrong[f"{type(error).__name__}: {error}"] += 1


class Following:
    """A program that follows a server."""

    def __init__(self, server: ApiServer, program: Program) -> None:
        self.server = server
        self.program = program
        self._rng = random.Random(1)

    def answer(self, text: str) -> str:
        """What is answered now."""
        return said(self.program.ask(*question(text)))

    def fresh_answer(self, text: str) -> str:
        """The same, but never a prepared answer: the octets of the question have not come before."""
        mark = dns.edns.GenericOption(LOCAL_OPTION, self._rng.randbytes(8))
        return said(self.program.ask(*question(text), options=[mark]))

    def answers(self, expected: Mapping[str, str]) -> bool:
        """Whether all is answered as expected now."""
        return all(self.fresh_answer(text) == answer for text, answer in expected.items())

    def until(self, expected: Mapping[str, str]) -> float:
        """Wait until all is answered as expected; returns the seconds that it took, for the log."""

        def missing() -> str:
            now = {text: self.fresh_answer(text) for text in expected}
            log = "\n".join(self.program.log())
            return f"{now}, not {dict(expected)}\n{log}"

        started = time.monotonic()
        eventually(lambda: self.answers(expected), missing)
        return time.monotonic() - started

    def count(self, name: str, resource: str = "services") -> int:
        """A counter of the watch, such as `errors`."""
        label = f'{{cluster="{CLUSTER}",resource="{resource}"}}'
        return int(self.program.metrics()[f"dnsbridge_watch_{name}_total{label}"])

    def counts(self, resource: str = "services") -> dict[str, int]:
        """All counters of the watch of a resource."""
        end = f'_total{{cluster="{CLUSTER}",resource="{resource}"}}'
        start = "dnsbridge_watch_"
        samples = self.program.metrics().items()
        return {
            name[len(start) : -len(end)]: int(value)
            for name, value in samples
            if name.startswith(start) and name.endswith(end)
        }

    def warnings(self) -> list[str]:
        """The lines of the log that are more than information, without their time."""
        return [line.split(maxsplit=1)[1] for line in self.program.log() if " INFO " not in line]

    def strike(self, fault: Fault, resource: str = "services") -> None:
        """Let a fault meet the watch of a resource that is open."""
        eventually(lambda: self.server.strike(fault, resource))

    def unseen(
        self, put: Iterable[Object] = (), delete: Iterable[Object] = (), drop: bool = True, compact: bool = False
    ) -> None:
        """Change objects, and in the same moment break all connections, or forget the history, or both."""

        def change() -> None:
            if drop:
                self.server.drop()
            self.server.change(put, delete)
            if compact:
                self.server.compact()

        self.server.call(change)


@contextmanager
def following(
    server: ApiServer,
    folder: Path,
    *,
    user: User = ADMIN,
    kubeconfig: Path | None = None,
    wait: bool = True,
    state_dir: Path | None = None,
    workers: int = 1,
    patient: bool = True,
    **settings: Any,
) -> Iterator[Following]:
    """Start the program on a server, and `wait` until it has read everything; `settings` are those of its cluster.

    A `patient` one does not take a server on a busy machine for one whose streaming lists stand still.
    """
    path = kubeconfig or server.kubeconfig(folder / "kubeconfig", user)
    cluster = {
        "name": CLUSTER,
        "fallback": "never",
        "coredns": NO_COREDNS,
        "source": {"kubeconfig": str(path), "silence": f"{SILENCE:g}s"},
        **settings,
    }
    more = {"state_dir": str(state_dir)} if state_dir else {}
    with Program(
        settings={"clusters": [cluster], "workers": workers, **more},
        listen=["127.0.0.1:0"],
        http=True,
        constants={"dnsbridge.watch.api.reader.STREAM_SILENCE": DEADLINE} if patient else None,
    ) as program:
        if wait:
            program.wait_for_log(f"cluster {CLUSTER}: fresh")
        yield Following(server, program)

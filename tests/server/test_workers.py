"""`--workers N`: several processes answer on one port, and are together what one is."""

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from tests.support.program import (
    DEADLINE,
    ROOT,
    Program,
    RunningUpstream,
    eventually,
    framed,
    receive_frame,
    records,
    total,
)
from tests.support.scripted_upstream import ScriptedUpstream, answer
from tests.support.workers import Client, Crew, children, is_alive

EXAMPLE = ROOT / "dnsbridge" / "example"
GOOD = "web.shop.svc.cluster.local"
ADDRESS = "10.96.12.34"
PATIENCE = 3.0
"""Seconds after which a client takes a question for lost, as those are that a killed worker had, and asks again."""
STUCK = 5.0
"""Seconds of silence after which a worker is killed."""


def workers(*arguments: str, manifests: Path = EXAMPLE, count: int = 2) -> Program:
    """The program with workers and HTTP, on one address; `arguments` are its upstreams."""
    options = ["--workers", str(count)]
    return Program(manifests, upstreams=arguments, listen=["127.0.0.1:0"], http=True, options=options)


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """One that no test harms."""
    with workers() as program:
        yield Crew(program)


def test_one_worker_has_no_second_process() -> None:
    """The default and `--workers 1` are one process."""
    for options in ((), ("--workers", "1")):
        with Program(EXAMPLE, http=True, options=options) as program:
            assert records(program.ask(GOOD).answer) == [f"{GOOD}. 5 IN A {ADDRESS}"]
            assert children(program.pid) == set()
            assert not [name for name in program.metrics() if "worker" in name]


def test_all_workers_answer_over_udp_and_tcp(crew: Crew) -> None:
    """Each has its part of the questions; the sums are those of all."""
    assert len(crew.pids()) == 2
    before = crew.program.metrics()
    with crew.clients(GOOD) as clients:
        assert sorted(clients) == [1, 2]
        for client in clients.values():
            assert client.said(GOOD) == ADDRESS
    transport = 'transport="tcp"'

    def both_over_tcp() -> bool:
        assert records(crew.program.ask(GOOD, transport="tcp").answer) == [f"{GOOD}. 5 IN A {ADDRESS}"]
        page = crew.program.metrics()
        return all(page[f'dnsbridge_worker_queries_total{{{transport},worker="{number}"}}'] > 0 for number in (1, 2))

    eventually(both_over_tcp)
    page = crew.program.metrics()
    for which in ("udp", "tcp"):
        each = [page[f'dnsbridge_worker_queries_total{{transport="{which}",worker="{number}"}}'] for number in (1, 2)]
        received = [total(one, "dnsbridge_queries_total", f'transport="{which}"') for one in (before, page)]
        assert received[1] == sum(each)
        assert received[1] > received[0]
    asked = total(page, "dnsbridge_queries_total")
    assert total(page, "dnsbridge_answers_total", 'rcode="NOERROR"') == asked
    assert page['dnsbridge_cluster_objects{cluster="default"}'] == 29
    assert page["dnsbridge_build_info" + '{version="0.1.0"}'] == 1


def test_the_port_is_not_shared_with_strangers(crew: Crew) -> None:
    """A second server on the same port is told that it is in use, though its workers would share it too."""
    for options in ((), ("--workers", "2")):
        other = Program(EXAMPLE, listen=[f"127.0.0.1:{crew.program.port}"], options=options)
        with pytest.raises(AssertionError, match="the address is in use; stop the server that has it"), other:
            pass


class Askers:
    """Clients that ask one question after the other, each waiting for its answer; and connections over TCP."""

    def __init__(self, program: Program, count: int = 8) -> None:
        self.answered = 0
        self.lost = 0
        self.trouble: Counter[str] = Counter()
        self._program = program
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._udp, daemon=True) for _ in range(count)]
        self._threads.append(threading.Thread(target=self._tcp, daemon=True))

    def __enter__(self) -> "Askers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    def _udp(self) -> None:
        client = Client("127.0.0.1", self._program.port)
        client.socket.settimeout(PATIENCE)
        while not self._ended.is_set():
            try:
                if client.said(GOOD) != ADDRESS:
                    self.trouble["wrong"] += 1
                self.answered += 1
            except TimeoutError:
                self.lost += 1
            except OSError as error:
                self.trouble[f"UDP: {error}"] += 1
        client.socket.close()

    def _tcp(self) -> None:
        while not self._ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._program.port), DEADLINE) as client:
                    client.sendall(framed(dns.message.make_query(GOOD, "A").to_wire()))
                    receive_frame(client)
            except ConnectionRefusedError as error:
                self.trouble[f"TCP: {error}"] += 1
            except OSError:
                pass  # the worker that had accepted it was killed


def test_a_worker_that_is_killed_is_replaced() -> None:
    """What waits in its socket goes to its successor; nobody is ever refused, and the sums never go back."""
    with workers() as program:
        crew = Crew(program)
        with Askers(program) as askers:
            page: dict[str, float] = {}
            for killed in range(1, 4):
                goal = askers.answered + 100
                eventually(lambda goal=goal: askers.answered > goal)  # type: ignore[misc]
                page = grown(page, program.metrics())
                pid = min(crew.pids())
                os.kill(pid, signal.SIGKILL)
                page = grown(page, program.metrics())
                crew.until_replaced(pid)
                page = grown(page, program.metrics())
                assert page["dnsbridge_worker_restarts_total"] == killed
                assert len(crew.pids()) == 2
        assert not askers.trouble
        assert askers.lost <= 3 * 8, "each client has one question out at a time, and three workers were killed"
        with crew.clients() as clients:
            assert {client.said(GOOD) for client in clients.values()} == {ADDRESS}
        killed_lines = [line for line in program.log() if "killed by SIGKILL; another takes its place" in line]
        assert len(killed_lines) == 3


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """The later page, in which no counter is less than it was."""
    back = {
        name: (value, after.get(name))
        for name, value in before.items()
        if "_total" in name and after.get(name, 0.0) < value
    }
    assert not back
    return after


def test_a_worker_that_dies_again_and_again_is_given_time() -> None:
    """Its starts come ever later, each is counted and said; then it answers again."""
    with workers() as program:
        crew = Crew(program)
        (first, other) = sorted(crew.pids())
        kills = 5
        after = 0
        pid = first
        for _ in range(kills):
            os.kill(pid, signal.SIGKILL)
            found = program.wait_for_log(
                rf"worker (\d) \(pid {pid}\): killed by SIGKILL; another takes its place", after
            )
            pid = int(program.wait_for_log(rf"worker {found[1]}: answers \(pid (?!{pid}\))(\d+)\)", after)[1])
            after = len(program.log())
        delays = [float(line.rpartition(" in ")[2].removesuffix(" s")) for line in program.log() if "place in " in line]
        assert len(delays) == kills - 1
        assert delays[-1] > delays[0]
        assert crew.count("worker_restarts_total") == kills
        assert crew.pids() == {pid, other}


def test_a_worker_that_is_stuck_is_replaced() -> None:
    """One that stands still is killed after a while; meanwhile the other answers."""
    with workers() as program:
        crew = Crew(program)
        with crew.clients() as clients:
            pid = min(crew.pids())
            os.kill(pid, signal.SIGSTOP)
            for client in clients.values():
                client.send(GOOD)
            answered = {number for number, client in clients.items() if client.has_heard()}
            while not answered:
                answered = {number for number, client in clients.items() if client.has_heard()}
            silent = int(
                program.wait_for_log(rf"worker (\d) \(pid {pid}\): no sign of life for {STUCK:g} s; killed")[1]
            )
            assert answered == clients.keys() - {silent}
            eventually(lambda: hears(clients[silent]))
        assert crew.count("worker_stuck_total") == crew.count("worker_restarts_total") == 1


def hears(client: Client) -> bool:
    """Whether a client gets an answer, in a time after which one asks again."""
    client.socket.settimeout(PATIENCE)
    try:
        return client.said(GOOD) == ADDRESS
    except TimeoutError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_all(number: signal.Signals) -> None:
    """Questions in flight are answered by every worker, no new ones are taken, and no process stays."""
    slow = ScriptedUpstream(answer("@ 60 IN A 192.0.2.1", delay=0.6))
    with RunningUpstream(slow) as upstream, workers(upstream.address) as program:
        crew = Crew(program)
        pids = crew.pids()
        got: dict[int, str] = {}
        with crew.clients() as clients:
            threads = [
                threading.Thread(target=lambda at=at, one=one: got.update({at: one.said(f"www-{at}.example")}))
                for at, one in clients.items()
            ]
            for thread in threads:
                thread.start()
            eventually(lambda: len(set(upstream.asked())) == 2)
            os.kill(program.pid, number)
            program.wait_for_log("ending: questions in flight are answered first")
            with program.sent(dns.message.make_query(GOOD, "A").to_wire()) as received:
                for thread in threads:
                    thread.join(DEADLINE)
                assert got == {1: "192.0.2.1", 2: "192.0.2.1"}
                eventually(lambda: not is_alive(program.pid))
                assert received() is None
        assert not any(map(is_alive, pids))


def test_workers_do_not_outlive_the_holder() -> None:
    """A parent that is killed leaves nobody behind, and its port is free at once."""
    program = workers()
    program.__enter__()
    try:
        pids = Crew(program).pids()
        port = program.port
    finally:
        program.kill()
    assert len(pids) == 2
    eventually(lambda: not any(map(is_alive, pids)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", port))
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(("127.0.0.1", port))


def test_one_that_is_told_to_end_by_somebody_else_is_replaced() -> None:
    """SIGTERM to a worker: it answers what it has, and another takes its place."""
    with workers() as program:
        crew = Crew(program)
        pid = min(crew.pids())
        os.kill(pid, signal.SIGTERM)
        program.wait_for_log(rf"\(pid {pid}\): ended with exit code 0; another takes its place")
        crew.until_replaced(pid)
        with crew.clients() as clients:
            assert {client.said(GOOD) for client in clients.values()} == {ADDRESS}


def test_the_log_is_one_stream() -> None:
    """Lines of workers say whose they are, and the starting lines come once."""
    with (
        RunningUpstream(ScriptedUpstream(answer("@ 60 IN A 192.0.2.1"))) as upstream,
        workers(upstream.address) as program,
    ):
        crew = Crew(program)
        with crew.clients("www.example.com"):
            lines = [line.split(maxsplit=2)[2] for line in program.log()]
    assert len([line for line in lines if line.startswith("dnsbridge ")]) == 1
    assert len([line for line in lines if line.startswith("forward .: ")]) == 1
    assert sorted(line.split(" (")[0] for line in lines if "answers (pid" in line) == [
        "worker 1: answers",
        "worker 2: answers",
    ]
    assert lines[-1] == "ready"


def test_addresses_of_both_families_and_free_ports() -> None:
    """Port 0 is one port for all workers, in each family, over UDP and TCP."""
    options = ["--workers", "3"]
    with Program(EXAMPLE, listen=["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"], options=options) as program:
        for server in range(2):
            for _ in range(20):
                assert records(program.ask(GOOD, server=server).answer) == [f"{GOOD}. 5 IN A {ADDRESS}"]
                assert program.ask(GOOD, "AAAA", "tcp", server=server).rcode() == dns.rcode.NOERROR
        port = program.servers[2].port
        for last in range(1, 9):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(DEADLINE)
                client.connect((f"127.0.0.{last}", port))
                client.send(dns.message.make_query(GOOD, "A").to_wire())
                assert dns.message.from_wire(client.recv(65535)).rcode() == dns.rcode.NOERROR

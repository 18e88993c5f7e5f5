"""The program before API servers that refuse streaming lists in each way, and what its log says of troubles.

Every way meets the streaming lists of one resource, for good, while those of all others work. How long each took until
the cluster was fresh is logged, next to a server that refuses nothing; it is no verdict.
"""

import itertools
import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.apiserver.counters import Asked
from tests.apiserver.faults import Fault, Refuse, Stall
from tests.apiserver.refused_streams import WAYS, error_event
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread
from tests.support.cluster_server import Following, following
from tests.support.kubeconfigs import service
from tests.support.program import Program, eventually

log = logging.getLogger(__name__)

SMALL = Shape(services=30, headless=5, namespaces=3)


def requests(server: ApiServer, resource: str) -> list[str]:
    """What a resource was asked for, in order: stream, list, watch; without probes, which ask for one object."""
    asked: list[Asked] = server.call(lambda: list(server.counters.requests))
    return [
        "stream" if "sendInitialEvents" in each.params else each.verb
        for each in asked
        if each.resource == resource and each.params.get("limit") != "1"
    ]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[str]]]:
    """Of all ways, by name; a few at a time."""

    def run(fault: Fault | None, folder: Path) -> str:
        with in_thread(ApiServer()) as server:
            server.change(put=[*cluster(SMALL), service("web", "10.96.200.1", namespace="faults")])
            if fault:
                server.faults.add(fault, "services", "stream", None)
            started = time.monotonic()
            with following(server, folder, patient=not fault) as program:
                took = time.monotonic() - started
                program.until({"web.faults.svc A": "10.96.200.1"})
                check(program, fault)
        return f"fresh {took:.2f} s after the start of the process"

    with ThreadPoolExecutor(3) as pool:
        yield {name: pool.submit(run, fault, tmp_path_factory.mktemp("way")) for name, fault in WAYS.items()}


def check(program: Following, fault: Fault | None) -> None:
    """What was asked and said; that it is remembered when the list is read again."""
    server = program.server
    program.unseen([service("new", "10.96.200.2", namespace="faults")], compact=True)
    program.until({"new.faults.svc A": "10.96.200.2"})
    of_services = [each for each in requests(server, "services") if each != "watch"]
    assert of_services[0] == requests(server, "endpointslices")[0] == "stream"
    if fault:
        assert of_services == ["stream", "list", "list"]
        said = [line for line in program.program.log() if "lists are read in pages from now on" in line]
        assert all(re.search("INFO +cluster dev: [a-z, ]+: a streaming list failed: ", line) for line in said)
        assert said


@pytest.mark.parametrize("name", WAYS)
def test_refused(outcomes: dict[str, Future[str]], name: str) -> None:
    """However a streaming list is refused, pages are read at once; that is remembered, for this resource alone."""
    log.info("%s: %s", name, outcomes[name].result())


@pytest.mark.parametrize(("version", "again"), [("v1.36.0", "stream"), ("v1.33.1", "list")], ids=["another", "same"])
def test_version(tmp_path: Path, version: str, again: str) -> None:
    """A server that comes back as another version is tried with a streaming list again, and no other one is."""
    with in_thread(ApiServer()) as server:
        server.change(put=cluster(SMALL))
        refusal = server.faults.add(Refuse(500), "services", "stream", None)
        with following(server, tmp_path) as program:
            eventually(lambda: requests(server, "services")[-1] == "watch")
            server.run(server.unlisten())
            program.program.wait_for_log("connection refused; trying again")
            server.call(server.faults.clear, refusal)
            server.call(lambda: setattr(server.watches, "git_version", version))
            server.change([service("new", "10.96.200.2", namespace="faults")])
            server.compact()
            server.run(server.listen())
            program.until({"new.faults.svc A": "10.96.200.2"})
        lists = [asked for asked in requests(server, "services") if asked != "watch"]
        assert lists[:2] == ["stream", "list"]
        assert lists[2:] == [again]


def test_back_after_long(tmp_path: Path) -> None:
    """After an outage in which all resources came to wait long, one reading wakes all, and lists run one at a time."""
    with in_thread(ApiServer()) as server:
        server.change(put=cluster(SMALL))
        with following(server, tmp_path) as program:
            server.run(server.unlisten())
            eventually(lambda: program.count("errors", "nodes") >= 5)
            server.change([service("new", "10.96.200.2", namespace="faults")])
            server.compact()
            back = time.monotonic()
            server.run(server.listen())
            took = program.until({"new.faults.svc A": "10.96.200.2"})
            eventually(lambda: len({name for name, at in server.counters.streamed if at > back}) == 7)
            log.info("the change was answered %.2f s after the server was back", took)
            begun = [each for each in server.counters.asked("watch", sendInitialEvents="true") if each.at > back]
            ended = [at for _, at in server.counters.streamed if at > back]
            assert len(begun) == len(ended) == 7
            assert all(end <= each.at for end, each in zip(ended, begun[1:], strict=False))
            program.program.wait_for_log("INFO +cluster dev: connected again")
            assert len([line for line in program.warnings() if "; trying again" in line and "still" not in line]) <= 2


def test_not_read_yet(tmp_path: Path) -> None:
    """A cluster that stays unread is said again, with what is missing and what that waits for; the end is said, too."""
    with in_thread(ApiServer()) as server:
        server.change(put=cluster(SMALL))
        server.faults.add(Refuse(500, message="etcd is away"), "services", None, None)
        server.faults.add(Stall(headers=False), "endpointslices", None, None)
        path = server.kubeconfig(tmp_path / "kubeconfig")
        settings = {"clusters": [{"name": "dev", "source": {"kubeconfig": str(path), "silence": "5s"}}]}
        with Program(settings=settings, listen=["127.0.0.1:0"]) as program:
            program.wait_for_log(
                r"WARNING cluster dev: not read yet: services \(HTTP 500: etcd is away\), "
                r"endpointslices \(no sign of life\)$"
            )
            server.call(server.faults.clear)
            program.wait_for_log("cluster dev: fresh")
            program.wait_for_log("cluster dev: services: connected again")


def test_flapping(tmp_path: Path) -> None:
    """Watches that fail and work in turn, many times a second, are one trouble: a line, its end, and later a count."""
    with in_thread(ApiServer()) as server:
        server.change(put=cluster(SMALL))
        with following(server, tmp_path) as program:
            for number in itertools.count():
                watches = program.count("watches")
                server.change([service("new", f"10.96.200.{number + 1}", namespace="faults")])
                program.strike(error_event(500, after=0))
                eventually(lambda before=watches: program.count("watches") > before)  # type: ignore[misc]
                if number >= 15:
                    break
            lines = [line for line in program.program.log() if "HTTP 500" in line or "connected again" in line]
            assert program.count("errors") >= 16
            assert len([line for line in lines if "still" not in line]) <= 2, lines

"""Every fault of an API server, and what is answered before, during and after it.

A row is a fault that meets the program while questions are asked without a pause, from before it until after it, and a
change of the cluster that the fault stands in the way of: a service moves, one comes, one goes. All known names must
be answered right all the time, and the change must be seen.
"""

import itertools
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
import yaml

from dnsbridge.watch.api.streaming import STREAM_SILENCE
from tests.apiserver.access import Rule, User
from tests.apiserver.faults import (
    Cut,
    Edit,
    EmptyList,
    Fault,
    Hang,
    Refuse,
    Replay,
    Reset,
    Rewrite,
    Say,
    Slow,
    Stall,
    padded,
    with_field,
    without,
)
from tests.apiserver.resources import Object
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread
from tests.support.cluster_server import SILENCE, Asking, Following, following
from tests.support.kubeconfigs import endpoint_slice, service
from tests.support.program import eventually

log = logging.getLogger(__name__)

KNOWN = {
    "web.faults.svc A": "10.96.200.1",
    "kafka.faults.svc A": "10.244.9.1 | 10.244.9.2",
    "kafka-0.kafka.faults.svc A": "10.244.9.1",
    "_http._tcp.web.faults.svc SRV": "0 100 80 web.faults.svc.cluster.local.",
    "web.faults.svc AAAA": "NODATA",
    "nothing.faults.svc A": "NXDOMAIN",
    "kafka-2.kafka.faults.svc A": "NXDOMAIN",
    "kubernetes.default.svc A": "10.96.0.1",
    "10.96.200.1 PTR": "web.faults.svc.cluster.local.",
}
PAGES = Shape(services=550, headless=5, namespaces=3, endpoints_per_slice=1)
"""More services than a page holds."""
SMALL = Shape(services=30, headless=5, namespaces=3)
OBJECTS: list[Object] = [
    service("web", "10.96.200.1", namespace="faults"),
    service("kafka", namespace="faults"),
    endpoint_slice("kafka", {"kafka-0": "10.244.9.1", "kafka-1": "10.244.9.2"}, namespace="faults"),
]
NUMBERS = itertools.count(1)

Onset = Literal["open", "resume", "list"]


class Row(NamedTuple):
    """A fault."""

    name: str
    fault: Fault
    onset: Onset
    """It strikes the open watch; or the request that resumes a broken one; or the list after a history that is gone."""
    times: int = 1
    within: float = 3.0
    """Seconds from its beginning until the change is answered where nothing else runs: told beside the figure."""
    at_least: float = 0.0
    """Seconds for which it does stand in the way: told as well."""
    counts: Mapping[str, int] = {}
    """Counters of the watch of services that it moves, and by how much at least."""
    log: str = ""
    """What the one line about it has in it; empty: nothing is said, but that a connection broke."""
    may_say: str = ""
    """What is said only where the watch had just begun, which is a matter of how busy the machine is."""


def lines(*texts: bytes, after: int = 0) -> Say:
    """Lines between the events."""
    return Say(b"".join(text + b"\n" for text in texts), after)


GONE = b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410}}'
ODD_BOOKMARKS = lines(
    b'{"type":"BOOKMARK","object":{}}',
    b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"","annotations":{"k8s.io/initial-events-end":"x"}}}}',
    b'{"type":"BOOKMARK","object":{"metadata":{"annotations":null,"labels":[{}]},"spec":7}}',
)
FUTURE = lines(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"99999999"}}}', after=3)
NO_NUMBER = lines(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"odd"}}}', after=3)
BROKE = "the connection broke; trying again"
DEAD = SILENCE + 1.5
"""Seconds until a dead connection was noticed, another made, and the change read."""

STREAMING = [
    Row("429 on resume", Refuse(429, retry_after=1), "resume", 2, 3.5, 2.0, {"errors": 2}, "HTTP 429"),
    Row("500 on resume", Refuse(500), "resume", counts={"errors": 2}, log="HTTP 500"),
    Row("503 on resume", Refuse(503), "resume", 2, counts={"errors": 3}, log="HTTP 503"),
    Row("429 on a streaming list", Refuse(429, retry_after=9), "list", counts={"errors": 1, "lists": 2}),
    Row("503 on a streaming list", Refuse(503), "list", counts={"errors": 1, "lists": 2}),
    Row("stall before headers", Stall(headers=False), "resume", 1, DEAD, SILENCE, {"silences": 1}),
    Row("stall after headers", Stall(), "open", 1, DEAD, 0.4, {"silences": 1}),
    Row("half-open TCP", Hang(), "open", 1, DEAD, 0.4, {"silences": 1}),
    Row("RST", Reset(), "open", counts={"errors": 1, "watches": 1}),
    Row("FIN", Cut(), "open", counts={"errors": 1, "watches": 1}),
    Row("half a line, then a clean end", Cut(clean=True), "open", counts={"watches": 1}, may_say="ends as soon as"),
    Row("a line of garbage", lines(b"\xff\x00garbage"), "open", counts={"errors": 1}, log="what came is no event"),
    Row("410 as status", Refuse(410), "resume", 1, counts={"lists": 1}),
    Row("410 as event", lines(GONE), "open", counts={"lists": 1}),
    Row("a streaming list that is cut", Cut(after=10), "list", counts={"lists": 2, "errors": 1}),
    Row("a streaming list that stalls", Stall(after=10), "list", 1, DEAD, STREAM_SILENCE, {"lists": 2, "errors": 1}),
    Row("a slow streaming list", Slow(60_000), "list", 1, 6, 0.4, {"lists": 1}),
    Row("an empty streaming list", EmptyList(), "list", 2, within=15, counts={"lists": 3}, log="an empty list, while"),
    Row("odd bookmarks", ODD_BOOKMARKS, "open"),
    Row("a bookmark from the future", FUTURE, "open", counts={"lists": 1}),
    Row("a bookmark that is no number", NO_NUMBER, "open", counts={"lists": 1}, log="HTTP 422"),
    Row("a very large event", Rewrite(padded(4 << 20)), "open", within=5),
]
PAGED = [
    Row("429 on a list", Refuse(429, retry_after=1), "list", 1, 2.5, 1.0, {"errors": 1}, "HTTP 429"),
    # One of the two may meet the probe that finds out whether the server is back, which is no error of a resource.
    Row("500 on a list", Refuse(500), "list", 2, counts={"errors": 1}, log="HTTP 500"),
    Row("a list that stalls", Stall(after=10), "list", 1, DEAD, SILENCE, {"silences": 1}),
    Row("a list that is reset", Reset(after=10), "list", counts={"errors": 1}),
    Row("half a list, then a clean end", Cut(after=10, clean=True), "list", log="what came is no event"),
    Row("an empty list", EmptyList(), "list", 4, within=15, counts={"lists": 3}, log="an empty list, while"),
    Row("a slow list", Slow(400_000), "list", 1, 6, 0.4, {"lists": 1}),
    Row("410 on a continue token", Refuse(410), "list", 1, counts={"lists": 2}),
]


class Moves(NamedTuple):
    """A change of the cluster: what is answered before and after it."""

    put: list[Object]
    delete: list[Object]
    before: dict[str, str]
    after: dict[str, str]


def prepare(server: ApiServer) -> Moves:
    """Objects that are about to change."""
    number = next(NUMBERS)
    moving, coming, going = (f"{kind}-{number}" for kind in ("moving", "coming", "going"))
    server.change(put=[service(each, f"10.97.{number}.1", namespace="faults") for each in (moving, going)])
    put = [service(moving, f"10.97.{number}.2", namespace="faults"), service(coming, "10.98.0.1", namespace="faults")]
    delete = [service(going, namespace="faults")]
    answers = [("10.97.{}.1", "10.97.{}.2"), ("NXDOMAIN", "10.98.0.1"), ("10.97.{}.1", "NXDOMAIN")]
    names = [f"{name}.faults.svc A" for name in (moving, coming, going)]
    before, after = (
        {name: answer[at].format(number) for name, answer in zip(names, answers, strict=True)} for at in (0, 1)
    )
    return Moves(put, delete, before, after)


def begin(program: Following, row: Row, moves: Moves) -> None:
    """Let the fault strike, and change the cluster."""
    server = program.server
    if row.onset == "open":
        program.strike(row.fault)
        server.change(moves.put, moves.delete)
        return
    if row.onset == "resume":
        server.faults.add(row.fault, "services", "watch", row.times)
        program.unseen(moves.put, moves.delete)
        return
    if isinstance(row.fault, Refuse) and row.fault.code == 410:
        server.faults.add(Rewrite(lambda octets: octets), "services", "list")  # the first page is as it should be
    server.faults.add(row.fault, "services", "watch" if server.watches.streaming_lists else "list", row.times)
    program.unseen(moves.put, moves.delete, drop=False, compact=True)


def survive(program: Following, row: Row) -> str:
    """Meet a row's fault; returns what was measured."""
    server = program.server
    moves = prepare(server)
    program.until(moves.before)
    counted, warned = program.counts(), len(program.warnings())
    with Asking(program.program, KNOWN) as asking:
        begin(program, row, moves)
        asked = asking.asked
        took = program.until(moves.after)
        during = asking.asked - asked
        eventually(lambda: all(program.count(name) >= counted[name] + least for name, least in row.counts.items()))
        server.call(server.faults.clear)
        later = prepare(server)
        server.change(later.put, later.delete)
        program.until(later.after)
    said = [line for line in program.warnings()[warned:] if BROKE not in line]
    if row.may_say:
        said = [line for line in said if row.may_say not in line]
    assert len(said) <= row.times, said
    assert bool(said) == bool(row.log), said
    assert all(row.log in line for line in said), said
    assert all(asked.params["limit"] in ("500", "1") for asked in server.counters.asked("list"))
    slowest = asking.slowest * 1000
    return f"{took:.3f} s ({row.at_least:g} to {row.within:g}); {during} answers, the slowest after {slowest:.1f} ms"


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[str]]]:
    """Of all rows, by name; each has a server and a program of its own. Most of each is waiting: six at a time."""

    def run(row: Row, folder: Path) -> str:
        paged = row in PAGED
        shape = PAGES if paged else SMALL
        with in_thread(ApiServer()) as server:
            server.watches.streaming_lists = not paged
            server.change(put=[*cluster(shape), *OBJECTS])
            patient = row.at_least != STREAM_SILENCE
            with following(server, folder, patient=patient) as program:
                return survive(program, row)

    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = [each["row"] for each in parameters if isinstance(each.get("row"), Row)]
    with ThreadPoolExecutor(6) as pool:
        yield {row.name: pool.submit(run, row, tmp_path_factory.mktemp("row")) for row in wanted}


@pytest.mark.parametrize("row", [*STREAMING, *PAGED], ids=lambda row: row.name)
def test_faults(outcomes: dict[str, Future[str]], row: Row) -> None:
    """All that is known is answered right before, during and after the fault, and the change is seen."""
    log.info("%s: %s", row.name, outcomes[row.name].result())


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A small cluster."""
    with in_thread(ApiServer()) as server:
        server.change(put=[*cluster(SMALL), *OBJECTS])
        yield server


@pytest.mark.parametrize("backwards", [False, True])
def test_events_again(server: ApiServer, tmp_path: Path, backwards: bool) -> None:
    """Events that come again on a new connection, or out of order, bring nothing back and make nothing older."""
    moves = prepare(server)
    with following(server, tmp_path) as program:
        server.change(moves.put, moves.delete)
        program.until(moves.after)
        events = program.count("events")
        with Asking(program.program, {**KNOWN, **moves.after}):
            server.faults.add(Replay(5, backwards=backwards), "services", "watch")
            program.strike(Reset())
            eventually(lambda: program.count("events") >= events + 5)
            again = prepare(server)
            server.change(again.put, again.delete)
            program.until(again.after)
        # Of the five the last two of each object are no older than what is held.
        assert program.count("stale_events") >= 1


def name_of(value: Object) -> str:
    """The question for a service's address."""
    return f"{value['metadata']['name']}.{value['metadata']['namespace']}.svc A"


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "pages"])
def test_large_relist(tmp_path: Path, streaming: bool) -> None:
    """The history is lost while the connection is down: what was deleted goes, all else is there all the time."""
    with in_thread(ApiServer()) as server:
        server.watches.streaming_lists = streaming
        objects = [*cluster(Shape(services=1200, headless=100, namespaces=10)), *OBJECTS]
        server.load(objects)
        services = [each for each in objects if each["kind"] == "Service" and each["metadata"]["name"][:4] == "svc-"]
        answers = {name_of(each): each["spec"]["clusterIP"] for each in services if each["spec"]["clusterIP"] != "None"}
        names = list(answers)
        gone = dict.fromkeys(names[::100], "NXDOMAIN")
        known = {**KNOWN, **{name: answers[name] for name in names[::37] if name not in gone}}
        deleted = [each for each in services if name_of(each) in gone]
        with following(server, tmp_path) as program:
            program.until({name: answers[name] for name in gone})
            moves = prepare(server)
            lists = [program.count("lists", each) for each in ("services", "endpointslices")]
            with Asking(program.program, known) as asking:
                program.unseen(moves.put, [*moves.delete, *deleted], compact=True)
                took = program.until({**moves.after, **gone})
                asked = asking.asked
                eventually(lambda: asking.asked > asked + len(known))
            assert [program.count("lists", each) - 1 for each in ("services", "endpointslices")] == lists
            log.info("%.3f s, the slowest answer after %.1f ms", took, asking.slowest * 1000)


def attempts(server: ApiServer, after: float) -> dict[str, list[float]]:
    """When each resource was asked for, from a time on, in seconds since then; probes, for one object, do not count."""
    found: dict[str, list[float]] = {}
    for asked in server.call(lambda: list(server.counters.requests)):
        if asked.at >= after and asked.params.get("limit") != "1":
            found.setdefault(asked.resource, []).append(asked.at - after)
    return found


def test_outage(server: ApiServer, tmp_path: Path) -> None:
    """Connections are refused for a while: one line, all is answered, and nobody comes back in one crowd."""
    with following(server, tmp_path) as program:
        moves = prepare(server)
        program.until(moves.before)
        with Asking(program.program, {**KNOWN}) as asking:
            server.run(server.unlisten())
            server.change(moves.put, moves.delete)
            asked = asking.asked
            eventually(lambda: program.count("errors") >= 3)
            assert program.answers(moves.before)
            assert asking.asked > asked
            started = time.monotonic()
            server.run(server.listen())
            took = program.until(moves.after)
            eventually(lambda: len(attempts(server, started)) == 7)
        log.info("%.3f s after the end of the outage", took)
        firsts = [times[0] for times in attempts(server, started).values()]
        assert max(firsts) - min(firsts) > 0.02
        program.program.wait_for_log("cluster dev: connected again")
        refused = [line for line in program.warnings() if "connection refused" in line]
        assert len(refused) == 1, refused
        assert len(program.warnings()) <= 2, program.warnings()


def test_no_herd(server: ApiServer, tmp_path: Path) -> None:
    """While a server is overloaded each resource asks less and less often, and no two at the same moment."""
    with following(server, tmp_path) as program, Asking(program.program, KNOWN):
        overload = server.faults.add(Refuse(503), times=None)
        started = time.monotonic()
        server.call(server.drop)
        eventually(lambda: [len(times) > 3 for times in attempts(server, started).values()] == [True] * 7)
        server.call(server.faults.clear, overload)
        found = attempts(server, started)
        for times in found.values():
            # Whoever is refused waits for these seconds at least before the next attempt.
            for before, after, least in zip(times, times[1:], (1 / 8, 1 / 4, 1 / 2), strict=False):
                assert after - before > least * 0.9, times
        for number in range(3):
            at = sorted(times[number] for times in found.values())
            assert at[-1] - at[0] > 0.01 * 2**number
        moves = prepare(server)
        server.change(moves.put, moves.delete)
        program.until(moves.after)


def test_token_expires(server: ApiServer, tmp_path: Path) -> None:
    """A token that has ended is one line; as soon as the kubeconfig has another one, the watch goes on."""
    path = server.kubeconfig(tmp_path / "kubeconfig")
    with following(server, tmp_path, kubeconfig=path) as program:
        token = yaml.safe_load(path.read_text(encoding="utf-8"))["users"][0]["user"]["token"]
        moves = prepare(server)
        program.until(moves.before)
        lists = program.count("lists")
        with Asking(program.program, KNOWN):
            server.call(server.access.expire, token)
            program.unseen(moves.put, moves.delete)
            eventually(lambda: server.counters.refused[401] >= 7)
            assert program.answers(moves.before)
            server.kubeconfig(path)
            program.until(moves.after)
        said = program.warnings()
        assert len([line for line in said if "HTTP 401" in line]) == 1
        assert len(said) <= 2, said
        assert program.count("lists") == lists


READER = User("reader")
GROUPS = {"services": "", "endpointslices": "discovery.k8s.io", "namespaces": "", "nodes": ""}


def allow(server: ApiServer, *without_these: str) -> None:
    """Let the reader read everything but some resources."""
    qualified = [
        f"{plural}.{group}" if group else plural for plural, group in GROUPS.items() if plural not in without_these
    ]
    others = ["servicecidrs.networking.k8s.io", "ippools.crd.projectcalico.org", "configmaps"]
    server.access.rules["reader"] = [Rule(("list", "watch"), (*qualified, *others))]


@pytest.mark.parametrize("plural", ["namespaces", "nodes"])
def test_forbidden_from_the_start(server: ApiServer, tmp_path: Path, plural: str) -> None:
    """What can be done without may be forbidden: one line names the rule that is missing, and all else works."""
    allow(server, plural)
    with following(server, tmp_path, user=READER) as program:
        moves = prepare(server)
        with Asking(program.program, KNOWN):
            program.until(moves.before)
            server.change(moves.put, moves.delete)
            program.until(moves.after)
        (said,) = program.warnings()
        assert f'a ClusterRole must grant apiGroups: [""], resources: ["{plural}"], verbs: ["list", "watch"]' in said
        assert f'cannot list resource "{plural}"' in said
        assert program.count("errors", plural) == 2, "a streaming list, and at once a list in pages"


def test_forbidden_later(server: ApiServer, tmp_path: Path) -> None:
    """Endpoint slices are forbidden while they are watched: one line, services go on, and so do they when allowed."""
    allow(server)
    kafka = endpoint_slice("kafka", {"kafka-0": "10.244.9.7", "kafka-1": "10.244.9.2"}, namespace="faults")
    with following(server, tmp_path, user=READER) as program:
        moves = prepare(server)
        with Asking(program.program, KNOWN):
            program.until(moves.before)
            server.call(allow, server, "endpointslices")
            program.strike(Reset(), "endpointslices")
            program.program.wait_for_log(
                r'endpointslices: HTTP 403: .*; a ClusterRole must grant apiGroups: \["discovery.k8s.io"\], '
                r'resources: \["endpointslices"\], verbs: \["list", "watch"\]'
            )
            server.change(moves.put, moves.delete)
            program.until(moves.after)
            eventually(lambda: program.count("errors", "endpointslices") >= 3)
        server.change([kafka])
        assert program.fresh_answer("kafka-0.kafka.faults.svc A") == "10.244.9.1"
        server.call(allow, server)
        program.until({"kafka-0.kafka.faults.svc A": "10.244.9.7"})
        program.program.wait_for_log("endpointslices: connected again")
        assert len([line for line in program.warnings() if "HTTP 403" in line]) == 1


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (without("spec"), "spec: expected, but missing"),
        (with_field(7, "spec"), "spec: expected"),
        (without("metadata", "name"), "metadata.name: expected, but missing"),
        (without("metadata"), "metadata: expected, but missing"),
    ],
    ids=["no spec", "a number as spec", "no name", "no metadata"],
)
def test_missing_fields(shared: Following, edit: Edit, says: str) -> None:
    """An object that is not as it should be: one line and a count, its last good version stays, all else goes on."""
    server, program = shared.server, shared
    moves = prepare(server)
    program.until(moves.before)
    invalid, said = program.count("invalid_objects"), len(program.warnings())
    (moving, coming), (name, *_) = moves.put, moves.before
    with Asking(program.program, {**KNOWN, name: moves.before[name]}):
        program.strike(Rewrite(edit))
        server.change([moving])
        eventually(lambda: program.count("invalid_objects") == invalid + 1)
        program.strike(Rewrite(lambda octets: octets))
        server.change([coming], moves.delete)
        program.until({each: answer for each, answer in moves.after.items() if each != name})
    (line,) = program.warnings()[said:]
    assert says in line
    assert "left out" in line
    server.change([moving])
    program.until(moves.after)


def test_one_wrong_field(shared: Following) -> None:
    """A field that is not as it should be is one line and a count, and the object is taken without it."""
    server, program = shared.server, shared
    moves = prepare(server)
    program.until(moves.before)
    parts, said = program.count("invalid_parts"), len(program.warnings())
    (moving, coming), (name, *_) = moves.put, moves.before
    program.strike(Rewrite(with_field("no address", "spec", "clusterIPs")))
    server.change([moving])
    eventually(lambda: program.count("invalid_parts") == parts + 1)
    program.strike(Rewrite(lambda octets: octets))
    program.until({name: moves.after[name]})
    server.change([coming], moves.delete)
    program.until(moves.after)
    (line,) = program.warnings()[said:]
    assert "spec.clusterIPs: expected a list" in line
    assert line.endswith("; only this is left out")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Following]:
    """A small cluster and a program for tests that leave both as they were."""
    with in_thread(ApiServer()) as server:
        server.change(put=[*cluster(SMALL), *OBJECTS])
        with following(server, tmp_path_factory.mktemp("shared")) as program:
            yield program

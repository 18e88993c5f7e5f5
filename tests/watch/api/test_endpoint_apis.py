"""Which API the endpoints of a cluster are read from, and what becomes of the answers when that changes.

A server is of a version by what it does not have (`without`), and its objects are those of old_cluster.
"""

import json
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dnsbridge.watch.api.offered import Groups, NotSaid, read_groups
from tests.apiserver.access import ADMIN, Rule, User
from tests.apiserver.faults import EmptyList, Fault, Refuse, Say, Slow, Stall
from tests.apiserver.server import ApiServer, in_thread
from tests.support.cluster_server import CLUSTER, Asking, Following, following
from tests.support.kubeconfigs import endpoint_slice, service
from tests.support.old_cluster import (
    ALWAYS,
    FROM_BETA,
    FROM_OLD,
    FROM_V1,
    KUBERNETES_1_9,
    MANY,
    OBJECTS,
    endpoints,
    subset,
)
from tests.support.program import eventually
from tests.support.started import run

V1 = "discovery.k8s.io/v1 EndpointSlices"
BETA = (
    "discovery.k8s.io/v1beta1 EndpointSlices, and v1 Endpoints where a service has no slice"
    " (the server has no newer ones)"
)
OLD = "v1 Endpoints (the server has no EndpointSlices)"
WITHOUT_SLICES = frozenset({"discovery.k8s.io"})


def server_of(without: Iterable[str] = ()) -> ApiServer:
    """A server with the objects above."""
    server = ApiServer(tls=False, without=without)
    server.watches.streaming_lists = False
    server.load(OBJECTS)
    return server


soon = partial(eventually)


def logged(program: Following, pattern: str) -> None:
    """Wait for a line of the log."""
    soon(lambda: any(re.search(pattern, line) for line in program.program.log()))


def asked(server: ApiServer, resource: str) -> int:
    """How often a resource was asked for; `discovery`: what there is."""
    return server.call(lambda: len(server.counters.asked(None, "" if resource == "discovery" else resource)))


def chosen(program: Following, words: str, times: int = 1) -> None:
    """Wait until the log says so many times that endpoints are from there."""
    line = f"endpoints from {words}"
    soon(lambda: sum(each.endswith(line) for each in program.program.log()) >= times)


def fresh(program: Following) -> None:
    """Wait until the cluster has been read; a resource that was refused is asked for again within 30 seconds."""
    soon(lambda: any(each.endswith("cluster dev: fresh") for each in program.program.log()))


@pytest.mark.parametrize(
    ("without", "words", "answers"),
    [
        pytest.param((), V1, FROM_V1, id="1.21 and later"),
        pytest.param(("discovery.k8s.io/v1",), BETA, FROM_BETA, id="1.17 to 1.20"),
        pytest.param(("discovery.k8s.io/v1", "networking.k8s.io"), BETA, FROM_BETA, id="1.17 without ServiceCIDR"),
        pytest.param(WITHOUT_SLICES, OLD, FROM_OLD, id="1.16"),
        pytest.param(KUBERNETES_1_9, OLD, FROM_OLD, id="1.9"),
        pytest.param(("/apis",), V1, FROM_V1, id="no discovery"),
        pytest.param(("/apis", "discovery.k8s.io/v1"), BETA, FROM_BETA, id="no discovery, v1beta1"),
        pytest.param(("/apis", "discovery.k8s.io"), OLD, FROM_OLD, id="no discovery, Endpoints"),
    ],
)
def test_the_newest_that_the_server_has(
    tmp_path: Path, without: Iterable[str], words: str, answers: dict[str, str]
) -> None:
    """By what the server says that it has, and without a warning; where slices and Endpoints are read, slices count."""
    with in_thread(server_of(without)) as server, following(server, tmp_path) as program:
        chosen(program, words)
        assert {text: program.answer(text) for text in answers} == answers
        assert [line for line in program.warnings() if "endpoints" in line] == []
        if words is V1:
            assert asked(server, "endpoints") == 0


class Trouble(NamedTuple):
    """What is wrong with a server that has slices."""

    name: str
    faults: list[tuple[Fault, str]]
    """Each with the resource that it meets."""
    user: User | None = None


GARBAGE = b"<html>404 page not found</html>"
NO_LIST = b'{"kind": "Status", "groups": []}'
NO_PATH = (Refuse(404), "endpointslices")
TROUBLES = [
    Trouble("its group is down, the list of groups has it", [(Refuse(503), "endpointslices")]),
    Trouble("its path is not there, the list of groups has it", [(Refuse(404), "endpointslices")]),
    Trouble("the credentials do not suffice", [], User("nobody")),
    Trouble("silence", [(Stall(headers=False), "endpointslices")]),
    *(
        Trouble(f"its path is not there, the list of groups is {name}", [NO_PATH, (fault, "discovery")])
        for name, fault in (
            ("an error", Refuse(500)),
            ("unavailable", Refuse(503)),
            ("forbidden", Refuse(403)),
            ("too much to ask", Refuse(429)),
            ("the page of a proxy", Say(GARBAGE)),
            ("another document", Say(NO_LIST)),
            ("empty", Say(b"")),
            ("half", Say(b'{"kind": "APIGroupList", "groups": [{"name": "apps"')),
        )
    ),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_no_trouble_leads_to_an_older_api(tmp_path: Path, trouble: Trouble) -> None:
    """However a server fails, it is asked again for slices, and Endpoints are not even asked for."""
    with in_thread(server_of()) as server:
        readers = [Rule(("list", "watch"), ("services", "namespaces"))]
        server.access.rules["nobody"] = readers
        for fault, resource in trouble.faults:
            server.faults.add(fault, resource, None, None)
        of_discovery = any(resource == "discovery" for _, resource in trouble.faults)
        with following(server, tmp_path, user=trouble.user or ADMIN, wait=False) as program:
            soon(lambda: asked(server, "endpointslices") >= 3 and asked(server, "discovery") >= 2 * of_discovery)
            assert program.answer("many.shop.svc A") == "SERVFAIL"
            assert not [line for line in program.program.log() if "endpoints from" in line]
            server.call(server.faults.clear)
            readers.append(Rule(("list", "watch"), ("endpointslices.discovery.k8s.io",)))
            fresh(program)
            assert {text: program.answer(text) for text in FROM_V1} == FROM_V1
        assert asked(server, "endpoints") == 0


@pytest.mark.parametrize("fault", [Refuse(503), Stall(), Refuse(403)], ids=["error", "silence", "forbidden"])
def test_only_what_was_read_counts(tmp_path: Path, fault: Fault) -> None:
    """A cluster has been read when what was chosen has been read: here Endpoints, beside slices of v1beta1 or alone."""
    with in_thread(server_of({"discovery.k8s.io/v1"})) as server:
        server.faults.add(fault, "endpoints", None, None)
        with following(server, tmp_path, wait=False) as program:
            logged(program, "endpointslices: [0-9]+ read")
            soon(lambda: asked(server, "endpoints") >= 2)
            assert program.answer("old.shop.svc A") == "SERVFAIL"
            assert not [line for line in program.program.log() if line.endswith("fresh")]
            server.call(server.faults.clear)
            fresh(program)
            assert {text: program.answer(text) for text in FROM_BETA} == FROM_BETA


def test_an_upgrade_leaves_no_gap(tmp_path: Path) -> None:
    """From Endpoints to slices, back, and by v1beta1: what both say is always answered, and no old object stays."""
    with in_thread(server_of(WITHOUT_SLICES)) as server, following(server, tmp_path) as program:
        chosen(program, OLD)
        program.until(FROM_OLD)
        with Asking(program.program, ALWAYS):
            for number, (without, words, answers) in enumerate(
                (
                    (frozenset(), V1, FROM_V1),
                    (WITHOUT_SLICES, OLD, FROM_OLD),
                    (frozenset({"discovery.k8s.io/v1"}), BETA, FROM_BETA),
                    (frozenset(), V1, FROM_V1),
                )
            ):
                upgraded(server, without)
                chosen(program, words, 1 + (number > 0 and words is not BETA))
                program.until(answers)
        # What is of another API is gone, not only outvoted.
        server.change(delete=[each for each in OBJECTS if each["kind"] == "EndpointSlice"])
        program.until({"both.shop.svc A": "NXDOMAIN", "many.shop.svc A": "NXDOMAIN"})


def upgraded(server: ApiServer, without: frozenset[str]) -> None:
    """The server starts anew as another version."""

    def change() -> None:
        server.without = without
        server.drop()

    server.call(change)


def test_an_older_list_that_is_not_whole_changes_nothing(tmp_path: Path) -> None:
    """While the older API is not there either, or gives an empty list, what was read last answers."""
    pairs = [(service(f"s{at}"), endpoint_slice(f"s{at}", [f"10.128.4.{at + 1}"])) for at in range(12)]
    known = {**ALWAYS, "s7.shop.svc A": "10.128.4.8"}
    with in_thread(server_of()) as server:
        server.change(put=[each for pair in pairs for each in pair])
        with following(server, tmp_path) as program:
            program.until(known)
            server.call(server.faults.add, Refuse(503), "endpoints", None, 3)
            server.call(server.faults.add, EmptyList(), "endpoints", "list", None)
            with Asking(program.program, known):
                upgraded(server, WITHOUT_SLICES)
                logged(program, "endpoints: an empty list, while [0-9]+ objects are held; not believed")
            assert program.answers(known)


def test_a_proxy_does_not_decide(tmp_path: Path) -> None:
    """Something that answers 404 to all for a moment leads nowhere, though Endpoints are listed whole after that."""
    with in_thread(server_of()) as server, following(server, tmp_path) as program:
        chosen(program, V1)
        with Asking(program.program, ALWAYS):
            server.call(server.faults.add, Slow(300), "endpoints", "list", 1)
            upgraded(server, frozenset({"/apis", "discovery.k8s.io"}))
            soon(lambda: asked(server, "endpoints") >= 1)
            server.call(setattr, server, "without", frozenset())
            logged(program, "endpoints: [0-9]+ read")
            server.change(put=[endpoint_slice("both", ["10.128.1.3"])])
            program.until({**FROM_V1, "both.shop.svc A": "10.128.1.3"})
        assert not [line for line in program.program.log() if line.endswith(OLD)]


def test_a_lock_costs_nothing(tmp_path: Path) -> None:
    """What an elected leader of Kubernetes 1.9 writes every two seconds drops no prepared answer."""
    answers = {**FROM_OLD, "kube-scheduler.kube-system.svc A": "NXDOMAIN"}
    with in_thread(server_of(KUBERNETES_1_9)) as server, following(server, tmp_path) as program:
        for _ in range(3):
            assert {text: program.answer(text) for text in answers} == answers
        metrics = program.program.metrics()
        seen = program.count("events", "endpoints")
        for second in range(20):
            leader = json.dumps({"holderIdentity": "m", "renewTime": f"2018-01-01T00:00:{second:02}Z"})
            noted = {"control-plane.alpha.kubernetes.io/leader": leader}
            lock = endpoints("kube-scheduler", namespace="kube-system", annotations=noted)
            server.change(put=[lock, endpoints("many", subset(*MANY), annotations=noted)])
        soon(lambda: program.count("events", "endpoints") >= seen + 40)
        hits = program.program.metrics()["dnsbridge_prepared_hits_total"]
        assert {text: program.answer(text) for text in answers} == answers
        after = program.program.metrics()
        assert after["dnsbridge_prepared_hits_total"] - hits == len(answers)
        assert after["dnsbridge_prepared_dropped_total"] == metrics["dnsbridge_prepared_dropped_total"]


def test_old_objects_with_fields_missing(tmp_path: Path) -> None:
    """Objects as Kubernetes 1.9 has them: no clusterIPs, no protocol, no labels, null lists, the old annotation."""
    tolerant = service("db")
    tolerant["spec"] = {"clusterIP": "None", "ports": [{"port": 80}]}
    tolerant["metadata"]["annotations"] = {"service.alpha.kubernetes.io/tolerate-unready-endpoints": "true"}
    del tolerant["metadata"]["labels"]
    plain = {**service("web"), "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80, "targetPort": 80}]}}
    objects = [
        tolerant,
        plain,
        endpoints("db", {"notReadyAddresses": [{"ip": "10.128.5.1"}], "addresses": None, "ports": [{"port": 80}]}),
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web", "namespace": "shop"}},
    ]
    with in_thread(server_of(KUBERNETES_1_9)) as server:
        server.change(put=objects)
        with following(server, tmp_path) as program:
            program.until(
                expected={
                    "db.shop.svc A": "10.128.5.1",
                    "db.shop.svc SRV": "0 100 80 10-128-5-1.db.shop.svc.cluster.local.",
                    "web.shop.svc A": "10.96.0.7",
                },
            )
            assert program.warnings() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_while_the_server_is_away(tmp_path: Path, workers: int) -> None:
    """Endpoints are in the snapshot and with every worker; a cluster that was upgraded meanwhile takes their place."""
    with in_thread(server_of(WITHOUT_SLICES)) as server:
        settings: dict[str, Any] = {"state_dir": tmp_path / "state", "workers": workers}
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        with following(server, tmp_path, kubeconfig=kubeconfig, **settings) as program:
            program.until(FROM_OLD)
            server.change(put=[endpoints("old", subset("10.128.2.3"))])
            program.until({"old.shop.svc A": "10.128.2.3"})
        server.call(setattr, server, "without", frozenset())
        server.faults.add(Refuse(503), None, None, None)
        with following(server, tmp_path, kubeconfig=kubeconfig, wait=False, **settings) as program:
            program.until({**ALWAYS, "old.shop.svc A": "10.128.2.3"})
            with Asking(program.program, ALWAYS):
                server.call(server.faults.clear)
                chosen(program, V1)
                program.until(FROM_V1)


def shown(folder: Path, kubeconfig: Path, http: str) -> dict[str, str]:
    """Where `config show` says that endpoints are read from, and the origin of the row."""
    file = folder / "shown.yaml"
    file.write_text(json.dumps({"clusters": [{"name": CLUSTER, "source": {"kubeconfig": str(kubeconfig)}}]}))
    done = run("config", "show", "--config", str(file), "--http", http, "--output", "json")
    rows = json.loads(done.stdout)
    return {row["value"]: row["origin"] for row in rows if row["key"] == "clusters[0].endpoints"}


@pytest.mark.parametrize(("without", "words"), [((), V1), (WITHOUT_SLICES, OLD)], ids=["slices", "Endpoints"])
@pytest.mark.parametrize("workers", [1, 2])
def test_config_show(tmp_path: Path, without: Iterable[str], words: str, workers: int) -> None:
    """`config show` says what the running server reads; without a server it says nothing of that."""
    with in_thread(server_of(without)) as server:
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
        with following(server, tmp_path, kubeconfig=kubeconfig, workers=workers) as program:
            chosen(program, words)
            http = program.program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
            assert shown(tmp_path, kubeconfig, http) == {words: "the running server"}
        assert shown(tmp_path, kubeconfig, http) == {}


LISTED = b'{"kind":"APIGroupList","apiVersion":"v1","groups":[%s]}'
SLICES = b'{"name":"discovery.k8s.io","versions":[{"groupVersion":"discovery.k8s.io/v1beta1","version":"v1beta1"}]}'


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, LISTED % SLICES, Groups(frozenset({"discovery.k8s.io/v1beta1"}))),
        (200, LISTED % b"", Groups(frozenset())),
        (200, LISTED % b"{}", NotSaid()),
        (200, b'{"kind":"APIGroupList"}', NotSaid()),
        (200, b'{"kind":"APIGroup","groups":[]}', NotSaid()),
        (200, b'{"kind":"APIGroupList","groups":null}', NotSaid()),
        (200, b"\xff", NotSaid()),
        (200, GARBAGE, NotSaid()),
        (404, b"404 page not found", NotSaid(no_discovery=True)),
        *((status, LISTED % SLICES, NotSaid()) for status in (301, 401, 403, 429, 500, 503)),
    ],
)
def test_what_a_list_of_groups_says(status: int, body: bytes, expected: Groups | NotSaid) -> None:
    """Only a whole list is a word about what there is."""
    assert read_groups(status, body) == expected

"""A change of the cluster is answered the moment it happens, and nothing else is touched by it.

Each case has questions that were asked often enough to have prepared answers, positive and negative. After the change
those whose answers it changes are answered anew, and exactly these prepared answers were dropped: the counter says so,
and everything else that was asked in this module is still answered without being worked out again.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.apiserver.resources import Object
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread
from tests.support.cluster_server import Following, following
from tests.support.kubeconfigs import endpoint_slice, service
from tests.support.program import eventually

log = logging.getLogger(__name__)

UNRELATED = {
    "web.other.svc A": "10.96.7.7",
    "web.other.svc AAAA": "NODATA",
    "_http._tcp.web.other.svc SRV": "0 100 80 web.other.svc.cluster.local.",
    "db-0.db.other.svc A": "10.128.7.1",
    "db.other.svc SRV": "0 100 8080 db-0.db.other.svc.cluster.local.",
    "nothing.other.svc A": "NXDOMAIN",
    "db-1.db.other.svc A": "NXDOMAIN",
    "nothing.nowhere.svc A": "NXDOMAIN",
    "10-128-7-1.other.pod A": "10.128.7.1",
    "10-128-7-2.other.pod A": "NXDOMAIN",
    "other.svc A": "NODATA",
    "10.96.7.7 PTR": "web.other.svc.cluster.local.",
    "10.128.7.1 PTR": "db-0.db.other.svc.cluster.local.",
    "10.96.7.8 PTR": "NXDOMAIN",
}


class Asked(NamedTuple):
    """A question's answer before and after the change."""

    question: str
    before: str
    after: str


class Case(NamedTuple):
    """A change. Its names are in a namespace of its own, `NS`."""

    name: str
    at_first: list[Object]
    put: list[Object]
    delete: list[Object]
    asked: list[Asked]
    """Those whose answer changes, and those that must not be touched though they are near."""


def web(address: str = "10.96.1.1", *more: str, **spec: Any) -> Object:
    """A service with a ClusterIP; further fields of its spec by their names."""
    made = service("web", address, *more, namespace="NS")
    made["spec"].update(spec)
    return made


def kafka(**spec: Any) -> Object:
    """A headless service."""
    made = service("kafka", namespace="NS")
    made["spec"].update(spec)
    return made


def ports(*names: str) -> list[Object]:
    """Ports 80, 81, ... with these names."""
    return [{"name": name, "port": 80 + number, "protocol": "TCP"} for number, name in enumerate(names)]


def members(
    endpoints: Mapping[str, str], *, of: str = "kafka", suffix: str = "1", states: Mapping[str, Object] | None = None
) -> Object:
    """The slice of a service, hostnames to addresses; the conditions of some."""
    made = endpoint_slice(of, endpoints, namespace="NS", suffix=suffix)
    for endpoint in made["endpoints"]:
        endpoint["conditions"] = {"ready": True, "serving": True, "terminating": False}
        endpoint["conditions"] |= (states or {}).get(endpoint["hostname"], {})
    return made


def moved(made: Object, to: str) -> Object:
    """The same slice with another service's label."""
    labels = {"kubernetes.io/service-name": to}
    return {**made, "metadata": {**made["metadata"], "labels": labels}}


def named(kind: str, name: str, **more: Any) -> Object:
    """An object with little in it."""
    namespace = {} if kind == "Namespace" else {"namespace": "NS"}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **namespace}, **more}


def pod(address: str, phase: str = "Running") -> Object:
    """A pod."""
    return named("Pod", "job-1", status={"phase": phase, "podIP": address, "podIPs": [{"ip": address}]})


def external(to: str) -> Object:
    """An ExternalName for another service."""
    target = f"{to}.NS.svc.cluster.local"
    return named("Service", "ext", spec={"type": "ExternalName", "externalName": target})


NO_NAMES = endpoint_slice("kafka", ["10.128.2.1"], namespace="NS")
SRV = "0 100 8080 {}.kafka.NS.svc.cluster.local."
TWO = {"kafka-0": "10.128.2.1", "kafka-1": "10.128.2.2"}
UNREADY: Object = {"ready": False, "serving": False}
TERMINATING: Object = {"ready": False, "serving": True, "terminating": True}

CASES = [
    Case(
        "a service comes",
        [named("Namespace", "NS")],
        [web()],
        [],
        [
            Asked("web.NS.svc A", "NXDOMAIN", "10.96.1.1"),
            Asked("web.NS.svc AAAA", "NXDOMAIN", "NODATA"),
            Asked("_http._tcp.web.NS.svc SRV", "NXDOMAIN", "0 100 80 web.NS.svc.cluster.local."),
            Asked("_tcp.web.NS.svc TXT", "NXDOMAIN", "NODATA"),
            Asked("10.96.1.1 PTR", "NXDOMAIN", "web.NS.svc.cluster.local."),
            Asked("web-2.NS.svc A", "NXDOMAIN", "NXDOMAIN"),
            Asked("NS.svc A", "NODATA", "NODATA"),
        ],
    ),
    Case(
        "a service goes",
        [named("Namespace", "NS"), web()],
        [],
        [web()],
        [
            Asked("web.NS.svc A", "10.96.1.1", "NXDOMAIN"),
            Asked("web.NS.svc AAAA", "NODATA", "NXDOMAIN"),
            Asked("_http._tcp.web.NS.svc SRV", "0 100 80 web.NS.svc.cluster.local.", "NXDOMAIN"),
            Asked("10.96.1.1 PTR", "web.NS.svc.cluster.local.", "NXDOMAIN"),
            Asked("_https._tcp.web.NS.svc SRV", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "a service is made anew, with another address",
        [web()],
        [web("10.96.1.2")],
        [],
        [
            Asked("web.NS.svc A", "10.96.1.1", "10.96.1.2"),
            Asked("10.96.1.1 PTR", "web.NS.svc.cluster.local.", "NXDOMAIN"),
            Asked("10.96.1.2 PTR", "NXDOMAIN", "web.NS.svc.cluster.local."),
            Asked("10.96.1.3 PTR", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "dual stack is added later",
        [web()],
        [web("10.96.1.1", "fd00:10:96::1")],
        [],
        [
            Asked("web.NS.svc AAAA", "NODATA", "fd00:10:96::1"),
            Asked("web-2.NS.svc AAAA", "NXDOMAIN", "NXDOMAIN"),
            Asked("10.96.1.1 PTR", "web.NS.svc.cluster.local.", "web.NS.svc.cluster.local."),
        ],
    ),
    Case(
        "a port is renamed",
        [web(ports=ports("http", "metrics"))],
        [web(ports=ports("https", "metrics"))],
        [],
        [
            Asked("_http._tcp.web.NS.svc SRV", "0 100 80 web.NS.svc.cluster.local.", "NXDOMAIN"),
            Asked("_https._tcp.web.NS.svc SRV", "NXDOMAIN", "0 100 80 web.NS.svc.cluster.local."),
            Asked(
                "_metrics._tcp.web.NS.svc SRV",
                "0 100 81 web.NS.svc.cluster.local.",
                "0 100 81 web.NS.svc.cluster.local.",
            ),
            Asked("web.NS.svc A", "10.96.1.1", "10.96.1.1"),
        ],
    ),
    Case(
        "labels that nobody looks at",
        [web(), kafka(), members(TWO)],
        [{**web(), "metadata": {**web()["metadata"], "labels": {"team": "x"}}}, members(TWO)],
        [],
        [
            Asked("web.NS.svc A", "10.96.1.1", "10.96.1.1"),
            Asked("kafka.NS.svc A", "10.128.2.1 | 10.128.2.2", "10.128.2.1 | 10.128.2.2"),
        ],
    ),
    Case(
        "a StatefulSet's pod starts again with another address",
        [kafka(), members(TWO)],
        [members({**TWO, "kafka-0": "10.128.2.9"})],
        [],
        [
            Asked("kafka-0.kafka.NS.svc A", "10.128.2.1", "10.128.2.9"),
            Asked("kafka.NS.svc A", "10.128.2.1 | 10.128.2.2", "10.128.2.2 | 10.128.2.9"),
            Asked("10.128.2.1 PTR", "kafka-0.kafka.NS.svc.cluster.local.", "NXDOMAIN"),
            Asked("10.128.2.9 PTR", "NXDOMAIN", "kafka-0.kafka.NS.svc.cluster.local."),
            Asked("kafka-1.kafka.NS.svc A", "10.128.2.2", "10.128.2.2"),
            Asked("10.128.2.2 PTR", "kafka-1.kafka.NS.svc.cluster.local.", "kafka-1.kafka.NS.svc.cluster.local."),
            Asked("kafka-2.kafka.NS.svc A", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "an endpoint becomes not ready",
        [kafka(), members(TWO)],
        [members(TWO, states={"kafka-0": UNREADY})],
        [],
        [
            Asked("kafka-0.kafka.NS.svc A", "10.128.2.1", "NXDOMAIN"),
            Asked("kafka.NS.svc A", "10.128.2.1 | 10.128.2.2", "10.128.2.2"),
            Asked("10.128.2.1 PTR", "kafka-0.kafka.NS.svc.cluster.local.", "NXDOMAIN"),
            Asked("kafka-1.kafka.NS.svc A", "10.128.2.2", "10.128.2.2"),
        ],
    ),
    Case(
        "the last endpoint terminates",
        [kafka(), members({"kafka-0": "10.128.2.1"})],
        [members({"kafka-0": "10.128.2.1"}, states={"kafka-0": TERMINATING})],
        [],
        [
            Asked("kafka-0.kafka.NS.svc A", "10.128.2.1", "NXDOMAIN"),
            Asked("kafka.NS.svc A", "10.128.2.1", "NXDOMAIN"),
            Asked("kafka.NS.svc SRV", SRV.format("kafka-0"), "NXDOMAIN"),
            Asked("_http._tcp.kafka.NS.svc SRV", SRV.format("kafka-0"), "NXDOMAIN"),
            Asked("_tcp.kafka.NS.svc A", "NODATA", "NXDOMAIN"),
            Asked("NS.svc A", "NODATA", "NODATA"),
        ],
    ),
    Case(
        "an endpoint becomes ready",
        [kafka(), members({"kafka-0": "10.128.2.1"}, states={"kafka-0": UNREADY})],
        [members({"kafka-0": "10.128.2.1"})],
        [],
        [
            Asked("kafka-0.kafka.NS.svc A", "NXDOMAIN", "10.128.2.1"),
            Asked("kafka-0.kafka.NS.svc AAAA", "NXDOMAIN", "NODATA"),
            Asked("kafka.NS.svc A", "NXDOMAIN", "10.128.2.1"),
            Asked("kafka-1.kafka.NS.svc A", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "publishNotReadyAddresses is set",
        [kafka(), members(TWO, states={"kafka-0": UNREADY})],
        [kafka(publishNotReadyAddresses=True)],
        [],
        [
            Asked("kafka-0.kafka.NS.svc A", "NXDOMAIN", "10.128.2.1"),
            Asked("kafka.NS.svc A", "10.128.2.2", "10.128.2.1 | 10.128.2.2"),
            Asked("kafka-1.kafka.NS.svc A", "10.128.2.2", "10.128.2.2"),
        ],
    ),
    Case(
        "publishNotReadyAddresses is taken back",
        [kafka(publishNotReadyAddresses=True), members(TWO, states={"kafka-0": UNREADY})],
        [kafka(publishNotReadyAddresses=False)],
        [],
        [
            Asked("kafka-0.kafka.NS.svc A", "10.128.2.1", "NXDOMAIN"),
            Asked("kafka.NS.svc A", "10.128.2.1 | 10.128.2.2", "10.128.2.2"),
            Asked("kafka-1.kafka.NS.svc A", "10.128.2.2", "10.128.2.2"),
        ],
    ),
    Case(
        "hostnames appear on endpoints",
        [kafka(), NO_NAMES],
        [members({"kafka-0": "10.128.2.1"})],
        [],
        [
            Asked("kafka-0.kafka.NS.svc A", "NXDOMAIN", "10.128.2.1"),
            Asked("10-128-2-1.kafka.NS.svc A", "10.128.2.1", "NXDOMAIN"),
            Asked("kafka.NS.svc SRV", SRV.format("10-128-2-1"), SRV.format("kafka-0")),
            Asked("kafka-1.kafka.NS.svc A", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "a slice moves to another service",
        [kafka(), members(TWO), service("zoo", namespace="NS"), members({"zoo-0": "10.128.2.5"}, of="zoo", suffix="2")],
        [moved(members(TWO), "zoo")],
        [],
        [
            Asked("kafka.NS.svc A", "10.128.2.1 | 10.128.2.2", "NXDOMAIN"),
            Asked("kafka-0.kafka.NS.svc A", "10.128.2.1", "NXDOMAIN"),
            Asked("kafka-0.zoo.NS.svc A", "NXDOMAIN", "10.128.2.1"),
            Asked("zoo.NS.svc A", "10.128.2.5", "10.128.2.1 | 10.128.2.2 | 10.128.2.5"),
            Asked("10.128.2.1 PTR", "kafka-0.kafka.NS.svc.cluster.local.", "kafka-0.zoo.NS.svc.cluster.local."),
            Asked("zoo-0.zoo.NS.svc A", "10.128.2.5", "10.128.2.5"),
        ],
    ),
    Case(
        "a slice goes",
        [kafka(), members({"kafka-0": "10.128.2.1"}), members({"kafka-1": "10.128.2.2"}, suffix="2")],
        [],
        [members({}, suffix="2")],
        [
            Asked("kafka.NS.svc A", "10.128.2.1 | 10.128.2.2", "10.128.2.1"),
            Asked("kafka-1.kafka.NS.svc A", "10.128.2.2", "NXDOMAIN"),
            Asked("kafka-0.kafka.NS.svc A", "10.128.2.1", "10.128.2.1"),
        ],
    ),
    Case(
        "the target of an ExternalName changes",
        [web(), service("new", "10.96.1.9", namespace="NS"), external("web")],
        [external("new")],
        [],
        [
            Asked("ext.NS.svc CNAME", "web.NS.svc.cluster.local.", "new.NS.svc.cluster.local."),
            Asked("ext.NS.svc A", "10.96.1.1 | web.NS.svc.cluster.local.", "10.96.1.9 | new.NS.svc.cluster.local."),
            Asked("web.NS.svc A", "10.96.1.1", "10.96.1.1"),
            Asked("new.NS.svc A", "10.96.1.9", "10.96.1.9"),
        ],
    ),
    Case(
        "what an ExternalName stands for changes",
        [web(), external("web")],
        [web("10.96.1.8")],
        [],
        [
            Asked("ext.NS.svc A", "10.96.1.1 | web.NS.svc.cluster.local.", "10.96.1.8 | web.NS.svc.cluster.local."),
            Asked("web.NS.svc A", "10.96.1.1", "10.96.1.8"),
            Asked("ext.NS.svc CNAME", "web.NS.svc.cluster.local.", "web.NS.svc.cluster.local."),
        ],
    ),
    Case(
        "a namespace comes",
        [],
        [named("Namespace", "NS")],
        [],
        [
            Asked("NS.svc A", "NXDOMAIN", "NODATA"),
            Asked("NS.pod A", "NXDOMAIN", "NODATA"),
            Asked("web.NS.svc A", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "a namespace goes",
        [named("Namespace", "NS")],
        [],
        [named("Namespace", "NS")],
        [Asked("NS.svc A", "NODATA", "NXDOMAIN"), Asked("NS.pod TXT", "NODATA", "NXDOMAIN")],
    ),
    Case(
        "a pod comes",
        [named("Namespace", "NS")],
        [pod("10.128.3.1")],
        [],
        [
            Asked("10-128-3-1.NS.pod A", "NXDOMAIN", "10.128.3.1"),
            Asked("10-128-3-2.NS.pod A", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "a pod gets another address",
        [named("Namespace", "NS"), pod("10.128.3.1")],
        [pod("10.128.3.2")],
        [],
        [
            Asked("10-128-3-1.NS.pod A", "10.128.3.1", "NXDOMAIN"),
            Asked("10-128-3-2.NS.pod A", "NXDOMAIN", "10.128.3.2"),
            Asked("10-128-3-3.NS.pod A", "NXDOMAIN", "NXDOMAIN"),
        ],
    ),
    Case(
        "a pod has done its work",
        [named("Namespace", "NS"), pod("10.128.3.1")],
        [pod("10.128.3.1", "Succeeded")],
        [],
        [Asked("10-128-3-1.NS.pod A", "10.128.3.1", "NXDOMAIN"), Asked("NS.pod A", "NODATA", "NODATA")],
    ),
    Case(
        "a pod goes",
        [named("Namespace", "NS"), pod("10.128.3.1")],
        [],
        [pod("10.128.3.1")],
        [Asked("10-128-3-1.NS.pod A", "10.128.3.1", "NXDOMAIN"), Asked("NS.pod A", "NODATA", "NODATA")],
    ),
]


@pytest.fixture(scope="module")
def program() -> Iterator[Following]:
    """A small cluster, whose pods are known."""
    db = [service("db", namespace="other"), endpoint_slice("db", {"db-0": "10.128.7.1"}, namespace="other")]
    db_pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": "other"},
        "status": {"phase": "Running", "podIP": "10.128.7.1"},
    }
    with in_thread(ApiServer()) as server, TemporaryDirectory() as folder:
        server.change(put=[*cluster(Shape(services=10, headless=2)), *db, db_pod])
        server.change(put=[service("web", "10.96.7.7", namespace="other")])
        with following(server, Path(folder), pods="verified") as program:
            program.until(UNRELATED)
            yield program


def dropped(program: Following) -> int:
    """Prepared answers that changes have dropped so far."""
    return int(program.program.metrics()["dnsbridge_prepared_dropped_total"])


def hits(program: Following) -> int:
    """Answers so far that were ready-made."""
    return int(program.program.metrics()["dnsbridge_prepared_hits_total"])


def events(program: Following) -> int:
    """Events so far, of all resources."""
    samples = program.program.metrics().items()
    return int(sum(value for name, value in samples if name.startswith("dnsbridge_watch_events_total")))


def in_namespace(objects: list[Object], namespace: str) -> list[Object]:
    """The objects of a case, in a namespace of its own."""
    text = msgspec.json.encode(objects).replace(b"NS", namespace.encode())
    made: list[Object] = msgspec.json.decode(text)
    return made


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_changes(program: Following, number: int) -> None:
    """What a change changes is answered, and exactly its prepared answers are dropped."""
    case, namespace = CASES[number], f"case-{number}"
    server = program.server
    at_first, put, delete = (in_namespace(each, namespace) for each in (case.at_first, case.put, case.delete))
    asked = [Asked(*(text.replace("NS", namespace) for text in each)) for each in case.asked]
    before = {**UNRELATED, **{each.question: each.before for each in asked}}
    after = {**UNRELATED, **{each.question: each.after for each in asked}}
    touched = [each.question for each in asked if each.before != each.after]
    server.change(at_first)
    program.until(before)
    for _ in range(3):
        assert {text: program.answer(text) for text in before} == before
    ready = hits(program)
    assert {text: program.answer(text) for text in before} == before
    assert hits(program) - ready == len(before), "not all of it is prepared"

    dropped_before, seen = dropped(program), events(program)
    changes = server.change(put, delete)
    program.until({text: after[text] for text in touched})
    eventually(lambda: events(program) >= seen + len(changes))
    assert dropped(program) - dropped_before == len(touched)
    ready = hits(program)
    assert {text: program.answer(text) for text in after} == after
    assert hits(program) - ready == len(after) - len(touched), "more was dropped than what changed"

    gone = {_identity(each): each for each in [*at_first, *put]}
    for each in delete:
        del gone[_identity(each)]
    server.change(delete=gone.values())


def _identity(value: Object) -> tuple[str, str]:
    return value["kind"], value["metadata"]["name"]


def test_many_changes(program: Following) -> None:
    """One name that changes twenty times is right after each, whatever was prepared in between."""
    for number in range(20):
        program.server.change([service("web", f"10.96.9.{number + 1}", namespace="many")])
        expected = {"web.many.svc A": f"10.96.9.{number + 1}"}
        program.until(expected)
        for _ in range(3):
            assert program.answer("web.many.svc A") == f"10.96.9.{number + 1}"

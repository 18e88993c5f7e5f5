"""A save of the manifests is visible within a second, also in ready-made answers; a broken one changes nothing.

All cases are saved at once, each in its own file and namespace, and asked over both transports, below the zone and
an alias.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import dns.message
import dns.rcode
import pytest

from tests.support.program import TRANSPORTS, Program, Transport, eventually
from tests.support.rows import check_negative_soa, shown

ZONES = ("cluster.local", "dev.k8s.corp")
NXDOMAIN = ("NXDOMAIN",)
NO_DATA = ("NOERROR",)

Object = dict[str, Any]
Said = tuple[str, ...]
"""An answer in short: its RCODE if it is negative, else its records."""


def service(name: str, *addresses: str, ports: Sequence[tuple[str, int]] = (), **spec: Any) -> Object:
    """A service; headless without addresses."""
    held = [{"name": port, "port": number, "protocol": "TCP"} for port, number in ports]
    spec = {"clusterIP": "None", "ports": held, **spec}
    if addresses:
        spec |= {"clusterIP": addresses[0], "clusterIPs": list(addresses)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def alias(name: str, target: str) -> Object:
    """An ExternalName service."""
    return service(name, type="ExternalName", externalName=target)


def endpoints(name: str, *each: tuple[str, str, bool], port: tuple[str, int] = ("http", 80), number: int = 1) -> Object:
    """A slice of endpoints (hostname, address, ready)."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-{number}", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv6" if ":" in each[0][1] else "IPv4",
        "endpoints": [
            {"hostname": host, "addresses": [address], "conditions": {"ready": ready}} for host, address, ready in each
        ],
        "ports": [{"name": port[0], "port": port[1], "protocol": "TCP"}],
    }


class Case(NamedTuple):
    """A change; NS in a question or an answer is the case's own namespace."""

    name: str
    before: list[Object]
    after: list[Object]
    questions: dict[str, tuple[Said, Said]]
    """What is said before and after."""


KAFKA = service("kafka")
CASES = [
    Case(
        "a pod restarts with another address",
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.1.1", True), ("kafka-1", "10.244.1.2", True))],
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.1.9", True), ("kafka-1", "10.244.1.2", True))],
        {
            "kafka-0.kafka.NS A": (("@ A 10.244.1.1",), ("@ A 10.244.1.9",)),
            "kafka-1.kafka.NS A": (("@ A 10.244.1.2",), ("@ A 10.244.1.2",)),
            "kafka.NS A": (("@ A 10.244.1.1", "@ A 10.244.1.2"), ("@ A 10.244.1.2", "@ A 10.244.1.9")),
            "1.1.244.10.in-addr.arpa PTR": (("@ PTR kafka-0.kafka.NS",), NXDOMAIN),
            "9.1.244.10.in-addr.arpa PTR": (NXDOMAIN, ("@ PTR kafka-0.kafka.NS",)),
        },
    ),
    Case(
        "a pod is away and comes back",
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.2.1", False))],
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.2.1", True))],
        {
            "kafka-0.kafka.NS A": (NXDOMAIN, ("@ A 10.244.2.1",)),
            "kafka.NS A": (NXDOMAIN, ("@ A 10.244.2.1",)),
            "kafka.NS AAAA": (NXDOMAIN, NO_DATA),
            "kafka.NS SRV": (NXDOMAIN, ("@ SRV 0 100 80 kafka-0.kafka.NS", "kafka-0.kafka.NS A 10.244.2.1")),
            "_http._tcp.kafka.NS SRV": (
                NXDOMAIN,
                ("@ SRV 0 100 80 kafka-0.kafka.NS", "kafka-0.kafka.NS A 10.244.2.1"),
            ),
            "_tcp.kafka.NS A": (NXDOMAIN, NO_DATA),
            "2.244.10.in-addr.arpa PTR": (NXDOMAIN, NO_DATA),
        },
    ),
    Case(
        "the last ready endpoint goes",
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.3.1", True))],
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.3.1", False))],
        {
            "kafka-0.kafka.NS A": (("@ A 10.244.3.1",), NXDOMAIN),
            "kafka.NS A": (("@ A 10.244.3.1",), NXDOMAIN),
            "kafka.NS TXT": (NO_DATA, NXDOMAIN),
            "_tcp.kafka.NS A": (NO_DATA, NXDOMAIN),
            "3.244.10.in-addr.arpa PTR": (NO_DATA, NXDOMAIN),
        },
    ),
    Case(
        "a port is renamed",
        [service("web", "10.96.1.1", ports=[("http", 80)])],
        [service("web", "10.96.1.1", ports=[("https", 443)])],
        {
            "_http._tcp.web.NS SRV": (("@ SRV 0 100 80 web.NS", "web.NS A 10.96.1.1"), NXDOMAIN),
            "_https._tcp.web.NS SRV": (NXDOMAIN, ("@ SRV 0 100 443 web.NS", "web.NS A 10.96.1.1")),
            "web.NS SRV": (
                ("@ SRV 0 100 80 web.NS", "web.NS A 10.96.1.1"),
                ("@ SRV 0 100 443 web.NS", "web.NS A 10.96.1.1"),
            ),
            "_tcp.web.NS SRV": (NO_DATA, NO_DATA),
            "web.NS A": (("@ A 10.96.1.1",), ("@ A 10.96.1.1",)),
        },
    ),
    Case(
        "a slice has another port number",
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.4.1", True), port=("broker", 9092))],
        [KAFKA, endpoints("kafka", ("kafka-0", "10.244.4.1", True), port=("broker", 9999))],
        {
            "_broker._tcp.kafka.NS SRV": (
                ("@ SRV 0 100 9092 kafka-0.kafka.NS", "kafka-0.kafka.NS A 10.244.4.1"),
                ("@ SRV 0 100 9999 kafka-0.kafka.NS", "kafka-0.kafka.NS A 10.244.4.1"),
            ),
        },
    ),
    Case(
        "a namespace appears",
        [],
        [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "NS"}}],
        {
            "NS A": (NXDOMAIN, NO_DATA),
            "NS.pod A": (NXDOMAIN, NO_DATA),
            "1-2-3-4.NS.pod A": (NXDOMAIN, ("@ A 1.2.3.4",)),
            "nothing.NS A": (NXDOMAIN, NXDOMAIN),
        },
    ),
    Case(
        "a service appears in a new namespace",
        [],
        [service("web", "10.96.2.1", ports=[("http", 80)]), endpoints("web", ("db", "10.244.5.1", True))],
        {
            "NS A": (NXDOMAIN, NO_DATA),
            "web.NS A": (NXDOMAIN, ("@ A 10.96.2.1",)),
            "web.NS AAAA": (NXDOMAIN, NO_DATA),
            "db.web.NS A": (NXDOMAIN, ("@ A 10.244.5.1",)),
            "_tcp.web.NS A": (NXDOMAIN, NO_DATA),
            "_http._tcp.web.NS SRV": (NXDOMAIN, ("@ SRV 0 100 80 web.NS", "web.NS A 10.96.2.1")),
            "1.2.96.10.in-addr.arpa PTR": (NXDOMAIN, ("@ PTR web.NS",)),
            "2.96.10.in-addr.arpa PTR": (NXDOMAIN, NO_DATA),
        },
    ),
    Case(
        "a service is deleted, its slice not yet",
        [service("web", "10.96.3.1", ports=[("http", 80)]), endpoints("web", ("db", "10.244.6.1", True))],
        [endpoints("web", ("db", "10.244.6.1", True))],
        {
            "web.NS A": (("@ A 10.96.3.1",), NXDOMAIN),
            "db.web.NS A": (("@ A 10.244.6.1",), NXDOMAIN),
            "_http._tcp.web.NS SRV": (("@ SRV 0 100 80 web.NS", "web.NS A 10.96.3.1"), NXDOMAIN),
            "_tcp.web.NS A": (NO_DATA, NXDOMAIN),
            "web.NS TXT": (NO_DATA, NXDOMAIN),
            "1.3.96.10.in-addr.arpa PTR": (("@ PTR web.NS",), NXDOMAIN),
            "1.6.244.10.in-addr.arpa PTR": (("@ PTR db.web.NS",), NXDOMAIN),
            "NS A": (NO_DATA, NXDOMAIN),
        },
    ),
    Case(
        "a second family is added",
        [service("web", "10.96.4.1", ports=[("http", 80)]), endpoints("web", ("db", "10.244.7.1", True))],
        [
            service("web", "10.96.4.1", "fd00:10:96::4", ports=[("http", 80)]),
            endpoints("web", ("db", "10.244.7.1", True)),
            endpoints("web", ("db", "fd00:10:244::7", True), number=2),
        ],
        {
            "web.NS A": (("@ A 10.96.4.1",), ("@ A 10.96.4.1",)),
            "web.NS AAAA": (NO_DATA, ("@ AAAA fd00:10:96::4",)),
            "db.web.NS AAAA": (NO_DATA, ("@ AAAA fd00:10:244::7",)),
            "_http._tcp.web.NS SRV": (
                ("@ SRV 0 100 80 web.NS", "web.NS A 10.96.4.1"),
                ("@ SRV 0 100 80 web.NS", "web.NS A 10.96.4.1", "web.NS AAAA fd00:10:96::4"),
            ),
        },
    ),
    Case(
        "the target of an alias moves",
        [alias("door", "web.NS.svc.cluster.local"), service("web", "10.96.5.1")],
        [alias("door", "web.NS.svc.cluster.local"), service("web", "10.96.5.2")],
        {
            "door.NS A": (("@ CNAME web.NS", "web.NS A 10.96.5.1"), ("@ CNAME web.NS", "web.NS A 10.96.5.2")),
            "door.NS AAAA": (("@ CNAME web.NS",), ("@ CNAME web.NS",)),
        },
    ),
    Case(
        "an alias gets another target",
        [alias("door", "one.NS.svc.cluster.local"), service("one", "10.96.6.1"), service("two", "10.96.6.2")],
        [alias("door", "two.NS.svc.cluster.local"), service("one", "10.96.6.1"), service("two", "10.96.6.2")],
        {
            "door.NS A": (("@ CNAME one.NS", "one.NS A 10.96.6.1"), ("@ CNAME two.NS", "two.NS A 10.96.6.2")),
            "door.NS CNAME": (("@ CNAME one.NS",), ("@ CNAME two.NS",)),
        },
    ),
    Case(
        "an alias's target appears",
        [alias("door", "late.NS.svc.cluster.local")],
        [alias("door", "late.NS.svc.cluster.local"), service("late", "10.96.7.1")],
        {"door.NS A": (("@ CNAME late.NS", "NXDOMAIN"), ("@ CNAME late.NS", "late.NS A 10.96.7.1"))},
    ),
    Case(
        "an address moves to another service",
        [service("old", "10.96.8.1"), KAFKA, endpoints("kafka", ("kafka-0", "10.244.8.1", True))],
        [service("new", "10.96.8.1"), service("redis"), endpoints("redis", ("redis-0", "10.244.8.1", True))],
        {
            "old.NS A": (("@ A 10.96.8.1",), NXDOMAIN),
            "new.NS A": (NXDOMAIN, ("@ A 10.96.8.1",)),
            "1.8.96.10.in-addr.arpa PTR": (("@ PTR old.NS",), ("@ PTR new.NS",)),
            "1.8.244.10.in-addr.arpa PTR": (("@ PTR kafka-0.kafka.NS",), ("@ PTR redis-0.redis.NS",)),
        },
    ),
]
PREFIXES = [
    {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "all"}}
    | {"spec": {"cidrs": ["10.96.0.0/16", "fd00:10:96::/112"]}},
    {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": "all"}}
    | {"spec": {"cidr": "10.244.0.0/16"}},
]


def save(file: Path, objects: Sequence[Object], namespace: str = "") -> None:
    """Replace a file as an editor or `kubectl get -o json` does, at once."""
    placed = [{**one, "metadata": {"namespace": namespace, **one["metadata"]}} if namespace else one for one in objects]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": placed}).replace("NS", namespace)
    fresh = file.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def said(response: dns.message.Message, zone: str, namespace: str) -> Said:
    """An answer in short, its own names below `svc` of the zone left relative."""
    name = response.question[0].name.to_text(omit_final_dot=True)
    lines = [*shown(response.answer, name), *shown(response.additional)]
    rcode = dns.rcode.to_text(response.rcode())
    if rcode != "NOERROR" or not lines:
        lines.append(rcode)
    # The names in a PTR are below the zone itself whoever asks.
    for suffix in {f".{namespace}.svc.{zone}", f".{namespace}.svc.cluster.local"}:
        lines = [line.replace(suffix, ".NS") for line in lines]
    return tuple(sorted(lines))


class Asked(NamedTuple):
    """One question of a case, as it is asked."""

    case: int
    question: str
    transport: Transport
    zone: str

    @property
    def namespace(self) -> str:
        """The case's own."""
        return f"case-{self.case}"

    def ask(self, program: Program) -> Said:
        """What it is told now."""
        relative, rtype = self.question.replace("NS", self.namespace).split()
        if relative.endswith(".arpa"):
            name = relative
        else:
            name = f"{relative}.{self.zone}" if relative.endswith(".pod") else f"{relative}.svc.{self.zone}"
        return said(program.ask(name, rtype, self.transport), self.zone, self.namespace)


class Observed(NamedTuple):
    """What a question was told."""

    before: set[Said]
    after: Said


ASKED = [
    Asked(number, question, transport, zone)
    for number, case in enumerate(CASES)
    for question in case.questions
    for transport in TRANSPORTS
    for zone in ZONES
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifests before the change, one file for each case."""
    made = tmp_path_factory.mktemp("manifests")
    save(made / "prefixes.json", PREFIXES)
    save(made / "untouched.json", [alias("alias", "nothing.untouched.svc.cluster.local")], "untouched")
    for number, case in enumerate(CASES):
        save(made / f"case-{number}.json", case.before, f"case-{number}")
    return made


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[Program]:
    """The program that follows them."""
    clusters = [{"aliases": ["dev.k8s.corp"], "source": {"manifests": str(folder)}}]
    with Program(settings={"clusters": clusters}, http=True) as started:
        yield started


@pytest.fixture(scope="module")
def observed(program: Program, folder: Path) -> dict[Asked, Observed]:
    """Every question asked three times, then all cases saved, then asked again until the answers are as expected."""
    before = {asked: {asked.ask(program) for _ in range(3)} for asked in ASKED}
    assert program.metrics()["dnsbridge_prepared_hits_total"] >= len(ASKED) / 2, "answers are ready-made by now"
    for number, case in enumerate(CASES):
        save(folder / f"case-{number}.json", case.after, f"case-{number}")
    waiting = set(ASKED)

    def all_are_new() -> bool:
        for asked in tuple(waiting):
            if asked.ask(program) == tuple(sorted(CASES[asked.case].questions[asked.question][1])):
                waiting.remove(asked)
        return not waiting

    with suppress(AssertionError):  # each case says for itself what it did not get
        eventually(all_are_new)
    # Once more, now that nothing is waited for: what was right must stay so.
    return {asked: Observed(before[asked], asked.ask(program)) for asked in ASKED}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("case", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_save_is_visible(observed: dict[Asked, Observed], case: int, transport: Transport) -> None:
    """Positive, negative and ready-made answers follow a change of their objects."""
    for question, (before, after) in CASES[case].questions.items():
        for zone in ZONES:
            seen = observed[Asked(case, question, transport, zone)]
            assert (question, seen.before) == (question, {tuple(sorted(before))})
            assert (question, seen.after) == (question, tuple(sorted(after)))


@pytest.mark.parametrize("name", ["nothing", "alias"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_serial_is_the_time_of_the_last_change(program: Program, folder: Path, name: str, transport: Transport) -> None:
    """The SOA moves on with every change, also in a ready-made answer that did not change itself, and only then."""

    def serial() -> int:
        response = program.ask(f"{name}.untouched.svc.{ZONES[0]}", "A", transport)
        check_negative_soa(response, ZONES[0])
        return int(response.authority[0][0].serial)

    first = serial()
    assert [serial() for _ in range(3)] == [first] * 3
    eventually(lambda: time.time() >= first + 1)
    saved = int(time.time())
    save(folder / "serial.json", [service(f"{name}-{transport}", "10.96.99.1")], "serial")
    eventually(lambda: serial() > first)
    assert saved <= serial() <= time.time()


GOOD = """\
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{clusterIP: {web}}}
---
apiVersion: v1
kind: Service
metadata: {{name: api, namespace: shop}}
spec: {{clusterIP: {api}}}
"""


def addresses(program: Program, transport: Transport) -> dict[str, list[str]]:
    """What web, api and other answer, each asked three times."""
    found: dict[str, set[tuple[str, ...]]] = {
        name: {tuple(shown(program.ask(f"{name}.shop.svc.cluster.local", "A", transport).answer)) for _ in range(3)}
        for name in ("web", "api", "other")
    }
    return {name: sorted(line.split()[-1] for lines in each for line in lines) for name, each in found.items()}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_broken_file(tmp_path: Path, transport: Transport) -> None:
    """A file that does not parse leaves its last good state in force, and logs one line with the place."""
    file = tmp_path / "shop.yaml"
    file.write_text(GOOD.format(web="10.0.0.1", api="10.0.0.2"))
    with Program(tmp_path, http=True) as program:
        good = {"web": ["10.0.0.1"], "api": ["10.0.0.2"], "other": []}
        assert addresses(program, transport) == good
        file.write_text(GOOD.format(web="10.0.0.3", api="[10.0.0.4"))
        line = program.wait_for_log(r"ERROR +(.*shop\.yaml:\d+: .*)")[1]
        assert line.startswith((f"{file}:9: ", f"{file}:10: "))
        assert line.endswith("; the last good state stays in force")
        assert addresses(program, transport) == good
        # Other files go on, and looks at the broken one say nothing new.
        other = GOOD.format(web="10.0.0.5", api="10.0.0.6").partition("---")[0].replace("web", "other")
        (tmp_path / "other.yaml").write_text(other)
        eventually(lambda: addresses(program, transport) == {**good, "other": ["10.0.0.5"]})
        file.write_text(GOOD.format(web="10.0.0.3", api="10.0.0.4"))
        repaired = {"web": ["10.0.0.3"], "api": ["10.0.0.4"], "other": ["10.0.0.5"]}
        eventually(lambda: addresses(program, transport) == repaired)
        assert len([line for line in program.log() if "shop.yaml" in line and "ERROR" in line]) == 1
        assert program.metrics()['dnsbridge_manifest_broken_files_total{cluster="default"}'] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_invalid_object(tmp_path: Path, transport: Transport) -> None:
    """An invalid object leaves its last good version in force and logs one line; the rest of its file is taken."""
    file = tmp_path / "shop.yaml"
    file.write_text(GOOD.format(web="10.0.0.1", api="10.0.0.2"))
    with Program(tmp_path) as program:
        assert addresses(program, transport) == {"web": ["10.0.0.1"], "api": ["10.0.0.2"], "other": []}
        file.write_text(GOOD.format(web="10.0.0.3", api="10.0.0.400"))
        line = program.wait_for_log(r"WARNING +(.*shop\.yaml:\d+: .*)")[1]
        assert line.startswith(f"{file}:6: Service shop/api: ")
        assert "10.0.0.400" in line
        kept = {"web": ["10.0.0.3"], "api": ["10.0.0.2"], "other": []}
        eventually(lambda: addresses(program, transport) == kept)
        file.write_text(GOOD.format(web="10.0.0.3", api="10.0.0.4"))
        eventually(lambda: addresses(program, transport) == {**kept, "api": ["10.0.0.4"]})
        assert len([line for line in program.log() if "shop.yaml:" in line]) == 1


def test_path_that_goes_away(tmp_path: Path) -> None:
    """Manifests whose folder is away for a while answer as before, and say so once."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "shop.yaml").write_text(GOOD.format(web="10.0.0.1", api="10.0.0.2"))
    with Program(folder) as program:
        good = addresses(program, "udp")
        os.rename(folder, tmp_path / "away")
        program.wait_for_log(r"ERROR +.*the last good state stays in force")
        for transport in TRANSPORTS:
            assert addresses(program, transport) == good
        os.rename(tmp_path / "away", folder)
        program.wait_for_log(r"INFO +.*can be read again")
        assert addresses(program, "udp") == good
        assert len([line for line in program.log() if " ERROR " in line]) == 1

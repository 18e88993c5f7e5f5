"""The program between a cluster's objects and its CoreDNS, for which Knot DNS stands in with the same zone.

One program for each state of the objects (fresh, stale, unsynced), with one cluster for each mode of `fallback` and for
each CoreDNS (one that answers, one whose port is closed). All of them are cluster.local; an alias tells them apart, so
every answer of CoreDNS is renamed on its way.
"""

import select
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from tests.support.knot import Knot
from tests.support.program import ROOT, Program, RunningUpstream, closed_port, eventually, total
from tests.support.scripted_upstream import Behaviour, Reply, ScriptedUpstream, answer, raw
from tests.support.started import run

EXAMPLE = ROOT / "dnsbridge" / "example" / "cluster.yaml"
MODES = ("never", "unsynced", "unknown", "miss")
STALENESS = "2s"

NAMES = {
    "known": "web.shop.svc",
    "extra": "extra.web.shop.svc",
    "missing": "no-such.shop.svc",
    "custom": "custom",
}
"""In the objects; in CoreDNS only; in neither; in CoreDNS only and of a shape that the specification has not."""

CACHE, COREDNS, EXTRA, CUSTOM = "10.96.12.34", "10.96.12.99", "192.0.2.2", "192.0.2.1"
NONE, NONE_COREDNS = "NXDOMAIN", "NXDOMAIN of CoreDNS"
NOT_READY, NETWORK = "SERVFAIL 14", "SERVFAIL 23"
STALE, NONE_STALE = f"{CACHE} 3", "NXDOMAIN 3"

TABLE = [
    # state, mode, CoreDNS    known, extra, missing, custom
    ("fresh", "never", "up", CACHE, NONE, NONE, NONE),
    ("fresh", "never", "down", CACHE, NONE, NONE, NONE),
    ("fresh", "unsynced", "up", CACHE, NONE, NONE, NONE),
    ("fresh", "unsynced", "down", CACHE, NONE, NONE, NONE),
    ("fresh", "unknown", "up", CACHE, NONE, NONE, CUSTOM),
    ("fresh", "unknown", "down", CACHE, NONE, NONE, NETWORK),
    ("fresh", "miss", "up", CACHE, EXTRA, NONE_COREDNS, CUSTOM),
    ("fresh", "miss", "down", CACHE, NONE, NONE, NETWORK),
    ("stale", "never", "up", STALE, NONE_STALE, NONE_STALE, NONE_STALE),
    ("stale", "never", "down", STALE, NONE_STALE, NONE_STALE, NONE_STALE),
    ("stale", "unsynced", "up", COREDNS, EXTRA, NONE_COREDNS, CUSTOM),
    ("stale", "unsynced", "down", STALE, NONE_STALE, NONE_STALE, NONE_STALE),
    ("stale", "unknown", "up", COREDNS, EXTRA, NONE_COREDNS, CUSTOM),
    ("stale", "unknown", "down", STALE, NONE_STALE, NONE_STALE, NONE_STALE),
    ("stale", "miss", "up", COREDNS, EXTRA, NONE_COREDNS, CUSTOM),
    ("stale", "miss", "down", STALE, NONE_STALE, NONE_STALE, NONE_STALE),
    ("unsynced", "never", "up", NOT_READY, NOT_READY, NOT_READY, NOT_READY),
    ("unsynced", "never", "down", NOT_READY, NOT_READY, NOT_READY, NOT_READY),
    ("unsynced", "unsynced", "up", COREDNS, EXTRA, NONE_COREDNS, CUSTOM),
    ("unsynced", "unsynced", "down", NETWORK, NETWORK, NETWORK, NETWORK),
    ("unsynced", "unknown", "up", COREDNS, EXTRA, NONE_COREDNS, CUSTOM),
    ("unsynced", "unknown", "down", NETWORK, NETWORK, NETWORK, NETWORK),
    ("unsynced", "miss", "up", COREDNS, EXTRA, NONE_COREDNS, CUSTOM),
    ("unsynced", "miss", "down", NETWORK, NETWORK, NETWORK, NETWORK),
]


@pytest.fixture(scope="module")
def coredns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    """Knot with the zone that the program prints, another address for `known`, and records of its own."""
    printed = run("zone", "--manifests", str(EXAMPLE)).stdout
    lines = [line.replace(CACHE, COREDNS) for line in printed.splitlines() if "\tSOA\t" not in line]
    lines.append("@ 5 IN SOA ns.dns hostmaster 1 7200 1800 86400 30")
    lines.append(f"extra.web.shop.svc 5 IN A {EXTRA}")
    lines.append(f"custom 5 IN A {CUSTOM}")
    with Knot(tmp_path_factory.mktemp("coredns"), {"cluster.local": "\n".join([*lines, ""])}) as knot:
        yield knot


def cluster(name: str, manifests: Path, coredns: str, mode: str, precedence: int, **settings: Any) -> dict[str, Any]:
    """Settings of one cluster."""
    return {
        "name": name,
        "aliases": [f"{name}.k8s.test"],
        "source": {"manifests": str(manifests)},
        "coredns": coredns,
        "fallback": mode,
        "precedence": precedence,
        **settings,
    }


@pytest.fixture(scope="module")
def programs(coredns: Knot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Program]]:
    """A program for each state."""
    with ExitStack() as running:
        closed = running.enter_context(closed_port())
        ports = {"up": coredns.port, "down": closed.getsockname()[1]}
        started = {}
        for state in ("fresh", "stale", "unsynced"):
            manifests = tmp_path_factory.mktemp(state) / "manifests"
            manifests.mkdir()
            if state == "unsynced":
                (manifests / "broken.yaml").write_text("kind: [", encoding="utf-8")
            else:
                shutil.copy(EXAMPLE, manifests)
            ways = [(mode, which) for mode in MODES for which in ports]
            more = {"max_staleness": STALENESS} if state == "stale" else {}
            clusters = [
                cluster(f"{mode}-{which}", manifests, f"127.0.0.1:{ports[which]}", mode, precedence, **more)
                for precedence, (mode, which) in enumerate(ways)
            ]
            program = running.enter_context(Program(settings={"clusters": clusters}))
            started[state] = program
            if state == "stale":
                for mode, which in ways:
                    assert (
                        said(program, name_of("known", mode, which), edns=True) == CACHE
                    )  # prepared, and dropped later
                shutil.rmtree(manifests)
                for mode, which in ways:
                    program.wait_for_log(f"cluster {mode}-{which}: no sign of life")
        yield started


def name_of(kind: str, mode: str, which: str) -> str:
    """A name under the alias of a cluster."""
    return f"{NAMES[kind]}.{mode}-{which}.k8s.test"


def said(program: Program, name: str, *, edns: bool) -> str:
    """The answer to A in a few words: the addresses or the RCODE, and the extended error."""
    got = program.ask(name, edns=edns)
    assert (got.edns >= 0) == edns
    words = [str(item) for rrset in got.answer for item in rrset] or [dns.rcode.to_text(got.rcode())]
    words += [str(int(option.code)) for option in got.extended_errors()]
    for rrset in got.authority:
        assert rrset.rdtype == dns.rdatatype.SOA
        if rrset[0].serial == 1:
            words.append("of CoreDNS")
    return " ".join(words)


@pytest.mark.needs("knotd")
def test_log_says_who_answers_when_stale(programs: dict[str, Program]) -> None:
    """The line about a silent source says what the answers above show: with `never` nobody asks CoreDNS."""
    for mode in MODES:
        line = programs["stale"].wait_for_log(f"cluster {mode}-up: no sign of life from its source for 2 s; (.*)")[1]
        if mode == "never":
            assert line == "answers are stale, and CoreDNS is never asked (fallback: never)"
        else:
            assert line == "CoreDNS is asked first, and where it does not answer, answers are stale"


def test_log_when_stale_without_coredns(tmp_path: Path) -> None:
    """A cluster without Service kube-system/kube-dns has nobody to ask first, whatever the mode."""
    manifest = tmp_path / "services.yaml"
    manifest.write_text("{apiVersion: v1, kind: Service, metadata: {name: a, namespace: b}}", encoding="utf-8")
    settings = {"clusters": [{"source": {"manifests": str(manifest)}, "max_staleness": STALENESS}]}
    with Program(settings=settings) as program:
        manifest.unlink()
        line = program.wait_for_log("cluster default: no sign of life from its source for 2 s; (.*)")[1]
        assert line == "answers are stale, and no CoreDNS is known to ask"


@pytest.mark.needs("knotd")
@pytest.mark.parametrize(("state", "mode", "which", "known", "extra", "missing", "custom"), TABLE)
def test_who_answers(
    programs: dict[str, Program], state: str, mode: str, which: str, known: str, extra: str, missing: str, custom: str
) -> None:
    """For every state, mode and CoreDNS: the data, the RCODE and, to those who sent EDNS only, the extended error."""
    expected = dict(zip(NAMES, (known, extra, missing, custom), strict=True))
    program = programs[state]
    assert {kind: said(program, name_of(kind, mode, which), edns=True) for kind in NAMES} == expected
    plain = {kind: text.removesuffix(" 3").removesuffix(" 14").removesuffix(" 23") for kind, text in expected.items()}
    assert {kind: said(program, name_of(kind, mode, which), edns=False) for kind in NAMES} == plain


def test_unsynced_never_says_that_a_name_does_not_exist() -> None:
    """The table itself holds to the rule: what is unsynced gives NXDOMAIN only from CoreDNS."""
    rows = [row[3:] for row in TABLE if row[0] == "unsynced"]
    assert len(rows) == len(MODES) * 2
    assert NONE not in {text for row in rows for text in row}


RENAMED = [
    ("_http._tcp.web.shop.svc", "SRV", "0 100 80 web.shop.svc."),
    ("_broker._tcp.kafka.data.svc", "SRV", "0 33 9092 kafka-0.kafka.data.svc."),
    ("", "NS", "ns.dns."),
]


@pytest.mark.needs("knotd")
@pytest.mark.parametrize(("name", "rtype", "target"), RENAMED)
def test_names_in_the_answer_of_coredns_use_the_alias(
    programs: dict[str, Program], name: str, rtype: str, target: str
) -> None:
    """Owner and target end with the alias under which it was asked, the owner in the case of the question."""
    alias = "Unknown-UP.k8s.test."
    asked = f"{name}.{alias}" if name else alias
    got = programs["unsynced"].ask(asked, rtype)
    assert [rrset.name.to_text() for rrset in got.answer] == [asked]
    assert f"{target}{alias}".lower() in [
        item.to_text().lower().partition(" ")[0] if rtype == "NS" else item.to_text().lower() for item in got.answer[0]
    ]
    assert "cluster.local" not in got.to_text()


@pytest.mark.needs("knotd")
def test_the_soa_of_coredns_uses_the_alias(programs: dict[str, Program]) -> None:
    """Also a negative answer of CoreDNS is one of the alias."""
    got = programs["unsynced"].ask("no-such.shop.svc.unknown-up.k8s.test")
    assert [rrset.name.to_text() for rrset in got.authority] == ["unknown-up.k8s.test."]
    assert "cluster.local" not in got.to_text()


@pytest.mark.needs("knotd")
def test_the_zone_itself_is_the_cluster_of_the_highest_precedence(programs: dict[str, Program]) -> None:
    """Of the clusters that are all cluster.local, the one that goes first answers below it: miss-down."""
    assert said(programs["fresh"], "web.shop.svc.cluster.local", edns=True) == CACHE
    assert said(programs["unsynced"], "web.shop.svc.cluster.local", edns=True) == NETWORK


@pytest.mark.needs("knotd")
def test_reverse_names_go_to_coredns_too_while_unsynced(tmp_path: Path, coredns: Knot) -> None:
    """Those of the configured prefixes; an address outside of them stays a matter of the forward zones."""
    (tmp_path / "broken.yaml").write_text("kind: [", encoding="utf-8")
    settings = {
        "clusters": [cluster("one", tmp_path, f"127.0.0.1:{coredns.port}", "unknown", 0)],
        "routes": {"service_cidrs": ["10.96.0.0/16"]},
    }
    with Program(settings=settings) as program:
        # Knot has no reverse zone and refuses, which is no answer.
        got = program.ask("34.12.96.10.in-addr.arpa", "PTR", edns=True)
        assert [int(option.code) for option in got.extended_errors()] == [23]
        got = program.ask("1.0.0.10.in-addr.arpa", "PTR", edns=True)
        assert [int(option.code) for option in got.extended_errors()] == [22], "it went to CoreDNS"


def test_a_stale_cluster_becomes_fresh_again(tmp_path: Path) -> None:
    """When the folder is back, the extended error goes, and what changed meanwhile is there."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    shutil.copy(EXAMPLE, folder)
    settings = {"clusters": [cluster("one", folder, "auto", "unknown", 0, max_staleness=STALENESS)]}
    with Program(settings=settings, http=True) as program:
        folder.rename(tmp_path / "away")
        eventually(lambda: said(program, "web.shop.svc.cluster.local", edns=True) == STALE)
        assert program.metrics()['dnsbridge_cluster_synced{cluster="one"}'] == 0
        text = EXAMPLE.read_text(encoding="utf-8").replace(CACHE, "10.96.12.35")
        (tmp_path / "away" / EXAMPLE.name).write_text(text, encoding="utf-8")
        (tmp_path / "away").rename(folder)
        eventually(lambda: said(program, "web.shop.svc.cluster.local", edns=True) == "10.96.12.35")
        assert program.metrics()['dnsbridge_cluster_synced{cluster="one"}'] == 1


@contextmanager
def unsynced(folder: Path, *coredns: str) -> Iterator[Program]:
    """A program whose clusters, c0 and so on, have not been read, with these servers as their CoreDNS."""
    folder.mkdir(exist_ok=True)
    (folder / "broken.yaml").write_text("kind: [", encoding="utf-8")
    clusters = [cluster(f"c{number}", folder, each, "unknown", number) for number, each in enumerate(coredns)]
    with Program(settings={"clusters": clusters}, http=True) as program:
        yield program


BAD_ANSWERS: list[tuple[str, Sequence[Behaviour]]] = [
    ("SERVFAIL", [answer(rcode=dns.rcode.SERVFAIL)]),
    ("REFUSED", [answer(rcode=dns.rcode.REFUSED)]),
    ("not a message", [raw(lambda message: b"garbage")]),
    ("the question sent back", [raw(bytes)]),
    ("records cut off", [answer("@ 5 IN A 192.0.2.9", change=lambda octets: octets[:-3])]),
]


def test_coredns_that_answers_badly_is_one_that_does_not_answer(tmp_path: Path) -> None:
    """Errors and garbage give SERVFAIL with Network Error."""
    with ExitStack() as running:
        servers = [running.enter_context(RunningUpstream(ScriptedUpstream(*script))) for _, script in BAD_ANSWERS]
        program = running.enter_context(unsynced(tmp_path / "m", *(server.address for server in servers)))
        for number, (what, _) in enumerate(BAD_ANSWERS):
            assert said(program, f"web.shop.svc.c{number}.k8s.test", edns=True) == NETWORK, what
            assert servers[number].asked(), what


def test_a_silent_coredns_does_not_use_up_the_clients_patience(tmp_path: Path) -> None:
    """A client that asks once gets SERVFAIL with Network Error (how soon: see the unit tests of forwarding)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with unsynced(tmp_path / "m", f"127.0.0.1:{silent.getsockname()[1]}") as program:
            assert said(program, "web.shop.svc.cluster.local", edns=True) == NETWORK


def test_coredns_that_forwards_to_us_is_refused_and_does_not_loop(tmp_path: Path) -> None:
    """Our own question is refused when it comes back; the client gets SERVFAIL after a handful of packets."""
    running: list[Program] = []
    seen: list[str] = []

    def forward_back(message: bytes) -> Sequence[Reply]:
        reply = running[0].exchange_raw(message)
        assert reply is not None
        read = dns.message.from_wire(reply)
        seen.append(f"{dns.rcode.to_text(read.rcode())} {[option.to_text() for option in read.extended_errors()]}")
        return [Reply(reply)]

    with (
        RunningUpstream(ScriptedUpstream(forward_back)) as upstream,
        unsynced(tmp_path / "m", upstream.address) as program,
    ):
        running.append(program)
        for questions in (1, 2, 3):
            assert said(program, f"web{questions}.shop.svc.cluster.local", edns=True) == NETWORK
            assert len(seen) <= 3 * questions, seen
        assert len(seen) >= 3
        assert all(text.startswith("REFUSED") and "came back" in text for text in seen), seen
        metrics = program.metrics()
        assert metrics["dnsbridge_fallback_loops_total"] == len(seen)
        assert total(metrics, "dnsbridge_queries_total", 'transport="udp"') == 3 + len(seen)


class FoldingRelay:
    """A CoreDNS behind which something forwards to us in lower case, so that our own questions are not known again."""

    def __init__(self) -> None:
        self.asked = 0
        self._number = 0
        self.target = 0
        """Port that is forwarded to."""
        self._waiting: dict[bytes, tuple[bytes, tuple[str, int]]] = {}
        self._front, self._back = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for each in (self._front, self._back):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            each.bind(("127.0.0.1", 0))
        self.port: int = self._front.getsockname()[1]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "FoldingRelay":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        self._front.close()
        self._back.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for readable in select.select([self._front, self._back], [], [], 0.05)[0]:
                message, peer = readable.recvfrom(4096)
                if readable is self._front:
                    self._number += 1
                    self.asked += message[12] != 0  # a question for the root only tries whether we are alive
                    identity = (self._number & 0xFFFF).to_bytes(2, "big")
                    self._waiting[identity] = message[:2], peer
                    end = message.index(0, 12)
                    self._back.sendto(
                        identity + message[2:12] + message[12:end].lower() + message[end:], ("127.0.0.1", self.target)
                    )
                elif message[:2] in self._waiting:
                    identity, client = self._waiting.pop(message[:2])
                    self._front.sendto(identity + message[2:], client)


def test_a_loop_that_is_not_known_is_bounded(tmp_path: Path) -> None:
    """What comes back waits with the question that is out: three attempts and a probe at most, nothing goes round."""
    with FoldingRelay() as relay, unsynced(tmp_path / "m", f"127.0.0.1:{relay.port}") as program:
        relay.target = program.port
        assert said(program, "web.shop.svc.cluster.local", edns=True) == NETWORK
        assert 1 <= relay.asked <= 4
        assert said(program, "www.example.com", edns=True) == "SERVFAIL 22"
        assert relay.asked <= 4, "packets still go round"


KUBE_DNS = """
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:10:96::a"]
  ports: [{name: dns, port: 53, protocol: UDP}]
"""


def test_coredns_is_found_in_the_cluster(tmp_path: Path) -> None:
    """`coredns: auto` is every ClusterIP of kube-system/kube-dns; the log says so, and that there is none without."""
    shutil.copy(EXAMPLE, tmp_path)
    with Program(tmp_path) as program:
        program.wait_for_log(r"cluster default: no CoreDNS found \(Service kube-system/kube-dns\)")
    (tmp_path / "kube-dns.yaml").write_text(KUBE_DNS, encoding="utf-8")
    with Program(tmp_path) as program:
        found = r"cluster default: CoreDNS 10\.96\.0\.10:53, \[fd00:10:96::a\]:53 \(Service kube-system/kube-dns\)"
        program.wait_for_log(found)
    with Program(settings={"clusters": [cluster("one", tmp_path, "127.0.0.1:9", "never", 0)]}) as program:
        program.wait_for_log(r"cluster one: CoreDNS is never asked \(fallback: never\)")

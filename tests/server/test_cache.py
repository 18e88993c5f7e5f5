"""The cache of the running program, with Knot DNS as the corporate DNS: what clients, /metrics and the commands see."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import dns.message
import dns.rcode
import pytest

from tests.support.knot import Knot
from tests.support.program import Program, closed_port, eventually, records
from tests.support.started import run
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.needs("knotd")

ZONE = """$ORIGIN corp.example.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.10
www A 192.0.2.11
www TXT "hello"
brief 2 A 192.0.2.20
moment 5 A 192.0.2.21
held 60 A 192.0.2.22
chain CNAME www
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: intranet, namespace: shop}
spec: {type: ExternalName, externalName: chain.corp.example}
"""


class Office(NamedTuple):
    """What runs."""

    program: Program
    knot: Knot

    @property
    def http(self) -> str:
        """The address of the HTTP side."""
        return self.program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]

    def ttl(self, name: str, **keywords: Any) -> int:
        """The TTL of an answer."""
        return self.program.ask(name, **keywords).answer[0].ttl

    def metric(self, name: str) -> float:
        """A counter of the cache, over all zones."""
        found = self.program.metrics()
        return sum(value for key, value in found.items() if key.partition("{")[0] == f"dnsbridge_{name}")

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """`dnsbridge cache ...`, at this server."""
        return command(*words, "--http", self.http)


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    """`dnsbridge cache ...`."""
    return run("cache", *words)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Knot and the program before it."""
    folder = tmp_path_factory.mktemp("cache")
    manifest = folder / "services.yaml"
    manifest.write_text(SERVICE, encoding="utf-8")
    with ExitStack() as running:
        knot = running.enter_context(Knot(folder / "knot", {"corp.example": ZONE}))
        program = Program(manifest, upstreams=[f"127.0.0.1:{knot.port}"], http=True)
        yield Office(running.enter_context(program), knot)


def test_ttls_count_down(office: Office) -> None:
    """The second answer has a lesser TTL than the first, over both transports, and the records are the same."""
    first = office.program.ask("www.corp.example")
    assert first.answer[0].ttl == 300
    eventually(lambda: office.ttl("WWW.corp.example") < 300)
    assert office.ttl("www.corp.example", transport="tcp") < 300
    later = office.program.ask("www.corp.example", edns=True)
    assert set(first.answer[0]) == set(later.answer[0])
    assert office.metric("cache_misses_total") >= 1
    assert office.metric("cache_hits_total") >= 2
    assert office.metric("cache_entries") >= 1
    assert office.metric("cache_octets") > 100


def test_negative_answers_count_down(office: Office) -> None:
    """An NXDOMAIN is kept for the minimum of its SOA, which counts down."""

    def soa() -> int:
        got = office.program.ask("nowhere.corp.example")
        assert got.rcode() == dns.rcode.NXDOMAIN
        return got.authority[0].ttl

    assert soa() == 60
    eventually(lambda: soa() < 60)


def test_ready_made_answers_age_and_end(office: Office) -> None:
    """What is asked over and over with the same octets is ready-made: its TTL counts down, and then it is new."""
    query = dns.message.make_query("brief.corp.example", "A")
    seen: list[int] = []
    asked, before = 0, office.metric("prepared_hits_total")

    def has_ended_once() -> bool:
        nonlocal asked
        for _ in range(20):
            ttl = office.program.exchange(query).answer[0].ttl
            asked += 1
            if [ttl] != seen[-1:] and ttl:
                seen.append(ttl)
        return (2, 1, 2) in zip(seen, seen[1:], seen[2:], strict=False)

    eventually(has_ended_once, lambda: seen)
    assert max(seen) == 2
    assert office.metric("prepared_hits_total") - before > asked / 2


def test_prefetch(office: Office) -> None:
    """A name that is asked all the time never expires: the upstream is asked before."""
    query = dns.message.make_query("moment.corp.example", "A")
    before = office.metric("cache_prefetches_total")
    eventually(lambda: office.program.exchange(query).answer and office.metric("cache_prefetches_total") > before)


def test_external_name(office: Office) -> None:
    """An ExternalName's chain goes through the cache: its first link has the cluster's TTL, the others count down."""
    name = "intranet.shop.svc.cluster.local"
    first = office.program.ask(name)
    assert [len(rrset) for rrset in first.answer] == [1, 1, 2]
    eventually(lambda: office.program.ask(name).answer[2].ttl < first.answer[2].ttl)
    assert office.program.ask(name).answer[0].ttl == 5


def test_show_and_flush(office: Office) -> None:
    """The commands show what is held of a name in both forms, and forget a name or all of them."""
    office.program.ask("www.corp.example", "TXT")
    office.program.ask("www.corp.example", "A", dnssec_ok=True)
    shown = office.command("show", "WWW.corp.example", "--output", "json")
    assert shown.returncode == 0, shown.stderr
    held = {(one["type"], one["dnssec_ok"]): one for one in json.loads(shown.stdout)}
    text = held["TXT", False]
    assert (text["name"], text["rcode"], text["stale_since"]) == ("www.corp.example.", "NOERROR", 0)
    assert 0 < text["ttl"] <= 300
    assert text["age"] + text["ttl"] == 300
    assert text["records"] == [
        {"section": "answer", "name": "www.corp.example.", "ttl": text["ttl"], "type": "TXT", "data": '"hello"'}
    ]
    assert ("A", True) in held
    table = office.command("show", "www.corp.example").stdout
    assert "www.corp.example. TXT: NOERROR, " in table
    assert "www.corp.example. A DO: NOERROR, " in table
    flushed = office.command("flush", "www.corp.example", "--output", "json")
    assert json.loads(flushed.stdout) == {"flushed": len(held)}
    assert office.command("show", "www.corp.example").stdout == "www.corp.example: nothing is held\n"
    assert office.ttl("www.corp.example") == 300, "a ready-made answer must not outlive the flush"
    done = office.command("flush")
    assert done.stdout.endswith("forgotten\n")
    assert int(done.stdout.split()[0]) >= 1
    assert office.metric("cache_entries") == office.metric("cache_octets") == 0


def test_wrong_names(office: Office) -> None:
    """What is no name, or no request, is refused with one line."""
    done = office.command("show", "a..b")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "a label is empty" in done.stderr
    for path, method, code in (
        ("/cache", "GET", 400),
        ("/cache/flush?name=..", "POST", 400),
        ("/cache/flush", "GET", 405),
    ):
        assert status(office, path, method) == code, path
    assert status(office, "/cache?name=x", "GET", {"Origin": "http://elsewhere.example"}) == 403


def status(office: Office, path: str, method: str, headers: dict[str, str] | None = None) -> int:
    """The HTTP status of a request."""
    request = urllib.request.Request(f"http://{office.http}{path}", method=method, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=DEADLINE) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            said, code = error.read(), error.code
    assert said.count(b"\n") <= 1
    return code


def test_no_server(tmp_path: Path) -> None:
    """Where no server answers the commands say so in one line, and which address it was."""
    with closed_port() as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        file = tmp_path / "d.yaml"
        file.write_text(f"http: {address}\n", encoding="utf-8")
        for words in (("show", "x", "--http", address), ("flush", "--http", address), ("flush", "--config", str(file))):
            done = command(*words)
            assert (done.returncode, done.stdout) == (1, "")
            assert len(done.stderr.splitlines()) == 1
            assert f"no server answers at http://{address} (connection refused)" in done.stderr
    done = command("flush", "--http", "")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_stale_while_the_upstream_is_away(office: Office) -> None:
    """With the upstream stopped an expired answer goes out with TTL 30 and Stale Answer (3); without one SERVFAIL."""
    assert office.ttl("brief.corp.example") <= 2
    assert office.ttl("held.corp.example") <= 60
    office.knot.stop()

    def stale() -> bool:
        got = office.program.ask("brief.corp.example", edns=True)
        assert records(got.answer)[0].endswith("IN A 192.0.2.20")
        return got.answer[0].ttl == 30 and [int(error.code) for error in got.extended_errors()] == [3]

    eventually(stale)
    assert office.ttl("held.corp.example") <= 60
    assert office.program.ask("other.corp.example", edns=True).rcode() == dns.rcode.SERVFAIL
    assert office.metric("cache_stale_total") >= 1
    shown = json.loads(office.command("show", "brief.corp.example", "--output", "json").stdout)
    assert (shown[0]["ttl"], shown[0]["stale_since"] >= 0) == (0, True)

"""What `config show` says of upstreams: unbound over TLS and Knot DNS over UDP, behind the running program."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dns.rcode
import pytest

from tests.support.certificates import Authority
from tests.support.knot import Knot
from tests.support.namespace import Namespace
from tests.support.program import ROOT, Program, RunningUpstream, closed_port, eventually
from tests.support.scripted_upstream import ScriptedUpstream, answer
from tests.support.started import run
from tests.support.unbound import Unbound

EXAMPLE = {"name": "dev", "source": {"manifests": str(ROOT / "dnsbridge" / "example")}}
ZONE = (
    "$ORIGIN corp.example.\n$TTL 0\n@ SOA ns hostmaster 1 3600 600 86400 0\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.1\n"
)


def show(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """`dnsbridge config show`."""
    done = run("config", "show", *arguments, more={"http_proxy": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stderr
    return done


class Office(NamedTuple):
    """What runs, and the configuration file of the program."""

    program: Program
    file: Path
    knot: Knot
    unbound: Unbound
    closed: int
    refusing: int

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is shown as JSON, by key: `{"value": ..., "origin": ...}`."""
        http = self.program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
        done = show("--config", str(self.file), "--http", http, "--output", "json")
        assert done.stderr == ""
        return {row["key"]: row for row in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Each forward zone has upstreams of another kind."""
    folder = tmp_path_factory.mktemp("states")
    authority, other = Authority(), Authority()
    ca, foreign = authority.write(folder / "ca.pem"), other.write(folder / "foreign.pem")
    certificate, key = authority.write_server(folder, "dns.test")
    with ExitStack() as running:
        records = [f"www.{zone}.example. 0 A 192.0.2.1" for zone in ("good", "name", "foreign")]
        unbound = running.enter_context(Unbound(folder, certificate, key, records))
        knot = running.enter_context(Knot(folder / "knot", {"corp.example": ZONE}))
        closed = running.enter_context(closed_port()).getsockname()[1]
        refusing = running.enter_context(RunningUpstream(ScriptedUpstream(answer(rcode=5)))).upstream.port
        tls = f"tls://127.0.0.1:{unbound.port}"
        forward = [
            {"zone": "good.example", "upstreams": [f"{tls}#dns.test"], "ca": str(ca)},
            {"zone": "name.example", "upstreams": [f"{tls}#other.test"], "ca": str(ca)},
            {"zone": "address.example", "upstreams": [tls], "ca": str(ca)},
            {"zone": "foreign.example", "upstreams": [f"{tls}#dns.test"], "ca": str(foreign)},
            {"zone": "system.example", "upstreams": [f"{tls}#dns.test"]},
            {
                "zone": "corp.example",
                "upstreams": [f"127.0.0.1:{closed}", f"127.0.0.1:{knot.port}", f"tcp://127.0.0.1:{knot.port}"],
            },
            {"zone": "refused.example", "upstreams": [f"127.0.0.1:{refusing}"]},
            {"zone": "idle.example", "upstreams": [f"127.0.0.1:{knot.port}"], "policy": "fastest"},
        ]
        settings = {"clusters": [{**EXAMPLE, "coredns": f"127.0.0.1:{knot.port}"}], "forward": forward}
        file = folder / "d.yaml"
        file.write_text(json.dumps(settings, indent=1))
        program = Program(settings=settings, upstreams=None, http=True)
        yield Office(running.enter_context(program), file, knot, unbound, closed, refusing)


def line_of(office: Office, text: str) -> str:
    """The place in the file where a text is for the first time."""
    lines = office.file.read_text().splitlines()
    return f"{office.file}:{next(number for number, line in enumerate(lines, 1) if text in line)}"


TLS = [
    # zone, certificate name, file of authorities, who may vouch, condition, problem
    ("good", "dns.test", "ca.pem", "an authority in FOLDER/ca.pem", "up", ""),
    ("name", "other.test", "ca.pem", "an authority in FOLDER/ca.pem", "down",
     "the certificate is not valid for other.test"),
    ("address", "127.0.0.1", "ca.pem", "an authority in FOLDER/ca.pem", "down",
     "the certificate is not valid for 127.0.0.1"),
    ("foreign", "dns.test", "foreign.pem", "an authority in FOLDER/foreign.pem", "down",
     "its certificate is of no authority that is trusted"),
    ("system", "dns.test", "system", "an authority of this system", "down",
     "its certificate is of no authority that is trusted"),
]  # fmt: skip


@pytest.mark.needs("unbound", "knotd")
@pytest.mark.parametrize(
    ("number", "zone", "name", "ca", "vouches", "condition", "problem"),
    [(number, *case) for number, case in enumerate(TLS)],
    ids=[case[0] for case in TLS],
)
def test_tls(
    office: Office, number: int, zone: str, name: str, ca: str, vouches: str, condition: str, problem: str
) -> None:
    """A certificate that is good, one for another name or address, and one of an authority that is not trusted."""
    got = office.program.ask(f"www.{zone}.example")
    assert got.rcode() == (dns.rcode.SERVFAIL if problem else dns.rcode.NOERROR)
    folder = str(office.file.parent)
    row = office.rows()[f"forward[{number}].upstreams[0]"]
    shown = row["value"]
    assert row["origin"].startswith(f"{office.file}:")
    assert (shown["transport"], shown["certificate_name"]) == ("tls", name)
    assert shown["ca"] == (ca if ca == "system" else f"{folder}/{ca}")
    authority = vouches.replace("FOLDER", folder)
    what = f"DNS over TLS, with a certificate for {name} by {authority}; for {zone}.example, the only one"
    assert shown["what"] == what
    assert (shown["state"]["condition"], shown["state"]["problem"]) == (condition, problem)
    assert (shown["state"]["since"] is None) is not bool(problem)
    assert (shown["state"]["srtt_ms"] is None) is bool(problem)
    assert (shown["state"]["errors"] > 0) is bool(problem)
    assert shown["doing"].startswith(
        f"down since {shown['state']['since']} ({problem}), " if problem else "up, round trip "
    )


@pytest.mark.needs("unbound", "knotd")
def test_udp_and_tcp(office: Office) -> None:
    """Each upstream of a list with its place, what happened to it, and where it was set."""
    before = datetime.now(UTC).replace(microsecond=0)
    assert office.program.ask("www.corp.example").rcode() == dns.rcode.NOERROR
    rows = office.rows()
    first, second, third = (rows[f"forward[5].upstreams[{number}]"] for number in range(3))
    assert first["origin"] == line_of(office, f':{office.closed}"')
    assert [each["value"]["server"] for each in (first, second, third)] == [
        f"127.0.0.1:{office.closed}",
        f"127.0.0.1:{office.knot.port}",
        f"tcp://127.0.0.1:{office.knot.port}",
    ]
    udp = "DNS over UDP, and over TCP for long answers; for corp.example"
    assert first["value"]["what"] == f"{udp}, number 1 of 3, asked in this order"
    assert second["value"]["what"] == f"{udp}, number 2 of 3, asked in this order"
    assert third["value"]["what"] == "DNS over TCP; for corp.example, number 3 of 3, asked in this order"
    assert [each["value"]["position"] for each in (first, second, third)] == [1, 2, 3]
    down, up = first["value"]["state"], second["value"]["state"]
    assert (down["condition"], down["problem"], down["errors"] >= 1) == ("down", "its port is closed", True)
    assert before <= datetime.fromisoformat(down["since"]) <= datetime.now(UTC)
    assert (up["condition"], up["problem"], up["timeouts"], up["errors"]) == ("up", "", 0, 0)
    assert 0 < up["srtt_ms"] < 1000
    assert up["questions"] >= 1
    assert third["value"]["doing"] == "up as far as is known: not asked yet"
    assert rows["forward[7].upstreams[0]"]["value"]["policy"] == "fastest"


@pytest.mark.needs("unbound", "knotd")
def test_replies_with_errors_are_counted(office: Office) -> None:
    """Who refuses every question is up as long as nobody else has an answer, and its errors are shown."""
    assert office.program.ask("www.refused.example").rcode() == dns.rcode.REFUSED
    state = office.rows()["forward[6].upstreams[0]"]["value"]["state"]
    assert (state["condition"], state["timeouts"]) == ("up", 0)
    assert state["errors"] >= 1


@pytest.mark.needs("unbound", "knotd")
def test_coredns(office: Office) -> None:
    """A cluster's CoreDNS, with what it is asked for."""
    office.program.ask("something.else.cluster.local")
    row = office.rows()["clusters[0].coredns[0]"]
    assert row["origin"] == line_of(office, '"coredns"')
    shown = row["value"]
    assert (shown["zone"], shown["cluster"], shown["policy"]) == ("", "dev", None)
    asked = "asked while its objects are not current, and for names of a shape that it does not have"
    assert shown["what"].endswith(f"; CoreDNS of cluster dev, {asked}")
    assert shown["state"]["condition"] == "up"
    assert shown["state"]["errors"] >= 1, "Knot has no cluster.local, and says so with REFUSED"


@pytest.mark.needs("unbound", "knotd")
def test_table(office: Office) -> None:
    """One line for each, after the settings, which are as they are without a server."""
    http = office.program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
    done = show("--config", str(office.file), "--http", http)
    assert done.stderr == ""
    alone = show("--config", str(office.file), "--http", "127.0.0.1:9")
    lines, without = done.stdout.splitlines(), alone.stdout.splitlines()
    said = "how they are doing is not known: no server answers on http://127.0.0.1:9 (connection refused)\n"
    assert alone.stderr == said
    first = next(number for number, line in enumerate(lines) if line.startswith("forward[0].upstreams[0] "))
    words = [[line.split() for line in each[:first] if not line.startswith("http ")] for each in (lines, without)]
    assert words[0] == words[1]
    line = next(line for line in lines if line.startswith("forward[1].upstreams[0] "))
    assert "with a certificate for other.test by an authority in " in line
    assert "the certificate is not valid for other.test" in line
    line = next(line for line in without if line.startswith("forward[1].upstreams[0] "))
    assert "; not known: no server answers on http://127.0.0.1:9 " in line


@pytest.mark.needs("unbound", "knotd")
def test_back_again(office: Office) -> None:
    """An upstream that came back says since when it is up, and what it was that it had."""
    office.knot.stop()
    office.program.ask("www.corp.example")
    key = "forward[5].upstreams[1]"
    eventually(lambda: office.rows()[key]["value"]["state"]["condition"] == "down")
    assert office.knot._start()

    def doing() -> str:
        office.program.ask("www.corp.example")
        return str(office.rows()[key]["value"]["doing"])

    eventually(lambda: doing().startswith("up since "))
    assert " (before: its port is closed), round trip " in doing()


NOT_KNOWN = [
    ("http: null", "the server has no HTTP address (http: null); name one with --http, for it too"),
    ("http: 127.0.0.1:0", "127.0.0.1:0: port 0 is any; the server's log says which one it has, give it with --http"),
    ("http: 127.0.0.1:9", "no server answers on http://127.0.0.1:9 (connection refused)"),
    ("http: 0.0.0.0:9", "no server answers on http://127.0.0.1:9 (connection refused)"),
]


@pytest.mark.parametrize(("setting", "why"), NOT_KNOWN, ids=range(len(NOT_KNOWN)))
def test_not_known(tmp_path: Path, setting: str, why: str) -> None:
    """Without a running server the rest is shown all the same, and one line says why no more is known."""
    file = tmp_path / "d.yaml"
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    upstreams = f"[{tmp_path}/resolv.conf, 192.0.2.2, 'tls://192.0.2.3']"
    # On a port of its own: with a wildcard and port 53, addresses that this machine happens to have are itself.
    start = f"{setting}\nlisten: ['127.0.0.1:5300']\nforward:\n"
    file.write_text(f"{start}- zone: a.example\n  policy: random\n  upstreams: {upstreams}\n")
    table = show("--config", str(file))
    assert table.stderr == f"how they are doing is not known: {why}\n"
    done = show("--config", str(file), "--output", "json")
    assert done.stderr == ""
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    assert rows["forward[0].upstreams"]["value"] == [f"{tmp_path}/resolv.conf", "192.0.2.2:53", "tls://192.0.2.3:853"]
    found = [rows[f"forward[0].upstreams[{number}]"] for number in range(3)]
    assert [(each["value"]["server"], each["origin"]) for each in found] == [
        ("192.0.2.1:53", f"{file}:6: {tmp_path}/resolv.conf"),
        ("192.0.2.2:53", f"{file}:6: {tmp_path}/resolv.conf"),
        ("tls://192.0.2.3:853", f"{file}:6"),
    ]
    assert all(each["value"]["state"] is None for each in found)
    assert all(each["value"]["doing"] == f"not known: {why}" for each in found)
    assert found[1]["value"]["what"].endswith("; for a.example, number 2 of 3, asked in random order")


def test_a_file_of_no_use(tmp_path: Path) -> None:
    """A file that names no server is shown itself, after the servers."""
    file = tmp_path / "d.yaml"
    file.write_text(f"http: 127.0.0.1:9\nforward:\n- upstreams: [{tmp_path}/none, 192.0.2.1]\n")
    rows = {row["key"]: row for row in json.loads(show("--config", str(file), "--output", "json").stdout)}
    assert rows["forward[0].upstreams[0]"]["value"]["what"].endswith("; for all other names, the only one")
    useless = rows["forward[0].upstreams[1]"]
    assert (useless["value"]["server"], useless["value"]["transport"]) == (f"{tmp_path}/none", "file")
    assert useless["value"]["doing"] == "of no use: no such file or directory"
    assert useless["origin"] == f"{file}:3"


@pytest.mark.needs("unbound", "knotd")
def test_a_server_with_other_settings(office: Office) -> None:
    """What only the running server has is shown as its own, and what it has not as not known."""
    http = office.program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
    text = "forward:\n- zone: idle.example\n  upstreams: [192.0.2.7]\n"
    other = office.file.parent / "other.yaml"
    other.write_text(text)
    done = show("--config", str(other), "--http", http, "--output", "json")
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    mine, running = rows["forward[0].upstreams[0]"], rows["forward[0].upstreams[1]"]
    assert mine["value"]["doing"] == "not known: the running server does not have it, so its settings are others"
    assert (running["value"]["server"], running["origin"]) == (f"127.0.0.1:{office.knot.port}", "the running server")


@pytest.mark.needs("netns")
def test_from_this_host_only() -> None:
    """An HTTP address that is not loopback is asked from its own host, and from no other address."""
    with Namespace("") as namespace:
        for last in (98, 99):
            assert namespace.run("ip", "address", "add", f"192.0.2.{last}/32", "dev", "lo").returncode == 0
        http = "192.0.2.99:9153"
        options = ["--http", http]
        program = Program(
            settings={"clusters": [{**EXAMPLE, "fallback": "never"}], "forward": []},
            upstreams=None,
            options=options,
            command_prefix=namespace.prefix,
        )
        with program:
            for words in (["config", "show"], ["cache", "flush"]):
                done = run(*words, *options, prefix=namespace.prefix)
                assert (done.returncode, done.stderr) == (0, "")
            elsewhere = (
                "import http.client as c\n"
                f"asking = c.HTTPConnection({http!r}, source_address=('192.0.2.98', 0))\n"
                "asking.request('GET', '/upstreams')\n"
                "print(asking.getresponse().status)"
            )
            assert namespace.run(sys.executable, "-c", elsewhere).stdout == "403\n"


@pytest.mark.parametrize("said", [b"", b"<html>", b"{}", b"[1]", b'[{"zone": 1}]', b"[" * 100_000])
def test_what_answers_is_something_else(tmp_path: Path, said: bytes) -> None:
    """Whatever answers there, the settings are shown, and one line says that it is no dnsbridge."""
    script = tmp_path / "server.py"
    script.write_text(
        "import http.server, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        f"        said = {said[:10]!r} * {len(said) // 10 if len(said) > 100 else 1}\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(said)\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), H)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout
            port = int(server.stdout.readline())
            done = show("--http", f"127.0.0.1:{port}", "--upstream", "127.0.0.1:9")
        finally:
            server.kill()
    assert done.stderr == (
        "how they are doing is not known: what answers there is no dnsbridge, or one of another version\n"
    )
    assert "127.0.0.1:9: DNS over UDP" in done.stdout

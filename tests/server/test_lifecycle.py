"""The program from its start to its end: what keeps it from starting, what it says of itself, and how it stops."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.program import (
    DEADLINE,
    ROOT,
    TRANSPORTS,
    Program,
    RunningUpstream,
    Transport,
    eventually,
    framed,
    receive_frame,
    records,
)
from tests.support.scripted_upstream import ScriptedUpstream, answer
from tests.support.started import PYTHON_M, run
from tests.support.workers import is_alive

EXAMPLE = ROOT / "dnsbridge" / "example"
GOOD = "web.shop.svc.cluster.local"
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+ [A-Z]+ +")
SERVE = ("serve",)
CHECK = ("config", "check")
CLOSED = "127.0.0.1:9"
"""Named as an upstream so that none is looked for on this machine; never asked."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_question_in_flight_is_answered_before_the_end(transport: Transport, number: signal.Signals) -> None:
    """A signal while the upstream takes its time: its answer still comes, no new question is taken, all ends well."""
    slow = ScriptedUpstream(answer("@ 60 IN A 192.0.2.1", delay=0.6))
    with RunningUpstream(slow) as upstream, Program(EXAMPLE, upstreams=[upstream.address]) as program:
        got: list[dns.message.Message] = []
        client = threading.Thread(target=lambda: got.append(program.ask("www.example.com", transport=transport)))
        client.start()
        eventually(upstream.asked)
        os.kill(program.pid, number)
        program.wait_for_log("ending: questions in flight are answered first")
        with program.sent(dns.message.make_query(GOOD, "A").to_wire()) as received:
            client.join(DEADLINE)
            assert records(got[0].answer) == ["www.example.com. 60 IN A 192.0.2.1"]
            eventually(lambda: not is_alive(program.pid))
            assert received() is None
    assert set(upstream.asked()) == {"www.example.com. A"}


def test_the_end_does_not_wait_for_idle_connections() -> None:
    """An open TCP connection that is owed nothing is closed (at once: see the unit tests of the listener)."""
    with Program(EXAMPLE) as program, socket.create_connection(("127.0.0.1", program.port), DEADLINE) as client:
        client.sendall(framed(dns.message.make_query(GOOD, "A").to_wire()))
        assert receive_frame(client) is not None
        program.stop()
        assert client.recv(1) == b""


def test_the_end_does_not_wait_long_for_a_silent_upstream() -> None:
    """Whoever still waits for a server that never answers gets SERVFAIL before the end."""
    with RunningUpstream(ScriptedUpstream()) as upstream, Program(EXAMPLE, upstreams=[upstream.address]) as program:
        got: list[dns.message.Message] = []
        client = threading.Thread(target=lambda: got.append(program.ask("www.example.com")))
        client.start()
        eventually(upstream.asked)
        program.stop()
        client.join(DEADLINE)
        assert got[0].rcode() == dns.rcode.SERVFAIL


def test_every_address_is_answered_from_on_a_wildcard() -> None:
    """A client that asks 127.0.0.2 takes answers from 127.0.0.2 only, whether they are new, prepared or forwarded."""
    with Program(EXAMPLE, listen=["0.0.0.0:0", "[::]:0"]) as program:
        ports = {
            family: server.port
            for family, server in zip((socket.AF_INET, socket.AF_INET6), program.servers, strict=True)
        }
        asked = [(socket.AF_INET, f"127.0.0.{last}") for last in (1, 2, 3)] + [(socket.AF_INET6, "::1")]
        for family, address in asked:
            for name, rcode in ((GOOD, "NOERROR"), ("www.example.com", "SERVFAIL")):
                for attempt in range(4):
                    query = dns.message.make_query(name, "A")
                    with socket.socket(family, socket.SOCK_DGRAM) as client:
                        client.settimeout(DEADLINE)
                        client.connect((address, ports[family]))
                        client.send(query.to_wire())
                        got = dns.message.from_wire(client.recv(65535))
                    assert got.id == query.id
                    assert dns.rcode.to_text(got.rcode()) == rcode, f"{address}, attempt {attempt}"


@contextmanager
def taken(kind: socket.SocketKind, address: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """An address that another server has."""
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind((address, port))
        if kind == socket.SOCK_STREAM:
            held.listen()
        yield f"127.0.0.1:{held.getsockname()[1]}"


def serve(
    *arguments: str,
    settings: Any = None,
    folder: Path | None = None,
    prefix: tuple[str, ...] = (),
    program: tuple[str, ...] = SERVE,
) -> tuple[int, list[str]]:
    """Run `serve`, which must end by itself: the exit code, and what it says that is no log line."""
    words = [*program, *arguments]
    if settings is not None:
        assert folder
        file = folder / "dnsbridge.yaml"
        file.write_text(settings if isinstance(settings, str) else json.dumps(settings, indent=1), encoding="utf-8")
        words += ["--config", str(file)]
    done = run(*words, prefix=prefix)
    assert done.stdout == ""
    return done.returncode, [line for line in done.stderr.splitlines() if not LOG_LINE.match(line)]


LISTEN = ("--listen", "127.0.0.1:0")
QUIET = ("--http", "", "--upstream", CLOSED)
OVER_EXAMPLE = ("--manifests", str(EXAMPLE))


@pytest.mark.parametrize(("kind", "transport"), [(socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP")])
def test_a_port_that_is_in_use(kind: socket.SocketKind, transport: str) -> None:
    """One line that says which, and what to do; the exit code is 1."""
    with taken(kind) as address:
        code, said = serve(*OVER_EXAMPLE, *QUIET, "--listen", address)
    port = address.rpartition(":")[2]
    assert code == 1
    assert said == [
        f"cannot listen on {address} over {transport}: the address is in use; stop the server that has it"
        f" (ss -lnptu 'sport = :{port}' shows it), or choose another with serve --listen"
    ]


def test_a_port_below_1024_without_the_right() -> None:
    """An ordinary user cannot have port 53: one line that says so."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
    if lowest <= 53:
        pytest.skip(f"every user may bind port 53 here (net.ipv4.ip_unprivileged_port_start is {lowest})")
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("setpriv is not installed (Debian package util-linux)")
        prefix = (setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
        if subprocess.run(
            [*prefix, *PYTHON_M, *SERVE, "--help"], cwd=ROOT, capture_output=True, check=False
        ).returncode:
            pytest.skip("another user may not read this project's files")
    code, said = serve(*OVER_EXAMPLE, *QUIET, "--listen", "127.0.0.1:53", prefix=prefix)
    assert code == 1
    assert said == [
        "cannot listen on 127.0.0.1:53 over UDP: no right to bind a port below 1024; start as root, give"
        " CAP_NET_BIND_SERVICE, or choose another with serve --listen 127.0.0.1:5300"
    ]


TWO_CLUSTERS = [
    {"name": "one", "source": {"manifests": str(EXAMPLE)}},
    {"name": "two", "source": {"manifests": str(EXAMPLE)}},
]
SELF = "this server's own address, a loop; write the address of another DNS server"
CANNOT_START: list[tuple[str, tuple[str, ...], Any, int, str]] = [
    (
        "no manifests",
        (*LISTEN, *QUIET, "--manifests", "/no/such/path"),
        None,
        1,
        "/no/such/path: no such file or directory; name a file or folder of Kubernetes objects",
    ),
    (
        "no source",
        (*LISTEN, *QUIET),
        None,
        1,
        r"clusters\[0\].source: no cluster .*; .* --manifests PATH",
    ),
    (
        "an unknown setting",
        (),
        "http: null\nlisten:\n- 127.0.0.1:0\nforwrad: []\n",
        1,
        "FILE:4: forwrad: unknown setting; did you mean 'forward'?",
    ),
    (
        "a zone claimed twice",
        QUIET,
        {"clusters": TWO_CLUSTERS},
        1,
        r"FILE:\d+: clusters\[1\].zone: cluster.local is claimed by clusters one .* and two .*; give one .*",
    ),
    (
        "prefixes claimed twice",
        (*LISTEN, *QUIET),
        {"clusters": [TWO_CLUSTERS[0], {**TWO_CLUSTERS[1], "zone": "two.local"}]},
        1,
        "clusters one and two both claim 10.96.0.0/16; give one a higher precedence",
    ),
    (
        "--upstream is this server",
        (*OVER_EXAMPLE, "--http", "", "--listen", "127.0.0.1:5399", "--upstream", "127.0.0.1:5399"),
        None,
        2,
        rf"--upstream: forward\[0\].upstreams\[0\]: 127.0.0.1:5399 is {SELF}",
    ),
    (
        "coredns is this server, by a wildcard",
        (*QUIET, "--listen", "0.0.0.0:5399"),
        {"clusters": [{**TWO_CLUSTERS[0], "coredns": "127.0.0.1:5399"}]},
        1,
        rf"FILE:\d+: clusters\[0\].coredns: 127.0.0.1:5399 is {SELF}",
    ),
    (
        "an address of another machine",
        (*OVER_EXAMPLE, *QUIET, "--listen", "192.0.2.1:5399"),
        None,
        1,
        "cannot listen on 192.0.2.1:5399 over UDP: this machine has no such address;"
        " choose one of its own with serve --listen",
    ),
    (
        "no such kubeconfig",
        (*LISTEN, *QUIET, "--kubeconfig", "/no/such/config"),
        None,
        2,
        r"--kubeconfig: clusters\[0\].source.kubeconfig: /no/such/config: no such file; name a kubeconfig .*",
    ),
    (
        "a kubeconfig that is none",
        (*LISTEN, *QUIET, "--kubeconfig", str(ROOT / "tests" / "server" / "clusters" / "names.yaml")),
        None,
        1,
        r"kubeconfig .*names.yaml:3: not YAML: .*",
    ),
    (
        "a token of the HTTP address that is not there",
        (*OVER_EXAMPLE, *LISTEN, "--upstream", CLOSED, "--http", "127.0.0.1:0"),
        {"routes": {"serve": {"token_file": "/no/such/token"}}},
        1,
        "routes.serve.token_file: /no/such/token: .*",
    ),
    (
        "a certificate of the HTTP address that is not there",
        (*OVER_EXAMPLE, *LISTEN, "--upstream", CLOSED, "--http", "127.0.0.1:0"),
        {"routes": {"serve": {"certificate": "/no/such.pem"}}},
        1,
        "routes.serve.certificate: /no/such.pem: no such file or directory; name PEM files of the two",
    ),
    (
        "a bad flag",
        (*OVER_EXAMPLE, "--listen", "localhost"),
        None,
        2,
        '--listen: "localhost" is not an IP address; write ADDR:PORT, such as 0.0.0.0:53 or [::]:53',
    ),
    (
        "two sources",
        (*OVER_EXAMPLE, "--kubeconfig", "x"),
        None,
        2,
        "--manifests: does not go together with --kubeconfig; leave one of them out",
    ),
]


@pytest.mark.parametrize("program", [SERVE, CHECK], ids=["serve", "check"])
@pytest.mark.parametrize(
    ("arguments", "settings", "code", "said"),
    [case[1:] for case in CANNOT_START],
    ids=[case[0] for case in CANNOT_START],
)
def test_what_keeps_it_from_starting(
    tmp_path: Path, arguments: tuple[str, ...], settings: Any, code: int, said: str, program: tuple[str, ...]
) -> None:
    """One line each: what, where, what to do; the exit code is 1, or 2 when a flag is wrong; `config check` agrees."""
    got, lines = serve(*arguments, settings=settings, folder=tmp_path, program=program)
    assert len(lines) == 1, lines
    line = lines[0].replace(str(tmp_path / "dnsbridge.yaml"), "FILE")
    assert line == said or re.fullmatch(said, line), line
    assert got == code


def test_the_http_port_is_in_use_and_was_asked_for() -> None:
    """Who names a port wants it: the server does not start without."""
    with taken(socket.SOCK_STREAM) as address:
        code, said = serve(*OVER_EXAMPLE, *LISTEN, "--http", address, "--upstream", CLOSED)
    assert code == 1
    assert said == [
        f"cannot listen on {address} for HTTP: address already in use;"
        " choose another with --http, or --http '' for none"
    ]


def test_the_http_port_is_in_use_and_is_the_default() -> None:
    """Names matter more than metrics: a warning, and the server goes on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
        try:
            held.bind(("127.0.0.1", 9153))
            held.listen()
        except OSError:
            pass  # somebody else has it, which serves as well
        command = [*PYTHON_M, *SERVE, *OVER_EXAMPLE, *LISTEN, "--upstream", CLOSED]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        timer = threading.Timer(DEADLINE, process.kill)
        timer.start()
        assert process.stderr
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            if line.endswith(" ready\n"):
                process.terminate()
        assert process.wait(DEADLINE) == 0, lines
        timer.cancel()
        process.stderr.close()
    warnings = [line.split(None, 2)[2] for line in lines if " WARNING " in line]
    assert warnings == [
        "cannot listen on 127.0.0.1:9153 for HTTP: address already in use; metrics are off,"
        " --http chooses another address"
    ]


def fetch(program: Program, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body of a page."""
    metrics = program.wait_for_log(r"metrics on (http://\S+)/metrics")[1]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(metrics + path, method=method), timeout=DEADLINE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_and_readiness(tmp_path: Path) -> None:
    """Alive from the start; ready when the cluster has been read, which a repaired file is enough for."""
    manifest = tmp_path / "cluster.yaml"
    manifest.write_text("kind: [", encoding="utf-8")
    with Program(tmp_path, http=True) as program:
        assert fetch(program, "/healthz") == (200, "ok\n")
        assert fetch(program, "/readyz") == (503, "cluster default: not read yet\n")
        got = program.ask(GOOD, edns=True)
        assert got.rcode() == dns.rcode.SERVFAIL
        assert [int(option.code) for option in got.extended_errors()] == [14]
        manifest.write_bytes((EXAMPLE / "cluster.yaml").read_bytes())
        eventually(lambda: fetch(program, "/readyz") == (200, "ok\n"))
        assert records(program.ask(GOOD).answer) == [f"{GOOD}. 5 IN A 10.96.12.34"]
        manifest.write_text("kind: [", encoding="utf-8")
        program.wait_for_log("the last good state stays in force")
        assert fetch(program, "/readyz") == (200, "ok\n")
        assert records(program.ask(GOOD).answer) == [f"{GOOD}. 5 IN A 10.96.12.34"]
        assert fetch(program, "/no-such-page")[0] == 404
        assert fetch(program, "/metrics", "POST")[0] == 405


def samples(program: Program) -> dict[tuple[str, str], float]:
    """The metrics as Prometheus reads them, by name and labels."""
    status, text = fetch(program, "/metrics")
    assert status == 200
    return {
        (
            sample.name.removeprefix("dnsbridge_"),
            ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def summed(page: dict[tuple[str, str], float], name: str, label: str) -> float:
    """The sum of the samples of a metric that have a label."""
    found = [value for (of, labels), value in page.items() if of == name and label in ("", *labels.split(","))]
    assert found, name
    return sum(found)


def counted(name: str, labels: str = "") -> Callable[[dict[tuple[str, str], float]], float]:
    """One sample."""
    return lambda page: page.get((name, labels), 0.0)


def test_metrics_count_exactly() -> None:
    """A known number of questions of every kind appears on the page, no more and no less."""
    with Program(EXAMPLE, http=True) as program:
        fresh = samples(program)
        totals = {name: value for (name, _), value in fresh.items() if name.endswith("_total")}
        totals = {name: value for name, value in totals.items() if not name.startswith(("gc_", "process_"))}
        assert not any(totals.values()), fresh
        assert fresh["cluster_synced", "cluster=default"] == 1
        assert fresh["cluster_objects", "cluster=default"] > 10
        for _ in range(7):
            program.ask(GOOD)
        for _ in range(5):
            program.ask("no-such.shop.svc.cluster.local", transport="tcp")
        for _ in range(3):
            program.ask("www.example.com")
        for ignored in (b"\0\1\x80\0" + bytes(8), b"\0\1\x80\0" + bytes(8), b"short"):
            with program.sent(ignored):
                pass
        program.exchange_raw(b"\0\1\x28\0" + bytes(8))
        program.ask(GOOD, rclass="CH")
        expected = {
            ("queries_total", "transport=udp"): 7 + 3 + 2 + 1 + 1 + 1,
            ("queries_total", "transport=tcp"): 5,
            ("answers_total", "rcode=NOERROR"): 7,
            ("answers_total", "rcode=NXDOMAIN"): 5,
            ("answers_total", "rcode=SERVFAIL"): 3,
            ("answers_total", "rcode=REFUSED"): 2,
            ("answers_total", "rcode=FORMERR"): 0,
            ("failures_total", "reason=upstream"): 3,
            ("failures_total", "reason=update"): 1,
            ("failures_total", "reason=class"): 1,
            ("ignored_total", "reason=response"): 2,
            ("ignored_total", "reason=short"): 1,
            ("prepared_hits_total", ""): 5 + 3,
            ("prepared_answers", ""): 2,
            ("tcp_accepted_total", ""): 5,
            ("internal_errors_total", ""): 0,
        }
        page = samples(program)
        assert {key: summed(page, *key) for key in expected} == expected
        eventually(lambda: counted("tcp_connections")(samples(program)) == 0)

"""`dnsbridge top`: the page of a made-up status, and the command against a running server, also on a terminal."""

import os
import pty
import select
import signal
import subprocess
import time
from contextlib import suppress

import msgspec
import pytest
from rich.console import Console

from dnsbridge.app.facts.status.document import Change, Cluster, RoutePrefix, Routes, Sample, Status, Totals
from dnsbridge.app.facts.upstream_states import State
from dnsbridge.cli.top_view import view
from tests.support.program import DEADLINE, ROOT, Program
from tests.support.started import ENVIRONMENT, PYTHON_M, run

EXAMPLE = ROOT / "dnsbridge" / "example"
GOOD = "web.shop.svc.cluster.local"


def sample(queries: float) -> Sample:
    """One second."""
    return Sample("2026-11-28T10:00:00Z", queries, {"cluster": queries, "cache": 0}, {"NOERROR": queries}, {})


STATUS = Status(
    version="1.2",
    at="2026-11-28T10:00:00Z",
    started_at="2026-11-27T10:00:00Z",
    workers=2,
    waiting_for=[],
    clusters=[
        Cluster("dev", "cluster.local", [], "manifests x", "stale", 75, 12345, [], [], 7, "its source is silent", [])
    ],
    zones=[],
    upstreams=[State(".", "", "10.0.0.53:53", "down", None, 1200, 1.25, 30, 2, "no reply in time")],
    totals=Totals(0, {}, {}),
    sample=sample(8000),
    history=[sample(rate) for rate in (0, 1000, 8000)],
    routes=Routes(
        "host",
        [],
        [],
        [RoutePrefix(f"10.{n}.0.0/24", "dev", "pod", "", [], [], "routed" if n else "unrouted") for n in range(3)],
        0,
        0,
        [],
        "",
    ),
    changes=[Change(f"2026-11-28T09:00:{59 - n:02}Z", "dev", "came", "Service", "shop", f"web-{n}") for n in range(40)],
)


def drawn(status: Status, height: int | None) -> list[str]:
    """The lines of the page."""
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(view(status, height))
    return captured.get().splitlines()


def test_a_page() -> None:
    """All figures are there, and lines up."""
    lines = drawn(STATUS, None)
    assert lines[0] == "dnsbridge 1.2, 2 workers, since 2026-11-27T10:00:00Z: ready"
    assert lines[1] == "questions       8,000 a second  ▁▂█"
    assert lines[2:4] == ["answers    cluster 8,000", "rcodes     NOERROR 8,000"]
    text = "\n".join(lines)
    for words in ("dev      stale  75 s   12,345         7  its source is silent", "10.0.0.53:53  down", "1.2 ms"):
        assert words in text
    assert "routes     2 routed, 1 unrouted  without a route: 10.0.0.0/24" in text
    assert text.count("Service") == 40


def test_a_low_terminal() -> None:
    """Of the changes as many are shown as there is room for."""
    assert "\n".join(drawn(STATUS, 30)).count("Service") == 6
    assert "\n".join(drawn(STATUS, 5)).count("Service") == 3


def test_before_anything_is_known() -> None:
    """A server that has just begun says what it waits for."""
    status = msgspec.structs.replace(
        STATUS, waiting_for=["cluster dev: not read yet"], sample=None, history=[], routes=None, changes=[]
    )
    text = "\n".join(drawn(status, 40))
    assert "waits for cluster dev: not read yet" in text
    assert "routes     are being worked out" in text


def test_a_running_server() -> None:
    """Once where the output is no terminal; the document as it is for programs."""
    with Program(EXAMPLE, http=True) as program:
        program.ask(GOOD)
        http = program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
        done = run("top", "--http", http)
        assert (done.returncode, done.stderr) == (0, "")
        assert "default" in done.stdout
        found = run("top", "--http", http, "--output", "json")
        assert msgspec.json.decode(found.stdout, type=Status).clusters[0].objects == 29


def test_on_a_terminal() -> None:
    """The page is drawn again and again until Ctrl-C, which is no error."""
    with Program(EXAMPLE, http=True) as program:
        http = program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
        ours, theirs = pty.openpty()
        environment = {**ENVIRONMENT, "TERM": "xterm", "LINES": "40", "COLUMNS": "120"}
        with subprocess.Popen([*PYTHON_M, "top", "--http", http], stdout=theirs, env=environment) as process:
            os.close(theirs)
            seen = ""
            ends = time.monotonic() + DEADLINE
            with suppress(OSError):  # the terminal is gone with the process
                while seen.count("dnsbridge 0.1.0") < 2 and time.monotonic() < ends:
                    if select.select([ours], [], [], 1)[0]:
                        seen += os.read(ours, 65536).decode(errors="replace")
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE) == 0
        os.close(ours)
        assert seen.count("dnsbridge 0.1.0") >= 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--http", "127.0.0.1:9"), "no server answers at http://127.0.0.1:9 (connection refused)"),
        (("--http", ""), "the server has no HTTP address"),
        (("--http", "nonsense"), "nonsense"),
    ],
)
def test_no_server(options: tuple[str, ...], said: str) -> None:
    """One line says what is wrong."""
    done = run("top", *options)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1

"""The query log and dnstap of a running server, read by Debian's tools, with readers and disks that fail."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import dns.message
import pytest

from tests.support.dnstap import capturing
from tests.support.journal import NAME as NAME_IN_JOURNAL
from tests.support.program import ROOT, Program, RunningUpstream, eventually
from tests.support.scripted_upstream import ScriptedUpstream, answer

EXAMPLE = ROOT / "dnsbridge" / "example"
NAME = "web.shop.svc.cluster.local."
AWAY = "www.example.com."
ALL = [
    ("udp", 0, NAME),  # asked first, then kept, then prepared
    ("udp", 0, NAME),
    ("udp", 0, NAME),
    ("tcp", 0, NAME),
    ("udp", 1, NAME),
    ("udp", 0, AWAY),
    ("tcp", 1, AWAY),
]
"""Transport, number of the address that is asked, and name."""


def ask_all(program: Program) -> list[dns.message.Message]:
    """The answers to ALL, one after the other."""
    return [program.ask(name, transport=transport, server=server) for transport, server, name in ALL]  # type: ignore[arg-type]  # literals


@pytest.mark.needs("fstrm_capture", "dnstap-read")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("listen", [("127.0.0.1:0", "[::1]:0"), ("0.0.0.0:0", "[::]:0")], ids=["one", "wildcard"])
def test_every_exchange(tmp_path: Path, workers: int, listen: tuple[str, str]) -> None:
    """Each has its line and its two messages, whichever process answered, from the address that was asked."""
    log = {
        "format": "json",
        "queries": {"to": str(tmp_path / "queries")},
        "dnstap": {"to": f"unix:{tmp_path}/tap.sock", "identity": "office"},
    }
    settings = {"log": log, "workers": workers}
    with RunningUpstream(ScriptedUpstream(answer("@ 60 IN A 192.0.2.1"))) as upstream, capturing(tmp_path) as capture:
        with Program(EXAMPLE, settings=settings, upstreams=[upstream.address], listen=listen) as program:
            hosts = [("127.0.0.1", "::1")[number] for number in range(2)]
            program.servers = [server._replace(host=host) for server, host in zip(program.servers, hosts, strict=True)]
            responses = ask_all(program)
            ports = [server.port for server in program.servers]
        messages = capture.messages()
    lines = [json.loads(line) for line in (tmp_path / "queries").read_text().splitlines()]
    # Workers write when they come to it: the time of the question is the order.
    lines.sort(key=lambda line: line["time"])
    assert sorted((line["transport"], line["name"], line["client"]) for line in lines) == sorted(
        (transport, name, hosts[server]) for transport, server, name in ALL
    )
    assert {line["rcode"] for line in lines} == {"NOERROR"}
    asked = {each.message.id: each for each in messages if each.kind == "CLIENT_QUERY"}
    answered = {each.message.id: each for each in messages if each.kind == "CLIENT_RESPONSE"}
    assert len(messages) == 2 * len(ALL)
    assert all(each.identity == "office" and each.version.startswith("dnsbridge ") for each in messages)
    for (transport, server, name), response in zip(ALL, responses, strict=True):
        shown, question = answered[response.id], asked[response.id]
        assert shown.message == response
        assert (question.client, question.server) == (shown.client, shown.server)
        assert shown.server == f"{hosts[server]}#{ports[server]}"
        assert shown.socket == f"{('INET', 'INET6')[server]} {transport.upper()}"
        assert question.message.question[0].name.to_text() == name


def test_one_of_many(tmp_path: Path) -> None:
    """Of a thousand questions about one in ten is written."""
    settings = {"log": {"queries": {"to": str(tmp_path / "queries"), "sample": 10}}}
    with Program(EXAMPLE, settings=settings, http=True) as program:
        for _ in range(1000):
            program.ask(NAME)
        found = program.metrics()
    count = len((tmp_path / "queries").read_text().splitlines())
    assert 50 < count < 170  # more than six standard deviations on each side
    assert found['dnsbridge_records_total{log="query_log"}'] == count


def lost(program: Program, log: str) -> int:
    """How many records are lost so far."""
    return int(program.metrics()[f'dnsbridge_records_lost_total{{log="{log}"}}'])


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_written_costs_no_answer(tmp_path: Path, workers: int) -> None:
    """A full disk, and a reader of dnstap that does not read: counted, logged, and questions are answered."""
    stuck = tmp_path / "stuck"
    log: dict[str, Any] = {"queries": {"to": "/dev/full"}, "dnstap": {"to": f"unix:{stuck}"}}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(stuck))
        listening.listen()
        with Program(EXAMPLE, settings={"log": log, "workers": workers}, http=True) as program:
            program.ask(NAME)
            program.wait_for_log("query_log: /dev/full: no space left on device; records are lost")
            program.wait_for_log("dnstap: unix:.*/stuck: no handshake in time; records are lost")
            for _ in range(3):
                assert ask_all(program)[0].answer
            count = 1 + 3 * len(ALL)
            assert eventually(lambda: lost(program, "query_log") == lost(program, "dnstap") == count)


def test_a_reader_that_goes(tmp_path: Path) -> None:
    """The log says so, and questions are answered."""
    settings = {"log": {"dnstap": {"to": f"unix:{tmp_path}/tap.sock"}}}
    with Program(EXAMPLE, settings=settings) as program:
        program.ask(NAME)
        program.wait_for_log("dnstap: unix:.*: no such file or directory")
        with capturing(tmp_path):

            def back() -> bool:
                program.ask(NAME)
                return any("dnstap: unix:" in line and "written again" in line for line in program.log())

            eventually(back)
        lines = len(program.log())

        def gone() -> bool:
            program.ask(NAME)
            return any("records are lost" in line for line in program.log()[lines:])

        eventually(gone)


@pytest.mark.needs("netns", "journalctl")
def test_the_journal() -> None:
    """systemd-journald takes an entry for a question, and the name that was asked makes no field of its own."""
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*apart, sys.executable, "-m", "tests.support.journal"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (entry,) = map(json.loads, done.stdout.splitlines())
    assert entry["PRIORITY"] == "6"
    line = json.loads(entry["MESSAGE"])
    assert (line["name"], line["type"], line["rcode"]) == (NAME_IN_JOURNAL, "A", "NXDOMAIN")

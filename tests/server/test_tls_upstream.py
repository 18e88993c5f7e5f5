"""The program in front of a corporate DNS that is asked over TLS or TCP: a scripted one, and unbound."""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dns.rcode
import pytest

from tests.support.certificates import Authority
from tests.support.program import DEADLINE, ROOT, TRANSPORTS, Program, RunningUpstream, eventually, records
from tests.support.scripted_upstream import ScriptedUpstream, answer
from tests.support.unbound import Unbound

ONE = answer("@ 60 IN A 192.0.2.1")
EXAMPLE = {"fallback": "never", "source": {"manifests": str(ROOT / "dnsbridge" / "example")}}
TEXTS = [f'texts.corp.example. 60 TXT "{number:03} {"x" * 100}"' for number in range(100)]


def settings(ca: Path, upstreams: Sequence[str]) -> dict[str, Any]:
    """The example cluster, and everything else to these upstreams."""
    authorities = {"ca": str(ca)} if any(each.startswith("tls://") for each in upstreams) else {}
    return {"clusters": [EXAMPLE], "forward": [{"zone": ".", "upstreams": list(upstreams), **authorities}]}


@pytest.mark.parametrize(
    ("scheme", "names", "good"),
    [("tls", ["dns.test"], True), ("tls", ["other.test"], False), ("tcp", [], True)],
)
def test_what_serves(tmp_path: Path, scheme: str, names: list[str], good: bool) -> None:
    """Questions go over one connection to the right server; the wrong one is never asked, and the log says why."""
    authority = Authority()
    ca = authority.write(tmp_path / "ca.pem")
    scripted = ScriptedUpstream(tcp=[ONE], keep=True, tls=authority.server(*names) if names else None)
    with RunningUpstream(scripted) as upstream:
        place = f"{scheme}://{upstream.address}" + ("#dns.test" if scheme == "tls" else "")
        with Program(settings=settings(ca, [place]), upstreams=None, http=True) as program:
            assert any(f"forward .: {place} " in line for line in program.log())
            for transport in TRANSPORTS:
                got = program.ask(f"{transport}.example.com", transport=transport)
                assert got.rcode() == (dns.rcode.NOERROR if good else dns.rcode.SERVFAIL)
            if not good:
                program.wait_for_log(f"upstream {place}: TLS: Hostname mismatch")
            assert upstream.count() == (2 if good else 0)
            assert scripted.accepted == (1 if good else 0)
            label = f'{{upstream="{place}",zone="."}}'
            assert program.metrics()[f"dnsbridge_upstream_up{label}"] == good
            assert (program.metrics()[f"dnsbridge_upstream_connect_failures_total{label}"] == 0) is good


def test_many_at_once_and_an_end(tmp_path: Path) -> None:
    """Many clients share a connection; the program ends well while one is open."""
    authority = Authority()
    ca = authority.write(tmp_path / "ca.pem")
    scripted = ScriptedUpstream(tcp=[ONE], keep=True, tls=authority.server("127.0.0.1"))
    with RunningUpstream(scripted) as upstream:
        place = f"tls://{upstream.address}"
        with Program(settings=settings(ca, [place]), upstreams=None) as program, ThreadPoolExecutor(20) as clients:
            answers = clients.map(lambda number: program.ask(f"n{number}.example.com"), range(200))
            assert all(records(got.answer)[0].endswith("192.0.2.1") for got in answers)
            assert scripted.accepted == 1
        eventually(lambda: not scripted.connections)


@pytest.mark.needs("unbound")
def test_unbound_over_tls(tmp_path: Path) -> None:
    """What unbound has comes back whole over TLS, large answers too."""
    authority = Authority()
    ca = authority.write(tmp_path / "ca.pem")
    certificate, key = authority.write_server(tmp_path, "dns.test")
    with Unbound(tmp_path, certificate, key, ["www.corp.example. 60 A 192.0.2.10", *TEXTS]) as unbound:
        place = f"tls://127.0.0.1:{unbound.port}#dns.test"
        with Program(settings=settings(ca, [place]), upstreams=None) as program:
            assert records(program.ask("www.corp.example").answer) == ["www.corp.example. 60 IN A 192.0.2.10"]
            texts = program.ask("texts.corp.example", "TXT", "tcp")
            assert sum(len(rrset) for rrset in texts.answer) == len(TEXTS)
            assert program.ask("nowhere.corp.example").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("content", "wanted"),
    [(None, "no such file"), ("no certificate", "cannot be read as certificates")],
)
def test_bad_authorities(tmp_path: Path, content: str | None, wanted: str) -> None:
    """A file of authorities that cannot be used keeps the server from starting, in one line."""
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    source = f"{{manifests: {ROOT}/dnsbridge/example}}"
    (tmp_path / "d.yaml").write_text(
        f"clusters: [{{source: {source}, fallback: never}}]\n"
        "forward:\n- upstreams: ['tls://127.0.0.1#dns.test']\n  ca: ca.pem\n"
    )
    command = [
        sys.executable,
        "-m",
        "dnsbridge",
        "serve",
        "--config",
        "d.yaml",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "",
    ]
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == f"d.yaml:4: forward[0].ca: ca.pem: {wanted}; name a PEM file of certificates"

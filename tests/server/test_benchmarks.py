"""The benchmark suite: it starts, its peers answer rightly, it prints ratios, and --against finds what got worse."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.rdatatype
import pytest

from benchmarks.parts.figures import write_json
from benchmarks.parts.load import Round
from benchmarks.suite.chart import chart
from benchmarks.suite.questions import message, random_case
from benchmarks.suite.report import Report, figures, markdown, ratios, summary, table, worse
from benchmarks.suite.runner import Outcome, Result
from benchmarks.suite.workloads import OFFICE

ROOT = Path(__file__).parent.parent.parent
PEERS = {
    "search": {"dnsbridge", "unbound", "knot", "nsd", "bind9", "dnsmasq"},
    "cached": {"dnsbridge", "unbound", "bind9", "dnsmasq", "dnsdist", "recursor"},
}
"""All that Debian has, by what they can answer."""


def suite(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The suite in its quick mode, over all peers but CoreDNS."""
    peers = sorted(set().union(*PEERS.values()) - {"dnsbridge"})
    command = [sys.executable, "-m", "benchmarks.suite", "--quick", *arguments]
    command += [word for peer in peers for word in ("--peer", peer)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.needs("knotd", "unbound", "dnsperf", "nsd", "named", "dnsmasq", "dnsdist", "pdns_recursor")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the suite needs two cores")
def test_it_runs(tmp_path: Path) -> None:
    """Every peer takes part in what it can answer, and has a ratio; one that is larger than before fails."""
    before, written = tmp_path / "before.json", tmp_path / "suite.json"
    write_json(before, Report("", "", {}, 1, 1, Outcome(), {"search/unbound": 0.001, "search/knot": 1000}))
    workloads = [word for name in PEERS for word in ("--workload", name)]
    done = suite(*workloads, "--json", str(written), "--against", str(before))
    assert done.returncode == 1, done.stderr
    worse_lines = [line for line in done.stdout.splitlines() if line.startswith("worse by more than a tenth: ")]
    assert [line.split()[6] for line in worse_lines] == ["search/unbound:"]
    assert "cached: 10,000 forwarded names" in done.stdout
    report: dict[str, Any] = json.loads(written.read_bytes())
    assert report["outcome"]["left_out"] == []
    took_part: dict[str, set[str]] = {}
    for result in report["outcome"]["results"]:
        took_part.setdefault(result["workload"], set()).add(result["peer"])
        assert result["rounds"][0]["rate"] > 0
    assert took_part == PEERS
    assert set(report["ratios"]) == {
        f"{name}/{peer}" for name, peers in PEERS.items() for peer in peers - {"dnsbridge"}
    }


@pytest.mark.parametrize("content", [None, "", "[]", '{"ratios": 1}'])
def test_against_a_file_of_no_use(content: str | None, tmp_path: Path) -> None:
    """One line that names the file, before anything is measured."""
    file = tmp_path / "before.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    done = suite("--against", str(file))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert str(file) in done.stderr


def measured(workload: str, peer: str, cpu: float) -> Result:
    """A server that was busy all the time."""
    return Result(workload, peer, [Round(cpu / 2, cpu / 2, 1e6 / cpu, 1.0)])


OUTCOME = Outcome(
    [
        measured("hot", "dnsbridge", 6),
        measured("hot", "unbound", 5),
        measured("hot", "knot", 4),
        measured("hot", "nsd", 8),
        measured("case", "dnsbridge", 9),
        measured("cold", "dnsbridge", 30),
        measured("new", "dnsbridge", 20),
        measured("new", "unbound", 30),
    ],
    memory={"dnsbridge": 100},
)
RATIOS = {"hot/unbound": 1.2, "hot/knot": 1.5, "hot/nsd": 0.75, "case/hot": 1.5, "cold/hot": 5, "new/unbound": 2 / 3}
REPORT = Report("2026-02-03", "a machine", {"knot": "3.2"}, 1, 1, OUTCOME, {**RATIOS, "new/hot": 20 / 6})
BARS = {
    "hot: CPU/answer over unbound's": False,
    "hot: CPU/answer over that of the best of knot and nsd": False,
    "case: CPU/answer over our hot one": True,
    "cold: CPU/answer": False,
    "new: answers/s over unbound's": True,
}


def test_ratios_and_bars() -> None:
    """The CPU time per answer over a peer's and over the own hot one; throughput the other way round."""
    assert ratios(OUTCOME) == pytest.approx(REPORT.ratios)
    assert {figure.what: figure.held for figure in figures(OUTCOME)} == BARS


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ({"hot/unbound": 1.2}, []),
        ({"hot/unbound": 1.1}, []),
        ({"hot/unbound": 1.0}, ["hot/unbound: 1.20, was 1.00"]),
        ({"hot/unbound": 2.0, "hot/knot": 1.0}, ["hot/knot: 1.50, was 1.00"]),
        ({"hot/bind9": 0.1}, []),
    ],
)
def test_worse(before: dict[str, float], found: list[str]) -> None:
    """More than a tenth, of the ratios that both runs have."""
    assert worse(REPORT, Report("", "", {}, 1, 1, Outcome(), before)) == found


def test_what_is_written() -> None:
    """Each form has every server of a workload."""
    for text in (table(REPORT), markdown(REPORT), chart(REPORT)):
        for peer in ("dnsbridge", "unbound", "knot", "nsd"):
            assert peer in text
    header, _, *lines = summary(REPORT)
    assert header.split("|")[2].strip() == "dnsbridge"
    assert len(lines) == len({one.workload for one in OUTCOME.results})
    assert all(line.count("|") == header.count("|") for line in lines)
    assert f"{REPORT.date}, {REPORT.machine}." in markdown(REPORT)


@pytest.mark.parametrize(
    ("edns", "cookie", "options"),
    [
        (False, b"", []),
        (True, b"", []),
        (True, b"12345678", [dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")]),
    ],
)
def test_questions(edns: bool, cookie: bytes, options: list[dns.edns.Option]) -> None:
    """What dnspython reads in them."""
    read = dns.message.from_wire(message("a-1.b.example.", "SRV", edns, cookie))
    expected = dns.message.make_query("a-1.b.example.", "SRV", use_edns=0 if edns else False, payload=1232)
    if options:
        expected.use_edns(0, payload=1232, options=options)
    expected.id = 0
    assert read.to_wire() == expected.to_wire()


def test_random_case() -> None:
    """The same question, in other letters."""
    plain = message("web-0.shop.svc.cluster.local.", "A", edns=True)
    made = {random_case(plain, random.Random(seed)) for seed in range(20)}
    assert len(made) == 20
    assert {one.lower() for one in made} == {plain.lower()}
    assert {dns.message.from_wire(one).question[0].rdtype for one in made} == {dns.rdatatype.A}


def test_the_office_mix_is_whole() -> None:
    """Its parts are all of it."""
    assert sum(part.percent for part in OFFICE) == 100

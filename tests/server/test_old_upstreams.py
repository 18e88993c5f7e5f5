"""The program with upstreams that lack EDNS, are slow or go away: what clients get, what is shown, what is logged."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import dns.message
import dns.rcode
import pytest

from dnsbridge.wire.failure import Failure
from tests.server.test_upstream_states import EXAMPLE, show
from tests.support.old_upstreams import WITHOUT_EDNS, bare, to_opt
from tests.support.program import Program, RunningUpstream, eventually, records
from tests.support.scripted_upstream import Behaviour, Reply, ScriptedUpstream, answer

ONE = answer("@ 60 IN A 192.0.2.1")
REFUSED = answer(rcode=5)
ZONES = {f"{number}.example": how for number, how in enumerate(WITHOUT_EDNS)}
"""By the forward zone: how its upstream lacks EDNS."""
NO_DNSSEC = "the upstream knows no EDNS, so there are no DNSSEC records"


def slow(message: bytes) -> Sequence[Reply]:
    """Takes 3 seconds for any name but those that start with `fast`, and 6 for those that start with `late`."""
    delay = {b"\4fast": 0.0, b"\4late": 6.0}.get(message[12:17], 3.0)
    return answer("@ 60 IN A 192.0.2.1", delay=delay)(message)


class Office(NamedTuple):
    """What runs."""

    program: Program
    file: Path
    upstreams: dict[str, RunningUpstream]

    def shown(self, zone: str) -> dict[str, Any]:
        """What `config show` says of the upstream of a zone."""
        http = self.program.wait_for_log(r"metrics on http://(\S+)/metrics")[1]
        rows = json.loads(show("--config", str(self.file), "--http", http, "--output", "json").stdout)
        values = [row["value"] for row in rows if ".upstreams[" in row["key"]]
        return next(value for value in values if value["zone"] == zone)

    def metric(self, name: str, zone: str) -> float:
        """One of its metrics."""
        return self.program.metrics()[f'dnsbridge_{name}{{upstream="{self.upstreams[zone].address}",zone="{zone}"}}']


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Each forward zone has an upstream of another kind."""
    behaviours: dict[str, Behaviour] = {zone: WITHOUT_EDNS[how](ONE) for zone, how in ZONES.items()}
    behaviours["slow.example"] = slow
    behaviours["gone.example"] = ONE
    with ExitStack() as running:
        upstreams = {
            zone: running.enter_context(RunningUpstream(ScriptedUpstream(behaviour, probe=REFUSED)))
            for zone, behaviour in behaviours.items()
        }
        forward = [{"zone": zone, "upstreams": [upstream.address]} for zone, upstream in upstreams.items()]
        coredns = running.enter_context(RunningUpstream(ScriptedUpstream(to_opt(bare(1))(ONE), probe=REFUSED)))
        settings = {"clusters": [{**EXAMPLE, "coredns": coredns.address}], "forward": forward}
        file = tmp_path_factory.mktemp("old") / "d.yaml"
        file.write_text(json.dumps(settings))
        program = running.enter_context(Program(settings=settings, upstreams=None, http=True))
        yield Office(program, file, upstreams)


@pytest.mark.parametrize("zone", ZONES, ids=ZONES.values())
def test_without_edns(office: Office, zone: str) -> None:
    """All get the answer; the upstream is shown, counted and logged once as one that lacks EDNS."""
    address = office.upstreams[zone].address
    assert office.metric("upstream_edns", zone) == 1
    for number in range(4):
        plain = office.program.ask(f"n{number}.{zone}")
        assert (plain.rcode(), plain.edns) == (dns.rcode.NOERROR, -1)
        assert records(plain.answer) == [f"n{number}.{zone}. 60 IN A 192.0.2.1"]
    query = dns.message.make_query(f"do.{zone}", "A", want_dnssec=True)
    signed = office.program.exchange(query)
    assert (signed.rcode(), signed.edns) == (dns.rcode.NOERROR, 0)
    assert [(int(error.code), error.text) for error in signed.extended_errors()] == [(0, NO_DNSSEC)]
    assert office.metric("upstream_edns", zone) == 0
    shown = office.shown(zone)
    problem = ZONES[zone].partition(",")[0].partition(" ")[0]
    without = shown["state"]["without_edns"]
    assert without["problem"] == problem
    assert without["since"] < without["again"]
    assert shown["state"]["condition"] == "up"
    assert f"EDNS: no ({problem}) since {without['since']}, tried again at {without['again']}" in shown["doing"]
    line = f"upstream {address} lacks EDNS ({problem}): asked without it for 15 minutes"
    assert sum(line in each for each in office.program.log()) == 1


def test_coredns_without_edns(office: Office) -> None:
    """The same towards a cluster's CoreDNS."""
    name = "a.name.of.its.own.cluster.local"
    assert records(office.program.ask(name).answer) == [f"{name}. 60 IN A 192.0.2.1"]
    signed = office.program.ask(f"x{name}", edns=0, dnssec_ok=True)
    assert records(signed.answer) == [f"x{name}. 60 IN A 192.0.2.1"]
    assert signed.edns == 0


def test_slow(office: Office) -> None:
    """A name that takes three seconds has its answer, and the upstream is shown as up and slow."""
    zone = "slow.example"
    assert records(office.program.ask(f"fast.{zone}").answer) == [f"fast.{zone}. 60 IN A 192.0.2.1"]
    assert office.metric("upstream_slow", zone) == 0
    assert records(office.program.ask(f"cold.{zone}").answer) == [f"cold.{zone}. 60 IN A 192.0.2.1"]
    assert (office.metric("upstream_slow", zone), office.metric("upstream_slow_questions_total", zone)) == (1, 1)
    shown = office.shown(zone)
    state = shown["state"]
    assert (state["condition"], state["slow"], state["slow_questions"]) == ("up", True, 1)
    assert f", slow since {state['slow_since']}: 1 question waited for over 2.4 s" in shown["doing"]
    line = f"upstream {office.upstreams[zone].address} is slow: it answers others, but one question not within 2.4 s"
    assert sum(line in each for each in office.program.log()) == 1


def test_slow_is_not_dead(office: Office) -> None:
    """A name that takes too long gets SERVFAIL with Network Error (23) and why; the next time it has its answer."""
    name = "late.slow.example"
    got = office.program.ask(name, edns=0)
    errors = [(int(error.code), error.text) for error in got.extended_errors()]
    assert (got.rcode(), errors) == (dns.rcode.SERVFAIL, [(23, Failure.SLOW_UPSTREAM.text)])
    assert records(office.program.ask(name).answer) == [f"{name}. 60 IN A 192.0.2.1"]


def test_gone_and_back(office: Office) -> None:
    """One line in the log when an upstream goes down, and one when it is back."""
    zone = "gone.example"
    upstream = office.upstreams[zone]
    assert office.program.ask(f"a.{zone}").rcode() == dns.rcode.NOERROR
    loop = upstream._loop
    assert loop
    loop.call_soon_threadsafe(upstream.upstream.close_udp)
    eventually(lambda: upstream.upstream._socket.fileno() < 0)
    assert office.program.ask(f"b.{zone}").rcode() == dns.rcode.SERVFAIL
    office.program.wait_for_log(f"upstream {upstream.address} is down: its port is closed")
    loop.call_soon_threadsafe(upstream.upstream.open_udp)
    office.program.wait_for_log(f"upstream {upstream.address} is up again")
    assert sum(f"upstream {upstream.address} is" in line for line in office.program.log()) == 2

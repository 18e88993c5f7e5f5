"""Real recursors as upstreams, before a server that is slow for some names: BIND, unbound, dnsmasq, Knot Resolver."""

from collections.abc import Sequence
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from tests.support.program import ROOT, Program, RunningUpstream, records
from tests.support.recursors import PROGRAMS, Recursor
from tests.support.scripted_upstream import Reply, ScriptedUpstream, answer


def slow(message: bytes) -> Sequence[Reply]:
    """Takes 3 seconds for a name that starts with `cold`."""
    delay = 3.0 if message[12:].lower().startswith(b"\4cold") else 0.0
    return answer("@ 60 IN A 192.0.2.1", delay=delay)(message)


def data(response: dns.message.Message) -> list[str]:
    """Owners and data alone: the TTL counts down in the recursor's cache and in ours."""
    return [f"{words[0]} {words[-1]}" for line in records(response.answer) if (words := line.split())]


@pytest.mark.parametrize(
    "recursor",
    [pytest.param(program, marks=pytest.mark.needs(program)) for program in PROGRAMS],
)
def test_recursors(recursor: str, tmp_path: Path) -> None:
    """Each answers with and without EDNS, and is found to have EDNS; a name that takes it three seconds has its answer.

    BIND needs eight seconds for such a name, and unbound gives none in twelve, so they are not asked for it.
    """
    with (
        RunningUpstream(ScriptedUpstream(slow, tcp=[slow])) as behind,
        Recursor(recursor, tmp_path, behind.upstream.port) as running,
        Program(ROOT / "dnsbridge" / "example", upstreams=[f"127.0.0.1:{running.port}"], http=True) as program,
    ):
        for number in range(5):
            plain = program.ask(f"n{number}.example.com")
            assert data(plain) == [f"n{number}.example.com. 192.0.2.1"]
            signed = program.ask(f"s{number}.example.com", edns=0, dnssec_ok=True)
            assert (signed.rcode(), signed.edns) == (dns.rcode.NOERROR, 0)
        if recursor == "dnsmasq":
            cold = program.ask("cold.example.com")
            assert data(cold) == ["cold.example.com. 192.0.2.1"]
        labels = f'{{upstream="127.0.0.1:{running.port}",zone="."}}'
        metrics = program.metrics()
        assert metrics[f"dnsbridge_upstream_edns{labels}"] == 1
        assert metrics[f"dnsbridge_upstream_up{labels}"] == 1
        assert metrics[f"dnsbridge_upstream_slow_questions_total{labels}"] == (recursor == "dnsmasq")

"""The program with upstreams that fail, asked as its users ask it. The unit tests of forwarding drive its clock."""

from contextlib import ExitStack
from pathlib import Path

import dns.rcode
import pytest

from tests.support.program import Program, RunningUpstream, closed_port
from tests.support.scripted_upstream import ScriptedUpstream, answer, silence

ONE, TWO = (answer(f"@ 60 IN A 192.0.2.{last}") for last in (1, 2))
SERVFAIL = answer(rcode=2)
EXAMPLE = Path(__file__).parent.parent.parent / "dnsbridge" / "example" / "cluster.yaml"


def settings(upstreams: list[str], policy: str = "sequential") -> dict[str, object]:
    """One forward zone."""
    return {
        "clusters": [{"name": "example", "source": {"manifests": str(EXAMPLE)}, "fallback": "never"}],
        "forward": [{"zone": ".", "upstreams": upstreams, "policy": policy}],
    }


@pytest.mark.parametrize("failing", ["silent", "refused", "SERVFAIL"])
def test_a_failing_first_upstream(failing: str) -> None:
    """No question fails, and the upstream that does is known not to be up."""
    first = ScriptedUpstream(SERVFAIL if failing == "SERVFAIL" else silence)
    with RunningUpstream(first) as broken, RunningUpstream(ScriptedUpstream(TWO)) as good, closed_port() as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}" if failing == "refused" else broken.address
        with Program(settings=settings([address, good.address]), upstreams=None, http=True) as program:
            for number in range(30):
                assert program.ask(f"n{number}.example").rcode() == dns.rcode.NOERROR
            up = f'dnsbridge_upstream_up{{upstream="{address}",zone="."}}'
            assert program.metrics()[up] == 0


def test_all_are_down() -> None:
    """SERVFAIL with No Reachable Authority (22), the first time and later."""
    with ExitStack() as running:
        silent = [running.enter_context(RunningUpstream(ScriptedUpstream(silence))) for _ in range(2)]
        program = running.enter_context(Program(settings=settings([one.address for one in silent]), upstreams=None))
        for number in range(3):
            got = program.ask(f"n{number}.example", edns=True)
            assert got.rcode() == dns.rcode.SERVFAIL
            assert [option.code for option in got.extended_errors()] == [22]


@pytest.mark.parametrize(("policy", "both"), [("sequential", False), ("random", True), ("round_robin", True)])
def test_policies(policy: str, both: bool) -> None:
    """The setting decides who is asked."""
    with RunningUpstream(ScriptedUpstream(ONE)) as one, RunningUpstream(ScriptedUpstream(TWO)) as other:
        with Program(settings=settings([one.address, other.address], policy), upstreams=None) as program:
            for number in range(40):
                program.ask(f"n{number}.example")
        assert one.count() + other.count() >= 40
        assert (other.count() > 5) is both

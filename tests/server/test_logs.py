"""The program's own log as a collector reads it."""

import json

import pytest

from tests.support.program import ROOT, Program

EXAMPLE = ROOT / "dnsbridge" / "example"


@pytest.mark.parametrize("workers", [1, 2])
def test_every_line_is_an_object(workers: int) -> None:
    """From the first line to the last, of all processes; a change of state has its name and its subject."""
    settings = {"log": {"format": "json"}, "workers": workers}
    with Program(EXAMPLE, settings=settings) as program:
        assert program.ask("www.example.com").rcode().name == "SERVFAIL"  # the upstream's port is closed
        program.wait_for_log('"upstream_down"')
        program.stop()
        lines = [json.loads(line) for line in program.log()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    (down,) = [line for line in lines if line.get("event") == "upstream_down"]
    assert down["level"] == "warning"
    assert down["upstream"].startswith("127.0.0.1:")
    assert ("worker" in down) is (workers > 1)
    assert [line["message"] for line in lines].count("ready") == 1

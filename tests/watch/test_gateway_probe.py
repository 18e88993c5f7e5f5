"""Gateways that fall silent and answer again: what the log says of each change."""

import asyncio
from ipaddress import ip_address

import pytest

from dnsbridge.watch import gateway_probe
from dnsbridge.watch.gateway_probe import INTERVAL, SILENT, GatewayProbe
from tests.support.driven_loop import pass_time, run_driven

FIRST, SECOND = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def test_changes_are_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A line when a gateway has been silent for SILENT attempts, one when it answers; none of a gateway that left."""
    caplog.set_level("INFO")
    silent: set[str] = set()
    changes: list[frozenset[object]] = []

    async def answers(host: str, port: int) -> bool:
        return host not in silent

    monkeypatch.setattr(gateway_probe, "_answers", answers)

    async def scenario() -> None:
        probe = GatewayProbe(22, lambda: changes.append(probe.silent))
        probe.watch([FIRST, SECOND])
        running = asyncio.create_task(probe.run())
        silent.update(map(str, (FIRST, SECOND)))
        await pass_time(INTERVAL * (SILENT + 2))
        silent.discard(str(FIRST))
        await pass_time(INTERVAL * 3600)
        probe.watch([FIRST])
        running.cancel()

    run_driven(scenario())
    assert [(each.getMessage(), each.__dict__["event"]) for each in caplog.records] == [
        *(
            (
                f"gateway {each}: no answer from port 22 to 3 attempts in a row; routes avoid it while others answer",
                "gateway_silent",
            )
            for each in (FIRST, SECOND)
        ),
        (f"gateway {FIRST}: answers again", "gateway_answers"),
    ]
    assert changes == [{FIRST, SECOND}, {SECOND}, set()]

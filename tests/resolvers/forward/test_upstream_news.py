"""What the log says of upstreams, by a clock of the test's own."""

import logging
from collections.abc import Callable

import pytest

from dnsbridge.resolvers.forward import upstream_news
from dnsbridge.resolvers.forward.health import Health
from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.upstream_news import BURST, UpstreamNews

ADDRESS = "192.0.2.53"
Change = Callable[[Health, float], object]


def unable(health: Health, now: float) -> None:
    """It refuses OPT twice."""
    health.edns.refused(now, "NOTIMP")
    health.edns.refused(now, "NOTIMP")


def able(health: Health, now: float) -> None:
    """It answers OPT when that is tried again."""
    health.edns.answered(health.edns.without_until, now)


CASES: list[tuple[str, list[Change], list[str]]] = [
    ("nothing", [], []),
    ("a reply", [lambda health, now: health.replied(now, now - 0.1)], []),
    ("suspect is no news", [lambda health, now: health.timed_out(now, now - 1)], []),
    ("down", [lambda health, now: health.refused(now)], ["is down: its port is closed"]),
    (
        "down and back",
        [lambda health, now: health.refused(now), lambda health, now: health.replied(now, now - 0.1)],
        ["is down: its port is closed", "is up again"],
    ),
    (
        "slow twice in a minute",
        [lambda health, now: health.found_slow(now)] * 2,
        ["is slow: it answers others, but one question not within 2.4 s"],
    ),
    ("without EDNS", [unable], ["lacks EDNS (NOTIMP): asked without it for 15 minutes"]),
    ("and with it again", [unable, able], ["lacks EDNS (NOTIMP): asked without it for 15 minutes", "has EDNS again"]),
]


@pytest.mark.parametrize(("changes", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_lines(changes: list[Change], expected: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """One line for each change, however often it is looked."""
    caplog.set_level(logging.INFO, upstream_news.__name__)
    upstream = UdpUpstream(ADDRESS)
    news, now = UpstreamNews([upstream]), 100.0
    for change in changes:
        change(upstream.health, now)
        for _ in range(3):
            news.look(now)
            now += 1
    assert [record.getMessage() for record in caplog.records] == [f"upstream {upstream} {line}" for line in expected]


def test_flapping(caplog: pytest.LogCaptureFixture) -> None:
    """Of an upstream that goes and comes each second a few lines are written, and how many were held back."""
    caplog.set_level(logging.INFO, upstream_news.__name__)
    upstream = UdpUpstream(ADDRESS)
    news = UpstreamNews([upstream])
    for second in range(100, 400, 2):
        upstream.health.refused(second)
        news.look(second)
        upstream.health.replied(second + 1, second + 0.9)
        news.look(second + 1)
    lines = [record.getMessage() for record in caplog.records]
    assert BURST + 4 <= len(lines) <= BURST + 5
    assert all("lines about it were held back)" in line for line in lines[BURST:])
    held_back = sum(int(line.rpartition("(")[2].split()[0]) for line in lines[BURST:])
    assert 300 - 60 <= held_back + len(lines) <= 300

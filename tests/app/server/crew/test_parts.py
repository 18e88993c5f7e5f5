"""Parts of several workers: messages that come in pieces, a channel that is not read, sums, and states put together."""

import asyncio
import socket
from typing import NamedTuple

import pytest
from msgspec import Raw, structs

from dnsbridge.app.facts.families import Family, counter, gauge, lasting, summed
from dnsbridge.app.facts.upstream_states import Condition, Edns, State
from dnsbridge.app.server.crew.channel import Channel
from dnsbridge.app.server.crew.merged_facts import together
from dnsbridge.app.server.crew.messages import (
    Aged,
    Ask,
    Changed,
    End,
    Frames,
    Leaving,
    Ready,
    Said,
    Servers,
    ToMain,
    ToWorker,
    frame,
    to_main,
    to_worker,
)
from tests.support.waiting import DEADLINE

TO_WORKERS: list[ToWorker] = [
    Changed("dev", 1_700_000_000, Raw(b"\x90")),
    Aged("dev", "stale"),
    Servers({"/etc/resolv.conf": ("192.0.2.1", "fd00::1")}),
    Ask(1, "counts"),
    Ask(2, "flush", b"\3www\7example\0"),
    End(),
]
TO_HOLDER: list[ToMain] = [Ready(), Leaving(), Said(3, Raw(b"\x01"))]


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_messages_in_pieces(size: int) -> None:
    """However the octets are cut, the messages are the same."""
    for decoder, messages in ((to_worker, TO_WORKERS), (to_main, TO_HOLDER)):
        octets = b"".join(map(frame, messages))
        frames = Frames()
        found = [
            decoder.decode(message)
            for start in range(0, len(octets), size)
            for message in frames.feed(octets[start : start + size])
        ]
        assert found == messages


def test_a_channel_that_is_not_read() -> None:
    """What waits has a bound; when it is read again, all that was taken comes, whole and in order."""

    async def run() -> None:
        ours, theirs = socket.socketpair()
        backlog = 100_000
        loop = asyncio.get_running_loop()
        channel = Channel(loop, ours, lambda _: None, lambda: None, backlog)
        sent = []
        message = Ask(0, "show", bytes(10_000))
        while channel.send(frame(message)):
            sent.append(message)
            message = Ask(len(sent), "show", bytes(10_000))
        assert backlog < channel.waiting < backlog + 20_000
        got: list[bytes] = []
        ended = asyncio.Event()
        Channel(loop, theirs, got.append, ended.set)
        async with asyncio.timeout(DEADLINE):
            await channel.drained()
        assert channel.send(frame(End()))
        channel.close()
        async with asyncio.timeout(DEADLINE):
            await ended.wait()
        assert [to_worker.decode(octets) for octets in got] == [*sent, End()]

    asyncio.run(run())


def test_sums() -> None:
    """Counters and gauges are summed by their labels, `least` is the least; who has ended leaves counters only."""

    def report(up: int, *counts: int) -> list[Family]:
        return [
            counter("asked", "Asked.", ["zone"], [([f"zone-{number}"], count) for number, count in enumerate(counts)]),
            gauge("held", "Held.", [], [([], sum(counts))]),
            Family("up", "Up.", "least", [], [([], up)]),
        ]

    one, other = report(1, 2, 3), report(0, 10)
    assert summed([one, other]) == [
        counter("asked", "Asked.", ["zone"], [(["zone-0"], 12), (["zone-1"], 3)]),
        gauge("held", "Held.", [], [([], 15)]),
        Family("up", "Up.", "least", [], [([], 0)]),
    ]
    assert summed([lasting(one), lasting(other)]) == [
        counter("asked", "Asked.", ["zone"], [(["zone-0"], 12), (["zone-1"], 3)])
    ]
    assert summed([]) == []


class Case(NamedTuple):
    """States of two workers, and what is shown."""

    name: str
    one: State
    other: State
    shown: State


def state(
    condition: Condition = "up",
    since: str | None = None,
    questions: int = 0,
    srtt: float | None = None,
    problem: str = "",
    errors: int = 0,
) -> State:
    """A state of one upstream."""
    return State(".", "", "192.0.2.1:53", condition, since, questions, srtt, errors, errors, problem)


EARLY, LATE = "2026-02-03T08:15:30Z", "2026-02-03T08:15:31Z"
CASES = [
    Case("never asked", state(), state(), state()),
    Case("one has asked", state(), state(questions=2, srtt=8.0), state(questions=2, srtt=8.0)),
    Case("both have", state(questions=1, srtt=5.0), state(questions=3, srtt=9.0), state(questions=4, srtt=8.0)),
    Case(
        "one finds it down",
        state("up", LATE, 5, 1.0, "before"),
        state("down", EARLY, 3, None, "no reply", 3),
        state("down", EARLY, 8, 1.0, "no reply", 3),
    ),
    Case(
        "both do, the later has the news",
        state("down", EARLY, problem="old", errors=1),
        state("down", LATE, problem="new", errors=1),
        state("down", LATE, problem="new", errors=2),
    ),
]


def test_slow_and_without_edns_together() -> None:
    """It is slow, or asked without EDNS, when one worker finds it so; slow questions are summed."""
    edns = Edns("FORMERR", EARLY, LATE)
    one = structs.replace(state(), without_edns=edns, slow_questions=2, slow_since=LATE)
    other = structs.replace(state(), slow=True, slow_since=EARLY, slow_questions=1)
    shown = structs.replace(state(), without_edns=edns, slow=True, slow_since=EARLY, slow_questions=3)
    assert together([[one], [other]]) == together([[other], [one]]) == [shown]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_states_together(case: Case) -> None:
    """An upstream is as bad as the worst of the workers finds it; what is counted is summed."""
    other = State("corp.example", "", "192.0.2.2:53", "up", None, 0, None, 0, 0, "")
    assert together([[case.one, other], [case.other]]) == [case.shown, other]
    assert together([[case.other], [case.one, other]]) == [case.shown, other]

"""One resource in step with a server that says exactly what a test wants it to say, and when (see scripted_api).

What is checked are the requests and the times at which they came, what is held at the end, and the counters.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import aiohttp
import pytest

from dnsbridge.watch.api.connection import CannotConnect
from dnsbridge.watch.api.reflector import NOT_OFFERED_SECONDS
from dnsbridge.watch.api.resources import NAMESPACES, SERVICES, Resource
from tests.support.scripted_api import (
    Followed,
    Reply,
    bookmark,
    error,
    error_event,
    event,
    listed,
    page,
    watch,
)

Play = Callable[..., Followed]
RESET = ConnectionResetError(104, "Connection reset by peer")
UNREACHABLE = aiohttp.ConnectionTimeoutError("timeout")
AB = listed("a@1", "b@2", version=3)


class Case(NamedTuple):
    """A script and what comes of it."""

    name: str
    replies: list[Reply]
    requests: str
    """Comma between."""
    times: list[float]
    """Seconds of each request; [] where they do not matter."""
    held: str
    counts: Mapping[str, int] = {}


CASES = [
    Case(
        "streaming list, resumed where it ended",
        [watch(AB, 2.0, event("MODIFIED", "a", "4"), 30.0), watch(event("DELETED", "b", "5"), 40.0)],
        "stream, watch 4, watch 5",
        [0, 32, 72],
        "a@4",
        {"lists": 1, "watches": 3, "events": 4, "errors": 0, "silences": 0},
    ),
    Case(
        "bookmarks move the position",
        [watch(AB, 2.0, bookmark("70"), 2.0)],
        "stream, watch 70",
        [0, 4],
        "a@1 b@2",
    ),
    Case(
        "no streaming lists: pages, for good",
        [
            error(422, "sendInitialEvents is forbidden"),
            page("a@1", version=9, more="x"),
            page("b@2", version=9),
            watch(error_event(410)),
            page("a@1", "b@20", version=30),
        ],
        "stream, list, list x, watch 9, list, watch 30",
        [0, 0, 0, 0, 0.125, 0.125],
        "a@1 b@20",
        {"lists": 3, "errors": 0},
    ),
    Case(
        "410 as status: what is gone disappears at the end of the list",
        [watch(AB, 2.0), error(410, "too old"), watch(event("ADDED", "c", "5"), 0.4, listed("b@2", version=9), 2.0)],
        "stream, watch 3, stream, watch 9",
        [0, 2, 2.125, 4.525],
        "b@2 c@5",
        {"errors": 0},
    ),
    Case(
        "410 as event",
        [watch(AB, 2.0, error_event(410)), watch(listed("b@7", version=9), 2.0)],
        "stream, stream, watch 9",
        [0, 2.125, 4.125],
        "b@7",
    ),
    Case(
        "410 on a continue token: the list begins again",
        [
            error(400),
            page("a@1", version=9, more="x"),
            error(410, "The provided continue parameter is too old"),
            page("a@1", version=12, more="y"),
            page("c@11", version=12),
        ],
        "stream, list, list x, list, list y, watch 12",
        [0, 0, 0, 0.125, 0.125, 0.125],
        "a@1 c@11",
    ),
    Case(
        "410 to every watch: lists ever less often",
        [error(422), *[reply for _ in range(5) for reply in (page("a@1", version=9), error(410, "too old"))]],
        "stream" + ", list, watch 9" * 5 + ", list",
        [0, 0, 0, 0.125, 0.125, 0.375, 0.375, 0.875, 0.875, 1.875, 1.875, 3.875],
        "a@1",
        {"lists": 7, "errors": 0},
    ),
    Case(
        "a version from the future is a version too old",
        [watch(AB, 2.0, bookmark("99999")), error(504, "Too large resource version: 99999"), watch(AB, 2.0)],
        "stream, watch 99999, stream, watch 3",
        [],
        "a@1 b@2",
    ),
    Case(
        "a version that is no number: list again",
        [watch(AB, 2.0, bookmark("odd")), error(422, "invalid resource version"), watch(AB, 2.0)],
        "stream, watch odd, stream, watch 3",
        [],
        "a@1 b@2",
        {"errors": 1},
    ),
    Case(
        "a cluster made anew has lower versions",
        [watch(listed("a@500", "b@600", version=700), 2.0), error(410), watch(AB, 2.0)],
        "stream, watch 700, stream, watch 3",
        [],
        "a@1 b@2",
    ),
    Case(
        "a streaming list that breaks takes nothing away",
        [watch(AB, 2.0), error(410), watch(event("ADDED", "a", "8"), RESET), page("a@8", "b@9", version=9)],
        "stream, watch 3, stream, list, watch 9",
        [],
        "a@8 b@9",
    ),
    Case(
        "Retry-After is waited for, each time",
        [
            error(429, **{"Retry-After": "7"}),
            error(429, **{"Retry-After": "7"}),
            error(503, **{"Retry-After": "1"}),
            error(503, **{"Retry-After": "1"}),
            watch(AB, 2.0),
        ],
        "stream, list, stream, list, stream, watch 3",
        [0, 0, 7, 7, 8, 10],
        "a@1 b@2",
        {"errors": 4},
    ),
    Case(
        "ever longer between failures, up to a bound",
        [error(500)] * 20,
        ", ".join(["stream, list"] * 10 + ["stream"]),
        [*sorted([0, 0.125, 0.375, 0.875, 1.875, 3.875, 7.875, 15.875, 30.875, 45.875] * 2), 60.875],
        "",
        {"errors": 20},
    ),
    Case(
        "a watch that went on for a while starts the delays anew, however it ended",
        [watch(AB, 2.0, RESET)] + [watch(30.0, RESET)] * 4,
        "stream" + ", watch 3" * 5,
        [0, 2.125, 32.25, 62.375, 92.5, 122.625],
        "a@1 b@2",
        {"errors": 5},
    ),
    Case(
        "a list that came to its end starts the delays anew",
        [error(422), error(500), error(422), error(500), error(422), page("a@1", version=3), watch(RESET)],
        "stream, list, stream, list, stream, list, watch 3, watch 3",
        [0, 0, 0.125, 0.125, 0.375, 0.375, 0.375, 0.5],
        "a@1",
        {"errors": 3},
    ),
    Case(
        "watches that end at once are not asked for again and again",
        [watch(AB)] + [watch()] * 4,
        "stream" + ", watch 3" * 5,
        [0, 0.125, 0.375, 0.875, 1.875, 3.875],
        "a@1 b@2",
    ),
    Case(
        "silence after headers",
        [watch(AB, 100.0), watch(100.0), watch(event("ADDED", "c", "4"), 5.0)],
        "stream, watch 3, watch 3, watch 4",
        [0, 60.125, 120.25, 125.25],
        "a@1 b@2 c@4",
        {"silences": 2, "errors": 2},
    ),
    Case(
        "silence before headers",
        [watch(AB, 2.0), Reply(instead=TimeoutError()), watch(2.0)],
        "stream, watch 3, watch 3, watch 3",
        [],
        "a@1 b@2",
        {"silences": 1},
    ),
    Case(
        "a server that cannot be reached",
        [Reply(instead=CannotConnect("kubeconfig: no such file")), Reply(instead=UNREACHABLE), watch(AB, 2.0)],
        "stream, stream, stream, watch 3",
        [0, 0.125, 0.375, 2.375],
        "a@1 b@2",
        {"errors": 2, "silences": 0},
    ),
    Case(
        "half a line, then the end",
        [watch(AB, 2.0, event("ADDED", "c", "4")[:40]), watch(event("ADDED", "c", "4"), 2.0)],
        "stream, watch 3, watch 4",
        [0, 2, 4],
        "a@1 b@2 c@4",
    ),
    Case(
        "a line of garbage",
        [watch(AB, 2.0, event("ADDED", "c", "4"), b"\xff{garbage\n"), watch(event("ADDED", "d", "5"), 2.0)],
        "stream, watch 4, watch 5",
        [0, 2.125, 4.125],
        "a@1 b@2 c@4 d@5",
        {"errors": 1},
    ),
    Case(
        "events again, in their order",
        [
            watch(AB, event("MODIFIED", "a", "4"), event("DELETED", "b", "5"), 2.0, RESET),
            watch(event("ADDED", "b", "2"), event("MODIFIED", "a", "4"), event("DELETED", "b", "5"), 2.0),
        ],
        "stream, watch 5, watch 5",
        [],
        "a@4",
        {"stale_events": 1},
    ),
    Case(
        "events again, backwards: nothing comes back, nothing becomes older",
        [
            watch(AB, event("MODIFIED", "a", "4"), event("DELETED", "b", "5"), event("MODIFIED", "a", "6"), 2.0, RESET),
            watch(event("DELETED", "b", "5"), event("MODIFIED", "a", "4"), event("ADDED", "b", "2"), 2.0),
            watch(event("DELETED", "a", "3"), event("ADDED", "b", "9"), 2.0),
        ],
        "stream, watch 6, watch 2, watch 9",
        [],
        "a@6 b@9",
        {"stale_events": 2},
    ),
    Case(
        "several events of one object at once",
        [
            watch(
                AB,
                event("ADDED", "c", "4")
                + event("DELETED", "c", "5")
                + event("MODIFIED", "a", "7")
                + event("MODIFIED", "a", "6")
                + event("DELETED", "b", "8")
                + event("ADDED", "b", "9"),
                2.0,
            )
        ],
        "stream, watch 9",
        [],
        "a@7 b@9",
        {"stale_events": 1},
    ),
    Case(
        "an object that is deleted before the initial events have ended",
        [
            watch(
                event("ADDED", "a", "1")
                + event("ADDED", "b", "2")
                + event("DELETED", "b", "3")
                + bookmark("4", end=True),
                2.0,
            )
        ],
        "stream, watch 4",
        [],
        "a@1",
    ),
    Case(
        "octets that are no text",
        [
            watch(
                AB,
                event("ADDED", "c", "4")
                + event("ADDED", "odd", "5").replace(b"odd", b"\xff\xfe")
                + event("ADDED", "d", "6"),
                2.0,
            )
        ],
        "stream, watch 6",
        [],
        "a@1 b@2 c@4 d@6",
        {"invalid_objects": 1},
    ),
    Case(
        "versions that are no numbers: the last event counts",
        [watch(listed("a@x", version=3), event("MODIFIED", "a", "b"), event("MODIFIED", "a", "a"), 2.0)],
        "stream, watch a",
        [],
        "a@a",
        {"stale_events": 0},
    ),
    Case(
        "bookmarks with odd content move nothing",
        [
            watch(AB, b'{"type":"BOOKMARK","object":{}}\n', 2.0),
            watch(b'{"type":"BOOKMARK","object":{"metadata":{"annotations":null,"x":[1]}}}\n', 2.0),
            watch(bookmark("9", end=True), 2.0),
            watch(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":12}}}\n', 2.0),
            watch(b'{"type":"BOOKMARK"}\n', 2.0),
        ],
        "stream, watch 3, watch 3, watch 9, watch 9, watch 9",
        [],
        "a@1 b@2",
        {"errors": 2},
    ),
    Case(
        "fields missing or wrong: the object is left out, the last good one stays",
        [
            watch(
                AB,
                event("MODIFIED", "a", "4", spec=None),
                event("ADDED", "c", "5", spec={"clusterIP": "no address"}),
                b'{"type":"ADDED","object":{"spec":{}}}\n',
                b'{"type":"ADDED","object":7}\n',
                event("ADDED", "d", "6"),
                2.0,
            )
        ],
        "stream, watch 6",
        [],
        "a@1 b@2 d@6",
        {"invalid_objects": 4, "errors": 0},
    ),
    Case(
        "an object that a list has, but not as it should be, stays as it was",
        [
            watch(AB, 2.0, error_event(410)),
            watch(event("ADDED", "a", "8", spec=None), listed("b@2", version=9), 2.0),
        ],
        "stream, stream, watch 9",
        [],
        "a@1 b@2",
        {"invalid_objects": 1},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_scripts(play: Play, case: Case) -> None:
    """Each thing that a server may do, what is asked next and when, and what is held at the end."""
    followed = play(case.replies)
    assert ", ".join(followed.script.requests) == case.requests
    if case.times:
        assert followed.script.times == case.times
    assert followed.held == case.held
    assert {name: getattr(followed.reflector.counts, name) for name in case.counts} == case.counts


@pytest.mark.parametrize("streaming", [True, False])
def test_never_emptied(play: Play, streaming: bool) -> None:
    """While a list is read again nothing is missing, not even for a moment; what was deleted goes at its end."""
    names = [f"s{number}" for number in range(1200)]
    first = [f"{name}@{number + 1}" for number, name in enumerate(names)]
    second = [f"{name}@{number + 5000}" for number, name in enumerate(names) if number % 100]
    if streaming:
        replies = [watch(listed(*first, version=2000), 2.0), error(410), watch(listed(*second, version=9000), 2.0)]
    else:
        replies = [error(422), *_pages(first, 2000), error(410), *_pages(second, 9000)]
    followed = play(replies)
    full = next(at for at, held in enumerate(followed.history) if len(held.split()) == 1200)
    staying = {each.split("@")[0] for each in second}
    for held in followed.history[full:]:
        assert staying <= {each.split("@")[0] for each in held.split()}
    assert followed.held == " ".join(sorted(second))


def _pages(held: list[str], version: int) -> list[Reply]:
    parts = [held[start : start + 500] for start in range(0, len(held), 500)]
    return [page(*part, version=version, more="x" if part is not parts[-1] else "") for part in parts]


@pytest.mark.parametrize(("lies", "stays"), [(1, True), (2, True), (3, False)])
def test_empty_lists(play: Play, caplog: pytest.LogCaptureFixture, lies: int, stays: bool) -> None:
    """An empty list is believed only when the server insists; few objects may well be deleted."""
    full = [f"s{number}@{number + 1}" for number in range(20)]
    followed = play([watch(listed(*full, version=50), 2.0, error_event(410))] + [watch(listed(version=60), 2.0)] * lies)
    assert len(followed.held.split()) == (20 if stays else 0)
    assert len([line for line in caplog.messages if "an empty list, while 20 objects are held" in line]) == 1
    few = play([watch(AB, 2.0, error_event(410)), watch(listed(version=60), 2.0)])
    assert few.held == ""


@pytest.mark.parametrize(
    ("resource", "reply", "times", "lines"),
    [
        (
            NAMESPACES,
            error(403, "namespaces is forbidden"),
            [0, 0, NOT_OFFERED_SECONDS, NOT_OFFERED_SECONDS + 2],
            ['a ClusterRole must grant apiGroups: [""], resources: ["namespaces"], verbs: ["list", "watch"]'],
        ),
        (
            SERVICES,
            error(403, "services is forbidden"),
            [0, 0, 0.125, 2.125],
            ['a ClusterRole must grant apiGroups: [""], resources: ["services"], verbs: ["list", "watch"]'],
        ),
        (NAMESPACES, error(404), [0, 0, NOT_OFFERED_SECONDS, NOT_OFFERED_SECONDS + 2], []),
        (SERVICES, error(404, "no such"), [0, 0, 0.125, 2.125], ["services: HTTP 404: no such; trying again"]),
    ],
    ids=["403 optional", "403 required", "404 optional", "404 required"],
)
def test_not_offered(
    play: Play,
    caplog: pytest.LogCaptureFixture,
    resource: Resource,
    reply: Reply,
    times: list[float],
    lines: list[str],
) -> None:
    """What is missing is said in one line; what can be done without is not asked for again soon."""
    followed = play([reply, reply, watch(bookmark("3", end=True), 2.0)], resource)
    assert followed.script.times == times
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == len(lines)
    assert all(line in text for line, text in zip(lines, warned, strict=True))


def test_said_once(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """A failure that goes on is one line, and its end another; a silence that a resume mends is none."""
    caplog.set_level(logging.INFO, "dnsbridge")
    play([error(503, "busy")] * 6 + [watch(AB, 100.0), watch(2.0)])
    said = [re.sub("^cluster dev: ", "", line) for line in caplog.messages]
    assert said == ["services: HTTP 503: busy; trying again", "services: connected again", "services: 2 read"]


def test_expired_credentials_said_once(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    """What all resources meet is said once for all of them."""
    play([error(401, "Unauthorized")] * 3)
    assert caplog.messages == ["cluster dev: HTTP 401: Unauthorized; trying again"]

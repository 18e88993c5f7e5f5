"""Every way in which a streaming list fails, what is asked next, and how long that is remembered (see scripted_api)."""

import logging
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
import pytest

from dnsbridge.watch.api.connection import CannotConnect
from dnsbridge.watch.api.streaming import STREAM_SILENCE
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
HTML = Reply((b"<html><body>\xff</body></html>",), 502)
AB = page("a@1", "b@2", version=3)
A = event("ADDED", "a", "1")
LIVE = event("MODIFIED", "a", "7")
DOCUMENT = b'{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"3"},"items":[]}\n'
ETCD_34 = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled"

AT_ONCE = {
    "500 of etcd 3.4": error(500, ETCD_34),
    **{f"HTTP {code}": error(code) for code in (400, 403, 404, 405, 410, 422, 429, 500, 501, 502, 503, 504)},
    "429 with Retry-After": error(429, **{"Retry-After": "30"}),
    "503 with Retry-After": error(503, **{"Retry-After": "30"}),
    "504, a version too large": error(504, "Too large resource version: 9, current: 5"),
    "a page of a proxy": HTML,
    "a redirect": error(302),
    **{f"ERROR event {code}": watch(A, error_event(code)) for code in (0, 400, 410, 429, 500, 504)},
    "an end before anything": watch(),
    "an end between objects": watch(A),
    "an end within an object": watch(A, A[:40]),
    "a reset before headers": Reply(instead=RESET),
    "an end before headers": Reply(instead=aiohttp.ServerDisconnectedError()),
    "a reset": watch(A, RESET),
    "a broken body": watch(A, aiohttp.ClientPayloadError()),
    "garbage": watch(A, b"\xff{garbage\n"),
    "a list instead of events": watch(DOCUMENT),
    "an end after plain bookmarks": watch(A, bookmark("3")),
}
SILENT = {
    "silence after headers": watch(100.0),
    "silence after objects": watch(A, 100.0),
    "silence within an object": watch(A, A[:40], 100.0),
}
NEVER_COMPLETE = {
    "events of a busy cluster": watch(A, *[step for _ in range(100) for step in (0.3, LIVE)]),
    "plain bookmarks": watch(A, *[step for _ in range(100) for step in (0.3, bookmark("3"))]),
    "the same object": watch(A, *[step for _ in range(100) for step in (0.3, A)]),
}


def ways() -> list[object]:
    """A way to fail, and the seconds after which pages are asked for."""
    after = {0.0: AT_ONCE, STREAM_SILENCE: SILENT, 0.6: NEVER_COMPLETE}
    return [pytest.param(reply, at, id=name) for at, replies in after.items() for name, reply in replies.items()]


@pytest.mark.parametrize(("reply", "seconds"), ways())
def test_pages_follow(play: Play, caplog: pytest.LogCaptureFixture, reply: Reply, seconds: float) -> None:
    """Whatever goes wrong, pages are read at once; so they are when the list is read again; and it is one line."""
    caplog.set_level(logging.INFO, "dnsbridge")
    followed = play([reply, AB, watch(2.0, error_event(410)), page("a@1", "b@9", version=9)])
    assert ", ".join(followed.script.requests) == "stream, list, watch 3, list, watch 9"
    assert followed.script.times[1] == seconds
    assert followed.script.times[2] == followed.script.times[1]
    assert followed.held == "a@1 b@9"
    assert followed.reflector.counts.silences == 0
    said = [line for line in caplog.messages if "; lists are read in pages from now on" in line]
    assert len(said) == 1
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(instead=CannotConnect("kubeconfig: no such file")),
        Reply(instead=aiohttp.ConnectionTimeoutError("timeout")),
        error(401, "Unauthorized"),
    ],
    ids=["no kubeconfig", "no connection", "HTTP 401"],
)
def test_says_nothing_about_streams(play: Play, reply: Reply) -> None:
    """Pages would meet the same, so they are not asked for; the next attempt is a streaming list again."""
    followed = play([reply, watch(listed("a@1", version=3), 2.0)])
    assert ", ".join(followed.script.requests) == "stream, stream, watch 3"
    assert followed.script.times[1] > 0


def steps(count: int, seconds: float) -> list[bytes | float]:
    """Objects, and so many seconds between them."""
    events = [event("ADDED", f"s{number}", str(number + 1)) for number in range(count)]
    return [step for each in events for step in (each, seconds)]


@pytest.mark.parametrize(
    ("reply", "position"),
    [
        (watch(*steps(300, STREAM_SILENCE - 0.1), bookmark("900", end=True), 2.0), 900),
        (watch(*[step for octet in A for step in (bytes([octet]), 0.4)], bookmark("3", end=True), 2.0), 3),
        (watch(bookmark("3", end=True), STREAM_SILENCE * 2, bookmark("8"), 40.0, bookmark("9")), 9),
        (watch(A, 0.3, LIVE, 0.1, event("DELETED", "a", "8"), bookmark("8", end=True), 2.0), 8),
    ],
    ids=["many objects, slowly", "a large object, slowly", "a quiet watch after the list", "changes during the list"],
)
def test_not_cut(play: Play, reply: Reply, position: int) -> None:
    """A list that keeps coming is never given up, however long it takes, nor is the watch that it becomes."""
    followed = play([reply])
    assert ", ".join(followed.script.requests) == f"stream, watch {position}"


@pytest.mark.parametrize(
    ("replies", "requests"),
    [
        ([error(500), error(500), watch(listed("a@1", version=3), 2.0)], "stream, list, stream, watch 3"),
        ([error(500), page("a@1", version=3, more="x"), error(500), AB], "stream, list, list x, list, watch 3"),
    ],
    ids=["no page was read", "one page was read"],
)
def test_pages_decide(play: Play, replies: list[Reply], requests: str) -> None:
    """Only a page that was read shows that it was the streaming list that failed, and not the server."""
    assert ", ".join(play(replies).script.requests) == requests


class Version(NamedTuple):
    """What the server says of its version, before and after it was away; '' is a refusal."""

    name: str
    before: str
    after: str
    away: bool
    again: str
    asked: int


VERSIONS = [
    Version("upgraded", "v1.36.0", "v1.36.1", True, "stream", 2),
    Version("the same", "v1.36.0", "v1.36.0", True, "list", 2),
    Version("not readable then", "v1.36.0", "", True, "list", 2),
    Version("not readable before", "", "v1.36.1", True, "list", 2),
    Version("never away", "v1.36.0", "v1.36.1", False, "list", 1),
]


@pytest.mark.parametrize("case", VERSIONS, ids=[case.name for case in VERSIONS])
def test_versions(play: Play, case: Version) -> None:
    """Streams are tried again only when a server of another version is there after trouble; that is asked once."""
    away: list[Reply] = [watch(1.5, RESET), watch(bookmark("4"), 1.5)] if case.away else [watch(bookmark("4"), 1.5)]
    again = watch(listed("a@9", version=9), 1.5) if case.again == "stream" else page("a@9", version=9)
    replies = [error(500), AB, *away, error(410), again]
    followed = play(replies, versions=[case.before, case.after])
    asked = ["stream", "list", *["watch 3"] * len(away), "watch 4", case.again, "watch 9"]
    assert followed.script.requests == asked
    assert followed.script.versions == case.asked

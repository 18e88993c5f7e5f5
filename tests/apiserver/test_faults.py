"""Each fault of the test API server, as a client meets it."""

import asyncio
import json

import aiohttp
import pytest

from tests.apiserver.client import BROKEN, SERVICES, SILENCE, SLICES, run, service, serving
from tests.apiserver.faults import (
    Cut,
    EmptyList,
    End,
    Fault,
    Hang,
    Refuse,
    Replay,
    Reset,
    Rewrite,
    Say,
    Slow,
    Stall,
    padded,
    with_field,
    without,
)


def test_refusals() -> None:
    """An injected error meets as many requests of its resource and verb as it should, and no others."""

    async def test() -> None:
        async with serving(1) as client:
            faults = client.server.faults
            faults.add(Refuse(429, retry_after=7), "services", "list", times=2)
            for_ever = faults.add(Refuse(503), "endpointslices", times=None)
            for expected in (429, 429, 200):
                async with client.session.get(client.server.url + SERVICES) as response:
                    assert response.status == expected
                    assert response.headers.get("Retry-After") == ("7" if expected == 429 else None)
            assert [(await client.ask(SLICES))[0] for _ in range(3)] == [503] * 3
            faults.clear(for_ever)
            assert (await client.ask(SLICES))[0] == 200
            assert for_ever.met == 3
            assert len(client.server.counters.asked("list", "services")) == 3

    run(test())


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Stall(after=2), "ADDED ADDED silence"),
        (Hang(after=2), "ADDED ADDED silence"),
        (Reset(after=2), "broken"),
        (Cut(after=2), "broken"),
        (Cut(after=2, clean=True), "ADDED ADDED half"),
        (End(after=2), "ADDED ADDED"),
        (Say(b"garbage\n", after=1), "ADDED other ADDED ADDED silence"),
        (Say(b'{"type":"BOOKMARK","object":{}}\n'), "BOOKMARK ADDED ADDED ADDED silence"),
        (EmptyList(), "silence"),
        (Slow(2000), "ADDED ADDED ADDED silence"),
        (Rewrite(without("metadata")), "ADDED ADDED ADDED silence"),
        (Rewrite(padded(2**20)), "ADDED ADDED ADDED silence"),
    ],
)
def test_faults_of_a_watch(fault: Fault, expected: str, tls: bool) -> None:
    """What a watch with three initial events looks like to its client under each fault."""

    async def test() -> None:
        async with serving(3, tls=tls) as client:
            client.server.watches.bookmark_interval = 0.05  # a stalled watch has no bookmarks either
            bookmarks = {"allowWatchBookmarks": "true"} if isinstance(fault, Stall | Hang) else {}
            client.server.faults.add(fault, "services", "watch")
            seen: list[str] = []
            try:
                async with client.watch(**bookmarks) as stream:
                    while True:
                        try:
                            line = await asyncio.wait_for(stream.line(), SILENCE)
                        except TimeoutError:
                            seen.append("silence")
                            break
                        if not line:
                            break
                        seen.append(_told(line))
            except BROKEN:
                # What came before is lost to aiohttp when the connection breaks at once.
                assert seen in ([], ["ADDED"], ["ADDED", "ADDED"], ["ADDED", "ADDED", "half"])
                seen = ["broken"]
            assert " ".join(seen) == expected
            async with client.watch() as stream:
                assert await stream.names(3) == ["ADDED svc-0000", "ADDED svc-0001", "ADDED svc-0002"]

    run(test())


def _told(line: bytes) -> str:
    """An event's type; a line that is none is half or other."""
    if not line.endswith(b"\n"):
        return "half"
    try:
        return str(json.loads(line)["type"])
    except ValueError:
        return "other"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Reset(after=1), "one event, RST"),
        (Cut(after=1), "one event, FIN"),
        (Hang(after=1), "one event, silence"),
    ],
)
def test_how_connections_end(fault: Fault, expected: str) -> None:
    """On the wire, a reset is an RST, a cut is a FIN, and a server that hangs does not say good-bye."""

    async def test() -> None:
        async with serving(3) as client:
            client.server.faults.add(fault, "services", "watch")
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            writer.write(f"GET {SERVICES}?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await reader.readuntil(b"svc-0000")
            try:
                rest = await asyncio.wait_for(reader.read(), SILENCE)
                end = "FIN"
                assert rest.count(b"svc-0001") == 1  # it is half of the second event
                assert b"svc-0002" not in rest
            except TimeoutError:
                end = "silence"
            except ConnectionResetError:
                end = "RST"
            assert f"one event, {end}" == expected
            writer.close()

    run(test())


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Stall(), "silence"),
        (Stall(headers=False), "silence"),
        (Hang(), "silence"),
        (Reset(after=10), "broken"),
        (Cut(after=10), "broken"),
        (Cut(after=10, clean=True), "not JSON"),
        (Say(b"garbage", after=10), "not JSON"),
        (EmptyList(), "0"),
        (Rewrite(with_field(None, "spec")), "20"),
        (Slow(20_000), "20"),
    ],
)
def test_faults_of_a_list(fault: Fault, expected: str) -> None:
    """What a list of twenty looks like to its client under each fault, and that the next is well."""

    async def test() -> None:
        async with serving(20, tls=True) as client:
            for injected, wanted in ((fault, expected), (None, "20")):
                if injected is not None:
                    client.server.faults.add(injected, "services", "list")
                try:
                    _, listed = await asyncio.wait_for(client.ask(SERVICES), 1 if wanted == "20" else SILENCE)
                    outcome = str(len(listed["items"]))
                except TimeoutError:
                    outcome = "silence"
                except BROKEN:
                    outcome = "broken"
                except ValueError:
                    outcome = "not JSON"
                assert outcome == wanted

    run(test())


def test_faults_of_open_watches() -> None:
    """A watch that has been well stalls in the middle of its life, and the next one has what it missed."""

    async def test() -> None:
        async with serving(1, tls=True) as client:
            version = str(client.server.store.resource_version)
            async with client.watch(resourceVersion=version) as stream:
                client.server.change(put=[service("a")])
                assert await stream.names(1) == ["ADDED a"]
                assert client.server.strike(Stall(), "services") == 1
                client.server.change(put=[service("b")])
                assert await stream.silent()
            async with client.watch(resourceVersion=version) as stream:
                assert await stream.names(2) == ["ADDED a", "ADDED b"]
                assert client.server.strike(Reset()) == 1
                with pytest.raises(BROKEN):
                    await stream.line()

    run(test())


@pytest.mark.parametrize(
    ("backwards", "expected"),
    [
        (False, ["ADDED b", "MODIFIED a", "ADDED c"]),
        (True, ["MODIFIED a", "ADDED b", "ADDED c"]),
    ],
)
def test_events_again(backwards: bool, expected: list[str]) -> None:
    """A watch that resumes gets the last events again, in order or not, then what is new."""

    async def test() -> None:
        async with serving() as client:
            changes = client.server.change(put=[service("a"), service("b"), service("a")])
            client.server.change(put=[service("c")])
            client.server.faults.add(Replay(2, backwards), "services", "watch")
            async with client.watch(resourceVersion=str(changes[-1].resource_version)) as stream:
                assert await stream.names(3) == expected

    run(test())


def test_a_server_that_goes_away() -> None:
    """Connections are refused, open ones break, and the same port answers again later."""

    async def test() -> None:
        async with serving(1, tls=True) as client:
            port = client.server.port
            async with client.watch() as stream:
                await stream.names(1)
                assert client.server.connections == 1
                await client.server.unlisten()
                with pytest.raises(BROKEN):
                    await stream.line()
                with pytest.raises(aiohttp.ClientConnectorError):
                    await client.ask(SERVICES)
            await client.server.listen()
            assert client.server.port == port
            assert (await client.ask(SERVICES))[0] == 200

    run(test())

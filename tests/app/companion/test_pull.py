"""One request of a host that pulls routes: what of the answers of hostile or broken servers is taken, and said."""

import asyncio
import contextlib
import socket
from typing import Any, NoReturn

import pytest

from dnsbridge.app.companion.pull import CannotPull, Puller
from dnsbridge.config.routes import Pull
from tests.support.driven_loop import run_driven

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{"version":1,"clusters":[]}'


def problem(answer: bytes | None, name: str = "127.0.0.1") -> tuple[str, list[str]]:
    """What a server that gives an answer (None: never) is refused for, without its address; and what it was asked."""
    asked: list[str] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0])
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async def pull() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://{name}:{server.sockets[0].getsockname()[1]}"
        puller = Puller(Pull(url=url), None)
        try:
            await puller.pull()
        except CannotPull as error:
            return str(error).removeprefix(f"{url}: ")
        finally:
            await puller.close()
            server.close()
            if asked:
                await ended.wait()
        return ""

    return run_driven(pull()), asked


def status(line: str, *headers: str, body: str = "") -> bytes:
    """An answer."""
    head = [f"HTTP/1.1 {line}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(head) + f"\r\n\r\n{body}").encode()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (status("302 Found", "Location: /elsewhere"), "HTTP status 302; is this a dnsbridge?"),
        (status("500 Oops", body="\x1b[31mred\nlines"), "HTTP status 500, [31mred lines; is this a dnsbridge?"),
        (status("401 No"), "it asks for a token; name its file with --token-file (routes.pull.token_file)"),
        (GOOD[:-5], "its answer ends too early; see whether the server runs and is reachable"),
        (None, "no answer in time; see whether the server runs"),
    ],
)
def test_what_is_refused(answer: bytes | None, says: str) -> None:
    """Each is one line of words, and nobody else is asked than who was named."""
    said, asked = problem(answer)
    assert said == says
    assert asked == ["GET /routes HTTP/1.1"]


def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """No number of the resolver's is shown."""

    def unknown(*_: Any, **__: Any) -> NoReturn:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said, asked = problem(GOOD, "bridge.example")
    assert said == "no address is known for its name; see whether the server runs and is reachable"
    assert not asked


def test_a_good_answer() -> None:
    """The answer that the others are broken forms of is taken."""
    assert problem(GOOD) == ("", ["GET /routes HTTP/1.1"])


def test_when_it_was_confirmed() -> None:
    """A document, and the word that nothing has changed, both say that what is held is current; an error does not."""
    good = GOOD.replace(b"\r\n\r\n", b'\r\nETag: "1"\r\nConnection: close\r\n\r\n')
    same = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nConnection: close\r\n\r\n'
    answers = iter((good, same, status("500 Oops", "Connection: close")))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        writer.close()
        await writer.wait_closed()

    async def pull() -> list[bool]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        puller = Puller(Pull(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), None)
        confirmed = []
        for _ in range(3):
            puller.confirmed_at = None
            with contextlib.suppress(CannotPull):
                await puller.pull()
            confirmed.append(puller.confirmed_at is not None)
        await puller.close()
        server.close()
        return confirmed

    assert run_driven(pull()) == [True, True, False]

"""dnstap to readers that are missing, mute, strange or stop reading, and to files that are rotated or full."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import pytest
from msgspec import structs

from dnsbridge.observe import dnstap_sinks
from dnsbridge.observe.dnstap_sinks import SocketSink, StreamFile
from dnsbridge.observe.exchange import Exchange
from dnsbridge.observe.recorder import Wrote
from dnsbridge.wire.dnstap import CONTENT_TYPE, Encoder
from dnsbridge.wire.frame_streams import Control, control
from tests.observe.exchanges import numbered
from tests.support.dnstap import capturing, shown

ENCODER = Encoder("host", "dnsbridge")
ACCEPT = control(Control.ACCEPT, CONTENT_TYPE)
MESSAGE = dns.message.make_query("a.example", "A").to_wire()


def real(count: int) -> list[Exchange]:
    """Exchanges whose messages can be read, from port 0 on."""
    return [structs.replace(each, query=MESSAGE, response=MESSAGE) for each in numbered(count)]


@contextmanager
def reader(folder: Path, serve: Callable[[socket.socket], None]) -> Iterator[Path]:
    """A socket; `serve` gets the first connection to it, in a thread."""
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def run() -> None:
            connection, _ = listening.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield path
        thread.join()


@pytest.mark.needs("fstrm_capture", "dnstap-read")
def test_a_reader_that_comes_late_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before is lost; a new reader is found, and each has all that came in its time."""
    now = [100.0]
    monkeypatch.setattr(dnstap_sinks, "monotonic", lambda: now[0])
    sink = SocketSink(tmp_path / "tap.sock", ENCODER)
    assert sink.write(real(1)) == Wrote(1, "no such file or directory")
    with capturing(tmp_path) as capture:
        assert sink.write(real(2)) == Wrote(2, "no such file or directory")  # not tried again yet
        now[0] += 1000
        assert sink.write(real(3)) == Wrote()
        sink.close()
        assert [each.client for each in capture.messages()] == [f"10.0.0.1#{port}" for port in (0, 0, 1, 1, 2, 2)]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"", "it has closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "it does not speak frame streams"),
        (control(Control.FINISH), "it does not speak frame streams"),
        (ACCEPT[:9], "it has closed the connection"),
    ],
)
def test_a_reader_that_does_not_accept(tmp_path: Path, said: bytes, problem: str) -> None:
    """It gets nothing, and the log says why."""

    def serve(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(said)

    with reader(tmp_path, serve) as path:
        sink = SocketSink(path, ENCODER)
        assert sink.write(real(2)) == Wrote(2, problem)
        sink.close()


def test_a_reader_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has PATIENCE seconds."""
    monkeypatch.setattr(dnstap_sinks, "PATIENCE", 0.05)
    left = threading.Event()

    def serve(_: socket.socket) -> None:
        left.wait()

    with reader(tmp_path, serve) as path:
        sink = SocketSink(path, ENCODER)
        assert sink.write(real(2)) == Wrote(2, "no handshake in time")
        left.set()


def test_a_reader_that_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left after PATIENCE seconds; what follows costs no more patience until the next attempt."""
    now = [100.0]
    monkeypatch.setattr(dnstap_sinks, "monotonic", lambda: now[0])
    left = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(len(control(Control.READY, CONTENT_TYPE)))
        connection.sendall(ACCEPT)
        left.wait()

    with reader(tmp_path, serve) as path:
        sink = SocketSink(path, ENCODER)
        assert sink.write(numbered(1)) == Wrote()
        assert sink._connection
        assert sink._connection.gettimeout() == dnstap_sinks.PATIENCE
        sink._connection.settimeout(0.05)  # delay: what the sink has patience for
        wrote = sink.write(numbered(1000, 60_000))
        assert wrote.problem == "it does not read"
        assert 900 < wrote.lost < 1000
        monkeypatch.setattr(socket.socket, "sendall", None)  # would fail if it were called
        assert sink.write(numbered(5)) == Wrote(5, "it does not read")
        left.set()


@pytest.mark.needs("dnstap-read")
def test_a_file(tmp_path: Path) -> None:
    """A file that is renamed is a whole stream, and the next one too; one of an earlier run is kept."""
    path = tmp_path / "tap"
    path.write_bytes(b"of an earlier run")
    sink = StreamFile(path, ENCODER)
    assert sink.write(real(1)) == Wrote()
    assert sink.write(real(1)) == Wrote()
    path.rename(tmp_path / "tap.1")
    assert sink.write(real(1)) == Wrote()
    sink.close()
    assert (tmp_path / "tap.old").read_bytes() == b"of an earlier run"
    assert (len(shown(tmp_path / "tap.1")), len(shown(path))) == (4, 2)


@pytest.mark.needs("dnstap-read")
def test_a_disk_that_is_full_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half of a message stays in the file, so what comes later can be read."""
    path = tmp_path / "tap"
    room = [500]

    def write(descriptor: int, octets: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        wrote = os.write(descriptor, octets[: room[0]])
        room[0] -= wrote
        return wrote

    monkeypatch.setattr(dnstap_sinks, "write", write)
    sink = StreamFile(path, ENCODER)
    wrote = sink.write(real(10))
    assert wrote.problem == "no space left on device"
    assert 0 < wrote.lost < 10
    room[0] = 100_000
    assert sink.write(real(10)) == Wrote()
    sink.close()
    ports = [*range(10 - wrote.lost), *range(10)]
    assert [each.client for each in shown(path)] == [f"10.0.0.1#{port}" for port in ports for _ in range(2)]


@pytest.mark.parametrize("path", ["missing/tap", ".", "/dev/full"])
def test_no_file(tmp_path: Path, path: str) -> None:
    """All is lost, with the system's words."""
    wrote = StreamFile(tmp_path / path, ENCODER).write(real(2))
    assert wrote.lost == 2
    assert wrote.problem
    assert not list(tmp_path.parent.glob("*.old"))

"""Batches of datagrams over real sockets: what comes, who it came from, and where the answer leaves from."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dnsbridge.listeners.datagrams import IPV4, IPV6, SIZE, SLOT, Batch, has_port, packed_address
from dnsbridge.listeners.udp_socket import is_wildcard, open_socket, send_alone
from tests.support.waiting import DEADLINE

PLACES = [
    ("an address", "127.0.0.1", "127.0.0.1"),
    ("all addresses", "0.0.0.0", "127.0.0.7"),
    ("an address, IPv6", "::1", "::1"),
    ("all addresses, IPv6", "::", "::1"),
]


class Setting:
    """A socket on `address`, and clients that ask it at `asked`."""

    def __init__(self, address: str, asked: str) -> None:
        self.opened = ExitStack()
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = self.opened.enter_context(open_socket(self.family, address, 0))
        self.asked = asked, self.socket.getsockname()[1]
        layout = IPV6 if ":" in address else IPV4
        self.batch = Batch(layout, is_wildcard(address))
        self.later = Batch(layout, is_wildcard(address))

    def client(self) -> socket.socket:
        """A client that takes answers only from the very address that it asks."""
        made = self.opened.enter_context(socket.socket(self.family, socket.SOCK_DGRAM))
        made.settimeout(DEADLINE)
        made.connect(self.asked)
        return made

    def receive(self) -> int:
        """Fill the batch."""
        return self.batch.receive(self.socket.fileno())


@pytest.fixture(params=[case[1:] for case in PLACES], ids=[case[0] for case in PLACES])
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    """One of the places."""
    made = Setting(*request.param)
    with made.opened:
        yield made


def test_nothing_waits(setting: Setting) -> None:
    """An empty socket is no error, also after it was not empty."""
    assert (setting.receive(), setting.batch.sizes) == (0, [])
    setting.client().send(b"question")
    assert (setting.receive(), setting.batch.sizes) == (1, [8])
    assert (setting.receive(), setting.batch.sizes) == (0, [])


def test_answers_from_the_slots(setting: Setting) -> None:
    """More than a batch of questions of all sizes: each client gets its own answer, round after round."""
    clients = [setting.client() for _ in range(SIZE + 3)]
    for turn in range(2):
        for number, client in enumerate(clients):
            client.send(b"%d" % number + b"?" * (number * 50 * turn))
        left = len(clients)
        while left:
            count = setting.receive()
            assert count == min(left, SIZE) == len(setting.batch.sizes)
            left -= count
            for slot, size in enumerate(setting.batch.sizes):
                octets = setting.batch.data[slot * SLOT : slot * SLOT + size] + b" answered"
                setting.batch.data[slot * SLOT : slot * SLOT + len(octets)] = octets
                setting.batch.answers[slot] = len(octets)
            assert setting.batch.send(setting.socket.fileno(), 0, count) == []
        for number, client in enumerate(clients):
            assert client.recv(SLOT) == b"%d" % number + b"?" * (number * 50 * turn) + b" answered"


def test_answers_to_what_was_kept(setting: Setting) -> None:
    """A copy outlives its batch; its answer goes from another one, or alone where it is long, to whoever asked."""
    first, second = setting.client(), setting.client()
    first.send(b"id: first")
    second.send(b"id: second")
    assert setting.receive() == 2
    kept = [setting.batch.keep(slot) for slot in (1, 0)]
    assert [datagram.message for datagram in kept] == [b"id: second", b"id: first"]
    port = first.getsockname()[1].to_bytes(2, "big")
    assert (packed_address(kept[1].peer), kept[1].peer[2:4]) == (
        socket.inet_pton(setting.family, first.getsockname()[0]),
        port,
    )
    setting.client().send(b"overwrites the slots")
    setting.receive()
    for slot, datagram in enumerate(kept):
        setting.later.put(slot, datagram, b": answer %d" % slot)
    assert setting.later.send(setting.socket.fileno(), 0, 2) == []
    assert (first.recv(SLOT), second.recv(SLOT)) == (b"id: answer 1", b"id: answer 0")
    long = b"x" * (SLOT + 1000)
    assert send_alone(setting.socket, kept[1], long)
    assert first.recv(3 * SLOT) == b"id" + long


def test_who_cannot_be_answered(setting: Setting) -> None:
    """A slot that the kernel refuses is named, and the others are sent."""
    clients = [setting.client() for _ in range(3)]
    for client in clients:
        client.send(b"question")
    assert setting.receive() == 3
    size = setting.batch.family.peer_size
    setting.batch.peers[size + 2 : size + 4] = b"\0\0"
    assert [setting.batch.has_port(slot) for slot in range(3)] == [True, False, True]
    assert not has_port(setting.batch.keep(1).peer)
    assert not send_alone(setting.socket, setting.batch.keep(1), b"body")
    for slot in range(3):
        setting.batch.answers[slot] = 8
    assert setting.batch.send(setting.socket.fileno(), 0, 3) == [1]
    assert [clients[number].recv(SLOT) for number in (0, 2)] == [b"question"] * 2


def test_what_is_longer_than_a_slot(setting: Setting) -> None:
    """It is cut off, and its neighbour is whole."""
    client = setting.client()
    client.send(b"x" * (SLOT + 100))
    client.send(b"neighbour")
    assert setting.receive() == 2
    assert setting.batch.sizes == [SLOT, 9]
    assert setting.batch.keep(1).message == b"neighbour"


def test_a_closed_socket() -> None:
    """What the system says is raised."""
    batch = Batch(IPV4, False)
    with pytest.raises(OSError, match="Bad file descriptor"):
        batch.receive(-1)
    assert batch.sizes == []

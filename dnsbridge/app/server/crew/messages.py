"""What the main process and its workers say to each other, as frames of octets.

    main process -> worker      Changed    objects of a cluster that have changed
                          Aged       how far a cluster can be trusted from now on
                          Servers    what the followed resolv.conf files say now
                          Pushed     the prefixes of the routes that are pushed elsewhere
                          Ask        a question, which gets a Said
                          End        answer what is in flight, then end
    worker -> main process      Ready      questions are answered from now on
                          Leaving    no new question is taken from now on
                          Said       the answer to an Ask; number 0: the last counts, unasked

A frame is four octets of length and msgpack. Both ends are of one version.
"""

from typing import Literal, TypeVar

from msgspec import Raw, Struct, msgpack

What = Literal["counts", "upstreams", "show", "flush"]
"""A question's kind: list[Family] | list[State] | list[ShownHeld] | int is what is said to it."""
SIZE = 4
"""Octets of a frame's length."""
_T = TypeVar("_T")
_encoder = msgpack.Encoder()


class Changed(Struct, array_like=True, tag=0):
    """Changes of one cluster's objects."""

    cluster: str
    now: int
    """Unix seconds: the serial, which all workers must have alike."""
    changes: Raw
    """See cluster.transfer."""


class Aged(Struct, array_like=True, tag=1):
    """How far a cluster's objects can be trusted."""

    cluster: str
    freshness: str
    """The value of a resolvers.cluster.Freshness."""


class Servers(Struct, array_like=True, tag=2):
    """The addresses that each followed file names, by its path."""

    hosts: dict[str, tuple[str, ...]]


class Ask(Struct, array_like=True, tag=3):
    """A question of the main process."""

    number: int
    what: What
    name: bytes | None = None
    """Folded; for `show` and `flush`."""


class End(Struct, array_like=True, tag=4):
    """No more questions are taken."""


class Pushed(Struct, array_like=True, tag=5):
    """Where routes lead that are no part of this host (see app.server.reach)."""

    prefixes: list[str]


class Ready(Struct, array_like=True, tag=0):
    """Questions are answered."""


class Leaving(Struct, array_like=True, tag=2):
    """No new question is taken."""


class Said(Struct, array_like=True, tag=1):
    """The answer to an Ask."""

    number: int
    body: Raw


ToWorker = Changed | Aged | Servers | Pushed | Ask | End
ToMain = Ready | Leaving | Said
to_worker = msgpack.Decoder(ToWorker)
to_main = msgpack.Decoder(ToMain)


def frame(message: ToWorker | ToMain) -> bytes:
    """A message's octets as they go over a channel."""
    octets = _encoder.encode(message)
    return len(octets).to_bytes(SIZE, "big") + octets


def body(value: object) -> Raw:
    """What is said to a question."""
    return Raw(_encoder.encode(value))


def read_body(said: Raw, kind: type[_T]) -> _T:
    """What was said."""
    return msgpack.decode(said, type=kind)


class Frames:
    """Cuts the messages out of what comes over a channel."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[bytes]:
        """The messages that are whole now."""
        buffer = self._buffer
        buffer += octets
        found = []
        start = 0
        while len(buffer) - start >= SIZE:
            end = start + SIZE + int.from_bytes(buffer[start : start + SIZE], "big")
            if end > len(buffer):
                break
            found.append(bytes(buffer[start + SIZE : end]))
            start = end
        del buffer[:start]
        return found

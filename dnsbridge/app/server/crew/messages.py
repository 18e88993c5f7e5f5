"""The messages between the main process and its workers, as frames of octets.

    main process -> worker   Changed    objects of a cluster that have changed
                             Aged       how far a cluster can be trusted from now on
                             Servers    the addresses that the followed resolv.conf files name now
                             Pushed     the prefixes of the routes that are pushed elsewhere
                             Ask        a question, which gets a Said
                             End        answer the questions in flight, then end
    worker -> main process   Ready      questions are answered from now on
                             Leaving    no new question is taken from now on
                             Said       the answer to an Ask; number 0: the last counts, unasked

A frame is four octets of length, then msgpack. Both ends run the same version.
"""

from typing import Literal, TypeVar

from msgspec import Raw, Struct, msgpack

What = Literal["counts", "upstreams", "show", "flush"]
"""The kind of a question; the answers are list[Family], list[State], list[ShownHeld] and int, in this order."""
SIZE = 4
"""Octets of a frame's length."""
_T = TypeVar("_T")
_encoder = msgpack.Encoder()


class Changed(Struct, array_like=True, tag=0):
    """Changes of one cluster's objects."""

    cluster: str
    now: int
    """Unix seconds: the SOA serial, which must be the same in all workers."""
    changes: Raw
    """See cluster.transfer."""


class Aged(Struct, array_like=True, tag=1):
    """How far a cluster's objects can be trusted."""

    cluster: str
    freshness: str
    """The value of a cluster.freshness.Freshness."""


class Servers(Struct, array_like=True, tag=2):
    """The addresses that each followed file names, by its path."""

    hosts: dict[str, tuple[str, ...]]


class Ask(Struct, array_like=True, tag=3):
    """A question from the main process."""

    number: int
    what: What
    name: bytes | None = None
    """Folded; for `show` and `flush`."""


class End(Struct, array_like=True, tag=4):
    """Answer the questions in flight, then end."""


class Pushed(Struct, array_like=True, tag=5):
    """The prefixes of routes that are pushed elsewhere than to this host's kernel (see app.server.reach)."""

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
    """The body of an answer to an Ask."""
    return Raw(_encoder.encode(value))


def read_body(said: Raw, kind: type[_T]) -> _T:
    """The value in the body of an answer."""
    return msgpack.decode(said, type=kind)


class Frames:
    """Cuts the octets that come over a channel into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[bytes]:
        """Take octets; returns the messages that are complete now."""
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

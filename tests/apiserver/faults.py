"""What goes wrong on purpose, and for which requests.

A fault meets a request when it is made, or (ApiServer.strike) the streams that are open now. `after` counts what was
sent before it strikes: events of a watch, objects of a list.

Refuse      an error instead of an answer: 429 with Retry-After, 500, 503, 410
Stall       nothing more is sent, no bookmarks either, and the connection stays open
Hang        the same, and the server reads nothing more either: a peer that is gone without a FIN
Reset       the connection ends with a TCP RST
Cut         the next event or object is sent half, then the connection ends
Say         lines of our choosing between the events: garbage, odd bookmarks, errors
Replay      a watch that resumes gets events again that it has had, in their order or backwards
End         the response ends as it should, but too soon
NoEnd       a streaming list whose end is never said: the server ignores sendInitialEvents, as all did before 1.27
EmptyList   a list, or the initial events of a watch, without any object
Slow        so many octets per second
Rewrite     each event or object passes through a function: fields missing, events of any size
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

Edit = Callable[[bytes], bytes]


class Refuse(Struct, frozen=True):
    """An error instead of an answer."""

    code: int
    retry_after: int | None = None
    """Seconds."""
    message: str = ""


class Stall(Struct, frozen=True):
    """Silence on an open connection."""

    after: int = 0
    headers: bool = True
    """Whether the response's headers are still sent."""


class Hang(Struct, frozen=True):
    """Silence, and what the client sends is not read."""

    after: int = 0


class Reset(Struct, frozen=True):
    """A TCP RST."""

    after: int = 0


class Cut(Struct, frozen=True):
    """Half an event or object, then the end."""

    after: int = 0
    clean: bool = False
    """Whether the response ends as HTTP wants it, so that only its content is damaged."""


class End(Struct, frozen=True):
    """The end, between two events or objects."""

    after: int = 0


class NoEnd(Struct, frozen=True):
    """Initial events, then all others, but no bookmark that says where the initial ones ended."""


class Say(Struct, frozen=True):
    """Lines of our choosing."""

    octets: bytes
    after: int = 0


class Replay(Struct, frozen=True):
    """Events from before the version that a watch resumes from."""

    count: int
    backwards: bool = False


class EmptyList(Struct, frozen=True):
    """No objects."""


class Slow(Struct, frozen=True):
    """A thin line."""

    octets_per_second: int


class Rewrite(Struct, frozen=True):
    """Each event or object through a function."""

    edit: Edit


Fault = Refuse | Stall | Hang | Reset | Cut | End | NoEnd | Say | Replay | EmptyList | Slow | Rewrite


class Injection(Struct, eq=False):
    """A fault, and the requests that it waits for."""

    fault: Fault
    resource: str | None
    """Plural; None: any; `discovery`: documents that say what there is."""
    verb: str | None
    """`list`, `watch`, `get` ..., `stream` (the watches that are streaming lists); None: any."""
    left: int | None
    """Requests that it still meets; None: all until it is cleared."""
    met: int = 0
    """Requests that it has met."""


class Faults:
    """The faults that wait for requests."""

    def __init__(self) -> None:
        self._injections: list[Injection] = []

    def add(
        self, fault: Fault, resource: str | None = None, verb: str | None = None, times: int | None = 1
    ) -> Injection:
        """Let a fault meet the next requests of a resource (plural) and verb; `times` None: until it is cleared."""
        injection = Injection(fault, resource, verb, times)
        self._injections.append(injection)
        return injection

    def clear(self, injection: Injection | None = None) -> None:
        """End one fault, or all; streams that they have struck stay as they are."""
        self._injections = [other for other in self._injections if injection not in (None, other)]

    def take(self, resource: str, *verbs: str) -> Fault | None:
        """The fault that this request meets, the oldest that fits."""
        for injection in self._injections:
            # Clients ask for documents of discovery whenever they like, so a fault for any resource is not for these.
            resources = ("discovery",) if resource == "discovery" else (None, resource)
            if injection.left == 0 or injection.resource not in resources:
                continue
            if injection.verb not in (None, *verbs):
                continue
            injection.met += 1
            if injection.left is not None:
                injection.left -= 1
            return injection.fault
        return None


def without(*path: str) -> Edit:
    """An edit that removes a field, such as `metadata`, `name`, from events' objects and lists' items."""

    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document.pop(path[-1], None)

    return _on_object(edit)


def with_field(value: object, *path: str) -> Edit:
    """An edit that sets a field to a value."""

    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return _on_object(edit)


def padded(octets: int) -> Edit:
    """An edit that makes each object so much larger, by an annotation."""
    return with_field({"padding": "x" * octets}, "metadata", "annotations")


def _on_object(edit: Callable[[Any], None]) -> Edit:
    def edited(octets: bytes) -> bytes:
        document = msgspec.json.decode(octets)
        event = "type" in document and "object" in document
        edit(document["object"] if event else document)
        return msgspec.json.encode(document) + (b"\n" if event else b"")

    return edited

"""The wire format of watches and lists. A watch is one JSON document a line, one event each:

{"type": "ADDED" | "MODIFIED" | "DELETED", "object": {...}}
{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": ..., "annotations": {...}}}}
{"type": "ERROR", "object": {"kind": "Status", "code": 410, ...}}
"""

import msgspec

MAX_LINE = 64 << 20
"""Octets of one event: far more than any object, since etcd's limit is 1.5 MB."""


class Event(msgspec.Struct):
    """One event; its object still undecoded."""

    type: str
    object: msgspec.Raw


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an object's metadata that is needed."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class Identified(msgspec.Struct):
    """Any object, decoded for its metadata alone."""

    metadata: Metadata = Metadata()


_LIST_FIELDS = {"resource_version": "resourceVersion", "more": "continue", "remaining": "remainingItemCount"}


class ListMetadata(msgspec.Struct, frozen=True, rename=_LIST_FIELDS):
    """`ListMeta` of apimachinery."""

    resource_version: str = ""
    more: str = ""
    """The continue token; empty on the last page."""
    remaining: int | None = None
    """Objects after this page; servers leave it out where a selector applies, and may be wrong."""


class Page(msgspec.Struct):
    """One page of a list; its items still undecoded."""

    metadata: ListMetadata = ListMetadata()
    items: list[msgspec.Raw] | None = None


class Status(msgspec.Struct):
    """An error (`metav1.Status`)."""

    code: int = 0
    reason: str = ""
    message: str = ""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
"""The errors of decoders: for text that is no JSON or has wrong types, and for text that is no UTF-8."""

event_decoder = msgspec.json.Decoder(Event)
page_decoder = msgspec.json.Decoder(Page)
identified_decoder = msgspec.json.Decoder(Identified)
status_decoder = msgspec.json.Decoder(Status)


class LineTooLong(Exception):
    """A line has more than MAX_LINE octets."""


class Lines:
    """Cuts a stream of octets into lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, octets: bytes) -> list[bytes]:
        """The lines that these octets complete. Raises LineTooLong."""
        *whole, rest = octets.split(b"\n")
        if whole:
            whole[0] = b"".join([*self._parts, whole[0]])
            self._parts.clear()
            self._size = 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
            if self._size > MAX_LINE:
                raise LineTooLong
        return [line for line in whole if line.strip()]

"""Changes as octets, from the process that follows a cluster to the processes that answer for it.

    msgpack [change ...]
    change = [class, object]             put; the object's fields as in a snapshot, its class by name
           | [kind, namespace, name]     gone

Both ends run the same version, so there is no version number, unlike in a snapshot.
"""

from collections.abc import Sequence

import msgspec

from dnsbridge.cluster.changes import Change, Gone, Put
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.cluster.snapshot import CLASSES

_encoder = msgspec.msgpack.Encoder()
_changes = msgspec.msgpack.Decoder(list[list[msgspec.Raw]])
_text = msgspec.msgpack.Decoder(str)
_objects: dict[str, msgspec.msgpack.Decoder[Object]] = {
    name: msgspec.msgpack.Decoder(of) for name, of in CLASSES.items()
}


def encode(changes: Sequence[Change]) -> bytes:
    """The octets of changes."""
    return _encoder.encode(
        [
            (type(change.object).__name__, change.object)
            if isinstance(change, Put)
            else (change.key.kind, change.key.namespace, change.key.name)
            for change in changes
        ]
    )


def decode(octets: bytes | msgspec.Raw) -> list[Change]:
    """The changes in these octets, in order."""
    found: list[Change] = []
    for kind, *rest in _changes.decode(octets):
        if len(rest) == 1:
            found.append(Put(_objects[_text.decode(kind)].decode(rest[0])))
        else:
            namespace, name = map(_text.decode, rest)
            found.append(Gone(Key(_text.decode(kind), namespace, name)))
    return found

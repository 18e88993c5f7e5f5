"""A snapshot: a cluster's objects as octets, for a restart while the API server is away.

    "dnsbridge snapshot 3" LF
    header    length (4) | msgpack [saved_at, count of objects]       saved_at: Unix seconds
    chunks    length (4) | msgpack [class, [objects]]                 at most CHUNK objects each
    checksum  SHA-256 of everything before it (32)

A snapshot is read as a whole or not at all: the checksum is compared before anything is decoded. The number in the
first line grows with every change of the fields in cluster.objects. A new class needs no new number: a version that
does not know the class treats the snapshot as damaged.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from dnsbridge.cluster import objects as slim
from dnsbridge.cluster.objects import Object

MAGIC = b"dnsbridge snapshot 3\n"
CHUNK = 64
"""Objects encoded in one step; the event loop may answer questions between two steps."""
_CHECKSUM = 32
CLASSES: dict[str, type[Object]] = {
    each.__name__: each
    for each in (
        slim.Namespace,
        slim.Service,
        slim.EndpointSlice,
        slim.Endpoints,
        slim.Pod,
        slim.Node,
        slim.ServiceCIDR,
        slim.ClusterConfiguration,
        slim.FlannelConfiguration,
        slim.IPPool,
        slim.BlockAffinity,
        slim.IPAMBlock,
        slim.BGPConfiguration,
        slim.BGPPeer,
        slim.CalicoNode,
        slim.CiliumNode,
    )
}
_encoder = msgspec.msgpack.Encoder()


class Snapshot(msgspec.Struct, frozen=True):
    """The content of a snapshot."""

    saved_at: float
    """Unix seconds of the source's last sign of life before the snapshot was written."""
    objects: list[Object]


class Damaged(msgspec.Struct, frozen=True):
    """A snapshot that cannot be used, and why."""

    problem: str


def write(objects: Iterable[Object], saved_at: float) -> Iterator[bytes]:
    """The octets of a snapshot, piece by piece."""
    digest = hashlib.sha256()
    held = sorted(objects, key=_class)
    for octets in _pieces(held, saved_at):
        digest.update(octets)
        yield octets
    yield digest.digest()


def _pieces(held: list[Object], saved_at: float) -> Iterator[bytes]:
    yield MAGIC
    yield _framed([saved_at, len(held)])
    for name, group in groupby(held, key=_class):
        same = list(group)
        for start in range(0, len(same), CHUNK):
            yield _framed([name, same[start : start + CHUNK]])


def _class(obj: Object) -> str:
    """The class's name; two classes may have one kind: ConfigMaps."""
    return type(obj).__name__


def _framed(value: object) -> bytes:
    encoded = _encoder.encode(value)
    return len(encoded).to_bytes(4, "big") + encoded


def read(octets: bytes) -> Snapshot | Damaged:
    """The snapshot of these octets."""
    if not octets.startswith(MAGIC):
        return Damaged("not a snapshot of this version")
    body = octets[:-_CHECKSUM]
    if len(body) < len(MAGIC) or hashlib.sha256(body).digest() != octets[-_CHECKSUM:]:
        return Damaged("its checksum does not fit")
    try:
        frames = _frames(body, len(MAGIC))
        saved_at, count = msgspec.msgpack.decode(next(frames), type=tuple[float, int])
        objects: list[Object] = []
        for frame in frames:
            name, encoded = msgspec.msgpack.decode(frame, type=tuple[str, list[msgspec.Raw]])
            decoder = msgspec.msgpack.Decoder(CLASSES[name])
            objects.extend(decoder.decode(one) for one in encoded)
    except (msgspec.DecodeError, KeyError, StopIteration) as error:
        return Damaged(f"its content does not fit: {error}")
    if len(objects) != count:
        return Damaged(f"{count} objects promised, {len(objects)} found")
    return Snapshot(saved_at, objects)


def _frames(body: bytes, position: int) -> Iterator[bytes]:
    while position < len(body):
        end = position + 4 + int.from_bytes(body[position : position + 4], "big")
        yield body[position + 4 : end]
        position = end

"""Decodes one object from an API server: octets in, a slim object out, or the reason why there is none.

Taken      a slim object, and the parts of it that were left out
Skipped    no object; a problem means that the octets violate the API's schema
"""

import msgspec

from dnsbridge.cluster.checks import explain
from dnsbridge.cluster.decode import Decoded, Flawed, Invalid, Unused, decode_as, slim
from dnsbridge.cluster.flaws import Flaw
from dnsbridge.cluster.objects import Key, Object
from dnsbridge.watch.api import frames
from dnsbridge.watch.api.resources import Resource


class Incoming(msgspec.Struct, frozen=True):
    """An object as it came, and the type of its event."""

    type: str
    """ADDED, MODIFIED or DELETED."""
    octets: msgspec.Raw


class Taken(msgspec.Struct, frozen=True):
    """A slim object."""

    object: Object
    flaws: tuple[Flaw, ...] = ()

    @property
    def key(self) -> Key:
        """Its identity."""
        return self.object.key

    @property
    def version(self) -> str:
        """Its resourceVersion."""
        return self.object.resource_version


class Skipped(msgspec.Struct, frozen=True):
    """An object that is not used."""

    key: Key
    version: str
    problem: str = ""


_decoders: dict[type, msgspec.json.Decoder] = {}  # type: ignore[type-arg]


def decode_object(resource: Resource, incoming: Incoming) -> Taken | Skipped:
    """The slim object of an incoming one, or why there is none. Never raises."""
    decoder = _decoders.get(resource.raw)
    if decoder is None:
        decoder = _decoders[resource.raw] = msgspec.json.Decoder(resource.raw)
    decoded: Decoded
    try:
        decoded = slim(decoder.decode(incoming.octets))
    except (*frames.UNREADABLE, RecursionError) as error:
        key, version = _identity(resource, incoming)
        try:
            decoded = decode_as(msgspec.json.decode(incoming.octets), resource.raw)
        except (*frames.UNREADABLE, RecursionError):
            return Skipped(key, version, str(explain(str(error))))
    if isinstance(decoded, Unused | Invalid):
        _, version = _identity(resource, incoming)
        return Skipped(decoded.key, version, decoded.problem if isinstance(decoded, Invalid) else "")
    if isinstance(decoded, Flawed):
        return Taken(decoded.object, decoded.flaws)
    return Taken(decoded)


def _identity(resource: Resource, incoming: Incoming) -> tuple[Key, str]:
    try:
        metadata = frames.identified_decoder.decode(incoming.octets).metadata
    except (*frames.UNREADABLE, RecursionError):
        return Key(resource.kind, "", "(unnamed)"), ""
    return Key(resource.kind, metadata.namespace, metadata.name or "(unnamed)"), metadata.resource_version

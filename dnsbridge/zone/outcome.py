"""The outcome of a lookup in a zone, as a closed union.

    Found        records for the answer section (and the additional one)
    Alias        a CNAME; its target is still to be looked up
    NoData       the name exists, the type does not (RFC 2308 section 2.2)
    NoSuchName   the name does not exist (RFC 2308 section 2.1)

The router has decided before that the name belongs to the cluster (see resolvers.router). Each outcome gives the keys
that it depends on (see index), the objects that it comes from, and the reason in one sentence.
"""

import msgspec

from dnsbridge.cluster.objects import Object
from dnsbridge.wire.compose import RRset


class Found(msgspec.Struct, frozen=True):
    """The requested records."""

    answer: tuple[RRset, ...]
    depends: tuple[bytes, ...]
    because: str
    additional: tuple[RRset, ...] = ()
    origin: tuple[Object, ...] = ()


class Alias(msgspec.Struct, frozen=True):
    """A CNAME record."""

    cname: RRset
    target: bytes
    """Absolute name, wire form."""
    depends: tuple[bytes, ...]
    because: str
    origin: tuple[Object, ...] = ()


class NoData(msgspec.Struct, frozen=True):
    """The name exists without this type."""

    depends: tuple[bytes, ...]
    because: str
    origin: tuple[Object, ...] = ()


class NoSuchName(msgspec.Struct, frozen=True):
    """The name does not exist."""

    depends: tuple[bytes, ...]
    because: str
    defined: bool = True
    """Whether the specification defines names of this shape; CoreDNS may know others (`fallback: unknown`)."""


Outcome = Found | Alias | NoData | NoSuchName

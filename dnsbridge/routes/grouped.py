"""A cluster's objects by their class, for those who make a picture of them, and what each gives to it.

Grouped    objects by class
Pods       what one network provider says: who has which pods, at which addresses its nodes are
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

from dnsbridge.cluster.objects import Object
from dnsbridge.routes.model import Note
from dnsbridge.routes.pictures.picture import Block, Declared

SHOWN = 3
"""Names that a note lists before it counts."""

_T = TypeVar("_T", bound=Object)


class Grouped:
    """Objects by class."""

    def __init__(self, objects: Iterable[Object]) -> None:
        found = defaultdict[type[Object], list[Object]](list)
        for obj in objects:
            found[type(obj)].append(obj)
        self._found = dict(found)

    def of(self, cls: type[_T]) -> list[_T]:
        """All of a class, by namespace and name: two hosts that are told the same in another order choose alike."""
        found: list[_T] = self._found.get(cls, [])  # type: ignore[assignment]  # by their class
        return sorted(found, key=lambda obj: (obj.namespace, obj.name))


class Pods(Struct, frozen=True):
    """What a network provider says."""

    network: str
    """For people."""
    mtu: int = 0
    """As in Picture."""
    blocks: tuple[Block, ...] | None = None
    """None: those of Node.spec.podCIDRs."""
    notes: tuple[Note, ...] = ()
    pools: tuple[Declared, ...] = ()
    """What its blocks are taken from, as far as that is to be routed where it says no blocks."""


def some(names: Sequence[object]) -> str:
    """The first names of many, for a note."""
    shown = ", ".join(str(name) for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown

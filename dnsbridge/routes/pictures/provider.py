"""The parts of a picture: a cluster's objects by class, and what the network provider says.

ByClass      objects by class
Provided     what a network provider says: which node has which pods, how it carries packets
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct

from dnsbridge.cluster.objects import Object
from dnsbridge.routes.model import Note
from dnsbridge.routes.pictures.picture import Block, Declared

_T = TypeVar("_T", bound=Object)


class ByClass:
    """Objects by class."""

    def __init__(self, objects: Iterable[Object]) -> None:
        found = defaultdict[type[Object], list[Object]](list)
        for obj in objects:
            found[type(obj)].append(obj)
        self._found = {cls: sorted(of_class, key=_place) for cls, of_class in found.items()}

    def of(self, cls: type[_T]) -> list[_T]:
        """All objects of a class, by namespace and name: hosts that get them in different orders choose alike."""
        found: list[_T] = self._found.get(cls, [])  # type: ignore[assignment]  # by their class
        return found


def _place(obj: Object) -> str:
    """A text that sorts by namespace, then name. Questions wait while a list is sorted, and texts compare fastest."""
    return f"{obj.namespace}\0{obj.name}"


class Provided(Struct, frozen=True):
    """What a network provider says."""

    network: str
    """For people."""
    mtu: int = 0
    """As in Picture."""
    blocks: tuple[Block, ...] | None = None
    """None: the blocks are those of Node.spec.podCIDRs."""
    notes: tuple[Note, ...] = ()
    pools: tuple[Declared, ...] = ()
    """The prefixes that its blocks are taken from, if they are to be routed where they hold no block."""

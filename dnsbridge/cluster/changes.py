"""Changes to a cluster's objects, as values: one object is put, or one is gone.

Put(object)      created or changed: the whole new object
Gone(key)        deleted
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from dnsbridge.cluster.objects import Key, Object


class Put(Struct, frozen=True):
    """An object was created or changed."""

    object: Object


class Gone(Struct, frozen=True):
    """An object was deleted."""

    key: Key


Change = Put | Gone


def difference(held: Mapping[Key, Object], wanted: Iterable[Object]) -> list[Change]:
    """The changes that lead from the held objects to the wanted ones; equal objects give none.

    Deletions come last, so that an object that moved is never missing in between.
    """
    changes: list[Change] = []
    seen: set[Key] = set()
    for obj in wanted:
        key = obj.key
        seen.add(key)
        if held.get(key) != obj:
            changes.append(Put(obj))
    changes.extend(Gone(key) for key in held if key not in seen)
    return changes

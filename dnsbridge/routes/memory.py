"""What pure functions gave the last time, so that of a large cluster only what has changed is worked out anew.

once    a function of whole parts:                           the last result, while its arguments equal the last ones
each    a function of one object, for many of them:          the last result of each object that is still there
rows    the same for rows with keys, of several parts each:  the last result of each row that equals the last one

The objects of a cluster never change: another one comes in the place of one that did, and all others are the very same
as before, for which a comparison costs next to nothing. What is remembered changes no result, only how long it takes.
It is bounded by what there was to do the last time.

Functions must be those of modules, which are few. What they return is shared, and must be left as it is.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar, TypeVarTuple

from msgspec import Struct

from dnsbridge.routes.ordered import Ordered

MAX_PARTS = 64
"""Parts that are remembered; the names of clusters come from outside."""

_Item = TypeVar("_Item")
_Key = TypeVar("_Key", bound=Hashable)
_Row = TypeVar("_Row")
_Result = TypeVar("_Result")
_Rest = TypeVarTuple("_Rest")


class _Each(Struct):
    rest: tuple[Any, ...]
    items: Sequence[Any]
    """Held, so that no other object can have the identity of one of them."""
    by_id: dict[int, Any]
    results: list[Any]


class _Rows(Struct):
    rest: tuple[Any, ...]
    rows: Mapping[Any, Any]
    results: dict[Any, Any]


class Memory:
    """What is remembered in one place."""

    def __init__(self) -> None:
        self.ordered = Ordered()
        """The routes of the last time, in order."""
        self._once: dict[object, tuple[tuple[Any, ...], Any]] = {}
        self._each: dict[object, _Each] = {}
        self._rows: dict[object, _Rows] = {}
        self._parts: dict[str, Memory] = {}

    def of(self, name: str) -> "Memory":
        """What is remembered of one part, such as a cluster."""
        if name not in self._parts and len(self._parts) >= MAX_PARTS:
            self._parts.clear()
        return self._parts.setdefault(name, Memory())

    def once(self, function: Callable[[*_Rest], _Result], *arguments: *_Rest) -> _Result:
        """The function of these arguments."""
        last = self._once.get(function)
        if last is None or last[0] != arguments:
            last = self._once[function] = arguments, function(*arguments)
        result: _Result = last[1]
        return result

    def each(
        self, function: Callable[[_Item, *_Rest], _Result], items: Sequence[_Item], *rest: *_Rest
    ) -> list[_Result]:
        """The function of each item and the rest, in the order of the items."""
        last = self._each.get(function)
        if last is None or last.rest != rest:
            last = _Each(rest, (), {}, [])
        elif last.items == items:
            return last.results
        ids = list(map(id, items))
        results: list[Any] = list(map(last.by_id.get, ids))
        for at in [at for at, result in enumerate(results) if result is None]:
            results[at] = function(items[at], *rest)
        self._each[function] = _Each(rest, items, dict(zip(ids, results, strict=True)), results)
        return results

    def rows(
        self, function: Callable[[_Key, _Row, *_Rest], _Result], rows: Mapping[_Key, _Row], *rest: *_Rest
    ) -> dict[_Key, _Result]:
        """The function of each key, its row, and the rest, by key."""
        last = self._rows.get(function)
        if last is None or last.rest != rest:
            last = _Rows(rest, {}, {})
        elif last.rows is rows:
            return last.results
        known, had = last.results, last.rows
        results = {
            key: known[key] if key in known and had[key] == row else function(key, row, *rest)
            for key, row in rows.items()
        }
        self._rows[function] = _Rows(rest, rows, results)
        return results

"""What pure functions gave the last time, so that of a large cluster only what has changed is worked out anew.

once      a function of whole parts:                the last result, while its arguments equal the last ones
each      a function of one item, for many:         the last result of each item that is as it was
pairs     the same for items and others beside them
grouped   items by a key:                           the last group of each key whose items are as they were

The objects of a cluster never change: another one comes in the place of one that did, and all others are the very same
as before, for which a comparison costs next to nothing. A result that equals the last one is the last one itself, so
this holds from step to step. What is remembered changes no result, only how long it takes; but the order of groups, and
of items in a group, is that in which they came. It is bounded by what there was to do the last time.

Functions must be those of modules, which are few. What they return is shared, and must be left as it is.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar, TypeVarTuple

from msgspec import Struct

from dnsbridge.routes.ordered import Ordered

MAX_PARTS = 64
"""Parts that are remembered; the names of clusters come from outside."""
MAX_PLACES = 1000
"""So many items that differ are looked for place by place; more are found by what they are."""
STRIDE = 256
"""Items that are compared at once."""

_Item = TypeVar("_Item")
_Other = TypeVar("_Other")
_Key = TypeVar("_Key", bound=Hashable)
_Result = TypeVar("_Result")
_Rest = TypeVarTuple("_Rest")


class _Each(Struct):
    rest: tuple[Any, ...]
    columns: tuple[Sequence[Any], ...]
    results: list[Any]


class _Grouped(Struct):
    items: Sequence[Any]
    groups: dict[Any, tuple[Any, ...]]


class Memory:
    """What is remembered in one place."""

    def __init__(self) -> None:
        self.ordered = Ordered()
        """The routes of the last time, in order."""
        self._once: dict[object, tuple[tuple[Any, ...], Any]] = {}
        self._each: dict[object, _Each] = {}
        self._grouped: dict[object, _Grouped] = {}
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
        return self._of_columns(function, (items,), rest)

    def pairs(
        self,
        function: Callable[[_Item, _Other, *_Rest], _Result],
        items: Sequence[_Item],
        others: Sequence[_Other],
        *rest: *_Rest,
    ) -> list[_Result]:
        """The function of each item, the other in its place, and the rest."""
        return self._of_columns(function, (items, others), rest)

    def _of_columns(
        self, function: Callable[..., _Result], columns: tuple[Sequence[Any], ...], rest: tuple[Any, ...]
    ) -> list[_Result]:
        last = self._each.get(function)
        if last is None or last.rest != rest:
            results = [function(*row, *rest) for row in zip(*columns, strict=True)]
        elif (places := _differing(last.columns, columns)) is not None:
            if not places:
                return last.results
            results = last.results + [None] * (len(columns[0]) - len(last.results))
            for at in places:
                new = function(*[column[at] for column in columns], *rest)
                results[at] = results[at] if results[at] == new else new
        else:
            known = dict(zip(_ids(last.columns), last.results, strict=True))
            rows = zip(_ids(columns), *columns, strict=True)
            results = [known[ids] if ids in known else function(*row, *rest) for ids, *row in rows]
        self._each[function] = _Each(rest, columns, results)
        return results

    def grouped(self, function: Callable[[_Item], _Key], items: Sequence[_Item]) -> dict[_Key, tuple[_Item, ...]]:
        """The items for which the function gives the same key, by key."""
        last = self._grouped.get(function)
        if last is None:
            found = defaultdict[_Key, list[_Item]](list)
            for item in items:
                found[function(item)].append(item)
            groups = {key: tuple(group) for key, group in found.items()}
        else:
            gone, come = _changes(last.items, items)
            if not gone and not come:
                return last.groups
            groups = dict(last.groups)
            for item in gone:
                key = function(item)
                at = groups[key].index(item)
                groups[key] = groups[key][:at] + groups[key][at + 1 :]
                if not groups[key]:
                    del groups[key]
            for item in come:
                key = function(item)
                groups[key] = (*groups.get(key, ()), item)
        self._grouped[function] = _Grouped(items, groups)
        return groups


def _ids(columns: tuple[Sequence[Any], ...]) -> "zip[tuple[int, ...]]":
    return zip(*[map(id, column) for column in columns], strict=True)


def _differing(before: tuple[Sequence[Any], ...], after: tuple[Sequence[Any], ...]) -> list[int] | None:
    """The places whose items are others than before, or new; None: they must be found by what they are."""
    there, now = len(before[0]), len(after[0])
    if now < there or now - there > MAX_PLACES:
        return None
    places = set(range(there, now))
    for had, has in zip(before, after, strict=True):
        if had is has:
            continue
        for start in range(0, there, STRIDE):
            end = min(start + STRIDE, there)
            old, new = had[start:end], has[start:end]
            if old != new:
                places.update([start + at for at in range(end - start) if old[at] != new[at]])
                if len(places) > MAX_PLACES:
                    return None
    return sorted(places)


def _changes(before: Sequence[Any], after: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The items that go, and those that come."""
    places = _differing((before,), (after,))
    if places is not None:
        return [before[at] for at in places if at < len(before)], [after[at] for at in places]
    had, has = set(map(id, before)), set(map(id, after))
    return [item for item in before if id(item) not in has], [item for item in after if id(item) not in had]

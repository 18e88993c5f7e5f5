"""Flaws: the wrong parts of an object, which are left out so that the rest can be used.

    Flaw       where the part is, and what is wrong with it
    UnfitError raised by a check; a caller that can do without the value turns it into a Flaw

A list of flaws is passed down while an object is decoded, and each part that is left out adds one.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

_Item = TypeVar("_Item")
_Taken = TypeVar("_Taken")


class Flaw(Struct, frozen=True):
    """One part of an object that is left out."""

    path: str
    """The field, as in `endpoints[0].hostname`; empty for the object itself."""
    text: str
    """What is expected there, and what was found."""

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class UnfitError(ValueError):
    """A value that the API server would have refused."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(path, text)
        self.flaw = Flaw(path, text)

    def __str__(self) -> str:
        return str(self.flaw)

    def below(self, path: str) -> Flaw:
        """The flaw with `path` put before its own path."""
        return Flaw(joined(path, self.flaw.path), self.flaw.text)


def joined(path: str, further: str) -> str:
    """A path extended by a field or by an index such as `[0]`."""
    return f"{path}.{further}" if path and further and further[0] != "[" else path + further


def attempt(flaws: list[Flaw], default: _Taken, take: Callable[..., _Taken], *values: object) -> _Taken:
    """The result of `take`; if the values are unfit, the default and a flaw."""
    try:
        return take(*values)
    except UnfitError as error:
        flaws.append(error.flaw)
        return default


def each(
    flaws: list[Flaw], path: str, items: Iterable[_Item | None] | None, take: Callable[[_Item], _Taken | None]
) -> tuple[_Taken, ...]:
    """The results of `take` for the items of a list; an unfit item becomes a flaw and is left out.

    An item is None if it was left out before (see by_parts); `take` returns None for an item without content.
    """
    found = []
    for index, item in enumerate(items or ()):
        if item is None:
            continue
        try:
            taken = take(item)
        except UnfitError as error:
            flaws.append(error.below(f"{path}[{index}]"))
            continue
        if taken is not None:
            found.append(taken)
    return tuple(found)


def note(flaws: list[Flaw], path: str, text: str) -> None:
    """Add a flaw, unless the same part has one already."""
    if all(flaw.path != path for flaw in flaws):
        flaws.append(Flaw(path, text))


def require(found: Sequence[object], flaws: list[Flaw], path: str) -> None:
    """Raises UnfitError if nothing is found because of a flaw below `path`: the object's only content is wrong."""
    if not found:
        for flaw in flaws:
            if flaw.path.startswith(path):
                raise UnfitError(flaw.path, flaw.text)

"""The shape of a setting, derived from its type in the schema.

Settings, Cache, ...                 a section: a mapping of named settings
tuple[X, ...]                        Items: a list of X
Annotated[T, Kind], Literal["a"]     Kind: a single value
Literal["auto"] | X, X | None        X, or the word, or null
"""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct, structs

from dnsbridge.config.section import Section
from dnsbridge.config.values import Kind, word


class Shape(Struct, frozen=True, eq=False):
    """The values that are allowed at one place of the file."""

    form: "Kind | Items | type[Section]"
    words: tuple[str | None, ...] = ()
    """Words that are allowed there as well; None is null."""

    @property
    def expected(self) -> str:
        """The allowed values, worded to follow the word "write"."""
        form = self.form
        match form:
            case Kind():
                main = form.expected
            case Items():
                main = f"a list, each {form.item.expected}"
            case _:
                main = f"settings, of {', '.join(form.__struct_fields__)}"
        alternatives = "".join(f"{'null' if each is None else each}, or " for each in self.words)
        return alternatives + main


class Items(Struct, frozen=True, eq=False):
    """A list."""

    item: Shape


class Setting(Struct, frozen=True, eq=False):
    """One named setting of a section."""

    shape: Shape
    default: Any
    description: str


@cache
def settings_of(section: type[Section]) -> dict[str, Setting]:
    """The settings of a section by name."""
    hints = get_type_hints(section, include_extras=True)
    return {
        field.name: Setting(_shape(hints[field.name]), field.default, _description(hints[field.name]))
        for field in structs.fields(section)
    }


def _description(hint: Any) -> str:
    return next((each.description or "" for each in get_args(hint)[1:] if isinstance(each, Meta)), "")


def _shape(hint: Any) -> Shape:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        kind = next((each for each in arguments[1:] if isinstance(each, Kind)), None)
        return Shape(kind) if kind else _shape(arguments[0])
    if origin is Literal:
        return Shape(word(*arguments))
    if origin is tuple:
        return Shape(Items(_shape(arguments[0])))
    if origin in (Union, UnionType):
        words: list[str | None] = []
        main: list[Shape] = []
        for each in arguments:
            if each is NoneType:
                words.append(None)
            elif get_origin(each) is Literal:
                words += get_args(each)
            else:
                main.append(_shape(each))
        (only,) = main
        return Shape(only.form, tuple(words))
    assert isinstance(hint, type), hint
    assert issubclass(hint, Section), hint
    return Shape(hint)

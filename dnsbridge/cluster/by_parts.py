"""Converting plain data to a raw struct part by part: the slow way, for data with a wrong type somewhere.

msgspec takes all of an object or nothing. This module leaves out the smallest wrong part and notes a flaw:

    a field with a default       gets its default
    an item of a list            becomes None, so that the other items keep their index
    an entry of a mapping        is dropped
    a field without a default    makes the struct around it wrong; so does a `Decisive` field (see raw)
"""

from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import FieldInfo, fields

from dnsbridge.cluster.checks import explain, quoted
from dnsbridge.cluster.flaws import Flaw, UnfitError, joined
from dnsbridge.cluster.raw import DECISIVE

_Raw = TypeVar("_Raw", bound=Struct)


def convert_by_parts(data: object, raw_type: type[_Raw], flaws: list[Flaw], path: str = "") -> _Raw:
    """The struct of plain data, and a flaw for each part that is left out. Raises UnfitError if nothing is left."""
    found: _Raw = _convert(data, raw_type, path, flaws)
    return found


def _convert(data: object, wanted: Any, path: str, flaws: list[Flaw]) -> Any:
    try:
        return convert(data, wanted)
    except ValidationError as error:
        unfit = explain(str(error), path)
    for choice in _choices(wanted):
        origin = get_origin(choice)
        if isinstance(data, dict) and isinstance(choice, type) and issubclass(choice, Struct):
            return _struct(data, choice, path, flaws)
        if isinstance(data, list) and origin is list:
            return _list(data, get_args(choice)[0], path, flaws)
        if isinstance(data, dict) and origin is dict:
            return _dict(data, get_args(choice)[1], path, flaws)
    raise unfit


def _choices(wanted: Any) -> tuple[Any, ...]:
    """The types that a field may have, without None."""
    if get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    if isinstance(wanted, UnionType):
        return tuple(choice for choice in get_args(wanted) if choice is not NoneType)
    return (wanted,)


def _struct(data: dict[Any, Any], wanted: type[Struct], path: str, flaws: list[Flaw]) -> Struct:
    if not all(isinstance(key, str) for key in data):
        flaws.append(Flaw(path or "object", "expected keys that are strings"))
    values = {}
    for each in fields(wanted):
        below = joined(path, each.encode_name)
        if each.encode_name not in data:
            if each.required:
                raise UnfitError(below, "expected, but missing")
            continue
        try:
            values[each.name] = _convert(data[each.encode_name], each.type, below, flaws)
        except UnfitError as error:
            if each.required or _is_decisive(each):
                raise
            flaws.append(error.flaw)
    return wanted(**values)


def _is_decisive(each: FieldInfo) -> bool:
    return any(isinstance(meta, Meta) and DECISIVE in (meta.extra or ()) for meta in get_args(each.type)[1:])


def _list(data: list[Any], wanted: Any, path: str, flaws: list[Flaw]) -> list[Any]:
    found = []
    for index, item in enumerate(data):
        try:
            found.append(_convert(item, wanted, f"{path}[{index}]", flaws))
        except UnfitError as error:
            flaws.append(error.flaw)
            found.append(None)
    return found


def _dict(data: dict[Any, Any], wanted: Any, path: str, flaws: list[Flaw]) -> dict[str, Any]:
    found = {}
    for key, value in data.items():
        below = f"{path}[{quoted(key) if isinstance(key, str) else '...'}]"
        try:
            found[convert(key, str)] = _convert(value, wanted, below, flaws)
        except ValidationError:
            flaws.append(Flaw(path, "expected keys that are strings"))
        except UnfitError as error:
            flaws.append(error.flaw)
    return found

"""Settings for people and programs: the effective ones with their origins, and the JSON Schema of the file."""

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from dnsbridge.config.load import Loaded
from dnsbridge.config.schema import Settings
from dnsbridge.config.section import Section
from dnsbridge.config.shape import Items, Setting, Shape, settings_of
from dnsbridge.config.values import Kind


class Effective(Struct, frozen=True):
    """One setting that is in force."""

    key: str
    value: Any
    """In the form of the file, as JSON: "10s", ["0.0.0.0:53"], 5, true, null."""
    origin: str
    """`default`, `FILE:LINE`, `flag --NAME` or `discovered: SOURCE`."""


def effective(loaded: Loaded) -> list[Effective]:
    """Every setting in the order of the schema; a list of plain values is one setting."""
    return [
        Effective(key, value, loaded.origins.get(key, "default"))
        for key, value in _flat(Shape(Settings), loaded.settings, "")
    ]


def _flat(shape: Shape, value: Any, key: str) -> Iterator[tuple[str, Any]]:
    form = shape.form
    if isinstance(value, Section):
        for name, setting in settings_of(type(value)).items():
            yield from _flat(setting.shape, getattr(value, name), f"{key}.{name}" if key else name)
    elif isinstance(form, Items) and isinstance(form.item.form, type) and value:
        for index, item in enumerate(value):
            yield from _flat(form.item, item, f"{key}[{index}]")
    else:
        yield key, _plain(shape, value)


def _plain(shape: Shape, value: Any) -> Any:
    """A value in the form of the file."""
    form = shape.form
    if value is None or value in shape.words:
        return value
    if isinstance(form, Kind):
        return form.write(value)
    if isinstance(form, Items):
        return [_plain(form.item, item) for item in value]
    return {name: _plain(setting.shape, getattr(value, name)) for name, setting in settings_of(form).items()}


def settings_table() -> list[tuple[str, str, str]]:
    """Every setting as (key, default, meaning); a list's items are written `[]`."""
    return list(_table(Settings, Settings(), ""))


def _table(section: type[Section], defaults: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, setting in settings_of(section).items():
        key = f"{prefix}{name}"
        value = getattr(defaults, name)
        form = setting.shape.form
        inner = form.item.form if isinstance(form, Items) else form
        if isinstance(inner, type) and issubclass(inner, Section):
            mark = "[]" if isinstance(form, Items) else ""
            yield f"{key}{mark}", "", setting.description
            yield from _table(inner, inner(), f"{key}{mark}.")
        else:
            yield key, json.dumps(_plain(setting.shape, value)), setting.description


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the configuration file.

    It is made from the schema's own kinds: msgspec's generator takes no union of a word and a value such as an address.
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "dnsbridge", **_section(Settings)}


def _section(section: type[Section]) -> dict[str, Any]:
    properties = {name: _property(setting) for name, setting in settings_of(section).items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(setting: Setting) -> dict[str, Any]:
    default = _plain(setting.shape, setting.default)
    return {"description": setting.description, **_of_shape(setting.shape), "default": default}


def _of_shape(shape: Shape) -> dict[str, Any]:
    form = shape.form
    if isinstance(form, Kind):
        main = form.schema
    elif isinstance(form, Items):
        main = {"type": "array", "items": _of_shape(form.item)}
    else:
        main = _section(form)
    return {"anyOf": [{"enum": list(shape.words)}, main]} if shape.words else main

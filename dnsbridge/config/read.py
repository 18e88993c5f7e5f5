"""Reading settings from a tree of YAML nodes: every problem with its line and key, and every setting's origin.

msgspec's own conversion stops at the first problem and knows no lines, so this module walks the tree by the schema.
"""

import difflib
import re
from enum import Enum
from typing import Any

import yaml

from dnsbridge.config.problem import Problem
from dnsbridge.config.schema import Settings
from dnsbridge.config.section import Section
from dnsbridge.config.shape import Items, Shape, settings_of
from dnsbridge.config.values import BadValueError, Kind, Scalar, shown

MAX_PROBLEMS = 10
MAX_VALUES = 20_000
"""Values in one file. Aliases (`*name`) can multiply a few lines into billions."""

_TAG = "tag:yaml.org,2002:"


class _Bad(Enum):
    """Stands for a value that could not be read; the problem is on the list."""

    BAD = 0


def read_settings(root: yaml.Node, file: str) -> tuple[Settings, dict[str, str], list[Problem]]:
    """The settings in a file, the `FILE:LINE` of each key path that the file sets, and the problems in the file."""
    reader = _Reader(file)
    found = reader.read(Shape(Settings), root, "")
    return (found if isinstance(found, Settings) else Settings()), reader.origins, reader.problems


def _scalar(node: yaml.ScalarNode) -> Scalar:
    """A scalar by its YAML 1.1 tag; numbers other than plain decimal ones stay text."""
    text: str = node.value
    match node.tag.removeprefix(_TAG):
        case "null":
            return Scalar(text, None)
        case "bool":
            return Scalar(text, text.lower() in ("true", "yes", "on"))
        case "int" if re.fullmatch("[-+]?[0-9]{1,18}", text):
            return Scalar(text, int(text))
        case "float" if re.fullmatch(r"[-+]?[0-9]{0,18}\.[0-9]{1,18}", text):
            return Scalar(text, float(text))
    return Scalar(text, text)


def read_value(shape: Shape, scalar: Scalar) -> Any:
    """One value of a shape that is neither a section nor a list. Raises BadValueError with the complete text."""
    assert isinstance(shape.form, Kind)
    if scalar.value in shape.words:
        return scalar.value
    try:
        return shape.form.read(scalar)
    except BadValueError as error:
        said = str(error) or _got(scalar)
        raise BadValueError(said if "; write " in said else f"{said}; write {shape.expected}") from None


def _got(scalar: Scalar) -> str:
    return "no value" if scalar.value is None else f"got {shown(scalar.text)}"


class _Reader:
    def __init__(self, file: str) -> None:
        self.problems: list[Problem] = []
        self.origins: dict[str, str] = {}
        self._file = file
        self._values = 0

    def read(self, shape: Shape, node: yaml.Node, key: str) -> Any:
        """The value of a node; BAD if it cannot be read, with the problem noted."""
        self._values += 1
        if self._values == MAX_VALUES:
            self._problem(node, key, f"over {MAX_VALUES} values; shorten the lists, and use no aliases")
        if self._stopped:
            return _Bad.BAD
        form = shape.form
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(shape, node, key)
        if isinstance(node, yaml.SequenceNode) and isinstance(form, Items):
            return self._items(form, node, key)
        if isinstance(node, yaml.MappingNode) and isinstance(form, type):
            return self._section(form, node, key)
        got = "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
        return self._problem(node, key, f"got {got}; write {shape.expected}")

    @property
    def _stopped(self) -> bool:
        return len(self.problems) >= MAX_PROBLEMS or self._values >= MAX_VALUES

    def _problem(self, node: yaml.Node, key: str, text: str) -> _Bad:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(self._line(node), key, text))
        return _Bad.BAD

    def _line(self, node: yaml.Node) -> str:
        return f"{self._file}:{node.start_mark.line + 1}" if node.start_mark else self._file

    def _scalar(self, shape: Shape, node: yaml.ScalarNode, key: str) -> Any:
        scalar = _scalar(node)
        if isinstance(shape.form, Kind):
            try:
                return read_value(shape, scalar)
            except BadValueError as error:
                return self._problem(node, key, str(error))
        if scalar.value in shape.words:
            return scalar.value
        if scalar.value is None and isinstance(shape.form, type):
            return shape.form()
        return self._problem(node, key, f"{_got(scalar)}; write {shape.expected}")

    def _items(self, form: Items, node: yaml.SequenceNode, key: str) -> Any:
        values = []
        for index, child in enumerate(node.value):
            if self._stopped:
                break
            path = f"{key}[{index}]"
            self.origins[path] = self._line(child)
            values.append(self.read(form.item, child, path))
        return _Bad.BAD if _Bad.BAD in values else tuple(values)

    def _section(self, section: type[Section], node: yaml.MappingNode, key: str) -> Any:
        known = settings_of(section)
        values: dict[str, Any] = {}
        for key_node, child in node.value:
            if self._stopped:
                break
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            path = f"{key}.{_key(name)}" if key else _key(name)
            if name not in known:
                self._problem(key_node, path, _unknown(name, tuple(known)))
            elif name in values:
                self._problem(key_node, path, "is set twice; remove one of them")
            else:
                self.origins[path] = self._line(key_node)
                values[name] = self.read(known[name].shape, child, path)
        return section(**{name: value for name, value in values.items() if value is not _Bad.BAD})


def _key(name: str | None) -> str:
    if name is None:
        return "?"
    return name if re.fullmatch(r"[A-Za-z0-9_<-]{1,60}", name) else shown(name)


def _unknown(name: str | None, known: tuple[str, ...]) -> str:
    if name == "<<":
        return "merge keys are not supported; write the settings out"
    near = difflib.get_close_matches(name[:60].lower(), known, 1, 0.6) if name else []
    return f"unknown setting; did you mean '{near[0]}'?" if near else f"unknown setting; known are {', '.join(known)}"

"""The documents of one manifest file, YAML or JSON: text in, plain data with line numbers out.

    yaml_documents(text)   documents between `---` lines
    json_documents(text)   JSON values, one after the other

The text is hostile: any text gives documents or raises MalformedError, in time and memory that are bounded by the
text's length. Plain words keep their YAML 1.1 meaning (`on` is true): Kubernetes does the same.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import yaml
from msgspec import Struct

from dnsbridge.cluster.decode import is_list

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML without libyaml: ten times slower, the same results
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

MAX_DEPTH = 100
"""How deep mappings and lists may be nested; Kubernetes' own objects stay below 30."""
MAX_ALIASED = 100_000
"""How many values all aliases of one YAML document together may stand for."""
MAX_DIGITS = 40
"""How long a YAML number may be: reading a number takes time that grows with the square of its length."""


_SPACE = re.compile(r"[ \t\r\n]*")
_STEP = re.compile(r"[^.\[\]]+(?=[.\[]|$)|(?<=\[)[^\]]+")
"""One step of a path such as `spec.ports[0].name` or `metadata.labels[example.com/x]`."""


class MalformedError(Exception):
    """A text that is no YAML or JSON, or that exceeds a bound or breaks a rule of this module."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


class Document(Struct, frozen=True):
    """One document."""

    data: object
    line: int
    """The line where the document starts."""
    object_lines: Callable[[], list[int]]
    """The lines where its objects start, in the order of `objects_of`; if unknown, not as many lines as objects."""
    part_line: Callable[[int, str], int] | None = None
    """The line of a part of an object, by the object's index in that order and the part's path; None in JSON."""


class _Loader(_SafeLoader):
    """Loads plain data only; dates stay text, and depth is bounded before libyaml's recursion overflows its stack."""

    yaml_implicit_resolvers = {  # noqa: RUF012  PyYAML's own attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("timestamp", "value")]
        for first, resolvers in _SafeLoader.yaml_implicit_resolvers.items()
    }
    depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise MalformedError(current_node.start_mark.line + 1, f"nested over {MAX_DEPTH} deep")

    def ascend_resolver(self) -> None:
        self.depth -= 1


def yaml_documents(text: str) -> Iterator[Document]:
    """The documents of a YAML text. Raises MalformedError."""
    line = 1
    try:
        loader = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                if node is None:
                    continue
                line = _line(node)
                _check_tree(node)
                data = loader.construct_document(node)
                nodes = cache(partial(_object_nodes, node, data))
                yield Document(data, line, partial(_object_lines, nodes), partial(_part_line, nodes))
        finally:
            loader.dispose()
    except MalformedError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "is no YAML"
        # libyaml reports something missing at the end on the line after the last
        last = text.count("\n") + (not text.endswith("\n"))
        raise MalformedError(min(mark.line + 1, last) if mark else line, problem) from None
    except Exception as error:  # PyYAML's constructors raise nearly any error for a value that does not fit its tag
        raise MalformedError(line, f"is no YAML: {error}") from None


def json_documents(text: str) -> Iterator[Document]:
    """The documents of a JSON text. Raises MalformedError."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    line, end = 1, 0
    while (position := _skip_space(text, end)) < len(text):
        line += text.count("\n", end, position)
        try:
            data, after = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise MalformedError(error.lineno, f"is no JSON: {error.msg}") from None
        except RecursionError:
            raise MalformedError(line, "nested too deep") from None
        except ValueError as error:
            raise MalformedError(line, str(error)) from None
        yield Document(data, line, list)
        line += text.count("\n", position, after)
        end = after


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r} comes twice in one mapping")
            seen.add(key)
    return mapping


def _skip_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _check_tree(root: yaml.Node) -> None:
    """Refuses documents that PyYAML would read: duplicate keys, alias bombs, circles, huge numbers."""
    seen: set[int] = set()
    aliased = 0
    waiting = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if id(node) in seen:
            aliased += 1
            if aliased > MAX_ALIASED:
                raise MalformedError(_line(node), f"aliases stand for over {MAX_ALIASED} values")
        seen.add(id(node))
        if depth > MAX_DEPTH:
            raise MalformedError(_line(node), f"nested over {MAX_DEPTH} deep, or within itself")
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise MalformedError(_line(key), "a key of a mapping is no text")
                if key.value in keys:
                    raise MalformedError(_line(key), f"the key {key.value!r} comes twice in one mapping")
                keys.add(key.value)
                waiting.append((value, depth + 1))
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend([(value, depth + 1) for value in node.value])
        elif len(node.value) > MAX_DIGITS and node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
            raise MalformedError(_line(node), f"a number of over {MAX_DIGITS} digits")


def _object_nodes(node: yaml.Node, data: object) -> list[yaml.Node]:
    """The nodes of a document's objects, in the order of `objects_of`."""
    if data is None:
        return []
    if is_list(data) and isinstance(node, yaml.MappingNode) and isinstance(data, dict):
        for key, value in reversed(node.value):  # merged keys come first, and count last
            if key.value == "items" and isinstance(value, yaml.SequenceNode):
                pairs = zip(value.value, data["items"], strict=False)
                return [found for item, item_data in pairs for found in _object_nodes(item, item_data)]
        return []
    return [node]


def _object_lines(nodes: Callable[[], list[yaml.Node]]) -> list[int]:
    return [_line(node) for node in nodes()]


def _part_line(nodes: Callable[[], list[yaml.Node]], number: int, path: str) -> int:
    """The line of a path such as `spec.ports[0].name` in one object, or of the last step on it that exists."""
    node = nodes()[number]
    line = _line(node)
    for step in _STEP.findall(path):
        if isinstance(node, yaml.SequenceNode) and step.isdecimal() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = _line(node)
        elif isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
            if not found:
                return line
            line, node = _line(found[-1][0]), found[-1][1]
        else:
            return line
    return line

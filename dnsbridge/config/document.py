"""The configuration file as a tree of YAML nodes with line numbers.

The file is input from outside: its size and depth are bounded before anything walks the tree.
"""

from pathlib import Path

import yaml

from dnsbridge.config.problem import Problem

MAX_OCTETS = 1 << 20
MAX_DEPTH = 20

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(path: Path, file: str) -> yaml.Node | Problem:
    """The root of the only document at `path`, called `file` in problems; an empty file is an empty mapping."""
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_OCTETS + 1)
    except IsADirectoryError:
        return Problem(file, "", "is a folder; name the configuration file in it")
    except FileNotFoundError:
        return Problem(file, "", "no such file; create it, or leave --config out to use the defaults")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return Problem(file, "", f"cannot be read: {reason}; check the path and its permissions")
    if len(octets) > MAX_OCTETS:
        return Problem(file, "", f"has over {MAX_OCTETS} octets; is this the configuration file?")
    return parse(octets, file)


def parse(octets: bytes, file: str) -> yaml.Node | Problem:
    """The root of the tree in the octets of `file`."""
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        return Problem(f"{file}:{line}", "", "is not UTF-8 text; save the file as UTF-8")
    try:
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                where = f"{file}:{event.start_mark.line + 1}" if event.start_mark else file
                return Problem(where, "", f"is nested over {MAX_DEPTH} levels deep; check the brackets")
        root = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return Problem(f"{file}:{line}", "", "has a control character; save the file as plain text")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        said = " ".join(f"{error.context or ''} {error.problem or ''}".split())
        return Problem(where, "", f"not YAML: {said}; check indentation, quotes and brackets")
    return root or yaml.MappingNode("tag:yaml.org,2002:map", [])

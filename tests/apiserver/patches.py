"""The ways to patch an object: JSON patch (RFC 6902), merge patch (RFC 7386), and Kubernetes' strategic merge patch."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from tests.apiserver.resources import Object
from tests.apiserver.status import Failure, bad_request

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

_MERGE_KEYS = {"ports": "port", "containers": "name", "conditions": "type", "ownerReferences": "uid"}
"""Lists whose items a strategic patch finds by this field; every other list is replaced as a whole.

EndpointSlices have none: their endpoints and ports are atomic, which `_ATOMIC` says.
"""
_ATOMIC = frozenset(["EndpointSlice"])


def patched(content_type: str, current: Object, patch: Any, kind: str) -> Object:
    """The object as it becomes; raises Failure (400, 415, 422)."""
    match content_type:
        case "application/json-patch+json":
            if not isinstance(patch, list):
                raise bad_request("a JSON patch is a list of operations")
            return json_patch(current, patch)
        case "application/merge-patch+json":
            merged = merge(current, patch)
        case "application/strategic-merge-patch+json":
            merged = strategic_merge(current, patch, {} if kind in _ATOMIC else _MERGE_KEYS)
        case _:
            message = "the body of the request was in an unknown format - accepted media types include: "
            raise Failure(415, "UnsupportedMediaType", message + ", ".join((JSON, MERGE, STRATEGIC)))
    if not isinstance(merged, dict):
        raise bad_request("a merge patch of an object is an object")
    return merged


def merge(current: Any, patch: Any) -> Any:
    """RFC 7386: maps merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def strategic_merge(current: Any, patch: Any, merge_keys: dict[str, str]) -> Any:
    """A merge patch, but lists of `merge_keys` merge item by item; `$patch` replaces or deletes."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if key == "$retainKeys":
            merged = {kept: merged[kept] for kept in merged if kept in value}
        elif key.startswith("$"):
            continue  # the order of items is no promise here
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list) and key in merge_keys:
            merged[key] = _merge_items(merged.get(key) or [], value, merge_keys[key], merge_keys)
        else:
            merged[key] = strategic_merge(merged.get(key), value, merge_keys)
    return merged


def _merge_items(current: Sequence[Object], patch: Sequence[Object], key: str, merge_keys: dict[str, str]) -> list[Any]:
    items = {} if {"$patch": "replace"} in patch else {item.get(key): item for item in current}
    for item in patch:
        if item == {"$patch": "replace"}:
            continue
        if item.get("$patch") == "delete":
            items.pop(item.get(key), None)
        else:
            items[item.get(key)] = strategic_merge(items.get(item.get(key)), item, merge_keys)
    return list(items.values())


def json_patch(current: Object, operations: Sequence[Object]) -> Object:
    """RFC 6902, all of it; raises Failure (422) when an operation does not apply."""
    document: Any = deepcopy(current)
    for operation in operations:
        try:
            document = _applied(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = f"the server rejected our request due to an error in our request: {operation}: {error!r}"
            raise Failure(422, "Invalid", message) from error
    if not isinstance(document, dict):
        raise Failure(422, "Invalid", "a JSON patch that leaves no object")
    return document


def _applied(document: Any, operation: Object) -> Any:
    path = _steps(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, operation["value"])
        case "remove":
            return _remove(document, path)
        case "replace":
            _get(document, path)
            return _add(_remove(document, path), path, operation["value"]) if path else operation["value"]
        case "move":
            source = _steps(operation["from"])
            value = _get(document, source)
            return _add(_remove(document, source), path, value)
        case "copy":
            return _add(document, path, deepcopy(_get(document, _steps(operation["from"]))))
        case "test":
            if _get(document, path) != operation["value"]:
                raise ValueError("test failed")
            return document
        case other:
            raise ValueError(f"unknown operation {other}")


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _get(document: Any, path: list[str]) -> Any:
    for step in path:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else int(path[-1]), value)
    else:
        parent[path[-1]] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent = _get(document, path[:-1])
    del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]
    return document

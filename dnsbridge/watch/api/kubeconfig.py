"""Finds what is wrong with a kubeconfig, in one line; the library that reads it ignores or obscures such problems.

    clusters[]   {name, cluster: {server, certificate-authority[-data] ...}}
    users[]      {name, user: {token, tokenFile, client-certificate[-data], client-key[-data], exec ...}}
    contexts[]   {name, context: {cluster, user}}
    current-context

With several files (a path list, as in $KUBECONFIG) the first entry of a name counts, and the last current-context.
Paths are relative to the file that names them.
"""

import base64
import binascii
import os
from pathlib import Path
from typing import Any

import yaml

from dnsbridge.errors import of_system

_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_DATA = ("certificate-authority-data", "client-certificate-data", "client-key-data")


class _Bad(Exception):
    """A problem, in one line."""


def problem_of(path_list: str, context: str | None) -> str:
    """Why a context (None: the current one) of these files cannot be used; empty if it can."""
    try:
        _check(path_list, context)
    except _Bad as bad:
        return str(bad)
    return ""


def _check(path_list: str, context: str | None) -> None:
    found: dict[str, dict[str, tuple[Path, Any]]] = {"cluster": {}, "user": {}, "context": {}}
    current: object = None
    paths = [Path(part).expanduser() for part in path_list.split(os.pathsep) if part]
    paths = [path for path in paths if path.exists()]
    if not paths:
        raise _Bad(f"{path_list}: no such file")
    for path in paths:
        document = _read(path)
        current = document.get("current-context", current)
        for kind, held in found.items():
            for name, value in _entries(path, document, kind):
                held.setdefault(name, (path, value))
    named = context or current
    contexts = found["context"]
    if not named:
        raise _Bad(f"{paths[-1]}: no current-context; choose one with --context: {_known(contexts)}")
    if named not in contexts:
        raise _Bad(f"{path_list}: no context {named}; there is: {_known(contexts)}")
    path, chosen = contexts[str(named)]
    for kind in ("cluster", "user"):
        name = chosen.get(kind)
        if name is None and kind == "user":
            continue  # an API server may let anybody ask
        if name not in found[kind]:
            raise _Bad(f"{path}: context {named}: no {kind} {name}; there is: {_known(found[kind])}")
        _check_entry(*found[kind][name], f"{kind} {name}")
    path, cluster = found["cluster"][chosen["cluster"]]
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("https://", "http://")):
        raise _Bad(f"{path}: cluster {chosen['cluster']}: server: expected a URL such as https://10.0.0.1:6443")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise _Bad(f"{path}: {of_system(error)}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise _Bad(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or 'unreadable characters'}") from None
    except RecursionError:
        raise _Bad(f"{path}: not a kubeconfig: nested too deeply") from None
    if not isinstance(document, dict):
        raise _Bad(f"{path}: not a kubeconfig: expected a mapping with clusters, users and contexts")
    return document


def _entries(path: Path, document: dict[str, Any], kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and values of `clusters`, `users` or `contexts`."""
    listed = document.get(f"{kind}s") or []
    if not isinstance(listed, list):
        raise _Bad(f"{path}: {kind}s: expected a list")
    found = []
    for index, entry in enumerate(listed):
        name, value = (entry.get("name"), entry.get(kind)) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, dict | None):
            raise _Bad(f"{path}: {kind}s[{index}]: expected a mapping with name and {kind}")
        found.append((name, value or {}))
    return found


def _check_entry(path: Path, entry: dict[str, Any], what: str) -> None:
    """Check that the files exist and that the data are base64."""
    for field in _FILES:
        # If the kubeconfig itself holds the data, the file is not used.
        if entry.get(f"{field}-data") or (field == "tokenFile" and entry.get("token")):
            continue
        file = entry.get(field)
        if file and not (isinstance(file, str) and (path.parent / file).is_file()):
            raise _Bad(f"{path}: {what}: {field}: no such file: {path.parent / str(file)}")
    for field in _DATA:
        data = entry.get(field)
        try:
            base64.b64decode(data or "")
        except (binascii.Error, ValueError, TypeError):
            raise _Bad(f"{path}: {what}: {field}: not base64") from None


def _known(held: dict[str, Any]) -> str:
    return ", ".join(sorted(held)) or "none"

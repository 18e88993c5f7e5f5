"""Whether a text holds Kubernetes objects, as `calicoctl get ... -o yaml` prints them, and what of it is a prompt."""

import re

from dnsbridge.routes.tables.lines import heading, plain

_YAML = re.compile(r"^(?:- ?)?(?:apiVersion|kind|items|metadata):", re.MULTILINE)
_JSON = re.compile(r"\s*\{\s*\"(?:apiVersion|kind|items|metadata)\"")
_LINE = re.compile(r"^[^\s{}\[\]#-].*|^\[[^\]\"{}]*\][#$].*|^[#$] .*", re.MULTILINE)
"""A line that may be a prompt: no part of YAML begins so but a key."""


def holds_objects(text: str) -> bool:
    """Whether a text holds objects; the values of etcd's keys are none, since a key stands above each."""
    return bool(_JSON.match(text) or _YAML.search(text))


def without_prompts(text: str) -> str:
    """The same text, where the lines with prompts are empty; all others keep their numbers."""
    return _LINE.sub(lambda found: "" if _is_prompt(plain(found[0])) else found[0], text)


def _is_prompt(line: str) -> bool:
    return bool(line) and not _YAML.match(line) and heading(line) is not None

"""Whether a text holds Kubernetes objects, as `calicoctl get ... -o yaml` prints them, or a listing in their place.

A prompt above printed objects is not part of their YAML or JSON.
"""

import re

from dnsbridge.routes.tables.lines import heading, plain

_YAML = re.compile(r"^(?:- ?)?(?:apiVersion|kind|items|metadata):", re.MULTILINE)
_JSON = re.compile(r"\s*\{\s*\"(?:apiVersion|kind|items|metadata)\"")
_LISTING = re.compile(r"^\s*/?calico/(?:ipam|v1/ipam|resources)/\S+\s*$|^\s*\|\s*GROUPING\s*\|", re.MULTILINE)
_BEGINNING = 1 << 16
"""Characters at the start of a text that are searched for a listing."""
_LINE = re.compile(r"^[^\s{}\[\]#-].*|^\[[^\]\"{}]*\][#$].*|^[#$] .*", re.MULTILINE)
"""A line that may be a prompt: in YAML only a key begins like this."""


def holds_objects(text: str) -> bool:
    """Whether a text holds objects; the values of etcd's keys do not count, since a key stands above each."""
    return bool(_JSON.match(text) or _YAML.search(text))


def holds_listing(text: str) -> bool:
    """Whether a text lists Calico's keys in etcd, or Calico's blocks as `calicoctl ipam show` does."""
    return bool(_LISTING.search(text, 0, _BEGINNING)) and not holds_objects(text)


def without_prompts(text: str) -> str:
    """The same text with empty lines in place of prompts, so that all other lines keep their numbers."""
    return _LINE.sub(lambda found: "" if _is_prompt(plain(found[0])) else found[0], text)


def _is_prompt(line: str) -> bool:
    return bool(line) and not _YAML.match(line) and heading(line) is not None

"""The texts of the sink `bird`. Pure.

read(text)         the routes of a file that we wrote (its form is that of `routes export --format bird`)
shown(text)        the prefixes that `birdc show route` shows
patterns(config)   the patterns with which bird.conf includes files
trial(...)         bird.conf with another file in the place of ours, for BIRD's parser to try

include "/etc/bird/dnsbridge.conf";     what trial looks for: an absolute path, one relative to the folder of
include "conf.d/*.conf";                bird.conf, or a pattern of either kind
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from ipaddress import ip_address, ip_network
from pathlib import PurePath

from dnsbridge.routes.model import NextHop, Prefix, Route, hop_order

_ROUTE = re.compile(r"^\s*route (?P<prefix>[0-9a-f.:]+/\d+)(?P<hops>( via [^;]+)+);$", re.MULTILINE)
_VIA = re.compile(
    r"via (?:(?P<address>[0-9a-f.:]+)(?:%'(?P<scope>[^']+)')?|\"(?P<device>[^\"]+)\")(?: weight (?P<weight>\d+))?"
)
_SHOWN = re.compile(r"^(?P<prefix>[0-9a-f.:]+/\d+)\s", re.MULTILINE)
# BIRD takes an include for one only where it begins a line (conf/cf-lex.l).
_INCLUDE = re.compile(r"^[ \t]*include[ \t]*\"(?P<path>[^\"\n]+)\"[ \t]*;", re.MULTILINE)


def read(text: str) -> tuple[Route, ...]:
    """The routes of our file, in its order; kind, origin and cluster are unknown."""
    routes = []
    for line in _ROUTE.finditer(text):
        hops = [
            NextHop(
                ip_address(via["address"]) if via["address"] else None,
                via["scope"] or via["device"] or "",
                int(via["weight"] or 1),
            )
            for via in _VIA.finditer(line["hops"])
        ]
        routes.append(Route(ip_network(line["prefix"]), tuple(sorted(hops, key=hop_order))))
    return tuple(routes)


def shown(text: str) -> frozenset[Prefix]:
    """What `show route` lists."""
    return frozenset(ip_network(line["prefix"]) for line in _SHOWN.finditer(text))


def patterns(config: str, folder: PurePath) -> tuple[str, ...]:
    """The absolute patterns, such as `/etc/bird/conf.d/*.conf`, of a bird.conf in a folder."""
    paths = [str(folder / line["path"]) for line in _INCLUDE.finditer(config)]
    return tuple(path for path in paths if _is_pattern(path))


def trial(config: str, folder: PurePath, ours: PurePath, other: PurePath, files: Sequence[PurePath]) -> str | None:
    """bird.conf (in a folder) as it would be with another file instead of ours; None if it does not include ours.

    All its includes become absolute, for the copy is elsewhere. `files` are those that patterns may stand for.
    """
    found = False

    def rewrite(line: re.Match[str]) -> str:
        nonlocal found
        path = str(folder / line["path"])
        matching = [str(file) for file in files if fnmatch(str(file), path)] if _is_pattern(path) else [path]
        included = []
        for each in matching:
            found |= each == str(ours)
            included.append(str(other) if each == str(ours) else each)
        return "\n".join(f'include "{each}";' for each in included)

    rewritten = _INCLUDE.sub(rewrite, config)
    return rewritten if found else None


def _is_pattern(path: str) -> bool:
    return any(sign in path for sign in "*?[")

"""The texts that the sink `bird` reads: our file, bird.conf and birdc's output. Pure.

read(text)         the routes of a file that we wrote, in the form of `routes export --format bird`
shown(text)        the prefixes in the output of `birdc show route`
patterns(config)   the patterns by which bird.conf includes files
trial(...)         bird.conf with another file in place of ours, for BIRD's parser to try

include "/etc/bird/dnsbridge.conf";     trial looks for these: an absolute path, a path relative to the folder of
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
# BIRD recognises an include only at the beginning of a line (conf/cf-lex.l).
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
    """The prefixes that `show route` lists."""
    return frozenset(ip_network(line["prefix"]) for line in _SHOWN.finditer(text))


def patterns(config: str, folder: PurePath) -> tuple[str, ...]:
    """The include patterns of a bird.conf in `folder`, made absolute: `/etc/bird/conf.d/*.conf`."""
    paths = [str(folder / line["path"]) for line in _INCLUDE.finditer(config)]
    return tuple(path for path in paths if _is_pattern(path))


def trial(config: str, folder: PurePath, ours: PurePath, other: PurePath, files: Sequence[PurePath]) -> str | None:
    """A bird.conf from `folder` with the file `other` in place of ours; None if it does not include ours.

    All includes become absolute, because the copy is elsewhere. `files` are the files that patterns may match.
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

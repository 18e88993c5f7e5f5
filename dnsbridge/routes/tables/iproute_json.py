"""The output of `ip -j route`, plain or pretty (`-p`), of either family: a JSON array of routes.

    [{"dst":"10.244.2.0/24","gateway":"10.0.0.6","dev":"eth0","protocol":"bird","flags":["onlink"]},
     {"type":"blackhole","dst":"10.244.1.0/26","protocol":"bird","flags":[]},
     {"dst":"10.1.0.0/16","via":{"family":"inet6","host":"fe80::2"},"dev":"eth0","flags":[]},
     {"dst":"10.96.0.0/12","flags":[],"nexthops":[{"gateway":"10.0.0.6","dev":"eth0","weight":1,"flags":["dead"]}]},
     {"dst":"10.244.6.0/24","encap":"ip","id":0,"src":"0.0.0.0","dst":"10.0.0.6","dev":"tun0","flags":[]}]

The last line is as iproute2 prints it: `dst` appears twice, first the destination, then the tunnel's far end.
"""

import json
import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from msgspec import Struct

from dnsbridge.cluster.excerpt import excerpt
from dnsbridge.routes.model import NextHop
from dnsbridge.routes.pictures.kernel_table import (
    DOWN,
    MAX_NEXT_HOPS,
    TYPES,
    WITHOUT_NEXT_HOP,
    TableRoute,
    UnfitLine,
    address_of,
    device_of,
    named,
    number_of,
    prefix_of,
    table_of,
    weight_of,
)

BEGINS = re.compile(r"[ \t]*\[\s*(?:\{|\])")
"""The start of the line that the array begins on."""
_GAP = re.compile(r"[\s,]*")

_Fields = dict[str, Any]


class Entry(Struct, frozen=True):
    """An element of the array: a route, or why it is not one."""

    line: int
    route: TableRoute | UnfitLine


class End(Struct, frozen=True):
    """Where the array ends, or cannot be read any further."""

    at: int
    """As a position in the text."""
    whole: bool


def entries(text: str, at: int, first: int) -> Iterator[Entry | End]:
    """The elements of the array that begins at a position, on line `first`; then the array's end."""
    at = text.index("[", at) + 1
    decoder = json.JSONDecoder(object_pairs_hook=_first_values)
    line, counted = first, at
    while True:
        gap = _GAP.match(text, at)
        at = gap.end() if gap else at
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] != "{":
            break
        try:
            said, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        try:
            yield Entry(line, _route(said, line))
        except UnfitLine as error:
            yield Entry(line, error)
    if text[at : at + 1] == "]":
        yield End(at + 1, whole=True)
    else:
        yield Entry(line, UnfitLine("expected what `ip -j route` prints; the JSON of this route is not whole"))
        yield End(at, whole=False)


def _first_values(pairs: list[tuple[str, Any]]) -> _Fields:
    """An object. A key that comes twice keeps its first value; the second `dst` becomes `remote`."""
    found: _Fields = {}
    for key, value in pairs:
        if key == "dst" and key in found:
            found["remote"] = value
        found.setdefault(key, value)
    return found


def _route(said: _Fields, line: int) -> TableRoute:
    kind = _text(said, "type") or "unicast"
    if kind not in TYPES:
        raise UnfitLine(f"type: expected a type of routes, got {excerpt(kind)}")
    hops = [hop for hop, _ in _hops(said)] if kind not in WITHOUT_NEXT_HOP else []
    down = [hop for hop, is_down in _hops(said) if is_down and hops]
    source = _text(said, "prefsrc")
    word = _text(said, "dst")
    if word == "default":
        near = source or next((str(hop.address) for hop in hops if hop.address), "::" if "pref" in said else "")
        prefix = ip_network("::/0" if ":" in near else "0.0.0.0/0")
    else:
        prefix = prefix_of(word)
    return TableRoute(
        line=line,
        prefix=prefix,
        type=kind,
        next_hops=tuple(hops),
        protocol=named(_text(said, "protocol"), "protocol"),
        scope=_text(said, "scope"),
        source=address_of(source, "prefsrc") if source else None,
        metric=number_of(_text(said, "metric") or "0", "metric"),
        table=table_of(_text(said, "table")),
        down=tuple(down),
        beyond="encap" in said or any("encap" in each for each in _list(said, "nexthops")),
    )


def _hops(said: _Fields) -> list[tuple[NextHop, bool]]:
    """The next hops, and whether each is down."""
    # A next hop of several has no destination of its own, so `dst` is the far end of its tunnel.
    several = [
        {**each, "remote": each.get("dst")} if each.get("encap") in ("ip", "ip6") else each
        for each in _list(said, "nexthops")
    ]
    if len(several) > MAX_NEXT_HOPS:
        raise UnfitLine(f"over {MAX_NEXT_HOPS} next hops of one route")
    return [
        (_hop(each), not DOWN.isdisjoint(map(str, each.get("flags") or ())))
        for each in several or [said]
        if "gateway" in each or "via" in each or "dev" in each
    ]


def _hop(said: _Fields) -> NextHop:
    via = said.get("via")
    address = _text(said, "gateway") or (_text(via, "host") if isinstance(via, dict) else "") or _text(said, "remote")
    return NextHop(
        address_of(address, "gateway") if address else None,
        device_of(_text(said, "dev")),
        weight_of(_text(said, "weight") or "1"),
    )


def _list(said: _Fields, key: str) -> list[_Fields]:
    found = said.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UnfitLine(f"{key}: expected a list of next hops")
    return found


def _text(said: _Fields, key: str) -> str:
    found = said.get(key, "")
    if not isinstance(found, str | int):
        raise UnfitLine(f"{key}: expected a text or a number")
    return str(found)[:200]

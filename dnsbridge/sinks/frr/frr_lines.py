"""The lines of FRR's configuration for static routes, and FRR's view of these routes. Pure.

    ip route 10.233.98.0/24 10.200.20.105 tag 83            one line for each next hop; lines of one prefix are ECMP
    ip route 10.233.98.0/24 10.200.20.105 eth0 tag 83       on a device
    ipv6 route fd00:98::/64 eth0 tag 83                     a device alone

A line is ours if it has our tag and no option that we never write (a distance, a table). Lines inside `vrf NAME` are
indented, and not ours. FRR 8 and later has no weights for static routes: the next hops of a prefix share equally.
"""

import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network

from msgspec import Struct

from dnsbridge.routes.model import NextHop, Prefix, Route, hop_order, in_order
from dnsbridge.routes.sink import Foreign, Held

_LINE = re.compile(r"^(?:ip|ipv6) route (?P<prefix>[0-9a-f.:]+/\d+) (?P<rest>.*)$")
_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]{0,14}")


class Unwritable(Exception):
    """Why a next hop cannot be written as a line, in a few words."""


def lines_of(route: Route, tag: int) -> list[str]:
    """The lines of a route. Raises Unwritable."""
    return [_line(route.prefix, hop, tag) for hop in route.next_hops]


def _line(prefix: Prefix, hop: NextHop, tag: int) -> str:
    # FRR takes any word that is no address for a device, and would read a device name with a space as two words.
    if hop.device and not _DEVICE.fullmatch(hop.device):
        raise Unwritable(f"FRR's lines cannot name the device {hop.device!r}")
    if hop.address and hop.address.version != prefix.version:
        raise Unwritable(f"FRR has no static IPv{prefix.version} route by an IPv{hop.address.version} next hop")
    family = "ipv6" if prefix.version == 6 else "ip"
    words = [family, "route", str(prefix), str(hop.address or ""), hop.device, "tag", str(tag)]
    return " ".join(word for word in words if word)


def read(config: str, tag: int) -> Held:
    """The static routes of a running configuration: our routes, and the first foreign line of each prefix."""
    own: dict[Prefix, list[NextHop]] = {}
    foreign: dict[Prefix, Foreign] = {}
    for text in config.splitlines():
        if not (line := _LINE.match(text)):
            continue
        prefix = ip_network(line["prefix"])
        hop = _own_hop(line["rest"].split(), tag)
        if hop:
            own.setdefault(prefix, []).append(hop)
        else:
            foreign.setdefault(prefix, Foreign(prefix, "FRR's configuration", text.strip()))
    routes = [Route(prefix, tuple(sorted(hops, key=hop_order))) for prefix, hops in own.items()]
    return Held(in_order(routes), tuple(foreign.values()))


def _own_hop(words: list[str], tag: int) -> NextHop | None:
    if len(words) < 3 or words[-2:] != ["tag", str(tag)]:
        return None
    match words[:-2]:
        case [address, device] if _is_address(address):
            return NextHop(ip_address(address), device)
        case [address] if _is_address(address):
            return NextHop(ip_address(address))
        case [device] if device not in ("Null0", "blackhole", "reject"):
            return NextHop(None, device)
    return None


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


class Used(Struct, frozen=True):
    """A static route that FRR uses."""

    prefix: Prefix
    hops: int
    """Number of next hops that packets are sent to."""


def used(shown: Iterable[str], tag: int) -> Iterator[Used]:
    """The routes in use, from the output of `show ip route static json` and `show ipv6 route static json`."""
    for text in shown:
        for prefix, entries in json.loads(text or "{}").items():
            for entry in entries:
                if entry.get("tag") == tag and entry.get("installed"):
                    yield Used(ip_network(prefix), sum(1 for hop in entry.get("nexthops", ()) if hop.get("fib")))

"""The text of `ip route` or `ip -6 route` (iproute2), as values.

    default via 10.200.20.21 dev bond0 onlink
    10.200.20.0/24 dev bond0 proto kernel scope link src 10.200.20.105
    blackhole 10.233.98.0/24 proto bird
    10.233.98.3 dev cali9832424c93e scope link
    10.233.110.0/24 via 10.200.20.107 dev bond0 proto bird
    10.96.0.0/12 proto bird
        nexthop via 10.200.20.106 dev bond0 weight 1
        nexthop via 10.200.20.107 dev bond0 weight 1

A line is a route, or, indented, one more next hop of the route above. The text is hostile: what is no table is refused
with the number of its line, in time and memory bounded by the text's length.
"""

import re
from ipaddress import ip_address, ip_network

from msgspec import Struct, structs

from dnsbridge.routes.model import IPAddress, NextHop, Prefix

MAX_ROUTES = 200_000
"""Of one table."""
MAX_LINE = 4096
"""Characters."""
MAX_NEXT_HOPS = 256
"""Of one route."""
MAX_WEIGHT = 256

TYPES = (
    *("unicast", "local", "broadcast", "multicast", "anycast", "throw", "unreachable", "prohibit", "blackhole", "nat"),
    "xresolve",
)
_FLAG_WORDS = """
    onlink pervasive dead linkdown offload offload_failed trap rt_offload rt_trap rt_offload_failed unresolved notify
    cloned cache redirected redirect nat
"""
_VALUE_WORDS = """
    via dev weight proto scope src metric preference table nhid error pref expires realm realms tos dsfield mtu advmss
    hoplimit initcwnd initrwnd rtt rttvar rto_min window cwnd ssthresh reordering quickack congctl features
    fastopen_no_cookie ttl-propagate users age uid iif oif from used cong ipid ts tsage hopcount
"""
_FLAGS = frozenset(_FLAG_WORDS.split())
_WITH_VALUE = frozenset(_VALUE_WORDS.split())
_NUMBER = re.compile(r"[0-9]{1,10}")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}")
_PREFIX = re.compile(r"[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}")
_DEVICE = re.compile(r"[^\s/]{1,15}(?:@[^\s/]{1,15})?")


class TableRoute(Struct, frozen=True):
    """One route of a kernel's table."""

    line: int
    """Where it stands, from 1."""
    prefix: Prefix
    type: str = "unicast"
    """`unicast`, `blackhole`, `local` ... (rtnetlink's RTN_*)."""
    next_hops: tuple[NextHop, ...] = ()
    """None for a blackhole and its likes."""
    protocol: str = ""
    """`kernel`, `bird`, `static`, a number ...; empty for what `ip route` does not show: boot."""
    scope: str = ""
    source: IPAddress | None = None
    """The address that packets get (`src`)."""
    metric: int = 0

    @property
    def is_default(self) -> bool:
        """Whether it is a default route."""
        return self.prefix.prefixlen == 0

    @property
    def text(self) -> str:
        """For people, the prefix and where it leads."""
        kind = "" if self.type == "unicast" else f"{self.type} "
        via = f" {self.next_hops[0]}" if self.next_hops else ""
        return f"{kind}{self.prefix}{via}{f' proto {self.protocol}' if self.protocol else ''}"


class Malformed(Struct, frozen=True):
    """A text that is no table."""

    line: int
    problem: str


class _WrongError(ValueError):
    pass


def parse(text: str) -> tuple[TableRoute, ...] | Malformed:
    """The routes of a text, in its order."""
    routes: list[TableRoute] = []
    number = 0
    for number, line in enumerate(text.split("\n"), 1):
        words = line[: MAX_LINE + 1].split()
        if not words:
            continue
        try:
            if len(line) > MAX_LINE:
                raise _WrongError(f"over {MAX_LINE} characters")
            if words[0] == "nexthop":
                _add_hop(routes, words)
            elif len(routes) >= MAX_ROUTES:
                raise _WrongError(f"over {MAX_ROUTES} routes")
            else:
                routes.append(_route(words, number))
        except _WrongError as error:
            return Malformed(number, str(error))
    return tuple(routes)


def _add_hop(routes: list[TableRoute], words: list[str]) -> None:
    if not routes:
        raise _WrongError("a next hop without a route above it")
    route = routes[-1]
    if len(route.next_hops) >= MAX_NEXT_HOPS:
        raise _WrongError(f"over {MAX_NEXT_HOPS} next hops of one route")
    fields = _fields(words[1:])
    routes[-1] = structs.replace(route, next_hops=(*route.next_hops, _hop(fields, route.prefix.version)))


def _route(words: list[str], number: int) -> TableRoute:
    kind = "unicast"
    if words[0] in TYPES:
        kind, words = words[0], words[1:]
    if not words:
        raise _WrongError("expected a destination")
    fields = _fields(words[1:])
    prefix = _destination(words[0], fields)
    hops = (_hop(fields, prefix.version),) if "via" in fields or "dev" in fields else ()
    if hops and kind in ("blackhole", "unreachable", "prohibit", "throw"):
        hops = ()  # IPv6 shows them on the loopback device
    protocol = fields.get("proto", "")
    if not protocol.isprintable():  # people are shown it, and a device's name
        raise _WrongError(f"proto: expected a protocol's name, got {protocol[:60]!a}")
    metric = fields.get("metric", "0")
    if not _NUMBER.fullmatch(metric):
        raise _WrongError(f"metric: expected a number, got {metric[:60]!a}")
    source = fields.get("src")
    return TableRoute(
        line=number,
        prefix=prefix,
        type=kind,
        next_hops=hops,
        protocol=protocol,
        scope=fields.get("scope", ""),
        source=_address(source, "src") if source else None,
        metric=int(metric),
    )


def _destination(word: str, fields: dict[str, str]) -> Prefix:
    if word in ("default", "all", "any"):
        near = fields.get("via") or fields.get("src") or ("::" if "pref" in fields else "")
        return ip_network("::/0" if ":" in near else "0.0.0.0/0")
    try:
        if _PREFIX.fullmatch(word) or _ADDRESS.fullmatch(word):
            return ip_network(word)
    except ValueError:
        pass
    raise _WrongError(f"expected a destination such as 10.233.98.0/24, got {word[:60]!a}")


def _fields(words: list[str]) -> dict[str, str]:
    """The words after a destination, as `ip` prints them: flags, and names with a value."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word in _FLAGS or word.strip("[]") in _FLAGS:
            continue
        if word in _WITH_VALUE:
            value = next(rest, "")
            if word == "via" and value in ("inet", "inet6"):
                value = next(rest, "")
            if word == "mtu" and value == "lock":
                value = next(rest, "")
            if not value:
                raise _WrongError(f"{word}: a value is missing")
            found.setdefault(word, value)
        elif word == "encap":
            break  # a tunnel made by the route itself: what follows describes it, and no cluster's network uses it
        else:
            raise _WrongError(f"expected what `ip route` prints, got {word[:60]!a}")
    return found


def _hop(fields: dict[str, str], version: int) -> NextHop:
    weight = fields.get("weight", "1")
    if not _NUMBER.fullmatch(weight) or not 1 <= int(weight) <= MAX_WEIGHT:
        raise _WrongError(f"weight: expected a number from 1 to {MAX_WEIGHT}, got {weight[:60]!a}")
    device = fields.get("dev", "")
    if device and not (_DEVICE.fullmatch(device) and device.isprintable()):
        raise _WrongError(f"dev: expected an interface's name, got {device[:60]!a}")
    via = fields.get("via")
    return NextHop(_address(via, "via") if via else None, device, int(weight))


def _address(text: str, where: str) -> IPAddress:
    try:
        if _ADDRESS.fullmatch(text):
            return ip_address(text)
    except ValueError:
        pass
    raise _WrongError(f"{where}: expected an address, got {text[:60]!a}")

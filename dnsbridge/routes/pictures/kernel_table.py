"""A line of `ip route` or `ip -6 route` (iproute2), as a route.

    default via 10.200.20.21 dev bond0 onlink
    10.200.20.0/24 dev bond0 proto kernel scope link src 10.200.20.105
    blackhole 10.233.98.0/24 proto bird
    10.233.98.3 dev cali9832424c93e scope link
    10.233.110.0/24 via 10.200.20.107 dev bond0 proto bird
    10.244.6.0/24 encap ip id 0 src 0.0.0.0 dst 10.200.20.6 ttl 0 tos 0 dev tun0
    10.96.0.0/12 proto bird
        nexthop via 10.200.20.106 dev bond0 weight 1
        nexthop via 10.200.20.107 dev bond0 weight 1

A line is a route, or one more next hop of the route above. The text is hostile: any other line is refused with the
reason. The other forms of a table are in routes.tables, which reads whole texts.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from msgspec import Struct, structs

from dnsbridge.cluster.excerpt import excerpt
from dnsbridge.routes.model import IPAddress, NextHop, Prefix

MAX_NEXT_HOPS = 256
"""Of one route."""
MAX_WEIGHT = 256
MAX_REMARK = 60
"""Characters."""

TYPES = (
    *("unicast", "local", "broadcast", "multicast", "anycast", "throw", "unreachable", "prohibit", "blackhole", "nat"),
    "xresolve",
)
WITHOUT_NEXT_HOP = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
"""Types that lead nowhere; IPv6 shows them on the loopback device."""
DOWN = frozenset({"dead", "linkdown"})
"""Flags of a next hop that the kernel does not use, or whose link has no carrier."""
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
_REMARK = re.compile(r"#|//|;|<|--|->|=>|\(|[\u2190-\u21ff\u27f0-\u27ff]")
"""The start of a remark that people wrote after a route: a comment, an arrow, a parenthesis."""
_NUMBER = re.compile(r"[0-9]{1,10}")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}")
_PREFIX = re.compile(r"[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}")
_DEVICE = re.compile(r"[^\s/]{1,15}(?:@[^\s/]{1,15})?")


class UnfitLine(ValueError):
    """Why a line is not a route."""


class TableRoute(Struct, frozen=True):
    """One route of a kernel's table."""

    line: int
    """The line's number, from 1."""
    prefix: Prefix
    type: str = "unicast"
    """`unicast`, `blackhole`, `local` ... (rtnetlink's RTN_*)."""
    next_hops: tuple[NextHop, ...] = ()
    """Empty for a blackhole and the like."""
    protocol: str = ""
    """`kernel`, `bird`, `static`, a number ...; empty: boot, which `ip route` does not show, or unknown."""
    scope: str = ""
    source: IPAddress | None = None
    """The source address that packets get (`src`)."""
    metric: int = 0
    table: str = ""
    """The routing table, where named and not the main one."""
    down: tuple[NextHop, ...] = ()
    """The next hops that are dead, or whose link is down."""
    beyond: bool = False
    """Whether it leads beyond its link by a tunnel of its own (`encap`), or by a next hop that is not shown."""
    remark: str = ""
    """What somebody wrote after the route."""

    @property
    def is_default(self) -> bool:
        """Whether it is a default route."""
        return self.prefix.prefixlen == 0

    @property
    def text(self) -> str:
        """For people, the prefix and where it leads."""
        kind = "" if self.type == "unicast" else f"{self.type} "
        via = f" {self.next_hops[0]}" if self.next_hops else ""
        remark = f" ({self.remark})" if self.remark else ""
        return f"{kind}{self.prefix}{via}{f' proto {self.protocol}' if self.protocol else ''}{remark}"


def route_of(words: Sequence[str], number: int) -> TableRoute:
    """The route of a line's words. Raises UnfitLine."""
    kind = "unicast"
    if words[0] in TYPES:
        kind, words = words[0], words[1:]
    if not words:
        raise UnfitLine("expected a destination")
    fields = _fields(words[1:])
    prefix = _destination(words[0], fields)
    hops = (_hop(fields, prefix.version),) if "via" in fields or "dev" in fields else ()
    if kind in WITHOUT_NEXT_HOP:
        hops = ()
    source = fields.get("src")
    return TableRoute(
        line=number,
        prefix=prefix,
        type=kind,
        next_hops=hops,
        protocol=named(fields.get("proto", ""), "proto"),
        scope=fields.get("scope", ""),
        source=address_of(source, "src") if source else None,
        metric=number_of(fields.get("metric", "0"), "metric"),
        table=table_of(fields.get("table", "")),
        down=hops if "down" in fields else (),
        beyond="encap" in fields,
        remark=fields.get("remark", ""),
    )


def with_next_hop(route: TableRoute, words: Sequence[str]) -> TableRoute:
    """A route with one more next hop, from the words of a line that begins with `nexthop`. Raises UnfitLine."""
    if len(route.next_hops) >= MAX_NEXT_HOPS:
        raise UnfitLine(f"over {MAX_NEXT_HOPS} next hops of one route")
    fields = _fields(words[1:])
    hop = _hop(fields, route.prefix.version)
    down = (*route.down, hop) if "down" in fields else route.down
    beyond = route.beyond or "encap" in fields
    return structs.replace(route, next_hops=(*route.next_hops, hop), down=down, beyond=beyond)


def _destination(word: str, fields: dict[str, str]) -> Prefix:
    if word in ("default", "all", "any"):
        near = fields.get("via") or fields.get("src") or ("::" if "pref" in fields else "")
        return ip_network("::/0" if ":" in near else "0.0.0.0/0")
    return prefix_of(word)


def _fields(words: Sequence[str]) -> dict[str, str]:
    """The words after a destination, as `ip` prints them: flags, and names with a value; then a remark.

    The keys are the names that `ip` uses, and `down`, `encap`, `remote` and `remark`.
    """
    found: dict[str, str] = {}
    rest = iter(enumerate(words))
    for at, word in rest:
        if word in _FLAGS or word.strip("[]") in _FLAGS:
            if word in DOWN:
                found["down"] = word
        elif word in _WITH_VALUE:
            _, value = next(rest, (at, ""))
            if word == "via" and value in ("inet", "inet6"):
                _, value = next(rest, (at, ""))
            if word == "mtu" and value == "lock":
                _, value = next(rest, (at, ""))
            if not value:
                raise UnfitLine(f"{word}: a value is missing")
            found.setdefault(word, value)
        elif word == "encap" and "encap" not in found:
            ends, said = _encapsulation(words[at + 1 :])
            found |= said
            for _ in range(ends):
                next(rest)
        elif _REMARK.match(word):
            found["remark"] = remark_of(words[at:])
            break
        else:
            raise UnfitLine(f"expected what `ip route` prints, got {excerpt(word)}")
    if "remote" in found:
        found.setdefault("via", found["remote"])
    return found


def _encapsulation(words: Sequence[str]) -> tuple[int, dict[str, str]]:
    """The number of words, up to the next hop, that describe a route's tunnel; and where an IP tunnel leads."""
    ends = next((at for at, word in enumerate(words) if word in ("via", "dev")), len(words))
    if not ends:
        raise UnfitLine("encap: a value is missing")
    said = {"encap": words[0]}
    inside = list(words[1:ends])
    if words[0] in ("ip", "ip6") and "dst" in inside[:-1]:
        said["remote"] = inside[inside.index("dst") + 1]
    return ends, said


def _hop(fields: dict[str, str], version: int) -> NextHop:
    via = fields.get("via")
    return NextHop(
        address_of(via, "via") if via else None, device_of(fields.get("dev", "")), weight_of(fields.get("weight", "1"))
    )


def prefix_of(word: str) -> Prefix:
    """A destination. Raises UnfitLine."""
    try:
        if _PREFIX.fullmatch(word) or _ADDRESS.fullmatch(word):
            return ip_network(word)
    except ValueError:
        pass
    raise UnfitLine(f"expected a destination such as 10.233.98.0/24, got {excerpt(word)}")


def address_of(text: str, where: str) -> IPAddress:
    """An address. Raises UnfitLine."""
    try:
        if _ADDRESS.fullmatch(text):
            return ip_address(text)
    except ValueError:
        pass
    raise UnfitLine(f"{where}: expected an address, got {excerpt(text)}")


def device_of(text: str) -> str:
    """An interface's name, fit to be shown to people; it may be empty. Raises UnfitLine."""
    if text and not (_DEVICE.fullmatch(text) and text.isprintable()):
        raise UnfitLine(f"dev: expected an interface's name, got {excerpt(text)}")
    return text


def weight_of(text: str) -> int:
    """The weight of a next hop. Raises UnfitLine."""
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MAX_WEIGHT:
        raise UnfitLine(f"weight: expected a number from 1 to {MAX_WEIGHT}, got {excerpt(text)}")
    return int(text)


def number_of(text: str, where: str) -> int:
    """A number of up to ten digits. Raises UnfitLine."""
    if not _NUMBER.fullmatch(text):
        raise UnfitLine(f"{where}: expected a number, got {excerpt(text)}")
    return int(text)


def named(text: str, where: str) -> str:
    """A name, fit to be shown to people. Raises UnfitLine."""
    if not text.isprintable() or len(text) > MAX_REMARK:
        raise UnfitLine(f"{where}: expected a protocol's name, got {excerpt(text)}")
    return text


def table_of(text: str) -> str:
    """The name of a routing table, empty for the main one. Raises UnfitLine."""
    return "" if text in ("main", "254") else named(text, "table")


def remark_of(words: Sequence[str]) -> str:
    """What somebody wrote after a route, without the leading sign, and fit to be shown to people."""
    text = " ".join(words)[: 4 * MAX_REMARK].strip("#/;<>-=() \u2190\u2192\u21d0\u21d2\u27f5")
    return "".join(each for each in text if each.isprintable())[:MAX_REMARK].strip()

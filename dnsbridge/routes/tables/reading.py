"""A saved text of a host's routes or of Calico's data, as values; the form of each line is recognised.

    Text     routes by host, objects of Calico, and the lines that were left out, with the reason
    Refused  why nothing in a text can be used

A text may mix forms and hosts: the lines after another host's prompt are another host's table. An unusable line is
reported with its number, and the other lines still count. The text is hostile: its length bounds time and memory, and
MAX_LEFT_OUT bounds the report.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from dnsbridge.cluster.decode import Flawed
from dnsbridge.cluster.excerpt import excerpt
from dnsbridge.cluster.objects import Object
from dnsbridge.routes.model import IPAddress
from dnsbridge.routes.pictures import kernel_table
from dnsbridge.routes.pictures.kernel_table import TableRoute, UnfitLine
from dnsbridge.routes.tables import etcd_keys, ipam_show, iproute_json, net_tools
from dnsbridge.routes.tables.lines import LINE_END, Line, heading, is_comment, is_destination, lines, plain

FORMS = (
    "`ip route` (also -6, -d, -j), `route -n`, `netstat -rn`, `etcdctl get /calico --prefix --keys-only`, `calicoctl "
    "ipam show --show-blocks`, `calicoctl get nodes,ippools,blockaffinities -o yaml`"
)
MAX_ROUTES = 200_000
"""Of one text."""
MAX_OBJECTS = 100_000
"""Blocks, pools and nodes of one text."""
MAX_LINE = 4096
"""Characters, except for the values of etcd's keys."""
MAX_LEFT_OUT = 20
"""Lines that are reported one by one."""
MAX_BAD = 20_000
"""Unusable lines beyond these: with more, a text is none of the forms."""
_MAX_HOSTS = 1000
_MAX_BROKEN = 20
"""JSON arrays that are not whole; each may cost a scan of the whole text."""


class LeftOut(Struct, frozen=True):
    """An unusable line."""

    line: int
    problem: str
    is_route: bool
    """Whether it begins like a route, so that a route is missing."""


class HostRoutes(Struct):
    """The table of one host."""

    host: str
    """From the prompt above the table; empty where none names it."""
    routes: list[TableRoute]


class Text(Struct):
    """The content of a text."""

    hosts: list[HostRoutes]
    objects: list[Object]
    left_out: list[LeftOut]
    more_left_out: int = 0
    """Lines left out beyond MAX_LEFT_OUT."""
    more_routes_left_out: int = 0
    """The lines among these that begin like a route."""
    other_keys: int = 0
    """etcd's keys that say nothing about blocks."""


class Refused(Struct, frozen=True):
    """Why a text is of no use, and where."""

    line: int
    """0: nowhere in particular."""
    problem: str


def read(text: str) -> Text | Refused:
    """The routes and blocks of a text, or why it is of no use."""
    reader = _Reader(text)
    try:
        reader.take_all()
    except _TooMuchError as error:
        return Refused(error.args[0], error.args[1])
    found = reader.found
    found.hosts = [each for each in found.hosts if each.routes]
    if found.hosts or found.objects:
        return found
    if found.left_out:
        first = found.left_out[0]
        return Refused(first.line, first.problem)
    return Refused(0, "no block of Calico among these keys" if found.other_keys else "holds no route")


class _TooMuchError(Exception):
    """The line, and what there is too much of."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.found = Text([HostRoutes("", [])], [], [])
        self._text = text
        self._mss = False
        self._key = ""
        """etcd's key on the line above, whose value may follow."""
        self._broken = 0
        self._routes = 0
        self._open = False
        """Whether a `nexthop` belongs to the last route."""
        self._pasted_at = 0
        """The number of this host's routes at the last prompt or comment."""
        self._links: dict[object, IPAddress] = {}
        """This host's own address on each of its links."""

    def take_all(self) -> None:
        skip_to = number = 0
        for line in lines(self._text):
            number = line.number
            if line.at < skip_to:
                continue
            try:
                skip_to = self._take(line)
            except UnfitLine as error:
                self._leave_out(number, str(error), self._begins_as_route(line))
        self._take_key(number + 1)

    def _take(self, line: Line) -> int:
        """Take one line or several; return where the next line begins."""
        text = self._text
        if self._key and text.startswith("{", line.at):
            self._take_value(line)
            return line.next
        self._take_key(line.number)
        if self._broken < _MAX_BROKEN and iproute_json.BEGINS.match(text, line.at, line.at + MAX_LINE):
            return self._take_array(line)
        if line.end - line.at > MAX_LINE:
            raise UnfitLine(f"over {MAX_LINE} characters")
        words = plain(text[line.at : line.end])
        if words:
            self._take_words(words, line.number)
        return line.next

    def _take_words(self, line: str, number: int) -> None:
        words = line.split(" ")
        if is_comment(line):
            self._pasted_at = len(self.found.hosts[-1].routes)
        elif net_tools.is_heading(words):
            self._mss = "MSS" in words and "Metric" not in words
        elif net_tools.is_row(words):
            self._add(net_tools.row(words, number, self._mss))
        elif net_tools.is_row6(words):
            self._add(net_tools.row6(words, number))
        elif words[0] == "nexthop":
            self._take_next_hop(words)
        elif is_destination(words[0]):
            self._open = False
            self._add(kernel_table.route_of(words, number))
            self._open = True
        elif line.startswith("|") and (obj := ipam_show.row(line)):
            self._add_object(obj, number)
        elif len(words) == 1 and etcd_keys.is_key(line):
            self._key = line
        elif not ipam_show.is_frame(line):
            host = heading(line)
            if host is None:
                raise UnfitLine(f"expected a route, a key of etcd or a prompt, got {excerpt(line)}")
            self._turn_to(host)

    def _take_next_hop(self, words: Sequence[str]) -> None:
        routes = self.found.hosts[-1].routes
        if not (self._open and routes):
            raise UnfitLine("a next hop without a route above it")
        routes[-1] = kernel_table.with_next_hop(routes[-1], words)

    def _take_array(self, line: Line) -> int:
        self._open = False
        for each in iproute_json.entries(self._text, line.at, line.number):
            if isinstance(each, iproute_json.End):
                self._broken += not each.whole
                rest = LINE_END.search(self._text, each.at)  # the rest of the array's last line is not read
                return rest.end() if rest else len(self._text) + 1
            if isinstance(each.route, UnfitLine):
                self._leave_out(each.line, str(each.route), is_route=True)
            else:
                self._add(each.route)
        return line.next

    def _take_key(self, number: int) -> None:
        """Take the key of the line above, which has no value."""
        key, self._key = self._key, ""
        if key:
            self._add_key(key, "", number - 1)

    def _take_value(self, line: Line) -> None:
        key, self._key = self._key, ""
        if line.end - line.at > etcd_keys.MAX_VALUE:
            self._leave_out(line.number, f"over {etcd_keys.MAX_VALUE} characters", is_route=True)
        else:
            self._add_key(key, self._text[line.at : line.end], line.number)

    def _add_key(self, key: str, value: str, number: int) -> None:
        try:
            obj = etcd_keys.object_of(key, value)
        except UnfitLine as error:
            self._leave_out(number, str(error), is_route=True)
            return
        if isinstance(obj, Flawed):
            for flaw in obj.flaws:
                self._leave_out(number, str(flaw), is_route=False)
            obj = obj.object
        if obj:
            self._add_object(obj, number)
        elif not etcd_keys.says(key):
            self.found.other_keys += 1

    def _add(self, route: TableRoute) -> None:
        if self._routes >= MAX_ROUTES:
            raise _TooMuchError(route.line, f"over {MAX_ROUTES} routes")
        self._routes += 1
        routes = self.found.hosts[-1].routes
        if routes and (merged := _with_more_hops(routes[-1], route)):
            routes[-1] = merged
            return
        routes.append(route)
        if route.source and route.next_hops and not route.next_hops[0].address:
            link = (route.prefix, route.next_hops[0].device, route.metric)
            if self._links.setdefault(link, route.source) != route.source:
                self._split()
                self._links[link] = route.source

    def _split(self) -> None:
        """Give the routes since the last prompt or comment to another host: its address on the link differs."""
        routes = self.found.hosts[-1].routes
        at = self._pasted_at
        if not at:
            route = routes.pop()
            raise UnfitLine(
                f"{route.prefix} is there twice with two addresses: put a prompt or a comment between hosts"
            )
        self._begin(HostRoutes("", routes[at:]))
        del routes[at:]

    def _begin(self, host: HostRoutes) -> None:
        if len(self.found.hosts) >= _MAX_HOSTS:
            raise _TooMuchError(0, f"over {_MAX_HOSTS} hosts in one text")  # the rest would go to the wrong host
        self.found.hosts.append(host)
        self._links, self._pasted_at = {}, 0

    def _add_object(self, obj: Object, number: int) -> None:
        if len(self.found.objects) >= MAX_OBJECTS:
            raise _TooMuchError(number, f"over {MAX_OBJECTS} blocks")
        self.found.objects.append(obj)

    def _turn_to(self, host: str) -> None:
        """The lines that follow are this host's; without a name, the same host's as before."""
        self._open, self._mss = False, False
        hosts = self.found.hosts
        self._pasted_at = len(hosts[-1].routes)
        if not host or host == hosts[-1].host:
            return
        known = next((at for at, each in enumerate(hosts) if each.host == host), None)
        if known is not None:
            hosts.append(hosts.pop(known))
            self._links, self._pasted_at = {}, len(hosts[-1].routes)
        elif not hosts[-1].host and not hosts[-1].routes:
            hosts[-1].host = host
        else:
            self._begin(HostRoutes(host, []))

    def _begins_as_route(self, line: Line) -> bool:
        words = plain(self._text[line.at : min(line.end, line.at + MAX_LINE)]).split(" ")
        return is_destination(words[0]) or net_tools.is_row(words)

    def _leave_out(self, number: int, problem: str, is_route: bool) -> None:
        if len(self.found.left_out) < MAX_LEFT_OUT:
            self.found.left_out.append(LeftOut(number, problem, is_route))
        else:
            self.found.more_left_out += 1
            if self.found.more_left_out > MAX_BAD:
                first = self.found.left_out[0]
                raise _TooMuchError(first.line, f"{first.problem}, and over {MAX_BAD} lines like it")
            self.found.more_routes_left_out += is_route


def _with_more_hops(last: TableRoute, route: TableRoute) -> TableRoute | None:
    """The last route with this one's next hops, where both are one route: some print each IPv6 next hop apart."""
    if last.prefix != route.prefix or route.prefix.version == 4 or not (last.next_hops and route.next_hops):
        return None
    hops = last.next_hops + route.next_hops
    same = (last.type, last.metric, last.protocol, last.table) == (
        route.type,
        route.metric,
        route.protocol,
        route.table,
    )
    if not same or len(hops) > kernel_table.MAX_NEXT_HOPS or not all(hop.address for hop in hops):
        return None
    return structs.replace(last, next_hops=tuple(dict.fromkeys(hops)), down=last.down + route.down)

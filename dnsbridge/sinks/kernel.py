"""The sink `kernel`: this host's routing table.

    ours       unicast routes with our protocol number in our table (linux/rtnetlink.h: rtm_protocol, rtm_table), from
               any run: a crash leaves routes behind, and the next start finds them by that mark
    foreign    all other routes in that table. The sink never sets a prefix that has a foreign route, at any metric

The table is read when there is work to do, and again only after an event says that somebody else has changed it.
Changes are sent BATCH at a time; a change that the kernel refuses is a Failure, and the others are made.
"""

import asyncio
import errno
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct, field

from dnsbridge.errors import of_system
from dnsbridge.netlink import words
from dnsbridge.netlink.netlink_socket import BATCH, NetlinkSocket, Refused, RouteEvents
from dnsbridge.netlink.rtnetlink import RTN_UNICAST, Does, NoDevice, read_route, request
from dnsbridge.routes.model import Failure, Prefix, Reached, Route, changes, in_order
from dnsbridge.routes.plan import Add, Change, Plan, Remove, Step, make_plan, same_way
from dnsbridge.routes.sink import Foreign, Held, SinkProblem

MAIN = 254
PROTOCOL = 83
_CAP_NET_ADMIN = 12
"""Its bit in CapEff (capabilities(7))."""
_IPV6_METRIC = 1024
"""The metric of an IPv6 route that is set without one (IP6_RT_PRIO_USER)."""


class _Own(Struct, frozen=True):
    """A route of ours, as read."""

    route: Route
    metric: int


class _Theirs(Struct, frozen=True):
    """A foreign route, as read."""

    foreign: Foreign
    metric: int


class _Table(Struct):
    """The known state of the table."""

    own: dict[Prefix, Route]
    foreign: dict[Prefix, Foreign]
    beside: set[Prefix] = field(default_factory=set)
    """Prefixes that have a foreign route at our metric: replacing ours could replace the foreign route."""
    old: list[_Own] = field(default_factory=list)
    """Our routes at another metric than the one configured now."""
    applied: tuple[Route, ...] = ()
    """The set last applied; each of its routes is in `own` or in `conflicts`."""
    conflicts: tuple[Route, ...] = ()
    known: bool = False
    """Whether `applied` holds for this table."""

    def held(self) -> Held:
        outdated = {each.route.prefix: each.route for each in self.old if each.route.prefix not in self.own}
        own = in_order([*self.own.values(), *outdated.values()])
        return Held(own, tuple(self.foreign.values()), tuple(outdated))

    def plan(self, routes: Sequence[Route]) -> Plan:
        """The plan for a wanted set; routes applied before are not compared again."""
        if not self.known or self.old:
            return make_plan(self.held(), routes)
        changed = changes(self.applied, routes)
        touched = {route.prefix for route in (*changed.gone, *changed.come)}
        fresh = [*changed.come, *(route for route in self.conflicts if route.prefix not in touched)]
        touched.update(route.prefix for route in fresh)
        own = tuple([self.own[prefix] for prefix in touched if prefix in self.own])
        return make_plan(Held(own, tuple([self.foreign[each] for each in touched if each in self.foreign])), fresh)


class KernelSink:
    """The routes of one table that carry our protocol number. One call runs at a time."""

    name = "kernel"
    exclusive = False

    def __init__(self, table: int = MAIN, protocol: int = PROTOCOL, metric: int = 0) -> None:
        self._table = table
        self._protocol = protocol
        self._metrics = {4: metric, 6: metric or _IPV6_METRIC}
        self._netlink: NetlinkSocket | None = None
        self._events: RouteEvents | None = None
        self._state: _Table | None = None
        self._read: dict[bytes, _Own | _Theirs | None] = {}
        self._devices: dict[int, str] = {}
        self._turn = asyncio.Lock()

    async def held(self) -> Held:
        """The routes of the table. Raises SinkProblem."""
        async with self._turn:
            return self._current().held()

    async def apply(self, routes: Sequence[Route]) -> Reached:
        """Make these our only routes in the table. Raises SinkProblem, with nothing changed."""
        async with self._turn:
            if not may_change_routes():
                raise SinkProblem(
                    "sink kernel: changing routes needs the capability CAP_NET_ADMIN; run it as root, or with"
                    " AmbientCapabilities=CAP_NET_ADMIN in its systemd unit; nothing was changed"
                )
            state = self._current()
            plan = state.plan(routes)
            failures = [Failure(route.prefix, words.in_the_way(other), conflict=True) for route, other in plan.conflict]
            refused = await self._execute(state, plan)
            if refused:
                failures += refused
                state = self._current(anew=True)
            state.applied, state.known = tuple(routes), not refused
            state.conflicts = tuple([route for route, _ in plan.conflict])
            return _reached(state, routes, failures)

    async def withdraw(self) -> Reached:
        """Remove all our routes from the table. Raises SinkProblem."""
        return await self.apply(())

    async def close(self) -> None:
        """Close the sockets; the routes stay."""
        for opened in (self._netlink, self._events):
            if opened:
                opened.close()
        self._netlink = self._events = self._state = None

    def fileno(self) -> int:
        """A descriptor, readable when somebody may have changed the table: then call `touched`. Raises SinkProblem."""
        self._open()
        assert self._events
        return self._events.fileno()

    def touched(self) -> bool:
        """Take the pending events. Returns whether the table must be read again."""
        if self._events is None:
            return True
        if self._events.drain():
            self._state = None
        return self._state is None

    def _open(self) -> NetlinkSocket:
        if self._netlink is None:
            try:
                self._netlink = NetlinkSocket()
                self._events = RouteEvents(self._table, self._netlink.port)
            except OSError as error:
                raise _unusable(error) from None
        return self._netlink

    def _current(self, anew: bool = False) -> _Table:
        """The table as it is now."""
        netlink = self._open()
        if not anew and not self.touched() and self._state is not None:
            return self._state
        try:
            found = [body for version in (4, 6) for body in netlink.dump(version, self._table)]
        except OSError as error:
            raise _unusable(error) from None
        self._state = self._sorted_out(found)
        return self._state

    def _sorted_out(self, found: Iterable[bytes]) -> _Table:
        # Most messages are octet for octet those of the last dump; they are decoded again only if interfaces changed.
        devices = dict(socket.if_nameindex())
        known = self._read if devices == self._devices else {}
        self._devices = devices
        self._read = {body: known[body] if body in known else self._read_one(body) for body in found}
        table = _Table({}, {})
        for each in self._read.values():
            if isinstance(each, _Theirs):
                prefix = each.foreign.prefix
                table.foreign.setdefault(prefix, each.foreign)
                if each.metric == self._metrics[prefix.version]:
                    table.beside.add(prefix)
            elif each is None:
                continue
            elif each.metric == self._metrics[each.route.prefix.version]:
                table.own[each.route.prefix] = each.route
            else:
                table.old.append(each)
        return table

    def _read_one(self, body: bytes) -> _Own | _Theirs | None:
        route = read_route(body, lambda index: self._devices.get(index, f"if{index}"))
        if route is None or route.table != self._table:
            return None
        if route.protocol == self._protocol and route.type == RTN_UNICAST and route.plain:
            return _Own(route.route, route.metric)
        return _Theirs(words.foreign(route), route.metric)

    async def _execute(self, state: _Table, plan: Plan) -> list[Failure]:
        """Carry out a plan, and record the changes made in the state. Returns the failures."""
        failures: list[Failure] = []
        waiting: list[tuple[int, Step, bytes]] = []
        for step in plan.steps():
            if isinstance(step, Change):
                prefix = step.new.prefix
                if prefix in state.beside:
                    failures.append(Failure(prefix, words.in_the_way(state.foreign[prefix]), conflict=True))
                    continue
                if prefix not in state.own:  # it is there at another metric, and that one is removed below
                    step = Add(step.new)  # noqa: PLW2901  the same step, in the kernel's terms
            try:
                waiting.append(self._message(step))
            except NoDevice as error:
                failures.append(Failure(_of(step).prefix, words.no_device(str(error))))
                continue
            except ValueError as error:
                failures.append(Failure(_of(step).prefix, str(error)))
                continue
            if len(waiting) == BATCH:
                failures += self._send(state, waiting)
                waiting = []
                await asyncio.sleep(0)
        failures += self._send(state, waiting)
        failed = {failure.prefix for failure in failures}
        old = [each for each in state.old if each.route.prefix not in failed]
        for start in range(0, len(old), BATCH):
            removals = [self._message(Remove(each.route), each.metric) for each in old[start : start + BATCH]]
            failures += self._send(state, removals)
        state.old = [each for each in state.old if each.route.prefix in failed]
        return failures

    def _message(self, step: Step, metric: int | None = None) -> tuple[int, Step, bytes]:
        netlink = self._open()
        does = {Add: Does.ADD, Change: Does.REPLACE, Remove: Does.REMOVE}[type(step)]
        route, sequence = _of(step), netlink.next_sequence()
        metric = self._metrics[route.prefix.version] if metric is None else metric
        return sequence, step, request(does, route, self._table, self._protocol, metric, sequence, _device_index)

    def _send(self, state: _Table, waiting: Sequence[tuple[int, Step, bytes]]) -> list[Failure]:
        try:
            refused = self._open().send([message for _, _, message in waiting])
        except OSError as error:
            self._state = None
            raise _unusable(error) from None
        if any(why.errno == errno.EPERM for why in refused.values()):
            # This thread has the capability, but not in the user namespace that owns this network namespace.
            raise SinkProblem("sink kernel: no CAP_NET_ADMIN for this network namespace (user_namespaces(7))")
        failures = []
        for sequence, step, _ in waiting:
            why = refused.get(sequence)
            if why is not None and not (isinstance(step, Remove) and why.errno == errno.ESRCH):
                failures.append(self._failure(step, why))
            elif isinstance(step, Remove):
                state.own.pop(step.route.prefix, None)
            else:
                state.own[_of(step).prefix] = _of(step)
        return failures

    def _failure(self, step: Step, why: Refused) -> Failure:
        route = _of(step)
        text = words.not_removed(route.prefix, why) if isinstance(step, Remove) else words.refused(route, why)
        return Failure(route.prefix, text)


def _of(step: Step) -> Route:
    return step.new if isinstance(step, Change) else step.route


def _device_index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except (OSError, ValueError):
        raise NoDevice(name) from None


def _reached(state: _Table, routes: Sequence[Route], failures: list[Failure]) -> Reached:
    """The routes of ours that the table holds now; a failed route that is there all the same is no failure."""
    if not failures:
        return Reached(tuple(routes))
    failed = {failure.prefix: failure for failure in failures}
    kept = []
    for route in routes:
        have = state.own.get(route.prefix)
        if route.prefix not in failed or (have and same_way(have, route)):
            failed.pop(route.prefix, None)
            kept.append(route)
        elif have:
            kept.append(have)
    wanted = {route.prefix for route in routes}
    kept += [state.own[prefix] for prefix in failed if prefix not in wanted and prefix in state.own]
    left = [failure for failure in failures if failed.get(failure.prefix) is failure]
    return Reached(in_order(kept), tuple([_better(state, failure) for failure in left]))


def _better(state: _Table, failure: Failure) -> Failure:
    """The failure, naming the foreign route if one has come in between."""
    other = state.foreign.get(failure.prefix)
    if other is None or failure.prefix in state.own:
        return failure
    return Failure(failure.prefix, words.in_the_way(other), conflict=True)


def _unusable(error: OSError) -> SinkProblem:
    return SinkProblem(f"sink kernel: netlink: {of_system(error)}; it needs Linux with rtnetlink")


def may_change_routes() -> bool:
    """Whether this thread has CAP_NET_ADMIN; True where the system does not say."""
    try:
        status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "")
    return bool(int(effective, 16) >> _CAP_NET_ADMIN & 1) if effective else True

"""The metrics, caches and upstream states of several workers, shown as those of one server."""

from collections.abc import Iterable, Sequence

from msgspec import structs
from prometheus_client import Metric
from prometheus_client.registry import Collector

from dnsbridge.app.facts.cache import ShownHeld
from dnsbridge.app.facts.families import as_metric, summed
from dnsbridge.app.facts.metrics import PartsCollector
from dnsbridge.app.facts.upstream_states import State
from dnsbridge.app.server.crew.messages import read_body
from dnsbridge.app.server.crew.workers import Workers
from dnsbridge.wire import name as names

_WORST = ("up", "suspect", "down")


class CrewCollector(Collector):
    """The metrics of all processes, summed."""

    def __init__(self, workers: Workers, own: PartsCollector) -> None:
        """`own` reads this process's counters, most of which stay at 0."""
        self._workers = workers
        self._own = own

    def collect(self) -> Iterable[Metric]:
        """All metrics of the server."""
        yield from map(as_metric, self._own.sources())
        yield from map(as_metric, summed([self._own.answering(), *self._workers.reports()]))
        yield from map(as_metric, self._workers.families())


class CrewCache:
    """The caches of all workers (see listeners.http.server.Cache)."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def show(self, name: str) -> list[ShownHeld]:
        """The answers that each worker holds for a name. Raises BadNameError, NotNow."""
        said = await self._workers.ask("show", names.from_text(name).lower())
        return [held for each in said for held in read_body(each, list[ShownHeld])]

    async def flush(self, name: str | None) -> int:
        """Flush all workers' caches; returns how many answers there were in all. Raises BadNameError, NotNow."""
        said = await self._workers.ask("flush", None if name is None else names.from_text(name).lower())
        return sum(read_body(each, int) for each in said)


async def crew_upstreams(workers: Workers) -> list[State]:
    """How the upstreams are doing for all workers together. Raises NotNow."""
    return together([read_body(each, list[State]) for each in await workers.ask("upstreams")])


def together(reports: Iterable[Sequence[State]]) -> list[State]:
    """One state for each upstream: condition, time and problem of the worst, and the sums of all counts."""
    found: dict[tuple[str, str, str], State] = {}
    for report in reports:
        for state in report:
            key = state.zone, state.cluster, state.server
            found[key] = _joined(found[key], state) if key in found else state
    return list(found.values())


def _joined(one: State, other: State) -> State:
    # Of two equally bad states, the one that changed later has the latest problem. UTC texts sort like times.
    worse = max(one, other, key=lambda state: (_WORST.index(state.condition), state.since or ""))
    measured = [state for state in (one, other) if state.srtt_ms is not None]
    weight = sum(state.questions for state in measured)
    srtt = worse.srtt_ms if measured else None
    if weight:
        srtt = round(sum((state.srtt_ms or 0) * state.questions for state in measured) / weight, 3)
    slow_since = max((one, other), key=lambda state: (state.slow, state.slow_since or "")).slow_since
    return structs.replace(
        worse,
        without_edns=one.without_edns or other.without_edns,
        slow=one.slow or other.slow,
        slow_since=slow_since,
        slow_questions=one.slow_questions + other.slow_questions,
        questions=one.questions + other.questions,
        srtt_ms=srtt,
        timeouts=one.timeouts + other.timeouts,
        errors=one.errors + other.errors,
    )

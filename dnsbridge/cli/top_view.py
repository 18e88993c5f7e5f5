"""The status of a server as a page of text: what GET /api/status says, drawn with rich."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dnsbridge.app.facts.status.document import Status
from dnsbridge.app.facts.upstream_states import State

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
"""Seconds of the line of questions."""
_OTHERS = 24
"""Lines of a page beside the recent changes."""
_FEWEST = 3
_GOOD, _BAD = "green", "bold red"
_COLOURS = {"fresh": _GOOD, "up": _GOOD, "suspect": "yellow", "stale": _BAD, "down": _BAD, "unsynced": _BAD}


def view(status: Status, height: int | None) -> RenderableType:
    """The page; `height` is the number of lines that it may have, None for any."""
    most = len(status.changes) if height is None else max(_FEWEST, height - _OTHERS)
    parts: list[RenderableType] = [_head(status), *_figures(status), Text()]
    parts.append(
        _table(
            ("cluster", "state", "age", "objects", "unrouted", "problem"),
            [
                (
                    each.name,
                    each.freshness,
                    "" if each.age_seconds is None else f"{each.age_seconds} s",
                    f"{each.objects:,}",
                    "" if each.unrouted_answers is None else f"{each.unrouted_answers:,}",
                    each.problem,
                )
                for each in status.clusters
            ],
        )
    )
    parts += [
        Text(),
        _table(
            ("upstream", "state", "zone", "rtt", "questions", "timeouts", "problem"), map(_upstream, status.upstreams)
        ),
    ]
    parts += [Text(), *_routes(status)]
    if status.changes:
        rows = [(each.at, each.what, each.kind, _place(each.namespace, each.name)) for each in status.changes[:most]]
        parts += [Text(), _table(("changed at", "what", "kind", "object"), rows)]
    return Group(*parts)


def _head(status: Status) -> Text:
    workers = f", {status.workers} workers" if status.workers > 1 else ""
    head = Text(f"dnsbridge {status.version}{workers}, since {status.started_at}: ", style="bold")
    if status.waiting_for:
        return head.append(f"waits for {'; '.join(status.waiting_for)}", _BAD)
    return head.append("ready", _GOOD)


def _figures(status: Status) -> list[RenderableType]:
    sample = status.sample
    if sample is None:
        return [Text("questions: nothing is known of the last second yet")]
    seconds = [each.queries for each in status.history][-_WIDTH:]
    said = [f"{source} {rate:,.0f}" for source, rate in sorted(sample.answers.items(), key=lambda one: -one[1]) if rate]
    codes = [f"{rcode} {rate:,.0f}" for rcode, rate in sorted(sample.rcodes.items(), key=lambda one: -one[1]) if rate]
    return [
        Text(f"questions  {sample.queries:>10,.0f} a second  {_line(seconds)}"),
        Text(f"answers    {', '.join(said) or 'none'}"),
        Text(f"rcodes     {', '.join(codes) or 'none'}"),
    ]


def _upstream(state: State) -> tuple[str, ...]:
    rtt = "" if state.srtt_ms is None else f"{state.srtt_ms:.1f} ms"
    place = state.zone or f"coredns:{state.cluster}"
    problem = state.problem if state.condition != "up" else ""
    return state.server, state.condition, place, rtt, f"{state.questions:,}", f"{state.timeouts:,}", problem


def _routes(status: Status) -> list[RenderableType]:
    routes = status.routes
    if routes is None:
        return [Text("routes     are being worked out")]
    if routes.problem:
        return [Text(f"routes     {routes.problem}", _BAD)]
    counted = Counter(each.state for each in routes.prefixes)
    line = Text(f"routes     {', '.join(f'{count:,} {state}' for state, count in sorted(counted.items())) or 'none'}")
    lost = [each.prefix for each in routes.prefixes if each.state == "unrouted"]
    if lost:
        more = ", ..." if len(lost) > _FEWEST else ""
        line.append(f"  without a route: {', '.join(lost[:_FEWEST])}{more}", _BAD)
    return [line]


def _place(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _line(values: Sequence[float]) -> str:
    """A line of bars, the largest value being the highest."""
    most = max(values, default=0)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] if most else _BARS[0] for value in values)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table; a word that names a state has its colour."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in header:
        numbers = title in ("age", "objects", "unrouted", "rtt", "questions", "timeouts")
        table.add_column(title, justify="right" if numbers else "left", no_wrap=title != "problem", overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(cell, _COLOURS.get(cell, "")) for cell in row))
    return table

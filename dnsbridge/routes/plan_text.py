"""A plan as lines for people, and as JSON values with stable keys.

    + 10.233.98.0/24   via 10.200.20.105                          pod      BlockAffinity node1-10-233-98-0-24
    ~ 10.233.99.0/24   via 10.200.20.107 (was via 10.200.20.106)  pod      BlockAffinity node2-10-233-99-0-24
    - 10.233.97.0/24   via 10.200.20.104
    ! 10.233.96.0/24   via 10.200.20.103                          pod      left alone: protocol bird has ...

Kept routes are only counted: they are most of a plan, and nothing happens to them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dnsbridge.routes.model import Failure, NextHop, Note, Route
from dnsbridge.routes.plan import Plan

_SHOWN_HOPS = 4
"""Next hops of one route that are shown; the rest is counted."""


def plan_lines(plan: Plan) -> list[str]:
    """One line for each route, by kind of change, then in the order of prefixes."""
    rows = [
        *(("+", route, hops_text(route.next_hops), route.origin) for route in plan.add),
        *(
            ("~", new, f"{hops_text(new.next_hops)} (was {hops_text(old.next_hops)})", new.origin)
            for old, new in plan.change
        ),
        *(("-", route, hops_text(route.next_hops), route.origin) for route in plan.remove),
        *(
            ("!", route, hops_text(route.next_hops), f"left alone: {foreign.owner} has {foreign.text}")
            for route, foreign in plan.conflict
        ),
    ]
    clusters = {route.cluster for _, route, _, _ in rows if route.cluster}
    cells = [
        (f"{sign} {route.prefix}", hops, *_kind(route), *((route.cluster,) if len(clusters) > 1 else ()), text)
        for sign, route, hops, text in rows
    ]
    return list(_aligned(cells))


def summary(plan: Plan) -> str:
    """The counts in one line."""
    parts = [
        f"{len(plan.add)} to add",
        f"{len(plan.change)} to change",
        f"{len(plan.remove)} to remove",
        f"{len(plan.keep)} to keep",
    ]
    if plan.conflict:
        parts.append(f"{len(plan.conflict)} in conflict")
    return ", ".join(parts)


def _kind(route: Route) -> tuple[str]:
    """The kind; empty for a route that a sink gives back without origin, since its kind is only the default."""
    return (str(route.kind) if route.origin or route.cluster else "",)


def hops_text(hops: Sequence[NextHop]) -> str:
    """`via A, via B weight 2, and 3 more`."""
    shown = ", ".join(map(str, hops[:_SHOWN_HOPS]))
    return f"{shown}, and {len(hops) - _SHOWN_HOPS} more" if len(hops) > _SHOWN_HOPS else shown


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned columns, two spaces apart. A rich table takes seconds for the 20,000 lines of a large cluster."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width).rstrip()


def plan_facts(plan: Plan) -> dict[str, Any]:
    """For JSON: counts, and every part as a list."""
    return {
        "counts": {
            "add": len(plan.add),
            "change": len(plan.change),
            "remove": len(plan.remove),
            "keep": len(plan.keep),
            "conflict": len(plan.conflict),
        },
        "add": route_facts(plan.add),
        "change": [{**route_fact(new), "was": [hop_fact(hop) for hop in old.next_hops]} for old, new in plan.change],
        "remove": route_facts(plan.remove),
        "keep": route_facts(plan.keep),
        "conflict": [
            {**route_fact(route), "owner": foreign.owner, "held": foreign.text} for route, foreign in plan.conflict
        ],
    }


def route_facts(routes: Iterable[Route]) -> list[dict[str, Any]]:
    """Routes for JSON."""
    return [route_fact(route) for route in routes]


def route_fact(route: Route) -> dict[str, Any]:
    """A route for JSON; the kind is null where a sink gives back a route of ours without its kind."""
    return {
        "prefix": str(route.prefix),
        "next_hops": [hop_fact(hop) for hop in route.next_hops],
        "kind": _kind(route)[0] or None,
        "cluster": route.cluster,
        "origin": route.origin,
    }


def hop_fact(hop: NextHop) -> dict[str, Any]:
    """A next hop for JSON; the address is null where the destination is on the device's link."""
    return {"address": str(hop.address) if hop.address else None, "device": hop.device, "weight": hop.weight}


def note_facts(notes: Iterable[Note]) -> list[dict[str, str]]:
    """Notes for JSON."""
    return [{"severity": str(note.severity), "subject": note.subject, "text": note.text} for note in notes]


def failure_facts(failures: Iterable[Failure]) -> list[dict[str, str]]:
    """Failures for JSON."""
    return [{"prefix": str(failure.prefix), "problem": failure.problem} for failure in failures]

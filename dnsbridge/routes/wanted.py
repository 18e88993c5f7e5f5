"""All routes that one place should have, from the pictures of all clusters.

Where two clusters claim overlapping prefixes, the cluster of higher precedence gets its route. With equal precedence
neither does: whichever were taken, the other's packets would go astray without a word. Routes that must never exist are
left out (see guards).
"""

from collections.abc import Sequence
from itertools import compress, count, islice
from operator import eq

from dnsbridge.routes.choice import Choice
from dnsbridge.routes.guards import refused
from dnsbridge.routes.host import Host
from dnsbridge.routes.line import Line, line_of
from dnsbridge.routes.model import Note, Route, Severity, Wanted
from dnsbridge.routes.next_hops import routes_to
from dnsbridge.routes.pictures.picture import Picture

MAX_OVERLAPS = 20
"""Overlaps that get a note each."""


def wanted(pictures: Sequence[Picture], choice: Choice, host: Host) -> Wanted:
    """The routes that this host should have to these clusters."""
    routes: list[Route] = []
    notes: list[Note] = []
    for picture in pictures:
        found, said = routes_to(picture, choice, host)
        routes += found
        notes += said
    line = line_of(routes)
    line = line.without(_twice(line, notes))
    if len(pictures) > 1:
        line = line.without(_overlapping(line, {each.cluster: each.precedence for each in pictures}, notes))
    reasons = refused(line, host)
    for at, reason in sorted(reasons.items()):
        notes.append(Note(Severity.ERROR, str(line.routes[at].prefix), f"not routed: {reason}"))
    return Wanted(tuple(line.without(reasons).routes), tuple(notes))


def _twice(line: Line, notes: list[Note]) -> set[int]:
    """The indices of duplicates: all but the first of a cluster's routes to one prefix."""
    again = set()
    routes, first = line.routes, 0
    for at in compress(count(1), map(eq, line.firsts, islice(line.firsts, 1, None))):
        if at - 1 not in again:
            first = at - 1
        one, other = routes[first], routes[at]
        if one.prefix != other.prefix or one.cluster != other.cluster:
            continue
        again.add(at)
        if one.next_hops != other.next_hops:
            text = f"{one.origin} and {other.origin} both claim it; the route is the former's"
            notes.append(Note(Severity.WARNING, str(one.prefix), text))
    return again


def _overlapping(line: Line, precedence: dict[str, int], notes: list[Note]) -> set[int]:
    """The indices of routes that are refused because another cluster claims an overlapping prefix."""
    routes, firsts, lasts = line.routes, line.firsts, line.lasts
    refused = set[int]()
    overlaps = 0
    above: list[int] = []
    for at, first in enumerate(firsts):
        while above and lasts[above[-1]] < first:
            above.pop()
        for wider in above:
            if routes[wider].cluster == routes[at].cluster:
                continue
            one, other = precedence[routes[wider].cluster], precedence[routes[at].cluster]
            losers = (wider, at) if one == other else (at,) if one > other else (wider,)
            refused.update(losers)
            overlaps += 1
            if overlaps <= MAX_OVERLAPS:
                notes.append(_note(routes[wider], routes[at], None if one == other else routes[losers[0]]))
        above.append(at)
    if overlaps > MAX_OVERLAPS:
        text = f"and {overlaps - MAX_OVERLAPS} more prefixes that two clusters claim"
        notes.append(Note(Severity.ERROR, "clusters", text))
    return refused


def _note(wider: Route, route: Route, loser: Route | None) -> Note:
    claims = f"cluster {wider.cluster} claims {wider.prefix} ({wider.origin}), and cluster {route.cluster} "
    claims += f"{'the same' if wider.prefix == route.prefix else route.prefix} ({route.origin})"
    if loser is None:
        text = f"{claims}; neither is routed: give one of them a higher precedence"
        return Note(Severity.ERROR, str(route.prefix), text)
    winner = route if loser is wider else wider
    text = f"{claims}; {winner.cluster} has the higher precedence and is routed, {loser.cluster} is not"
    return Note(Severity.WARNING, str(route.prefix), text)

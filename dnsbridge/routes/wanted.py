"""All routes that one place should have, from the pictures of all clusters.

Two clusters that claim overlapping prefixes: the one of higher precedence has its route; without one, neither, since
whichever were taken, the other's packets would go astray without a word.
"""

from collections.abc import Sequence

from dnsbridge.routes.calico import covers
from dnsbridge.routes.choice import Choice
from dnsbridge.routes.host import Host
from dnsbridge.routes.model import Note, Prefix, Route, Severity, Wanted, in_order, order
from dnsbridge.routes.next_hops import routes_to
from dnsbridge.routes.picture import Picture

MAX_OVERLAPS = 20
"""Overlaps that are told one by one."""


def wanted(pictures: Sequence[Picture], choice: Choice, host: Host) -> Wanted:
    """The routes that this host should have to these clusters."""
    routes: list[Route] = []
    notes: list[Note] = []
    for picture in pictures:
        found, said = routes_to(picture, choice, host)
        notes += said
        routes += _once(in_order(found), notes)
    if len(pictures) > 1:
        routes = list(in_order(_without_overlaps(routes, {each.cluster: each.precedence for each in pictures}, notes)))
    return Wanted(tuple(routes), tuple(notes))


def _once(routes: tuple[Route, ...], notes: list[Note]) -> list[Route]:
    """One route for each prefix: the first."""
    kept: list[Route] = []
    for route in routes:
        if not kept or kept[-1].prefix != route.prefix:
            kept.append(route)
        elif kept[-1].next_hops != route.next_hops:
            text = f"{kept[-1].origin} and {route.origin} both claim it; the route is the former's"
            notes.append(Note(Severity.WARNING, str(route.prefix), text))
    return kept


def _without_overlaps(routes: list[Route], precedence: dict[str, int], notes: list[Note]) -> list[Route]:
    refused: dict[tuple[str, Prefix], None] = {}
    overlaps = 0
    above: list[Route] = []
    for route in sorted(routes, key=lambda route: (*order(route.prefix), route.cluster)):
        while above and not covers(above[-1].prefix, route.prefix):
            above.pop()
        for wider in above:
            if wider.cluster == route.cluster:
                continue
            loser = _loser(wider, route, precedence)
            for each in (wider, route) if loser is None else (loser,):
                refused[each.cluster, each.prefix] = None
            overlaps += 1
            if overlaps <= MAX_OVERLAPS:
                notes.append(_note(wider, route, loser))
        above.append(route)
    if overlaps > MAX_OVERLAPS:
        text = f"and {overlaps - MAX_OVERLAPS} more prefixes that two clusters claim"
        notes.append(Note(Severity.ERROR, "clusters", text))
    return [route for route in routes if (route.cluster, route.prefix) not in refused]


def _loser(one: Route, other: Route, precedence: dict[str, int]) -> Route | None:
    first, second = precedence[one.cluster], precedence[other.cluster]
    return None if first == second else other if first > second else one


def _note(wider: Route, route: Route, loser: Route | None) -> Note:
    claims = f"cluster {wider.cluster} claims {wider.prefix} ({wider.origin}), and cluster {route.cluster} "
    claims += f"{'the same' if wider.prefix == route.prefix else route.prefix} ({route.origin})"
    if loser is None:
        text = f"{claims}; neither is routed: give one of them a higher precedence, or set routes.service_cidrs"
        return Note(Severity.ERROR, str(route.prefix), text)
    winner = route if loser is wider else wider
    text = f"{claims}; {winner.cluster} has the higher precedence and is routed, {loser.cluster} is not"
    return Note(Severity.WARNING, str(route.prefix), text)

"""What stays wanted of a cluster that cannot say now what it has: silence withdraws no route."""

from collections.abc import Sequence

from dnsbridge.routes.model import Route, changes, in_order


def kept(routes: tuple[Route, ...], base: Sequence[Route], unread: frozenset[str]) -> tuple[Route, ...]:
    """What is wanted, and what there was of clusters that cannot say now whether it still is.

    A route found at the start says no cluster, so it may be of any.
    """
    if not unread:
        return routes
    changed = changes(base, routes)
    come = {route.prefix for route in changed.come}
    old = [
        route for route in changed.gone if route.prefix not in come and (route.cluster in unread or not route.cluster)
    ]
    return in_order([*routes, *old]) if old else routes

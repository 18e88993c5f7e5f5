"""Routes that stay wanted while their cluster cannot be read: silence withdraws no route."""

from collections.abc import Sequence

from dnsbridge.routes.model import Route, changes, in_order


def kept(routes: tuple[Route, ...], base: Sequence[Route], unread: frozenset[str]) -> tuple[Route, ...]:
    """The wanted routes, and the earlier routes (`base`) of clusters that cannot be read now (`unread`).

    A route found at the start names no cluster, so it may belong to any.
    """
    if not unread:
        return routes
    changed = changes(base, routes)
    come = {route.prefix for route in changed.come}
    old = [
        route for route in changed.gone if route.prefix not in come and (route.cluster in unread or not route.cluster)
    ]
    return in_order([*routes, *old]) if old else routes

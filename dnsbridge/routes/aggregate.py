"""Routes in fewer prefixes that cover exactly the same addresses the same way.

Two steps, until neither finds anything:

    a route goes     where the next shorter prefix around it leads the same way
    halves merge     two routes that are the halves of one prefix and lead the same way become one route

"The same way" means equal next hops, kind and cluster. Nothing else is merged, so no further address is covered.
Foreign prefixes in that place are walls. No route merges into a foreign prefix, which was the shorter one and would
take precedence over ours. No route goes because of a prefix on the far side of a foreign one. Longer foreign prefixes
keep their precedence (longest match), whatever the length of ours. A wanted prefix that leads another way stays.

Aggregation is off by default (`routes.aggregate`). Without it a plan shows the blocks as Kubernetes has them, and one
changed node costs one route. It is for places that hold few routes, or where routes are typed by hand.
"""

from collections.abc import Collection, Iterable

from msgspec import structs

from dnsbridge.routes.model import Prefix, Route, covers, in_order, order

_SHOWN_ORIGINS = 3


def aggregate(routes: Iterable[Route], foreign: Collection[Prefix] = ()) -> tuple[Route, ...]:
    """The same routes in as few prefixes as exact halves allow; `foreign` are the prefixes of others in that place."""
    theirs = frozenset(foreign)
    taken = _without_implied({route.prefix: route for route in routes}, theirs)
    origins = {prefix: [route.origin] for prefix, route in taken.items()}
    untried = sorted(taken, key=lambda prefix: prefix.prefixlen)  # the longest is last, and tried first
    while untried:
        whole = _whole(untried.pop())
        if whole is None or whole in taken or whole in theirs:
            continue
        low, high = whole.subnets()
        if low not in taken or high not in taken or low in theirs or high in theirs:
            continue
        if _way(taken[low]) != _way(taken[high]):
            continue
        taken[whole] = structs.replace(taken[low], prefix=whole)
        origins[whole] = origins.pop(low) + origins.pop(high)
        untried.append(whole)
        for half in (low, high):
            del taken[half]
            # The half is gone, so its own halves, which lead another way, may now merge.
            untried += [quarter for quarter in _halves(half) if quarter in taken]
    return in_order(
        route if len(origins[prefix]) == 1 else structs.replace(route, origin=_origin(origins[prefix]))
        for prefix, route in taken.items()
    )


def _without_implied(routes: dict[Prefix, Route], theirs: frozenset[Prefix]) -> dict[Prefix, Route]:
    """The routes that the next shorter prefix does not make redundant. Merging halves makes no others redundant."""
    kept: dict[Prefix, Route] = {}
    around: list[Prefix] = []
    for prefix in sorted({*routes, *theirs}, key=order):
        while around and not covers(around[-1], prefix):
            around.pop()
        wall = prefix in theirs
        outer = kept.get(around[-1]) if around and around[-1] not in theirs else None
        if not wall and outer and _way(outer) == _way(routes[prefix]):
            continue
        around.append(prefix)
        if prefix in routes:
            kept[prefix] = routes[prefix]
    return kept


def _whole(prefix: Prefix) -> Prefix | None:
    """The prefix that this one is a half of; None where that is the default route, which is never ours."""
    return prefix.supernet() if prefix.prefixlen > 1 else None


def _halves(prefix: Prefix) -> list[Prefix]:
    return list(prefix.subnets()) if prefix.prefixlen < prefix.max_prefixlen else []


def _way(route: Route) -> object:
    return route.next_hops, route.kind, route.cluster


def _origin(merged: list[str]) -> str:
    shown = ", ".join(dict.fromkeys(merged[:_SHOWN_ORIGINS]))
    return f"{len(merged)} prefixes: {shown}{', ...' if len(merged) > _SHOWN_ORIGINS else ''}"

"""Routes in fewer prefixes that cover exactly the same addresses the same way.

Two routes become one where they are the halves of one prefix, and equal in next hops, kind and cluster. Nothing else is
merged, so no address is covered that was not; and not into a prefix that is wanted itself or that somebody else has,
since theirs, which was the shorter one, would come before what was ours. Longer prefixes of others keep their
precedence (longest match), however long ours are.

Not done by default: without it a plan shows block by block what Kubernetes says, and one node that changes costs one
route. It is for places where routes are few, or typed by hand (`routes.aggregate`).
"""

from collections.abc import Collection, Iterable

from msgspec import structs

from dnsbridge.routes.model import Prefix, Route, in_order

_SHOWN_ORIGINS = 3


def aggregate(routes: Iterable[Route], foreign: Collection[Prefix] = ()) -> tuple[Route, ...]:
    """The same ways in as few prefixes as exact halves allow; `foreign` are prefixes that others have in that place."""
    taken = {route.prefix: route for route in routes}
    origins = {prefix: [route.origin] for prefix, route in taken.items()}
    theirs = frozenset(foreign)
    # Longest first: what is merged at one length is a half at the next.
    for length in range(128, 0, -1):
        for prefix in [each for each in taken if each.prefixlen == length]:
            whole = prefix.supernet()
            low, high = whole.subnets()
            if prefix != low or high not in taken or whole in taken or whole in theirs:
                continue
            one, other = taken[low], taken[high]
            if low in theirs or high in theirs or _way(one) != _way(other):
                continue
            del taken[low], taken[high]
            taken[whole] = structs.replace(one, prefix=whole)
            origins[whole] = origins.pop(low) + origins.pop(high)
    return in_order(
        route if len(origins[prefix]) == 1 else structs.replace(route, origin=_origin(origins[prefix]))
        for prefix, route in taken.items()
    )


def _way(route: Route) -> object:
    return route.next_hops, route.kind, route.cluster


def _origin(merged: list[str]) -> str:
    shown = ", ".join(dict.fromkeys(merged[:_SHOWN_ORIGINS]))
    return f"{len(merged)} prefixes: {shown}{', ...' if len(merged) > _SHOWN_ORIGINS else ''}"

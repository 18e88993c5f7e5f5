"""A JSON array of the routes, for programs; its keys stay.

    {"prefix": "10.244.1.0/24", "next_hops": [{"address": "10.0.0.11", "device": "", "weight": 1}], "kind": "pod",
     "origin": "Node node1", "cluster": "dev"}

An address is null where the destination is on the device's link.
"""

import json
from collections.abc import Iterator
from typing import Any

from dnsbridge.routes.exports.form import About, Format, Hops
from dnsbridge.routes.model import Route


def as_document(route: Route) -> dict[str, Any]:
    """A route as JSON has it."""
    return {
        "prefix": str(route.prefix),
        "next_hops": [
            {"address": str(hop.address) if hop.address else None, "device": hop.device, "weight": hop.weight}
            for hop in route.next_hops
        ],
        "kind": route.kind.value,
        "origin": route.origin,
        "cluster": route.cluster,
    }


def _json(routes: tuple[Route, ...], _about: About) -> Iterator[str]:
    yield from json.dumps([as_document(route) for route in routes], indent=2).splitlines()


FORMATS = (
    Format(
        "json",
        "A JSON array of routes for programs.",
        _json,
        comment="",
        hops=Hops.WEIGHTED,
        interface="",
    ),
)

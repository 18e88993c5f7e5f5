"""A JSON array of the routes, for programs. Its keys are stable, and the same as in `routes plan --output json`.

    {"prefix": "10.244.1.0/24", "next_hops": [{"address": "10.0.0.11", "device": "", "weight": 1}], "kind": "pod",
     "cluster": "dev", "origin": "Node node1"}

An address is null where the destination is on the device's link.
"""

import json
from collections.abc import Iterator

from dnsbridge.routes.exports.form import About, Format, Hops
from dnsbridge.routes.model import Route
from dnsbridge.routes.plan_text import route_facts


def _json(routes: tuple[Route, ...], _about: About) -> Iterator[str]:
    yield from json.dumps(route_facts(routes), indent=2).splitlines()


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

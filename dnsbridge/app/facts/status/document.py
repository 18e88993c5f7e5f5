"""The document of GET /api/status. All field names are keys of JSON, so they stay; times are UTC (RFC 3339).

Status      all of it
Cluster     a cluster: how it is read, what it has        Reading     one resource of an API server
Zone        a zone that is answered or forwarded
Sample      the figures of one second
Routes      this host, the nodes behind it, the prefixes behind them
Change      an object that came, went or changed
"""

from typing import Literal

from msgspec import Struct

from dnsbridge.app.facts import upstream_states


class Reading(Struct, frozen=True):
    """How far a resource of an API server has been read."""

    resource: str
    read: int
    """Objects of its list so far."""
    left: int | None
    """Objects that are still to come; null where the server does not say."""
    done: bool
    waits_for: str
    """Why the list is not complete; empty when it is."""


class Cluster(Struct, frozen=True):
    """One cluster."""

    name: str
    zone: str
    aliases: list[str]
    source: str
    """Manifests or an API server."""
    freshness: str
    """`fresh`; `stale`: its source has been silent for long; `unsynced`: it has not been read."""
    age_seconds: int | None
    """Since the last sign of life of its source; null before the first."""
    objects: int
    services: list[str]
    pods: list[str]
    """The prefixes of ClusterIPs and of pods."""
    unrouted_answers: int | None
    """Answers with an address that no route leads to; null where answers are not compared with routes."""
    problem: str
    """Why it is not read, or was not lately; empty: nothing is wrong."""
    reading: list[Reading]
    """The resources of an API server; empty for manifests."""


class Zone(Struct, frozen=True):
    """A zone."""

    zone: str
    kind: Literal["cluster", "alias", "reverse", "forward"]
    cluster: str
    """Whose it is; empty for a forward zone."""
    upstreams: list[str]
    """Who is asked, of a forward zone."""


class Sample(Struct, frozen=True):
    """The figures of about one second."""

    at: str
    queries: float
    """Messages a second."""
    answers: dict[str, float]
    """Answers a second, by source."""
    rcodes: dict[str, float]
    """Answers a second, by RCODE."""
    rtt_ms: dict[str, float]
    """The smoothed round trip time of each upstream that has replied."""


class Totals(Struct, frozen=True):
    """Counts since the start."""

    queries: int
    answers: dict[str, int]
    rcodes: dict[str, int]


class RouteNode(Struct, frozen=True):
    """A node, or a gateway that is no node."""

    name: str
    cluster: str
    address: str
    ready: bool
    gateway: bool
    """Routes lead through it to others."""


State = Literal["routed", "unrouted", "unwanted", "unknown"]


class RoutePrefix(Struct, frozen=True):
    """A prefix behind this host."""

    prefix: str
    cluster: str
    kind: str
    """`pod`, `service`, `external` or `dns`."""
    origin: str
    """The object that says so."""
    nodes: list[str]
    """Who has it; empty: every node."""
    via: list[str]
    """The next hops by name, else by address; empty: no way is known."""
    state: State
    """`routed`: this host's kernel has a route that leads there; `unrouted`: it has none, and should have;
    `unwanted`: it has none, and no sink of the settings wants one; `unknown`: its routes cannot be read."""


class Routes(Struct, frozen=True):
    """The way from this host to the clusters' addresses."""

    host: str
    addresses: list[str]
    nodes: list[RouteNode]
    prefixes: list[RoutePrefix]
    more_nodes: int
    more_prefixes: int
    """How many are left out of these lists."""
    notes: list[str]
    """What is wrong with the routes that are wanted, as `dnsbridge routes plan` says it."""
    problem: str
    """Why nothing is known; empty otherwise."""


class Change(Struct, frozen=True):
    """A change of a cluster's objects."""

    at: str
    cluster: str
    what: Literal["came", "went", "changed"]
    kind: str
    namespace: str
    name: str


class Status(Struct, frozen=True):
    """All of it."""

    version: str
    at: str
    started_at: str
    workers: int
    waiting_for: list[str]
    """What keeps GET /readyz from saying that the server is ready, one line each."""
    clusters: list[Cluster]
    zones: list[Zone]
    upstreams: list[upstream_states.State]
    totals: Totals
    sample: Sample | None
    """The last second; null before a second has passed."""
    history: list[Sample]
    """The last two minutes, as far as somebody looked."""
    routes: Routes | None
    """Null while they are worked out."""
    changes: list[Change]
    """The latest first."""

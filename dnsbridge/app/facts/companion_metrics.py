"""The metrics of `routes run`: the plain integers of its parts, read when a scrape asks for them."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.registry import Collector

from dnsbridge.app.companion.pull import Puller
from dnsbridge.app.facts.families import Family, as_metric, counter, gauge
from dnsbridge.app.facts.source_metrics import build_info, event_loop_lag, of_sources
from dnsbridge.app.feeds import Feed
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.observe.lag import Lag
from dnsbridge.routes.model import Severity
from dnsbridge.sinks.bgp.sink import BgpSink
from dnsbridge.sinks.reconcile import Reconciler
from dnsbridge.watch.lease.elected import Candidate

if TYPE_CHECKING:
    from dnsbridge.app.companion.run import Companion


class Counted(Struct):
    """The parts of a companion."""

    companion: "Companion"
    reconcilers: Sequence[Reconciler]
    feeds: Sequence[Feed]
    puller: Puller | None
    candidate: Candidate | None
    """None: there is no election."""

    def not_ready(self) -> list[str]:
        """What has not been read yet, one line each."""
        if self.puller:
            return [] if self.puller.told is not None else [f"{self.puller.url}: no routes pulled yet"]
        now = time.monotonic()
        unread = [feed.name for feed in self.feeds if feed.freshness(now) is Freshness.UNSYNCED]
        return [f"cluster {name}: not read yet" for name in unread]


class CompanionCollector(Collector):
    """Reads the parts at scrape time."""

    def __init__(self, counted: Counted) -> None:
        self.lag = Lag()
        """The lateness of this process's event loop, once it is watched."""
        self._counted = counted

    def collect(self) -> Iterable[Metric]:
        """All metrics of this companion."""
        yield from map(as_metric, self._families())

    def _families(self) -> Iterator[Family]:
        yield build_info()
        yield event_loop_lag(self.lag.seconds)
        yield from self._clusters()
        yield from self._routes()
        yield from self._sinks()
        yield from self._peers()
        candidate = self._counted.candidate
        yield gauge(
            "companion_leads",
            "1 while this companion drives the sinks that only one may drive; always without a Lease.",
            [],
            [([], candidate is None or candidate.leads)],
        )

    def _clusters(self) -> Iterator[Family]:
        now = time.monotonic()
        puller = self._counted.puller
        told = [(each.picture.cluster, each.fresh and puller.fresh) for each in puller.told or ()] if puller else []
        yield from of_sources([(feed, feed.freshness(now)) for feed in self._counted.feeds], told)
        up = "1 when the last request for the routes (routes.pull) succeeded."
        yield gauge("pull_up", up, [], [([], puller.alive)] if puller else [])
        age = "Time since the server last said that the pulled routes are current."
        confirmed = [puller.confirmed_at] if puller and puller.confirmed_at is not None else []
        yield gauge("pull_age_seconds", age, [], [([], now - at) for at in confirmed])

    def _routes(self) -> Iterator[Family]:
        companion = self._counted.companion
        severities = Counter(note.severity for note in companion.notes)
        yield gauge(
            "route_notes",
            "Notes about the routes that are wanted now, by severity: an error left something out.",
            ["severity"],
            [([severity.value], severities[severity]) for severity in Severity],
        )
        yield gauge("routes_damped", "Prefixes that wait because they flap.", [], [([], len(companion.damped))])
        probe = companion.probe
        yield gauge(
            "gateway_silent",
            "1 when the gateway answers no probe (routes.gateways.probe), so that routes go round it.",
            ["gateway"],
            [([str(gateway)], gateway in probe.silent) for gateway in probe.watched] if probe else [],
        )

    def _sinks(self) -> Iterator[Family]:
        each = [([one.sink.name], one) for one in self._counted.reconcilers]
        label = ["sink"]
        wanted = "Routes wanted; none while another companion drives the sink."
        yield gauge("routes_wanted", wanted, label, [(key, one.wanted) for key, one in each])
        reached = "Routes of ours that the sink had when it was last asked; none when it could not be."
        yield gauge("routes_reached", reached, label, [(key, one.has) for key, one in each])
        failed = "Routes that could not be set or removed; for bgp also peers without a session."
        yield gauge("routes_failed", failed, label, [(key, len(one.failures)) for key, one in each])
        yield gauge(
            "routes_in_conflict",
            "Those of them where somebody else's route is in the way.",
            label,
            [(key, sum(failure.conflict for failure in one.failures)) for key, one in each],
        )
        changes = "Routes added, changed or removed."
        yield counter("route_changes", changes, label, [(key, one.changes) for key, one in each])
        yield gauge(
            "mass_change_refused",
            "1 while most of a sink's routes would go at once, which waits for a person's consent.",
            label,
            [(key, one.refused) for key, one in each],
        )

    def _peers(self) -> Iterator[Family]:
        sinks = [each.sink for each in self._counted.reconcilers]
        peers = [([str(key)], peer) for sink in sinks if isinstance(sink, BgpSink) for key, peer in sink.peers.items()]
        up = "1 while there is a BGP session with the peer."
        yield gauge("bgp_session_up", up, ["peer"], [(key, peer.up) for key, peer in peers])
        told = "Prefixes that the peer has been sent in this session."
        yield gauge("bgp_prefixes_told", told, ["peer"], [(key, len(peer.told)) for key, peer in peers])

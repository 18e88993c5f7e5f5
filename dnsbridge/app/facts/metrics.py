"""The metrics of a scrape: the parts' plain integers as Prometheus metrics, gathered only when they are asked for."""

import time
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from prometheus_client import Metric
from prometheus_client.registry import Collector

from dnsbridge.app.answering.parts import Parts
from dnsbridge.app.facts.families import Family, as_metric, counter, each_row, gauge, histogram, most
from dnsbridge.app.facts.source_metrics import build_info, event_loop_lag, of_sources
from dnsbridge.listeners.admission import Admission
from dnsbridge.observe.counters import NOWHERE, Counters
from dnsbridge.observe.lag import Lag
from dnsbridge.observe.pauses import Pauses
from dnsbridge.resolvers.forward.upstream import Upstream
from dnsbridge.wire.constants import Rcode
from dnsbridge.wire.presentation import type_to_text

UNROUTED = "unrouted_answers"


class PartsCollector(Collector):
    """Reads the counters at scrape time."""

    def __init__(
        self,
        parts: Parts,
        counters: Counters,
        admission: Admission,
        lost: Callable[[], int],
        recorded: Callable[[], Iterable[Family]] = tuple,
    ) -> None:
        """`lost` gives the number of messages that the kernel has dropped because a socket was full, `recorded` the
        metrics of the query log and dnstap.
        """
        self.pauses = Pauses()
        """The collector's pauses in this process, once they are watched."""
        self.lag = Lag()
        """Likewise of its event loop."""
        self._parts = parts
        self._counters = counters
        self._admission = admission
        self._lost = lost
        self._recorded = recorded

    def collect(self) -> Iterable[Metric]:
        """All metrics of this server."""
        yield from map(as_metric, self.sources())
        yield from map(as_metric, self.answering())

    def answering(self) -> Iterator[Family]:
        """The metrics of answering; with several workers each has its own, and they are summed."""
        pauses = self.pauses
        yield counter("gc_pauses", "Collections of garbage, which keep questions waiting.", [], [([], pauses.count)])
        yield counter("gc_pause_seconds", "Seconds that they took.", [], [([], pauses.total)])
        yield most("gc_longest_pause_seconds", "Seconds that the longest took.", [], [([], pauses.longest)])
        yield event_loop_lag(self.lag.seconds)
        yield from self._questions()
        yield from self._prepared()
        yield from self._cache()
        yield from self._fallbacks()
        yield from self._upstreams()
        yield from self._recorded()

    def sources(self) -> Iterator[Family]:
        """The metrics of the one process that follows clusters and files."""
        yield build_info()
        yield from of_sources([(each.feed, each.cluster.freshness) for each in self._parts.clusters])
        yield from self._files()

    def _questions(self) -> Iterator[Family]:
        counters = self._counters
        chains = self._parts.router.chains
        traffics = counters.traffics.values()
        yield counter(
            "queries",
            "Messages received, by the zone and the type that they ask for.",
            ["transport", "family", "zone", "type"],
            [
                ([each.transport, each.family, zone or NOWHERE, type_to_text(rtype) if rtype else "other"], count)
                for each in traffics
                for (zone, rtype), count in counters.by_question(each).items()
            ],
        )
        yield counter(
            "answers",
            'Answers, by RCODE and source; those that the response rate held back are in ignored as "response_rate".',
            ["rcode", "source"],
            [([_rcode_text(rcode), source], count) for (source, rcode), count in counters.by_source().items()],
        )
        yield histogram(
            "answer_duration_seconds",
            "From a question to its answer, by source; ready-made answers are timed with their whole batch.",
            ["source"],
            [([source], one) for source, one in counters.latency.items()],
        )
        for name, text, read in (
            ("request_size_bytes", "Octets of messages received.", attrgetter("requests")),
            ("response_size_bytes", "Octets of answers sent.", attrgetter("responses")),
        ):
            sizes = [([each.transport, each.family], read(each).histogram()) for each in traffics]
            yield histogram(name, text, ["transport", "family"], sizes)
        yield counter(
            "failures",
            "Answers without data, by reason.",
            ["reason"],
            [([name.lower()], count) for name, count in counters.failures.items()],
        )
        ignored = {
            **counters.ignored,
            "port_zero": counters.udp_port_zero,
            "overload": counters.udp_overloads,
            "shed": counters.udp_shed,
            "response_rate": counters.responses_dropped,
        }
        yield counter(
            "ignored", "Messages that got no answer.", ["reason"], [([why], count) for why, count in ignored.items()]
        )
        for name, text, value in (
            ("clients_denied", "Questions of clients outside access.allow.", counters.client_denied),
            ("internal_errors", "Errors of the program itself, answered with SERVFAIL.", counters.internal_errors),
            ("udp_behind", "Times that more came for a while than could be answered.", counters.udp_behind),
            (
                "udp_lost",
                "Messages that the kernel dropped because a socket was full.",
                self._lost(),
            ),
            ("responses_truncated", "Answers over the response rate, sent without data.", counters.responses_truncated),
            ("response_rates_evicted", "Response rates forgotten to make room.", self._admission.response_rate.evicted),
            ("udp_send_errors", "Answers that could not be sent.", counters.udp_send_errors),
            ("udp_receive_errors", "Errors while receiving.", counters.udp_receive_errors),
            ("tcp_accepted", "TCP connections accepted.", counters.tcp_accepted),
            ("tcp_rejected", "TCP connections over a limit.", counters.tcp_rejected),
            ("tcp_aborted", "TCP connections ended because of what came over them.", counters.tcp_aborted),
            ("tcp_idle_closed", "TCP connections closed for being idle.", counters.tcp_idle_closed),
            ("fallback_loops", "Our own fallback questions that came back.", self._parts.router.loops),
            ("chain_overloads", "Aliases not followed because too many wait for theirs.", chains.overloads),
        ):
            yield counter(name, text, [], [([], value)])
        yield counter(
            "chains",
            "Aliases followed from one source to another (those ready-made are prepared_hits), by how they ended.",
            ["end"],
            [([end], count) for end, count in chains.ends.items()],
        )
        yield gauge("waiting", "Questions that wait for their answer.", [], [([], self._admission.waiting.total)])
        yield gauge("tcp_connections", "TCP connections open.", [], [([], counters.tcp_connections)])

    def _prepared(self) -> Iterator[Family]:
        prepared = self._parts.prepared
        yield counter("prepared_hits", "Answers that were ready-made.", [], [([], self._counters.prepared_hits)])
        yield counter("prepared_dropped", "Ready-made answers dropped by a change.", [], [([], prepared.dropped)])
        yield counter("prepared_evicted", "Ready-made answers that made room.", [], [([], prepared.evicted)])
        yield gauge("prepared_answers", "Ready-made answers held.", [], [([], len(prepared.answers))])
        yield gauge("prepared_octets", "Octets of ready-made answers and their questions.", [], [([], prepared.octets)])

    def _cache(self) -> Iterator[Family]:
        each = [([zone], cached) for zone, cached in self._parts.zones.caches.items()]
        rows = [
            ("cache_hits", "Forwarded answers that were held (those ready-made are prepared_hits).", "hits"),
            ("cache_misses", "Questions whose answer was not held, or had expired.", "misses"),
            ("cache_stale", "Expired answers given (RFC 8767).", "stale"),
            ("cache_failures_held", "Questions answered by a failure of a moment ago (RFC 9520).", "failures_held"),
            ("cache_prefetches", "Answers fetched anew before they expired.", "prefetches"),
            ("cache_overloads", "Questions not taken because too many wait for the same answer.", "overloads"),
            ("cache_late", "Answers that came after their question had failed, and were kept.", "late"),
            ("cache_past", "Questions that went past the cache.", "past"),
        ]
        yield from each_row(counter, ["zone"], each, rows)
        store = self._parts.zones.store
        yield counter("cache_evicted", "Forwarded answers that made room.", [], [([], store.evicted)])
        yield gauge("cache_entries", "Forwarded answers held.", [], [([], len(store))])
        yield gauge("cache_octets", "Octets that they take, about.", [], [([], store.octets)])

    def _fallbacks(self) -> Iterator[Family]:
        each = [([bridged.cluster.name], bridged.fallback) for bridged in self._parts.clusters]
        rows = [
            ("fallback_asked", "Questions that went to the cluster's CoreDNS.", "asked"),
            ("fallback_failed", "Questions that it did not answer.", "failed"),
            ("fallback_overloads", "Questions not asked because too many wait for it.", "overloads"),
            (
                UNROUTED,
                "Answers with an address without a route from here, or that left one out (routes.unrouted).",
                "cluster.unrouted.answers",
            ),
        ]
        yield from each_row(counter, ["cluster"], each, rows)

    def _files(self) -> Iterator[Family]:
        zones = self._parts.zones
        yield counter(
            "forward_changes",
            "Times that a zone got other upstreams from a file or a Service.",
            ["zone"],
            [([zone], changes) for zone, changes in zones.changes.items()],
        )
        files = [([str(path)], file) for path, file in zones.files.items()]
        yield gauge(
            "resolv_conf_usable",
            "1 when the file names a server to ask; else the last ones stay in force.",
            ["file"],
            [(path, not file.problem) for path, file in files],
        )
        rows = [("resolv_conf_left_out", "Nameservers of the file that are over the bound.", "left_out")]
        yield from each_row(gauge, ["file"], files, rows)
        services = [([str(address)], one) for address, one in zones.services.by_address.items()]
        yield gauge(
            "service_upstream_usable",
            "1 when the Service stands for a server to ask.",
            ["service"],
            [(service, not one.problem) for service, one in services],
        )
        rows = [("service_upstream_left_out", "Servers of the Service that are over the bound.", "left_out")]
        yield from each_row(gauge, ["service"], services, rows)

    def _upstreams(self) -> Iterator[Family]:
        forwards = list(self._parts.zones.forwards.items())
        for bridged in self._parts.clusters:
            if bridged.coredns.forward:
                forwards.append((f"coredns:{bridged.cluster.name}", bridged.coredns.forward))
        zones = [([zone], forward) for zone, forward in forwards]
        rows = [
            ("forward_overloads", "Questions not forwarded because too many are in flight.", "overloads"),
            ("forward_coalesced", "Questions that waited for an identical one.", "coalesced"),
            ("forward_hedges_denied", "Slow questions not asked elsewhere because too many were.", "hedges_denied"),
        ]
        yield from each_row(counter, ["zone"], zones, rows)
        in_flight = [("forward_in_flight", "Questions that wait for an upstream.", "in_flight")]
        yield from each_row(gauge, ["zone"], zones, in_flight)
        label = ["zone", "upstream"]
        each: list[tuple[list[str], Upstream]] = [
            ([zone, str(upstream)], upstream) for zone, forward in forwards for upstream in forward.upstreams
        ]
        yield Family(
            "upstream_up",
            "1 unless it is thought to be down.",
            "least",
            label,
            [(key, int(one.health.up)) for key, one in each],
        )
        now = time.monotonic()
        yield Family(
            "upstream_edns",
            "1 unless it is asked without EDNS.",
            "least",
            label,
            [(key, int(not one.health.edns.asks_without(now))) for key, one in each],
        )
        yield most(
            "upstream_slow",
            "1 when in the last minute a question waited for over 2.4 s, while others were answered.",
            label,
            [(key, int(one.health.is_slow(now))) for key, one in each],
        )
        yield histogram(
            "upstream_rtt_seconds",
            "From a question to the upstream's reply.",
            label,
            [(key, one.health.rtt) for key, one in each],
        )
        # Some counters exist for datagrams only, some for connections only.
        rows = [
            (
                "upstream_slow_questions",
                "Questions that waited for over 2.4 s, while others were answered.",
                "health.slow_questions",
            ),
            ("upstream_sent", "Questions sent.", "sent"),
            ("upstream_received", "Replies taken.", "received"),
            ("upstream_timeouts", "Questions without a reply in time.", "timeouts"),
            ("upstream_late", "Replies after their time, or when another upstream had answered.", "late"),
            ("upstream_late_dropped", "Late replies not waited for because too many were.", "late_dropped"),
            ("upstream_hedges", "Questions asked here because another upstream was slow.", "hedges"),
            ("upstream_hedges_won", "Those of them that were answered from here.", "hedges_won"),
            ("upstream_probes", "Questions of our own while it was not up.", "probes"),
            ("upstream_mismatched", "Datagrams that answer no question in flight.", "mismatched"),
            ("upstream_folded", "Replies in another case than the random one that was asked.", "folded"),
            ("upstream_malformed", "Replies that do not parse.", "malformed"),
            ("upstream_truncated", "Replies that were fetched again over TCP.", "truncated"),
            ("upstream_refused", "Times that its port was found closed.", "refused_by_icmp"),
            ("upstream_own_errors", "Errors of this host's own sockets; what failed was sent again.", "own_errors"),
            ("upstream_send_failures", "Questions that could not be sent.", "send_failures"),
            ("upstream_tcp_failures", "Fetches over TCP that failed.", "tcp_failures"),
            ("upstream_connects", "Connections begun.", "connects"),
            ("upstream_connect_failures", "Connections that could not be made.", "connect_failures"),
            ("upstream_broken", "Connections that ended while they owed replies.", "broken"),
            ("upstream_overloads", "Questions not sent because every connection was full.", "overloads"),
        ]
        yield from each_row(counter, label, each, rows)


def _rcode_text(rcode: int) -> str:
    return Rcode(rcode).name if rcode in set(Rcode) else str(rcode)

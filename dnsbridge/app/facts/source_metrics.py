"""The metrics that servers and companions have in common: the version, the event loop, the sources of clusters."""

import time
from collections.abc import Iterable, Iterator, Sequence

from dnsbridge import __version__
from dnsbridge.app.facts.families import Family, counter, each_row, gauge, histogram
from dnsbridge.app.feeds import Feed
from dnsbridge.cluster.freshness import Freshness
from dnsbridge.observe.histogram import Histogram
from dnsbridge.watch.api.source import ApiSource
from dnsbridge.watch.manifests.source import ManifestSource


def build_info() -> Family:
    """The version of the program."""
    return gauge("build_info", "The version, as a label.", ["version"], [([__version__], 1)])


def event_loop_lag(seconds: Histogram) -> Family:
    """The lateness of the program's event loop."""
    return histogram("event_loop_lag_seconds", "How late timers are: what anything may wait.", [], [([], seconds)])


def of_sources(feeds: Sequence[tuple[Feed, Freshness]], pulled: Iterable[tuple[str, bool]] = ()) -> Iterator[Family]:
    """The metrics of clusters' feeds, each with the freshness that the program acts on.

    `pulled` are the clusters that another dnsbridge has told of, and whether they are current.
    """
    yield gauge(
        "cluster_synced",
        "1 when the cluster's objects have been read and its source is alive.",
        ["cluster"],
        [
            *(([feed.name], freshness is Freshness.FRESH) for feed, freshness in feeds),
            *(([name], current) for name, current in pulled),
        ],
    )
    yield from _clusters([feed for feed, _ in feeds])
    yield from _manifests([feed for feed, _ in feeds])
    yield from _reflectors([feed for feed, _ in feeds])


def _clusters(feeds: Sequence[Feed]) -> Iterator[Family]:
    now = time.monotonic()
    label = ["cluster"]
    yield gauge(
        "cluster_age_seconds",
        "Time since the source's last sign of life.",
        label,
        [([feed.name], now - feed.source.last_read_at) for feed in feeds if feed.source.synced],
    )
    yield gauge("cluster_objects", "Objects held.", label, [([feed.name], len(feed.index.objects)) for feed in feeds])
    yield gauge(
        "cluster_serial",
        "The SOA serial: when the names last changed, in Unix seconds.",
        label,
        [([feed.name], feed.index.serial.value) for feed in feeds],
    )


def _manifests(feeds: Sequence[Feed]) -> Iterator[Family]:
    each = [([feed.name], feed.source.counts) for feed in feeds if isinstance(feed.source, ManifestSource)]
    rows = [
        ("manifest_broken_files", "Readings of a file that failed.", "broken_files"),
        ("manifest_invalid_objects", "Objects left out.", "invalid_objects"),
        ("manifest_invalid_parts", "Parts left out of objects that are used.", "invalid_parts"),
        ("manifest_duplicate_objects", "Objects that came in two files.", "duplicate_objects"),
        ("manifest_failed_looks", "Looks at the path that gave nothing.", "failed_looks"),
        ("manifest_looks_over_bound", "Looks that found too many files.", "looks_over_bound"),
    ]
    yield from each_row(counter, ["cluster"], each, rows)


def _reflectors(feeds: Sequence[Feed]) -> Iterator[Family]:
    sources = [(feed.name, feed.source) for feed in feeds if isinstance(feed.source, ApiSource)]
    each = [([name, one.resource.label], one) for name, source in sources for one in source.reflectors]
    label = ["cluster", "resource"]
    yield from each_row(gauge, label, each, [("watch_listed", "1 once a list has been read.", "listed")])
    rows = [
        ("watch_lists", "Lists begun.", "lists"),
        ("watch_watches", "Watches begun.", "watches"),
        ("watch_events", "Objects and events received.", "events"),
        ("watch_invalid_objects", "Objects left out.", "invalid_objects"),
        ("watch_invalid_parts", "Parts left out of objects that are used.", "invalid_parts"),
        ("watch_stale_events", "Events older than what is held.", "stale_events"),
        ("watch_errors", "Requests and watches that failed.", "errors"),
        ("watch_silences", "Connections given up because nothing came.", "silences"),
    ]
    counts = [(key, one.counts) for key, one in each]
    yield from each_row(counter, label, counts, rows)
    yield histogram(
        "watch_event_delay_seconds",
        "From an event of the API server to the moment from which answers follow it.",
        label,
        [(key, one.delay) for key, one in counts],
    )
    yield gauge(
        "certificate_not_after_seconds",
        "When the client certificate for the cluster's API server ends, in Unix seconds.",
        ["cluster"],
        [([name], ends.timestamp()) for name, source in sources if (ends := source.connection.certificate_ends)],
    )

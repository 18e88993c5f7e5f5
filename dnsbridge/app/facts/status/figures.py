"""The live figures: questions and answers a second, from the counters of all processes read twice.

The counters are read from the metrics by name: `dnsbridge_queries_total`, `dnsbridge_answers_total` with the labels
`rcode` and `source`. A label that is not there counts as empty.
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Struct
from prometheus_client import Metric

from dnsbridge.app.facts.status.document import Sample, Totals
from dnsbridge.app.facts.times import utc
from dnsbridge.app.facts.upstream_states import State

KEPT = 120
"""Samples of the history, a second each."""
GAP = 5.0
"""Seconds without a reading after which the history begins anew."""
_QUERIES, _ANSWERS, _UNROUTED = "dnsbridge_queries", "dnsbridge_answers", "dnsbridge_unrouted_answers"


class Counted(Struct, frozen=True):
    """The counters at one moment."""

    totals: Totals
    unrouted: dict[str, int]
    """By cluster."""


def counted(metrics: Iterable[Metric]) -> Counted:
    """The counters that the page shows."""
    queries = 0
    found: dict[str, dict[str, int]] = {"source": {}, "rcode": {}}
    unrouted: dict[str, int] = {}
    for metric in metrics:
        for sample in metric.samples if metric.name in (_QUERIES, _ANSWERS, _UNROUTED) else ():
            value = int(sample.value)
            if metric.name == _QUERIES:
                queries += value
            elif metric.name == _UNROUTED:
                unrouted[sample.labels.get("cluster", "")] = value
            else:
                for label, sums in found.items():
                    key = sample.labels.get(label, "")
                    sums[key] = sums.get(key, 0) + value
    found = {label: {key: value for key, value in sums.items() if value} for label, sums in found.items()}
    return Counted(Totals(queries, found["source"], found["rcode"]), unrouted)


class Figures:
    """Makes samples of one reading after the other."""

    def __init__(self) -> None:
        self.history: deque[Sample] = deque(maxlen=KEPT)
        self._before: tuple[float, Totals] | None = None

    def take(self, totals: Totals, upstreams: Sequence[State], now: float) -> Sample | None:
        """The sample of a reading at a monotonic time; None of the first one, and of one after a gap."""
        before, self._before = self._before, (now, totals)
        if before is None or now - before[0] > GAP:
            self.history.clear()
            return None
        seconds, last = max(now - before[0], 0.001), before[1]
        sample = Sample(
            utc(time.time()),
            _rate(totals.queries, last.queries, seconds),
            _rates(totals.answers, last.answers, seconds),
            _rates(totals.rcodes, last.rcodes, seconds),
            {each.server: each.srtt_ms for each in upstreams if each.srtt_ms is not None},
        )
        self.history.append(sample)
        return sample


def _rates(now: dict[str, int], before: dict[str, int], seconds: float) -> dict[str, float]:
    """Only what is not 0: most RCODEs never come."""
    rates = {key: _rate(value, before.get(key, 0), seconds) for key, value in now.items()}
    return {key: rate for key, rate in rates.items() if rate}


def _rate(now: int, before: int, seconds: float) -> float:
    """A second; a process that ended without its last words may have taken some counts with it."""
    return round(max(0, now - before) / seconds, 1)
